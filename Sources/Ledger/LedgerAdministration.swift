// What only the owner of the database may do: open the city's accounts and move money without a resident, a staff member or an
// organisation asking for it. The demo city uses it; the role that serves cannot, so it cannot make money.
public import Postgres
public import Primitives
public import Web

/// What an account is for. It says on which side it grows, and whether it may owe.
public enum LedgerAccountKind: String, Sendable, Hashable, CaseIterable {
    /// What the city may spend. Never negative.
    case treasury
    /// What it took: bills are paid into these.
    case revenue
    case fees
    /// What came in from outside, like a bank account. Money enters the ledger as its debit.
    case funding
    /// What an organisation keeps through the interface: grows by credits, never negative.
    case general

    var normalSide: String { self == .funding ? "debit" : "credit" }
    var mayGoNegative: Bool { self == .funding }
}

public enum LedgerAdministrationError: Error, Sendable, Hashable {
    /// The id names an account of another kind, currency or owner.
    case accountDiffers
    /// The ledger did not take a transfer.
    case refused(TransferID, TransferOutcome)
}

/// Opens accounts and posts transfers as the system.
public struct LedgerAdministration: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Opens an account of an organisation; the same again changes nothing.
    public func open(
        _ id: LedgerAccountID, kind: LedgerAccountKind, currency: Currency, organisationID: String = "city"
    ) async throws {
        let opened = try await owner.one(
            OpenAccount(id: id, kind: kind, currency: currency, organisationID: organisationID))
        guard opened else { throw LedgerAdministrationError.accountDiffers }
    }

    /// The wallet of a resident, opened if there is none.
    public func openWallet(of resident: ResidentID, in currency: Currency) async throws -> LedgerAccountID {
        try await owner.exclusive { try await $0.one(OpenWallet(resident: resident, currency: currency)) }
    }

    /// Posts transfers in order; those that exist already change nothing.
    /// - Parameter occasion: what the system does it for, like `demo`; kept with the transfer.
    /// - Throws: `LedgerAdministrationError.refused` for the first that is neither created nor there.
    public func post(_ transfers: [Transfer], occasion: String) async throws {
        guard !transfers.isEmpty else { return }
        let rows = try await owner.exclusive { try await $0.query(PostAsSystem(transfers: transfers, occasion: occasion)) }
        for (transfer, outcome) in zip(transfers, try rows.inOrder(count: transfers.count)) where outcome != .created && outcome != .exists {
            throw LedgerAdministrationError.refused(transfer.id, outcome)
        }
    }
}

struct OpenAccount: Query {
    let id: LedgerAccountID
    let kind: LedgerAccountKind
    let currency: Currency
    let organisationID: String

    var sql: SQL {
        """
        SELECT ledger.open_account(\(id), \(kind.rawValue), \(currency.code), NULL, \(organisationID), \(kind.normalSide), \(kind.mayGoNegative))
        """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

struct OpenWallet: Query {
    let resident: ResidentID
    let currency: Currency

    var sql: SQL { "SELECT ledger.open_wallet(\(resident), \(currency.code))" }

    func decode(_ row: inout RowReader) throws -> LedgerAccountID { LedgerAccountID(try row.next()) }
}
