// Every statement of the ledger: text, binds and row together.
import Foundation
import Postgres
public import Primitives
import Web

struct CredentialedTransfer: Sendable {
    let transfer: Transfer
    let credential: CredentialHash
    /// Neighbours with the same number are done all or none; nil for one that stands alone.
    var group: Int32?
}

/// One answer of a batch: which item, and what became of it.
struct ItemOutcome: Sendable {
    let item: Int
    let outcome: TransferOutcome

    init(_ row: inout RowReader) throws {
        item = Int(try row.next(Int32.self))
        let word = try row.next(String.self)
        guard let outcome = TransferOutcome(word, field: try row.next(String?.self)) else {
            throw DatabaseError.decoding(column: "outcome", reason: "is a word that this version does not know")
        }
        self.outcome = outcome
    }
}

extension [ItemOutcome] {
    /// The outcomes in the order of the items, which are counted from 1.
    func inOrder(count: Int) throws -> [TransferOutcome] {
        let sorted = self.sorted { $0.item < $1.item }
        guard sorted.map(\.item) == Array<Int>(1...count) else { throw DatabaseError.unexpectedRowCount(self.count) }
        return sorted.map(\.outcome)
    }
}

/// `ledger.post`: for organisations, by their access tokens.
struct PostTransfers: Query {
    let items: [CredentialedTransfer]

    var sql: SQL {
        let transfers = items.map(\.transfer)
        return """
            SELECT item, outcome, field FROM ledger.post(
                \(items.map(\.credential.bytes)), \(transfers.columns), \(items.map(\.group)), \(transfers.map(\.holdID)),
                \(transfers.map(\.reversalOf)), \(transfers.map(\.expiresAt)))
            """
    }

    func decode(_ row: inout RowReader) throws -> ItemOutcome { try ItemOutcome(&row) }
}

/// `ledger.post_transfers`: for the owner, as the system; `stoa_app` may not.
struct PostAsSystem: Query {
    let transfers: [Transfer]
    /// What the system does it for, like `demo`.
    let occasion: String

    var sql: SQL {
        """
        SELECT item, outcome, field FROM ledger.post_transfers(
            \(transfers.columns), \(transfers.map { _ in "system" }), \(transfers.map { _ in occasion }))
        """
    }

    func decode(_ row: inout RowReader) throws -> ItemOutcome { try ItemOutcome(&row) }
}

extension [Transfer] {
    /// The arrays that both posting functions take, one element a transfer.
    fileprivate var columns: SQL {
        """
        \(map(\.id)), \(map(\.kind.rawValue)), \(map(\.debitAccount)), \(map(\.creditAccount)), \(map(\.amount.minorUnits)), \
        \(map(\.amount.currency.code)), \(map(\.reference)), \(map(\.effectiveAt))
        """
    }
}

/// `ledger.expire_holds`; the row is how many.
struct ExpireHolds: Query {
    let countMax: Int

    var sql: SQL { "SELECT ledger.expire_holds(\(Int32(clamping: countMax)))" }

    func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// `ledger.open_organisation_account`
struct OpenOrganisationAccount: Query {
    let credential: CredentialHash
    let id: LedgerAccountID
    let currency: Currency

    var sql: SQL { "SELECT ledger.open_organisation_account(\(credential.bytes), \(id), \(currency.code))" }

    func decode(_ row: inout RowReader) throws -> AccountOpening {
        guard let opening = AccountOpening(rawValue: try row.next()) else {
            throw DatabaseError.decoding(column: "outcome", reason: "is a word that this version does not know")
        }
        return opening
    }
}

/// `ledger.organisation_account`
struct OrganisationAccountOf: Query {
    let credential: CredentialHash
    let id: LedgerAccountID

    var sql: SQL {
        """
        SELECT standing, kind, currency, posted, held, entry_count, created_at, closed_at
        FROM ledger.organisation_account(\(credential.bytes), \(id))
        """
    }

    func decode(_ row: inout RowReader) throws -> Result<OrganisationAccount, AccountRefusal> {
        let standing = try row.next(String.self)
        if let refusal = AccountRefusal(rawValue: standing) {
            row.skip(7)
            return .failure(refusal)
        }
        guard standing == "found" else { throw DatabaseError.decoding(column: "standing", reason: "is a word that this version does not know") }
        let kind = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return .success(
            OrganisationAccount(
                id: id, kind: kind, posted: Money(minorUnits: try row.next(), currency: currency),
                held: Money(minorUnits: try row.next(), currency: currency), entryCount: try row.next(),
                createdAt: try row.next(), closedAt: try row.next()))
    }
}

/// `ledger.organisation_entries`
struct OrganisationEntries: Query {
    let credential: CredentialHash
    let account: LedgerAccountID
    let before: Int64?
    let count: Int

    var sql: SQL {
        """
        SELECT number, transfer_id, side, amount, balance_after, other_account, reference, effective_at, recorded_at
        FROM ledger.organisation_entries(\(credential.bytes), \(account), \(before as Int64?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> AccountEntry {
        AccountEntry(
            number: try row.next(), transferID: TransferID(try row.next(UUID.self)), side: try row.next(), amount: try row.next(),
            balanceAfter: try row.next(), otherAccount: LedgerAccountID(try row.next(UUID.self)), reference: try row.next(),
            effectiveAt: try row.next(), recordedAt: try row.next())
    }
}

struct WalletsOf: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT account_id, currency, posted FROM ledger.wallets_of(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> Wallet {
        let id = LedgerAccountID(try row.next(UUID.self))
        let currency = try Currency(column: row.next())
        return Wallet(id: id, balance: Money(minorUnits: try row.next(), currency: currency))
    }
}

struct EntriesOf: Query {
    let credential: CredentialHash
    let currency: Currency
    let before: Int64?
    let count: Int

    var sql: SQL {
        """
        SELECT number, at, transfer_id, side, amount, balance_after, reference
        FROM ledger.entries_of(\(credential.bytes), \(currency.code), \(before as Int64?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> WalletEntry {
        let number = try row.next(Int64.self)
        let at = try row.next(Date.self)
        let transferID = TransferID(try row.next(UUID.self))
        // A wallet is credit-normal: what the city owes the resident.
        let comesIn = try row.next(String.self) == "credit"
        let amount = try row.next(Int64.self)
        return WalletEntry(
            number: number, at: at, transferID: transferID, amount: Money(minorUnits: comesIn ? amount : -amount, currency: currency),
            balanceAfter: Money(minorUnits: try row.next(), currency: currency), reference: try row.next())
    }
}

extension Currency {
    /// - Throws: `DatabaseError.decoding` for a code that is not in the table of ISO 4217.
    public init(column code: String) throws {
        guard let currency = Currency(code: code) else { throw DatabaseError.decoding(column: "currency", reason: "is not a known currency") }
        self = currency
    }
}
