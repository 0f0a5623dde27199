// What residents see of money that leaves: their bank account, and taking money out. MoneyOutRoutes.swift fills these, templates/payouts writes them.
import Foundation
import Ledger
import Primitives
import Web

/// `/payout-account`
struct PayoutAccountPage: PageModel {
    static let template = "payouts/account"

    var accounts: [Account]
    var errors: ErrorSummary?
    var id: String
    var holder: TextField
    var iban: TextField
    var street: TextField
    var postcode: TextField
    var town: TextField
    var country: TextField

    static let fields: Fields<Self> = [
        "accounts": .list(\.accounts), "has_accounts": .flag { !$0.accounts.isEmpty }, "errors": .optional(\.errors), "id": .text(\.id),
        "holder": .model(\.holder), "iban": .model(\.iban), "street": .model(\.street), "postcode": .model(\.postcode), "town": .model(\.town),
        "country": .model(\.country),
    ]

    struct Account: ViewModel {
        var holder: String
        var iban: String
        var address: String
        var state: String
        var isUsed: Bool
        var givenAt: String
        var end: Link

        static let fields: Fields<Self> = [
            "holder": .text(\.holder), "iban": .text(\.iban), "address": .text(\.address), "state": .text(\.state), "is_used": .flag(\.isUsed),
            "given_at": .text(\.givenAt), "end": .link(\.end),
        ]

        init(_ own: OwnAccount, _ context: some PageContext) {
            let account = own.account
            holder = account.holder.text
            iban = account.iban.grouped
            let place = [account.postcode?.text, account.town.text].compactMap(\.self).joined(separator: " ")
            address = [account.street?.text, place, account.country].compactMap(\.self).joined(separator: ", ")
            isUsed = own.isUsed
            state = own.isWaiting
                ? context.text("payouts.account.waits", ["date": context.format.dateTime(own.usableFrom)])
                : context.text(own.isUsed ? "payouts.account.used" : "payouts.account.older")
            givenAt = context.format.dateTime(own.givenAt)
            end = Link("/payout-account/\(own.id)/end")
        }
    }

    init(_ own: [OwnAccount], _ form: FormView, id: PayoutAccountID, _ context: some PageContext) {
        accounts = own.map { Account($0, context) }
        errors = form.errors
        self.id = id.description
        holder = form.text("holder", label: "payouts.account.holder", hint: "payouts.account.holder_hint", autocomplete: "name")
        iban = form.text("iban", label: "payouts.account.iban", hint: "payouts.account.iban_hint", autocomplete: "off")
        street = form.text("street", label: "payouts.account.street", hint: "payouts.account.optional", autocomplete: "street-address")
        postcode = form.text("postcode", label: "payouts.account.postcode", hint: "payouts.account.optional", autocomplete: "postal-code")
        town = form.text("town", label: "payouts.account.town", autocomplete: "address-level2")
        country = form.text("country", label: "payouts.account.country", hint: "payouts.account.country_hint", autocomplete: "country")
    }
}

/// `/money-out`
struct MoneyOutPage: PageModel {
    static let template = "payouts/money-out"

    var balances: [String]
    var destination: String?
    var errors: ErrorSummary?
    var id: String
    /// The one currency of the wallet; nil where there are several to choose from, or none.
    var onlyCurrency: String?
    var currency: ChoiceField?
    var amount: TextField
    var payouts: [Payout]

    static let fields: Fields<Self> = [
        "balances": .texts(\.balances), "has_wallet": .flag { !$0.balances.isEmpty }, "destination": .optionalText(\.destination),
        "has_account": .flag { $0.destination != nil }, "has_form": .flag { $0.destination != nil && !$0.balances.isEmpty }, "errors": .optional(\.errors),
        "id": .text(\.id), "only_currency": .optionalText(\.onlyCurrency), "currency": .optional(\.currency), "amount": .model(\.amount),
        "payouts": .list(\.payouts), "has_payouts": .flag { !$0.payouts.isEmpty },
    ]

    struct Payout: ViewModel {
        var amount: String
        var reference: String
        var askedAt: String
        var state: String
        var since: String
        var isDone: Bool
        var isFailed: Bool
        var nextStep: String
        var reason: String?
        var again: Link?

        static let fields: Fields<Self> = [
            "amount": .text(\.amount), "reference": .text(\.reference), "asked_at": .text(\.askedAt), "state": .text(\.state), "since": .text(\.since),
            "is_done": .flag(\.isDone), "is_failed": .flag(\.isFailed), "next_step": .text(\.nextStep), "reason": .optionalText(\.reason),
            "again": .optionalLink(\.again),
        ]

        init(_ own: OwnPayout, _ context: some PageContext) {
            amount = own.amount.formatted(locale: context.language.tag)
            reference = own.endToEndID
            askedAt = context.format.dateTime(own.createdAt)
            state = context.text("payouts.state.\(own.state.rawValue)")
            since = context.format.dateTime(own.since)
            isDone = own.state == .settled
            isFailed = own.state == .rejected || own.state == .returned
            nextStep = context.text("payouts.next.\(own.state.rawValue)")
            reason = own.reason.map { code in
                let words = knownReasons.contains(code) ? context.text("payouts.reason.\(code.lowercased())") : context.text("payouts.reason.unknown")
                return context.text("payouts.reason.with_code", ["words": words, "code": code.isolated])
            }
            again = own.mayIssueAgain ? Link("/money-out/\(own.id)/again") : nil
        }
    }

    init(
        _ wallets: [Wallet], _ accounts: [OwnAccount], _ payouts: [OwnPayout], _ form: FormView, id: PayoutID, _ context: some PageContext
    ) {
        balances = wallets.map { $0.balance.formatted(locale: context.language.tag) }
        destination = (accounts.first { $0.isUsed } ?? accounts.first).map { one in
            one.isUsed
                ? context.text("payouts.out.to", ["iban": one.account.iban.ending.isolated])
                : context.text("payouts.out.to_later", ["iban": one.account.iban.ending.isolated, "date": context.format.dateTime(one.usableFrom)])
        }
        errors = form.errors
        self.id = id.description
        let codes = wallets.map(\.balance.currency.code)
        onlyCurrency = codes.count == 1 ? codes[0] : nil
        currency = codes.count > 1
            ? form.choices("currency", label: "payouts.out.currency", options: zip(codes, balances).map { ($0, $1) }) : nil
        amount = form.text("amount", label: "payouts.out.amount", hint: "payouts.out.amount_hint", inputMode: "decimal")
        self.payouts = payouts.map { Payout($0, context) }
    }
}

/// Reasons of ISO 20022 (ExternalStatusReason1Code) that the catalogue has words for: those that a resident can do something about.
let knownReasons: Set<String> = ["AC01", "AC04", "AC06", "BE01", "AM05"]
