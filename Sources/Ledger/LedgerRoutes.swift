// The ledger as organisations use it: accounts of their own, and transfers between them. The way is body (LedgerBodies.swift) → Ledger →
// one statement of the database that decides (migrations/0009) → answer. Refusals are in LedgerProblems.swift.
//
// There is no Idempotency-Key here: the ids that callers give to accounts and transfers serve.
import Foundation
import Hummingbird
import Primitives
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
        site.bearerAPI.get("/api/v1/ledger/accounts/{id}/statement", use: statement)
        site.bearerAPI.get("/api/v1/ledger/accounts/{id}/balance", use: balance)
        site.bearerAPI.post("/api/v1/ledger/transfers", use: transfer)
        site.bearerAPI.post("/api/v1/ledger/transfer-batches", use: batch)
        site.bearerAPI.post("/api/v1/ledger/conversions", use: convert)
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

    /// What moved the account from one moment to another, in the order in which it counts, with what it held before and after.
    @Sendable func statement(_ request: Request, _ context: BearerContext) async throws -> Response {
        let id: LedgerAccountID = try context.parameter("id")
        let query = try context.query(request)
        let (start, end) = (try query.moment("from"), try query.moment("to"))
        guard start <= end else { throw Problem.malformedMoment("to", "It lies before the moment in from.") }
        let statement = try await known {
            try await ledger.statement(
                of: id, from: start, to: end, after: StatementPlace(cursor: query.value("cursor")), count: Self.entriesPerPage + 1,
                by: context.credential)
        }
        return try .json(StatementBody(statement, of: id, from: start, to: end, entriesMax: Self.entriesPerPage))
    }

    /// What the account held just before a moment.
    @Sendable func balance(_ request: Request, _ context: BearerContext) async throws -> Response {
        let id: LedgerAccountID = try context.parameter("id")
        let moment = try context.query(request).moment("before")
        let balance = try await known { try await ledger.balance(of: id, before: moment, by: context.credential) }
        return try .json(BalanceBody(account: id.description, currency: balance.currency.code, before: moment, posted: balance.minorUnits))
    }

    /// One transfer; it shares a commit with those that others send at the same moment.
    @Sendable func transfer(_ request: Request, _ context: BearerContext) async throws -> Response {
        let transfer = try Transfer(body: await context.json(request, bytesMax: transferBytesMax))
        let outcome = try await ledger.post(transfer, by: context.credential)
        if let problem = outcome.problem(in: transfer.amount.currency) { throw problem }
        return .json(transfer.body(outcome), status: outcome == .created ? .created : .ok)
    }

    /// Up to a thousand, each with a result of its own; those that are linked, or all of an atomic batch, are done together or not at all.
    @Sendable func batch(_ request: Request, _ context: BearerContext) async throws -> Response {
        let batch = try TransferBatchBody(await context.json(request, bytesMax: TransferBatchBody.bytesMax))
        let outcomes = try await ledger.post(batch.transfers, links: batch.links, by: context.credential)
        if let refusal = outcomes.first(where: { $0 == .credentialInvalid || $0 == .scopeMissing }) { throw refusal.callerProblem }
        return .json(["results": .array(zip(batch.transfers, outcomes).map { $0.result($1) })])
    }

    /// Two linked transfers through the organisation's position accounts.
    @Sendable func convert(_ request: Request, _ context: BearerContext) async throws -> Response {
        let conversion = try Conversion(body: await context.json(request, bytesMax: transferBytesMax))
        let outcome = try await ledger.convert(conversion, by: context.credential)
        if let problem = outcome.problem(in: conversion.sold.currency) { throw problem }
        return .json(conversion.body(outcome), status: outcome == .created ? .created : .ok)
    }

    private func show(_ id: LedgerAccountID, _ context: BearerContext) async throws -> AccountBody {
        AccountBody(try await known { try await ledger.account(id, by: context.credential) })
    }

    /// - Throws: the `Problem` of an account that is not shown.
    private func known<Value>(_ read: () async throws -> Value) async throws -> Value {
        do {
            return try await read()
        } catch let refusal as AccountRefusal {
            throw refusal.problem
        }
    }
}

extension Form {
    /// A moment in the address.
    /// - Throws: `Problem` 400 when it is missing or not of RFC 3339.
    fileprivate func moment(_ name: String) throws -> Date {
        guard let text = try value(name) else { throw Problem.malformedMoment(name, "It is required.") }
        // A plus that was not escaped is a space in an address.
        guard let moment = RFC3339.date(text.replacing(" ", with: "+")) else {
            throw Problem.malformedMoment(name, "Send a moment of RFC 3339, such as 2026-11-21T04:39:00Z.")
        }
        return moment
    }
}

extension Problem {
    fileprivate static func malformedMoment(_ name: String, _ detail: String) -> Problem {
        Problem(
            "invalid-parameter", status: .badRequest, title: "Invalid parameter", detail: "Mend what is listed under errors and send the request again.",
            errors: [FieldProblem(field: name, code: "malformed", detail: detail)])
    }
}
