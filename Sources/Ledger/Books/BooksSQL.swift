// Every statement of the books: text, binds and row together. The functions are in migrations/0028.
import Foundation
import Postgres
import Primitives
import Web

/// `ledger.organisation_balances`
struct OrganisationBalances: Query {
    let credential: CredentialHash
    let account: LedgerAccountID
    let from: Date
    let to: Date

    var sql: SQL { "SELECT standing, currency, opening, closing FROM ledger.organisation_balances(\(credential.bytes), \(account), \(from), \(to))" }

    func decode(_ row: inout RowReader) throws -> Result<(opening: Money, closing: Money), AccountRefusal> {
        let standing = try row.next(String.self)
        if let refusal = AccountRefusal(rawValue: standing) {
            row.skip(3)
            return .failure(refusal)
        }
        guard standing == "found" else { throw DatabaseError.decoding(column: "standing", reason: "is a word that this version does not know") }
        let currency = try Currency(column: row.next())
        return .success((Money(minorUnits: try row.next(), currency: currency), Money(minorUnits: try row.next(), currency: currency)))
    }
}

/// `ledger.organisation_statement` and `ledger.staff_statement`, which differ in who may ask.
struct StatementPage: Query {
    enum Reader { case organisation, staff }

    let reader: Reader
    let credential: CredentialHash
    let account: LedgerAccountID
    let from: Date
    /// Nil: this moment; for staff only.
    let to: Date?
    let after: StatementPlace?
    let count: Int

    var sql: SQL {
        let arguments: SQL = """
            (\(credential.bytes), \(account), \(from), \(to as Date?), \(after?.at as Date?), \(after?.number as Int64?), \(Int32(clamping: count)))
            """
        let columns: SQL = "number, transfer_id, kind, side, amount, other_account, reference, effective_at, recorded_at"
        return switch reader {
        case .organisation: "SELECT \(columns) FROM ledger.organisation_statement\(arguments)"
        case .staff: "SELECT \(columns) FROM ledger.staff_statement\(arguments)"
        }
    }

    func decode(_ row: inout RowReader) throws -> StatementEntry {
        let number = try row.next(Int64.self)
        let transferID = TransferID(try row.next(UUID.self))
        guard let kind = TransferKind(rawValue: try row.next()) else {
            throw DatabaseError.decoding(column: "kind", reason: "is a word that this version does not know")
        }
        return StatementEntry(
            number: number, transferID: transferID, kind: kind, side: try row.next(), amount: try row.next(),
            otherAccount: try row.next(UUID?.self).map { LedgerAccountID($0) }, reference: try row.next(), effectiveAt: try row.next(),
            recordedAt: try row.next())
    }
}

/// `ledger.trial_balance`
struct TrialBalance: Query {
    let credential: CredentialHash
    /// Nil: this moment.
    let before: Date?

    var sql: SQL {
        """
        SELECT currency, kind, organisation_id, account_count, only_account, debit, credit
        FROM ledger.trial_balance(\(credential.bytes), \(before as Date?))
        """
    }

    func decode(_ row: inout RowReader) throws -> TrialBalanceLine {
        let currency = try Currency(column: row.next())
        return TrialBalanceLine(
            currency: currency, kind: try row.next(), organisationID: try row.next(), accountCount: Int(try row.next(Int64.self)),
            account: try row.next(UUID?.self).map { LedgerAccountID($0) }, debit: Money(minorUnits: try row.next(), currency: currency),
            credit: Money(minorUnits: try row.next(), currency: currency))
    }
}

/// `ledger.staff_accounts`
struct AccountsOfKind: Query {
    let credential: CredentialHash
    let kind: String
    let currency: Currency
    let organisation: String
    let after: LedgerAccountID?
    let count: Int

    var sql: SQL {
        """
        SELECT id, posted, held, closed_at
        FROM ledger.staff_accounts(\(credential.bytes), \(kind), \(currency.code), \(organisation), \(after as LedgerAccountID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> ListedAccount {
        ListedAccount(
            id: LedgerAccountID(try row.next(UUID.self)), posted: Money(minorUnits: try row.next(), currency: currency),
            held: Money(minorUnits: try row.next(), currency: currency), closedAt: try row.next())
    }
}

/// `ledger.staff_account`
struct StaffAccount: Query {
    let credential: CredentialHash
    let account: LedgerAccountID
    let from: Date
    let to: Date?

    var sql: SQL {
        """
        SELECT kind, currency, organisation_id, normal_side, closed_at, opening, closing
        FROM ledger.staff_account(\(credential.bytes), \(account), \(from), \(to as Date?))
        """
    }

    func decode(_ row: inout RowReader) throws -> BookedAccount {
        let kind = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return BookedAccount(
            kind: kind, organisationID: try row.next(), normalSide: try row.next(), closedAt: try row.next(),
            opening: Money(minorUnits: try row.next(), currency: currency), closing: Money(minorUnits: try row.next(), currency: currency))
    }
}

/// `ledger.close_period`
struct ClosePeriod: Query {
    let credential: CredentialHash
    let until: Date
    let note: String

    var sql: SQL { "SELECT ledger.close_period(\(credential.bytes), \(until), \(note))" }

    func decode(_ row: inout RowReader) throws -> Result<Void, ClosingRefusal> {
        let word = try row.next(String.self)
        if word == "closed" { return .success(()) }
        guard let refusal = ClosingRefusal(rawValue: word) else {
            throw DatabaseError.decoding(column: "outcome", reason: "is a word that this version does not know")
        }
        return .failure(refusal)
    }
}

/// `ledger.closed_periods`
struct ClosedPeriods: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT until, closed_at, closed_by, note FROM ledger.closed_periods(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> ClosedPeriod {
        ClosedPeriod(until: try row.next(), closedAt: try row.next(), closedBy: try row.next(), note: try row.next())
    }
}
