// The pages of the ways to pay, as what they show. Every way states what it costs before anything happens, also where that is nothing.
import Foundation
import Postgres
import Primitives
import Web

/// `/bills/{id}/ways`
struct WaysPage: PageModel {
    static let template = "payments/ways"

    var title: String
    var reference: String
    var amount: String
    var ways: [Way]
    var bill: Link

    static let fields: Fields<Self> = [
        "title": .text(\.title), "reference": .text(\.reference), "amount": .text(\.amount), "ways": .list(\.ways), "bill": .link(\.bill),
    ]

    struct Way: ViewModel {
        var name: String
        var text: String
        var fee: String
        var total: String
        /// Nil where it begins elsewhere.
        var choice: Choice?

        static let fields: Fields<Self> = [
            "name": .text(\.name), "text": .text(\.text), "fee": .text(\.fee), "total": .text(\.total), "choice": .optional(\.choice),
        ]
    }

    struct Choice: ViewModel {
        var link: Link
        var text: String
        static let fields: Fields<Self> = ["link": .link(\.link), "text": .text(\.text)]
    }

    init(_ bill: Bill, _ providers: [PaymentWay], balance: Money?, hasAccount: Bool, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        title = bill.title.text(context.language)
        reference = bill.reference
        amount = write(bill.outstanding)
        self.bill = Link("/bills/\(bill.id)")
        let nothing = Money.zero(bill.amount.currency)
        let free = { (word: String, text: String, choice: Choice?) in
            Way(name: context.text("payments.method.\(word)"), text: text, fee: write(nothing), total: write(bill.outstanding), choice: choice)
        }
        let wallet = Choice(link: Link("/bills/\(bill.id)/pay"), text: context.text("payments.ways.choose_wallet"))
        ways = [free("wallet", context.text("payments.ways.wallet", ["balance": write(balance ?? nothing)]), wallet)]
        ways += providers.map { way in
            Way(
                name: way.name, text: context.text("payments.ways.provider"), fee: write(way.fee), total: write((try? way.net.adding(way.fee)) ?? way.net),
                choice: Choice(link: Link("/bills/\(bill.id)/ways/\(way.id)"), text: context.text("payments.ways.choose", ["name": way.name])))
        }
        let transfer = Choice(link: Link("/bills/\(bill.id)#transfer"), text: context.text("payments.ways.choose_bank_transfer"))
        if hasAccount { ways.append(free("bank_transfer", context.text("payments.ways.bank_transfer"), transfer)) }
        ways.append(free("cash", context.text("payments.ways.cash"), nil))
    }
}

/// `/bills/{id}/ways/{provider}`: what will happen, with the fee, before anything happens.
struct ProviderPage: PageModel {
    static let template = "payments/provider"

    var title: String
    var reference: String
    var name: String
    var amount: String
    var fee: String
    var isFree: Bool
    var total: String
    var address: Link
    var ways: Link
    var id: String
    var feeMinorUnits: String
    /// The fee is another than the one that was agreed to a moment ago.
    var hasChanged: Bool
    var text: String
    var button: String

    static let fields: Fields<Self> = [
        "title": .text(\.title), "reference": .text(\.reference), "name": .text(\.name), "amount": .text(\.amount), "fee": .text(\.fee), "is_free": .flag(\.isFree),
        "total": .text(\.total), "address": .link(\.address), "ways": .link(\.ways), "id": .text(\.id), "fee_minor_units": .text(\.feeMinorUnits),
        "has_changed": .flag(\.hasChanged), "text": .text(\.text), "button": .text(\.button),
    ]

    init(_ bill: Bill, _ way: PaymentWay, hasChanged: Bool, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        title = bill.title.text(context.language)
        reference = bill.reference
        name = way.name
        amount = write(way.net)
        fee = write(way.fee)
        isFree = !way.fee.isPositive
        total = write((try? way.net.adding(way.fee)) ?? way.net)
        address = Link("/bills/\(bill.id)/ways/\(way.id)")
        ways = Link("/bills/\(bill.id)/ways")
        id = AttemptID.new().description
        feeMinorUnits = String(way.fee.minorUnits)
        self.hasChanged = hasChanged
        text = context.text("payments.provider.text", ["name": way.name])
        button = context.text("payments.provider.button", ["name": way.name])
    }
}

/// `/bills/{id}/attempts/{attempt}`: where a payment stands that a provider takes, and what to do next.
struct AttemptPage: PageModel {
    static let template = "payments/attempt"

    var title: String
    var name: String
    var total: String
    var fee: String
    var state: String
    var next: String
    var isSettled: Bool
    var isBad: Bool
    /// To the provider, while it is open there.
    var address: Link?
    var receipt: Link?
    var ways: Link?
    var bill: Link

    static let fields: Fields<Self> = [
        "title": .text(\.title), "name": .text(\.name), "total": .text(\.total), "fee": .text(\.fee), "state": .text(\.state), "next": .text(\.next),
        "is_settled": .flag(\.isSettled), "is_bad": .flag(\.isBad), "address": .optionalLink(\.address), "receipt": .optionalLink(\.receipt),
        "ways": .optionalLink(\.ways), "bill": .link(\.bill),
    ]

    init(_ bill: Bill, _ attempt: Attempt, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        title = bill.title.text(context.language)
        name = attempt.provider
        total = write((try? attempt.net.adding(attempt.fee)) ?? attempt.net)
        fee = write(attempt.fee)
        state = context.text("payments.attempt.state.\(attempt.state.rawValue)")
        next = context.text("payments.attempt.next.\(attempt.state.rawValue)", ["name": attempt.provider, "date": context.format.dateTime(attempt.expiresAt)])
        isSettled = attempt.state == .settled
        isBad = attempt.state == .failed || attempt.state == .expired
        address = attempt.address.map { Link($0) }
        receipt = isSettled ? Link("/bills/\(bill.id)/receipt") : nil
        ways = isBad && !bill.isPaid ? Link("/bills/\(bill.id)/ways") : nil
        self.bill = Link("/bills/\(bill.id)")
    }
}
