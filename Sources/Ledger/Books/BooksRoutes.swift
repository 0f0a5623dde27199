// The city's books on staff pages, for finance officers: trial balance, accounts and their statements, and the closing of periods.
public import Foundation
import Hummingbird
public import Postgres
import Primitives
public import Web

public struct BooksRoutes: Sendable {
    private let books: Books
    private let zone: TimeZone

    /// - Parameter zone: of the city, whose midnights are where days end.
    public init(database: Database, zone: TimeZone) {
        books = Books(database: database)
        self.zone = zone
    }

    /// URL table.
    public func add(to site: Site) {
        site.declare(pages: [TrialBalancePage.self, AccountsPage.self, StatementPageModel.self])
        site.addNavigation(.staff, path: "/staff/ledger", textKey: "ledger.navigation", roles: [.financeOfficer])
        let officers = site.staff([.financeOfficer])
        officers.get("/staff/ledger", use: trialBalance)
        officers.post("/staff/ledger/closings", use: close)
        officers.get("/staff/ledger/accounts", use: accounts)
        officers.get("/staff/ledger/accounts/{id}", use: statement)
    }

    /// What fits on a page that somebody reads.
    static let linesPerPage = 100

    /// At the end of the day that is asked for, or now.
    @Sendable func trialBalance(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(try context.query(request))
        let day = fields.optionalDate("until")
        return try await trialBalance(context, at: day, asked: fields.state, closing: .blank, status: fields.isValid ? .ok : .unprocessableContent)
    }

    private func trialBalance(
        _ context: StaffContext, at day: CalendarDay?, asked: FormState, closing: FormState, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let moment = day?.end(in: zone)
        let lines = try await books.trialBalance(before: moment, by: context.staff.credential)
        let periods = try await books.closedPeriods(by: context.staff.credential)
        return try context.page(
            TrialBalancePage(lines, at: moment ?? Date(), periods, asked: context.formView(asked), closing: context.formView(closing), context),
            title: "ledger.trial_balance.title", status: status)
    }

    @Sendable func close(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let day = fields.date("last_day")
        let note = fields.text("note", charactersMax: Books.noteCharactersMax)
        if fields.isValid, let end = day?.end(in: zone) {
            do {
                try await books.close(until: end, note: note, by: context.staff.credential)
                context.notice("ledger.closing.done")
                return context.redirect(to: "/staff/ledger")
            } catch let refusal as ClosingRefusal {
                guard refusal != .notPermitted else { throw Problem.forbidden }
                fields.reject("last_day", "ledger.closing.\(refusal.rawValue)")
            }
        }
        return try await trialBalance(context, at: nil, asked: .blank, closing: fields.state, status: .unprocessableContent)
    }

    @Sendable func accounts(_ request: Request, _ context: StaffContext) async throws -> Response {
        let query = try context.query(request)
        guard let kind = try query.value("kind"), let currency = Currency(code: try query.value("currency") ?? ""),
            let organisation = try query.value("organisation")
        else { throw Problem.notFound }
        let after = try query.value("after").map { text in
            guard let uuid = UUID(text: text) else { throw Problem.malformedCursor() }
            return LedgerAccountID(uuid)
        }
        let found = try await books.accounts(
            of: organisation, kind: kind, currency: currency, after: after, count: Self.linesPerPage + 1, by: context.staff.credential)
        guard !found.isEmpty else { throw Problem.notFound }
        return try context.page(
            AccountsPage(found, kind: kind, currency: currency, organisation: organisation, context), title: "ledger.accounts.title")
    }

    /// Of this month, or from a day to another, both included.
    @Sendable func statement(_ request: Request, _ context: StaffContext) async throws -> Response {
        let id: LedgerAccountID = try context.parameter("id")
        let query = try context.query(request)
        var fields = FormReader(query)
        let (first, last) = (fields.optionalDate("from"), fields.optionalDate("to"))
        if let first, let last, last < first { fields.reject("to", "ledger.statement.ends_before") }
        let end = last?.end(in: zone)
        let start = first?.start(in: zone) ?? (end ?? Date()).addingTimeInterval(-Self.usualPeriod)
        guard let account = try await books.account(id, from: start, to: end, by: context.staff.credential) else { throw Problem.notFound }
        let entries = try await books.statement(
            of: id, from: start, to: end, after: StatementPlace(cursor: query.value("after")), count: Self.linesPerPage + 1,
            by: context.staff.credential)
        return try context.page(
            StatementPageModel(account, id, entries, from: start, to: end ?? Date(), days: (first, last), context.formView(fields.state), context),
            title: "ledger.statement.title", status: fields.isValid ? .ok : .unprocessableContent)
    }

    /// What somebody wants to see first: the last four weeks and a bit.
    static let usualPeriod: TimeInterval = 31 * 86_400
}
