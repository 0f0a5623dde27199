// What the books say about one account: what it held at a moment, and what moved it in a period. The questions are answered by index,
// whatever came before (migrations/0028).
public import Foundation
import Postgres
public import Primitives
public import Web

/// One side of a transfer, in the order in which transfers count.
public struct StatementEntry: Sendable, Hashable {
    /// Position in the account, in the order of posting.
    public let number: Int64
    public let transferID: TransferID
    public let kind: TransferKind
    /// `debit` or `credit`.
    public let side: String
    /// Minor units, more than zero.
    public let amount: Int64
    /// The account on the other side; nil where the reader may not know it (a resident's wallet).
    public let otherAccount: LedgerAccountID?
    public let reference: String
    /// When it counts.
    public let effectiveAt: Date
    /// When it was posted.
    public let recordedAt: Date

    var place: StatementPlace { StatementPlace(at: effectiveAt, number: number) }
}

/// What an account held before and after a period, in its normal direction, and a page of what moved it.
public struct Statement: Sendable, Hashable {
    public let opening: Money
    public let closing: Money
    public let entries: [StatementEntry]
}

/// Where a page of a statement ended.
public struct StatementPlace: Sendable, Hashable {
    let at: Date
    let number: Int64

    init(at: Date, number: Int64) {
        self.at = at
        self.number = number
    }

    /// - Throws: `Problem` 400 for a cursor that no page gave out.
    init?(cursor: String?) throws {
        guard let cursor else { return nil }
        let parts = cursor.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let microseconds = Int64(parts[0]), let number = Int64(parts[1]), microseconds >= 0, number > 0 else {
            throw Problem.malformedCursor()
        }
        self.init(at: Date(timeIntervalSince1970: Double(microseconds) / 1_000_000), number: number)
    }

    /// Microseconds, which is how exactly the database keeps moments.
    var cursor: String { "\(Int64((at.timeIntervalSince1970 * 1_000_000).rounded()))-\(number)" }
}

extension Ledger {
    /// What an account of the organisation held just before a moment.
    /// - Throws: `AccountRefusal`, `DatabaseError`
    public func balance(of account: LedgerAccountID, before moment: Date, by credential: CredentialHash) async throws -> Money {
        try await database.one(OrganisationBalances(credential: credential, account: account, from: moment, to: moment)).get().opening
    }

    /// What moved an account of the organisation from a moment on and before another, in the order in which it counts.
    /// - Parameters:
    ///   - place: where the last page ended; nil for the first.
    ///   - count: at most 200.
    /// - Throws: `AccountRefusal`, `DatabaseError`
    public func statement(
        of account: LedgerAccountID, from start: Date, to end: Date, after place: StatementPlace?, count: Int, by credential: CredentialHash
    ) async throws -> Statement {
        let balances = try await database.one(OrganisationBalances(credential: credential, account: account, from: start, to: end)).get()
        let entries = try await database.query(
            StatementPage(reader: .organisation, credential: credential, account: account, from: start, to: end, after: place, count: count))
        return Statement(opening: balances.opening, closing: balances.closing, entries: entries)
    }
}
