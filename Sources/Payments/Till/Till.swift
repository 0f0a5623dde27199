// Cash at a counter: opening a till, taking payments, counting, and the second pair of eyes for a difference. Decided in `payments.open_till`,
// `take_cash`, `close_till` and `approve_till` (0029_bank.sql).
import Foundation
import Ledger
import Messages
import Postgres
import Primitives
import Web

enum TillTag {}
typealias TillID = ID<TillTag>

/// A till as staff see it.
struct Till: Sendable {
    let id: TillID
    let clerk: String
    let isMine: Bool
    let counter: String
    let openingFloat: Money
    let taken: Money
    let paymentCount: Int64
    let openedAt: Date
    let closing: Closing?

    struct Closing: Sendable {
        let at: Date
        let expected: Money
        let counted: Money
        let explanation: String?
        let approvedBy: String?
    }

    /// What the ledger says is in it while it is open.
    var holds: Money { (try? openingFloat.adding(taken)) ?? openingFloat }

    var state: TillState {
        guard let closing else { return .open }
        return closing.counted == closing.expected || closing.approvedBy != nil ? .closed : .differs
    }
}

enum TillState: String, Sendable, CaseIterable {
    case open
    /// Counted with a difference that nobody approved yet.
    case differs
    case closed
}

/// Why nothing was done, in the words of migrations/0029.
struct TillRefusal: Error, Sendable, Hashable {
    let outcome: String
}

struct TillWork: Sendable {
    let database: Database

    /// - Throws: ``TillRefusal``; `DatabaseError`
    func open(_ id: TillID, at counter: String, with float: Money, by credential: CredentialHash) async throws {
        try await perform(
            "SELECT payments.open_till(\(credential.bytes), \(id), \(counter), \(float.currency.code), \(float.minorUnits))", expecting: ["opened", "exists"])
    }

    /// Takes an amount for the bill of a reference.
    /// - Returns: the bill's own reference.
    func take(_ amount: Money, for reference: String, as payment: PaymentID, into till: TillID, by credential: CredentialHash) async throws -> String {
        let written = CreditorReference(reference)?.description ?? reference.uppercased()
        let query = TillAnswer(
            sql: """
                SELECT payments.take_cash(\(credential.bytes), \(till), \(payment), \(written), \(amount.minorUnits), \(PublicCode.random().description))::text
                """)
        return try await database.transaction { transaction in
            let answer = try BankAnswer(JSONText(await transaction.one(query)))
            guard ["paid", "exists"].contains(answer.outcome) else { throw TillRefusal(outcome: answer.outcome) }
            try await BankNotices.send(answer.notices, as: .cashReceived, on: transaction)
            return answer["reference"]?.text ?? ""
        }
    }

    /// - Returns: whether a difference waits for somebody else.
    func close(_ till: TillID, counted: Money, explanation: String?, by credential: CredentialHash) async throws -> Bool {
        let outcome = try await perform(
            "SELECT payments.close_till(\(credential.bytes), \(till), \(counted.minorUnits), \(explanation as String?))", expecting: ["closed", "waits"])
        return outcome == "waits"
    }

    func approve(_ till: TillID, by credential: CredentialHash) async throws {
        try await perform("SELECT payments.approve_till(\(credential.bytes), \(till))", expecting: ["approved"])
    }

    @discardableResult
    private func perform(_ sql: SQL, expecting expected: Set<String>) async throws -> String {
        let outcome = try await database.transaction { try await $0.one(TillAnswer(sql: sql)) }
        guard expected.contains(outcome) else { throw TillRefusal(outcome: outcome) }
        return outcome
    }
}

/// The word that a function about tills answers.
private struct TillAnswer: Query {
    let sql: SQL

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// Newest first; or one, by its id.
struct Tills: Query {
    let credential: CredentialHash
    var till: TillID?
    let count: Int

    var sql: SQL {
        """
        SELECT id, clerk, is_mine, counter, currency, opening_float, taken, payment_count, opened_at, closed_at, expected, counted, explanation, approved_by
        FROM payments.tills_for(\(credential.bytes), \(till?.uuid as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Till {
        let id = TillID(try row.next(UUID.self))
        let (clerk, isMine, counter) = (try row.next(String.self), try row.next(Bool.self), try row.next(String.self))
        let currency = try Currency(column: row.next())
        let opening = Money(minorUnits: try row.next(), currency: currency)
        let taken = Money(minorUnits: try row.next(), currency: currency)
        let paymentCount = try row.next(Int64.self)
        let openedAt = try row.next(Date.self)
        let closedAt = try row.next(Date?.self)
        let (expected, counted) = (try row.next(Int64?.self), try row.next(Int64?.self))
        let (explanation, approvedBy) = (try row.next(String?.self), try row.next(String?.self))
        let closing = closedAt.map {
            Till.Closing(
                at: $0, expected: Money(minorUnits: expected ?? 0, currency: currency), counted: Money(minorUnits: counted ?? 0, currency: currency),
                explanation: explanation, approvedBy: approvedBy)
        }
        return Till(
            id: id, clerk: clerk, isMine: isMine, counter: counter, openingFloat: opening, taken: taken, paymentCount: paymentCount, openedAt: openedAt,
            closing: closing)
    }
}
