// The ledger as organisations use it: accounts of their own, and transfers between them. The way is body (LedgerBodies.swift) → Ledger →
// one statement of the database that decides (migrations/0009) → answer. Refusals are in LedgerProblems.swift.
//
// There is no Idempotency-Key here: the ids that callers give to accounts and transfers serve.
import Hummingbird
public import Web

public struct LedgerRoutes: Sendable {
    private let ledger: Ledger

    public init(ledger: Ledger) {
        self.ledger = ledger
    }

    /// URL table of the slice.
    public func add(to site: Site) {
        site.bearerAPI.post("/api/v1/ledger/accounts", use: open)
        site.bearerAPI.get("/api/v1/ledger/accounts/{id}", use: account)
        site.bearerAPI.get("/api/v1/ledger/accounts/{id}/entries", use: entries)
        site.bearerAPI.post("/api/v1/ledger/transfers", use: transfer)
        site.bearerAPI.post("/api/v1/ledger/transfer-batches", use: batch)
    }

    /// Entries in one answer.
    static let entriesPerPage = 100

    @Sendable func open(_ request: Request, _ context: BearerContext) async throws -> Response {
        let body = try NewAccountBody(await context.json(request, bytesMax: NewAccountBody.bytesMax))
        let opening = try await ledger.open(body.id, in: body.currency, by: context.credential)
        if let problem = opening.problem { throw problem }
        let account = try await show(body.id, context)
        return try .json(account, status: opening == .created ? .created : .ok)
    }

    @Sendable func account(_ request: Request, _ context: BearerContext) async throws -> Response {
        try .json(await show(try context.parameter("id"), context))
    }

    @Sendable func entries(_ request: Request, _ context: BearerContext) async throws -> Response {
        let id: LedgerAccountID = try context.parameter("id")
        let before = try context.query(request).value("cursor").map { text in
            guard let number = Int64(text), number > 0 else { throw Problem.malformedCursor() }
            return number
        }
        _ = try await show(id, context)
        let entries = try await ledger.entries(of: id, before: before, count: Self.entriesPerPage + 1, by: context.credential)
        let page = entries.prefix(Self.entriesPerPage)
        return try .json(
            CursorList(items: page.map(AccountEntryBody.init), nextCursor: entries.count > page.count ? page.last.map { String($0.number) } : nil))
    }

    /// One transfer; it shares a commit with those that others send at the same moment.
    @Sendable func transfer(_ request: Request, _ context: BearerContext) async throws -> Response {
        let transfer = try Transfer(body: await context.json(request, bytesMax: transferBytesMax))
        let outcome = try await ledger.post(transfer, by: context.credential)
        if let problem = outcome.problem(of: transfer) { throw problem }
        return .json(transfer.body(outcome), status: outcome == .created ? .created : .ok)
    }

    /// Up to a thousand, each with a result of its own; those that are linked, or all of an atomic batch, are done together or not at all.
    @Sendable func batch(_ request: Request, _ context: BearerContext) async throws -> Response {
        let batch = try TransferBatchBody(await context.json(request, bytesMax: TransferBatchBody.bytesMax))
        let outcomes = try await ledger.post(batch.transfers, links: batch.links, by: context.credential)
        if let refusal = outcomes.first(where: { $0 == .credentialInvalid || $0 == .scopeMissing }) { throw refusal.callerProblem }
        return .json(["results": .array(zip(batch.transfers, outcomes).map { $0.result($1) })])
    }

    private func show(_ id: LedgerAccountID, _ context: BearerContext) async throws -> AccountBody {
        do {
            return AccountBody(try await ledger.account(id, by: context.credential))
        } catch let refusal as AccountRefusal {
            throw refusal.problem
        }
    }
}
