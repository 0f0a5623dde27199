// For residents: the bank account that money goes to, and taking money out of the wallet.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
public import Ledger
public import Postgres
import Primitives
public import Web

/// URL table of the residents' part.
public struct MoneyOutRoutes: Sendable {
    private let database: Database
    private let ledger: Ledger
    private let accounts: PayoutAccounts

    public init(database: Database, ledger: Ledger, accounts: PayoutAccounts) {
        self.database = database
        self.ledger = ledger
        self.accounts = accounts
    }

    public func add(to site: Site) {
        site.declare(pages: [PayoutAccountPage.self, MoneyOutPage.self])
        site.addOwnData(OwnDataPart(name: "bank_accounts", textKey: "payouts.own_data.accounts", scope: "payments", read: readAccounts))
        site.addOwnData(OwnDataPart(name: "payouts", textKey: "payouts.own_data.payouts", scope: "payments", read: readPayouts))
        site.resident.get("/payout-account", use: showAccounts)
        site.resident.post("/payout-account", use: giveAccount)
        site.resident.post("/payout-account/{id}/end", use: endAccount)
        site.resident.get("/money-out", use: showMoneyOut)
        site.resident.post("/money-out", use: takeOut)
        site.resident.post("/money-out/{id}/again", use: issueAgain)
        site.residentAPI.get("/api/v1/payouts", use: listPayouts)
        site.residentAPI.put("/api/v1/payouts/{id}", use: putPayout)
    }

    /// Payouts on the page: a year of one a week.
    static let payoutsOnPage = 50
    /// The highest amount of a SEPA credit transfer is 999,999,999.99 (EPC132-08).
    static let minorUnitsMax: Int64 = 99_999_999_999
    private static let amountCharactersMax = 48

    // MARK: Accounts

    @Sendable func showAccounts(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await accountPage(context, .blank, id: .new())
    }

    @Sendable func giveAccount(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var form = AccountForm(context.form)
        guard let account = form.account() else {
            return try await accountPage(context, form.fields.state, id: form.id, status: .unprocessableContent)
        }
        try await accounts.give(account, id: form.id, by: context.resident.credential)
        context.notice("payouts.account.given")
        return context.redirect(to: "/payout-account")
    }

    @Sendable func endAccount(_ request: Request, _ context: ResidentContext) async throws -> Response {
        guard let isEnded = try await accounts.end(context.parameter("id"), by: context.resident.credential) else { throw Problem.notFound }
        context.notice(isEnded ? "payouts.account.ended" : "payouts.account.was_ended")
        return context.redirect(to: "/payout-account")
    }

    private func accountPage(
        _ context: ResidentContext, _ state: FormState, id: PayoutAccountID, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let own = try await accounts.own(context.resident.credential)
        return try context.page(PayoutAccountPage(own, context.formView(state), id: id, context), title: "payouts.account.title", status: status)
    }

    // MARK: Money out

    @Sendable func showMoneyOut(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await moneyOutPage(context, .blank, id: .new())
    }

    @Sendable func takeOut(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var fields = FormReader(context.form)
        let id = fields.optionalText("id", charactersMax: 36).flatMap { PayoutID($0) } ?? .new()
        guard let amount = try await readAmount(&fields, context) else {
            return try await moneyOutPage(context, fields.state, id: id, status: .unprocessableContent)
        }
        let statement = TakeOut(credential: context.resident.credential, id: id, amount: amount)
        switch try await database.transaction({ try await $0.one(statement) }) {
        case "instructed": context.notice("payouts.out.done")
        case "exists": context.notice("payouts.out.was_done")
        case "insufficient_funds": fields.reject("amount", "payouts.out.insufficient")
        case "account_missing": fields.reject("amount", "payouts.out.account_missing")
        default: fields.reject("amount", "payouts.out.unavailable")
        }
        guard fields.isValid else { return try await moneyOutPage(context, fields.state, id: .new(), status: .unprocessableContent) }
        return context.redirect(to: "/money-out")
    }

    @Sendable func issueAgain(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let statement = IssueAgain(credential: context.resident.credential, id: .new(), payout: try context.parameter("id"))
        switch try await database.transaction({ try await $0.one(statement) }) {
        case "instructed": context.notice("payouts.out.done")
        case "exists", "not_failed": context.notice("payouts.out.was_done")
        case "insufficient_funds": context.notice("payouts.out.insufficient")
        default: throw Problem.notFound
        }
        return context.redirect(to: "/money-out")
    }

    private func readAmount(_ fields: inout FormReader, _ context: ResidentContext) async throws -> Money? {
        let wallets = try await ledger.wallets(of: context.resident.credential)
        let code = fields.choice("currency", from: wallets.map(\.balance.currency.code))
        let typed = fields.text("amount", charactersMax: Self.amountCharactersMax)
        guard fields.isValid, let currency = Currency(code: code) else { return nil }
        guard let amount = try? Money.parse(typed, currency), amount.isPositive, amount.minorUnits <= Self.minorUnitsMax else {
            fields.reject("amount", "payouts.out.amount_malformed")
            return nil
        }
        return amount
    }

    private func moneyOutPage(
        _ context: ResidentContext, _ state: FormState, id: PayoutID, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let credential = context.resident.credential
        let wallets = try await ledger.wallets(of: credential)
        let payouts = try await database.query(PayoutsOf(credential: credential, before: nil, count: Self.payoutsOnPage))
        let standing = try await accounts.own(credential)
        let page = MoneyOutPage(wallets, standing, payouts, context.formView(state), id: id, context)
        return try context.page(page, title: "payouts.out.title", status: status)
    }

    // MARK: JSON

    @Sendable func listPayouts(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "payments")
        let cursor = try MomentCursor(parameter: context.query(request).value("cursor"))
        // One more than is shown tells whether there is another page.
        let found = try await database.query(PayoutsOf(credential: context.resident.credential, before: cursor, count: Self.payoutsOnPage + 1))
        let next = found.count > Self.payoutsOnPage ? found.prefix(Self.payoutsOnPage).last.map { MomentCursor(at: $0.createdAt, id: $0.id.uuid) } : nil
        return try .json(CursorList(items: found.prefix(Self.payoutsOnPage).map(PayoutBody.init), nextCursor: next?.description))
    }

    @Sendable func putPayout(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "payments")
        let id: PayoutID = try context.parameter("id")
        var body = try await context.json(request)
        let code = body.string("currency", charactersMax: 3)
        let minorUnits = body.integer("amount", in: 1...Self.minorUnitsMax)
        let currency = Currency(code: code)
        if currency == nil, !code.isEmpty { body.reject("currency", code: "unknown", detail: "A currency of ISO 4217, such as EUR.") }
        try body.finish()
        guard let currency else { throw Problem.notFound }
        let statement = TakeOut(credential: context.resident.credential, id: id, amount: Money(minorUnits: minorUnits, currency: currency))
        let outcome = try await database.transaction { try await $0.one(statement) }
        guard outcome == "instructed" || outcome == "exists" else { throw PayoutProblem.of(outcome) }
        guard let own = try await database.query(PayoutsOf(credential: context.resident.credential, id: id, before: nil, count: 1)).first else { throw Problem.notFound }
        return try .json(PayoutBody(own), status: outcome == "instructed" ? .created : .ok)
    }

    // MARK: Your data

    @Sendable private func readAccounts(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        OwnDataPage(
            try await accounts.own(reader.credential).map { one in
                [
                    "holder": .string(one.account.holder.text), "iban": .string(one.account.iban.text), "street": .string(one.account.street?.text ?? ""),
                    "postcode": .string(one.account.postcode?.text ?? ""), "town": .string(one.account.town.text), "country": .string(one.account.country),
                    "given_at": .string(RFC3339.text(one.givenAt)), "usable_from": .string(RFC3339.text(one.usableFrom)),
                ]
            })
    }

    @Sendable private func readPayouts(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let count = OwnDataPart.itemsPerRead
        let found = try await database.query(PayoutsOf(credential: reader.credential, before: cursor.flatMap(MomentCursor.init), count: count + 1))
        return OwnDataPage(found, count: count, cursor: { MomentCursor(at: $0.createdAt, id: $0.id.uuid) }) { one in
            [
                "id": .string(one.id.description), "kind": .string(one.kind), "currency": .string(one.amount.currency.code),
                "amount": .integer(one.amount.minorUnits), "reference": .string(one.endToEndID), "created_at": .string(RFC3339.text(one.createdAt)),
                "state": .string(one.state.rawValue), "since": .string(RFC3339.text(one.since)), "reason": one.reason.map(JSONValue.string) ?? .null,
            ]
        }
    }
}
