// Tills for staff: their list and opening one, taking cash, counting, approving a difference.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of tills.
public struct TillRoutes: Sendable {
    private let database: Database
    private var work: TillWork { TillWork(database: database) }

    public init(database: Database) {
        self.database = database
    }

    static let mayLook: Set<StaffRole> = [.caseworker, .financeOfficer, .approver, .auditor]
    static let mayApprove: Set<StaffRole> = [.financeOfficer, .approver]

    public func add(to site: Site) {
        site.declare(pages: [TillsPage.self, TillPage.self])
        site.addNavigation(.staff, path: "/staff/tills", textKey: "till.navigation", roles: Self.mayLook)
        let (readers, clerks) = (site.staff(Self.mayLook), site.staff([.caseworker]))
        readers.get("/staff/tills", use: list)
        clerks.post("/staff/tills", use: open)
        readers.get("/staff/tills/{id}", use: show)
        clerks.post("/staff/tills/{id}/payments", use: take)
        clerks.post("/staff/tills/{id}/closing", use: close)
        site.staff(Self.mayApprove).post("/staff/tills/{id}/approval", use: approve)
    }

    /// Tills on one page: a month of a counter.
    static let tillsPerPage = 50
    private static let amountCharactersMax = 48
    private static let counterCharactersMax = 60
    private static let explanationCharacters = 3...500

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await tills(context)
    }

    @Sendable func open(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let id = fields.optionalText("id", charactersMax: 36).flatMap { TillID($0) } ?? .new()
        let counter = fields.text("counter", charactersMax: Self.counterCharactersMax)
        let code = fields.text("currency", charactersMax: 3)
        let currency = Currency(code: code.uppercased())
        if !code.isEmpty, currency == nil { fields.reject("currency", "till.currency_unknown") }
        let float = readAmount("float", currency, &fields)
        guard fields.isValid, let float else { return try await tills(context, fields.state, status: .unprocessableContent) }
        do {
            try await work.open(id, at: counter, with: float, by: context.staff.credential)
        } catch let refusal as TillRefusal {
            fields.reject("counter", "till.refusal.\(refusal.outcome)")
            return try await tills(context, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/staff/tills/\(id)")
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await till(context)
    }

    @Sendable func take(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let found = try await find(context)
        // The id travels in the form: sent twice, it is one payment.
        let id = fields.optionalText("id", charactersMax: 36).flatMap { PaymentID($0) } ?? .new()
        let reference = fields.text("reference", charactersMax: 40)
        let amount = readAmount("amount", found.openingFloat.currency, &fields)
        if let amount, amount.minorUnits == 0 { fields.reject("amount", "till.amount_malformed") }
        guard fields.isValid, let amount else { return try await till(context, fields.state, status: .unprocessableContent) }
        do {
            _ = try await work.take(amount, for: reference, as: id, into: found.id, by: context.staff.credential)
        } catch let refusal as TillRefusal {
            fields.reject(["too_much", "nothing_due"].contains(refusal.outcome) ? "amount" : "reference", "till.refusal.\(refusal.outcome)")
            return try await till(context, fields.state, status: .unprocessableContent)
        }
        context.notice("till.taken")
        return context.redirect(to: "/staff/tills/\(found.id)")
    }

    @Sendable func close(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let found = try await find(context)
        let counted = readAmount("counted", found.openingFloat.currency, &fields)
        let explanation = fields.optionalLongText("explanation", charactersMax: Self.explanationCharacters.upperBound)
        if let explanation, explanation.unicodeScalars.count < Self.explanationCharacters.lowerBound { fields.reject("explanation", "till.refusal.explanation_missing") }
        guard fields.isValid, let counted else { return try await till(context, fields.state, status: .unprocessableContent) }
        do {
            let waits = try await work.close(found.id, counted: counted, explanation: explanation, by: context.staff.credential)
            context.notice(waits ? "till.waits" : "till.closed")
        } catch let refusal as TillRefusal {
            fields.reject(refusal.outcome == "explanation_missing" ? "explanation" : "counted", "till.refusal.\(refusal.outcome)")
            return try await till(context, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/staff/tills/\(found.id)")
    }

    @Sendable func approve(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let found = try await find(context)
        do {
            try await work.approve(found.id, by: context.staff.credential)
            context.notice("till.approved")
        } catch let refusal as TillRefusal {
            fields.reject("approval", "till.refusal.\(refusal.outcome)")
            return try await till(context, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/staff/tills/\(found.id)")
    }

    /// Not negative; nil with an error noted otherwise.
    private func readAmount(_ name: String, _ currency: Currency?, _ fields: inout FormReader) -> Money? {
        let typed = fields.text(name, charactersMax: Self.amountCharactersMax)
        guard !typed.isEmpty, let currency else { return nil }
        guard let amount = try? Money.parse(typed, currency), !amount.isNegative, amount.minorUnits <= Self.minorUnitsMax else {
            fields.reject(name, "till.amount_malformed")
            return nil
        }
        return amount
    }

    /// What the ledger takes: 2⁵³ − 1.
    private static let minorUnitsMax: Int64 = 9_007_199_254_740_991

    private func find(_ context: StaffContext) async throws -> Till {
        let id: TillID = try context.parameter("id")
        guard let till = try await database.optional(Tills(credential: context.staff.credential, till: id, count: 1)) else { throw Problem.notFound }
        return till
    }

    private func till(_ context: StaffContext, _ state: FormState = .blank, status: HTTPResponse.Status = .ok) async throws -> Response {
        let page = TillPage(try await find(context), roles: context.staff.roles, context.formView(state), context)
        return try context.page(page, title: "till.one.title", status: status)
    }

    private func tills(_ context: StaffContext, _ state: FormState = .blank, status: HTTPResponse.Status = .ok) async throws -> Response {
        let found = try await database.query(Tills(credential: context.staff.credential, count: Self.tillsPerPage))
        let page = TillsPage(found, mayOpen: context.staff.roles.contains(.caseworker), context.formView(state), context)
        return try context.page(page, title: "till.title", status: status)
    }
}
