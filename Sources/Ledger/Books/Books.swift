// The city's books as a finance officer keeps them: the trial balance, statements of the accounts (not of residents' wallets, which are
// personal data), and the closing of periods.
import Foundation
import Postgres
import Primitives
import Web

/// All accounts of a currency, kind and owner together. One of the two amounts is zero.
struct TrialBalanceLine: Sendable, Hashable {
    let currency: Currency
    let kind: String
    /// Nil for residents' wallets.
    let organisationID: String?
    let accountCount: Int
    /// The account, where there is one only.
    let account: LedgerAccountID?
    let debit: Money
    let credit: Money
}

/// An account as its statement's head shows it.
struct BookedAccount: Sendable, Hashable {
    let kind: String
    let organisationID: String
    let normalSide: String
    let closedAt: Date?
    let opening: Money
    let closing: Money
}

/// One of several accounts of a kind.
struct ListedAccount: Sendable {
    let id: LedgerAccountID
    let posted: Money
    let held: Money
    let closedAt: Date?
}

/// Books that are closed: nothing counts from before this moment any more.
struct ClosedPeriod: Sendable {
    let until: Date
    let closedAt: Date
    let closedBy: String
    let note: String
}

/// Why a period was not closed.
enum ClosingRefusal: String, Error, Sendable, Hashable {
    case notPermitted = "not_permitted"
    /// It is not over yet.
    case notOver = "not_over"
    /// It, or a later one, is closed already.
    case alreadyClosed = "already_closed"
}

/// The city's books, for the finance officer whose session the credential is the hash of. Nobody else is shown anything.
struct Books: Sendable {
    let database: Database

    /// What a finance officer writes beside a closing.
    static let noteCharactersMax = 500

    /// What all accounts held just before a moment, or hold now (nil); debits and credits of a currency are equal.
    func trialBalance(before moment: Date?, by credential: CredentialHash) async throws -> [TrialBalanceLine] {
        try await database.exclusive { try await $0.query(TrialBalance(credential: credential, before: moment)) }
    }

    func accounts(
        of organisation: String, kind: String, currency: Currency, after id: LedgerAccountID?, count: Int, by credential: CredentialHash
    ) async throws -> [ListedAccount] {
        try await database.query(
            AccountsOfKind(credential: credential, kind: kind, currency: currency, organisation: organisation, after: id, count: count))
    }

    /// Nil when there is no such account, or it is a wallet.
    /// - Parameter end: nil: this moment.
    func account(_ id: LedgerAccountID, from start: Date, to end: Date?, by credential: CredentialHash) async throws -> BookedAccount? {
        try await database.query(StaffAccount(credential: credential, account: id, from: start, to: end)).first
    }

    func statement(
        of id: LedgerAccountID, from start: Date, to end: Date?, after place: StatementPlace?, count: Int, by credential: CredentialHash
    ) async throws -> [StatementEntry] {
        try await database.query(
            StatementPage(reader: .staff, credential: credential, account: id, from: start, to: end, after: place, count: count))
    }

    /// Closes the books until a moment: what would count from before it is refused from now on.
    /// - Throws: `ClosingRefusal`
    func close(until moment: Date, note: String, by credential: CredentialHash) async throws {
        // It waits for what is being posted.
        try await database.exclusive { try await $0.one(ClosePeriod(credential: credential, until: moment, note: note)) }.get()
    }

    func closedPeriods(by credential: CredentialHash) async throws -> [ClosedPeriod] {
        try await database.query(ClosedPeriods(credential: credential))
    }
}

extension CalendarDay {
    /// The moment at which the day begins in the city.
    func start(in zone: TimeZone) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        return calendar.date(from: DateComponents(year: year, month: month, day: day))
    }

    /// The moment at which the day is over in the city.
    func end(in zone: TimeZone) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        return start(in: zone).flatMap { calendar.date(byAdding: .day, value: 1, to: $0) }
    }
}
