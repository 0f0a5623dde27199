// The public face of payouts: what they are called, and how the city sets up the way its money goes out. The rules are in
// migrations/0035_payouts.sql.
public import Ledger
public import Postgres
public import Primitives
public import Register
public import Web

/// What `PayoutID` names: an instruction, money set aside for one thing that is paid.
public enum PayoutTag {}
public typealias PayoutID = ID<PayoutTag>

/// What `PayoutBatchID` names.
public enum PayoutBatchTag {}
public typealias PayoutBatchID = ID<PayoutBatchTag>

/// What `PayoutAccountID` names: a resident's bank account.
public enum PayoutAccountTag {}
public typealias PayoutAccountID = ID<PayoutAccountTag>

/// What became of a payment.
public enum PayoutState: String, Sendable, Hashable, CaseIterable {
    case waiting
    case inBatch = "in_batch"
    /// Approved, and on its way to the bank.
    case sent
    case settled
    case rejected
    case returned
}

/// From where the city pays in a currency.
public struct PayoutChannel: Sendable {
    public var currency: Currency
    public var debtor: BankAccount
    /// ISO 9362; nil where the bank knows itself by the IBAN.
    public var bic: String?
    /// The bank's account in the ledger: a funding account of the currency.
    public var bank: LedgerAccountID

    public init(currency: Currency, debtor: BankAccount, bic: String?, bank: LedgerAccountID) {
        self.currency = currency
        self.debtor = debtor
        self.bic = bic
        self.bank = bank
    }
}

/// Sets up how money goes out. The role that serves cannot.
public struct PayoutsAdministration: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Sets the way of a currency and opens the accounts that money passes. Other details count from the next batch on.
    /// - Throws: `DatabaseError`, whose constraint is `bank_account_funds` where `bank` is no funding account of the currency.
    public func set(_ channel: PayoutChannel) async throws {
        let debtor = channel.debtor
        _ = try await owner.exclusive { connection in
            try await connection.execute(
                """
                SELECT payouts.set_channel(\(channel.currency.code), \(debtor.holder.text), \(debtor.iban.text), \(channel.bic as String?), \(debtor.town.text),
                                           \(debtor.country), \(channel.bank))
                """)
        }
    }

    /// Gives a resident a bank account that is used at once: the demo city. Those that residents give themselves wait their cooling time.
    public func addAccount(_ account: BankAccount, _ id: PayoutAccountID, of resident: ResidentID, vault: ResidentVault) async throws {
        let key = try await owner.one(HeldKey(resident: resident))
        let sealed = try vault.sealAccount(account, id, of: resident, under: try vault.unwrap(key, of: resident))
        try await owner.execute(
            """
            INSERT INTO payouts.destination (id, resident_id, sealed_account, usable_from) VALUES (\(id), \(resident), \(sealed), public.stoa_now())
            ON CONFLICT (id) DO NOTHING
            """)
    }
}

private struct HeldKey: Query {
    let resident: ResidentID
    var sql: SQL { "SELECT key_id, wrapped_key FROM register.data_key WHERE resident_id = \(resident)" }
    func decode(_ row: inout RowReader) throws -> WrappedKey { WrappedKey(keyID: try row.next(), bytes: try row.next()) }
}
