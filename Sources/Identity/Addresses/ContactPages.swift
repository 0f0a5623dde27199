// The pages about addresses, as what they show.
import Delivery
import Foundation
import Web

extension Address {
    var path: String { "/contact/addresses/\(id)" }
}

/// `/contact`: how we reach you.
struct ContactPage: PageModel {
    static let template = "identity/contact"

    var addresses: [AddressView]
    var errors: ErrorSummary?
    var themes: [ChoiceField]
    var letter: TickField?
    /// Nothing but "not at all" can be chosen.
    var hasNoWay: Bool

    static let fields: Fields<Self> = [
        "addresses": .list(\.addresses), "is_empty": .flag(\.addresses.isEmpty), "errors": .optional(\.errors), "themes": .list(\.themes),
        "letter": .optional(\.letter), "has_no_way": .flag(\.hasNoWay),
    ]

    init(_ addresses: [Address], _ wishes: ContactWishes, _ form: FormView, _ context: some PageContext) {
        self.addresses = addresses.map { AddressView($0, context) }
        let offered = ContactForm.offered(wishes, addresses)
        hasNoWay = offered.isEmpty
        let options: [(value: String, text: String)] = [(ContactForm.none, context.text("contact.channel.none"))] + offered.map { ($0.rawValue, context.text("contact.channel.\($0.rawValue)")) }
        themes = ContactTheme.allCases.map { form.choices($0.rawValue, label: "contact.theme.\($0.rawValue)", options: options) }
        letter = wishes.canHaveLetters ? form.tick(ContactForm.letterField, label: "contact.letter_fallback") : nil
        errors = form.errors
    }
}

/// One address.
struct AddressView: ViewModel {
    var value: String
    var isVerified: Bool
    var isPrimary: Bool
    var waits: Link
    var prefer: Link
    var remove: Link

    static let fields: Fields<Self> = [
        "value": .text(\.value), "is_verified": .flag(\.isVerified), "is_primary": .flag(\.isPrimary), "can_be_primary": .flag { $0.isVerified && !$0.isPrimary },
        "waits": .link(\.waits), "prefer": .link(\.prefer), "remove": .link(\.remove),
    ]

    init(_ address: Address, _ context: some PageContext) {
        value = address.value
        isVerified = address.verifiedAt != nil
        isPrimary = address.isPrimary
        waits = Link(address.path)
        prefer = Link(address.path + "/primary")
        remove = Link(address.path + "/remove")
    }
}

/// `/contact/addresses/new`.
struct AddAddressPage: PageModel {
    static let template = "identity/add-address"

    var errors: ErrorSummary?
    var email: TextField
    var phone: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "email": .model(\.email), "phone": .model(\.phone)]

    init(_ form: FormView) {
        email = form.text("email", label: "identity.email", type: "email", autocomplete: "email")
        phone = form.text("phone", label: "identity.phone", hint: "contact.add.phone_hint", type: "tel", autocomplete: "tel")
        errors = form.errors
    }
}

/// `/contact/addresses/{address}`: the code.
struct VerifyAddressPage: PageModel {
    static let template = "identity/verify-address"

    var errors: ErrorSummary?
    var address: String
    var code: TextField
    /// Until when the code counts; nil where there is none any more.
    var until: String?
    var submit: Link
    var again: Link

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "address": .text(\.address), "code": .model(\.code), "until": .optionalText(\.until), "has_ended": .flag { $0.until == nil },
        "submit": .link(\.submit), "again": .link(\.again),
    ]

    init(_ address: Address, _ form: FormView, _ context: some PageContext) {
        self.address = address.value
        code = form.text("code", label: "contact.verify.code", hint: "contact.verify.hint", autocomplete: "one-time-code", inputMode: "numeric")
        until = address.codeUntil.map { context.text("contact.verify.until", ["at": context.format.dateTime($0)]) }
        submit = Link(address.path + "/code")
        again = Link(address.path + "/again")
        errors = form.errors
    }
}
