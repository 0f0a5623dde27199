// What the forms about addresses mean. Errors stand beside the field that they concern.
import Delivery
import Foundation
import Web

/// One address, typed into the field of its kind.
struct AddressForm {
    var fields: FormReader
    /// Nil when something is wrong; the fields then say what.
    let address: TypedAddress?

    init(_ form: Form) {
        var fields = FormReader(form)
        let email = fields.optionalText("email", charactersMax: SignInName.charactersMax)
        let phone = fields.optionalText("phone", charactersMax: SignInName.charactersMax)
        var found: TypedAddress?
        switch (email, phone) {
        case (nil, nil): fields.reject("email", "contact.add.missing")
        // One code at a time: whoever waits for two mixes them up.
        case (.some, .some): fields.reject("phone", "contact.add.one_at_a_time")
        case (let typed?, nil):
            found = SignInName.email(typed).flatMap { TypedAddress($0) }
            if found == nil { fields.reject("email", "identity.register.email_malformed") }
        case (nil, let typed?):
            found = SignInName.phone(typed).flatMap { TypedAddress($0) }
            if found == nil { fields.reject("phone", "identity.register.phone_malformed") }
        }
        address = fields.isValid ? found : nil
        self.fields = fields
    }
}

/// How to be reached about what.
struct ContactForm {
    var fields: FormReader
    /// Nil when something is wrong; the fields then say what.
    let wishes: ContactWishes?

    /// The value of "not at all".
    static let none = "none"
    static let letterField = "letter_fallback"

    init(_ form: Form, _ before: ContactWishes, _ addresses: [Address]) {
        var fields = FormReader(form)
        var wishes = before
        let offered = Self.offered(before, addresses)
        for theme in ContactTheme.allCases {
            let chosen = fields.choice(theme.rawValue, from: [Self.none] + offered.map(\.rawValue))
            wishes.channels[theme] = OutgoingChannel(rawValue: chosen)
        }
        wishes.wantsLetter = fields.flag(Self.letterField) && before.canHaveLetters
        self.wishes = fields.isValid ? wishes : nil
        self.fields = fields
    }

    /// The ways that lead to this resident.
    static func offered(_ wishes: ContactWishes, _ addresses: [Address]) -> [OutgoingChannel] {
        OutgoingChannel.allCases.filter { channel in
            channel == .letter ? wishes.canHaveLetters : addresses.contains { $0.kind.channel == channel && $0.verifiedAt != nil }
        }
    }
}

extension ContactWishes {
    /// As the form shows them. A way that leads nowhere any more is not shown as chosen.
    func filled(offered: [OutgoingChannel]) -> [String: String] {
        var values = Dictionary(
            uniqueKeysWithValues: ContactTheme.allCases.map { theme in
                (theme.rawValue, channels[theme].flatMap { offered.contains($0) ? $0.rawValue : nil } ?? ContactForm.none)
            })
        if wantsLetter { values[ContactForm.letterField] = "yes" }
        return values
    }
}
