// The ledger's public face. Transfers that callers post at the same moment share a statement and a commit (Primitives.GroupCommit);
// the rules are in the database (migrations/0009), where no caller can go round them. Organisations post through LedgerRoutes.swift; bills
// and benefits move money inside their own SQL functions.
public import Foundation
public import Postgres
public import Primitives
public import Web

/// Posts transfers, and tells residents what is in their wallets.
public final class Ledger: Sendable {
    private let database: Database
    private let gathered: GroupCommit<CredentialedTransfer, TransferOutcome>

    /// Most single transfers in one statement. Cost per transfer flattens beyond 64; more only makes everybody wait longer.
    public static let transfersPerBatchMax = 256
    /// Most transfers in one call of ``post(_:by:)``.
    public static let transfersPerCallMax = 1_000

    /// - Parameter database: of the role `stoa_app`. A posting may wait for an account, so it takes an exclusive connection.
    public init(database: Database) {
        self.database = database
        gathered = GroupCommit(
            name: "ledger", itemsPerBatchMax: Self.transfersPerBatchMax,
            // Posted twice has one effect, so a batch can be tried again; not when the database is away, where it only makes matters worse.
            retriesSingly: { !(($0 as? DatabaseError)?.isUnavailability ?? false) },
            commit: { try await Self.post($0, on: database) })
    }

    /// Posts one transfer for the organisation whose access token (scope `ledger.post`) the credential is the hash of.
    /// - Throws: `DatabaseError`; `GroupCommitError.queueFull`. After `.connectionLost` or `.outcomeUnknown` the same transfer can be sent again: its id makes that harmless.
    public func post(_ transfer: Transfer, by credential: CredentialHash) async throws -> TransferOutcome {
        if let field = transfer.malformedField { return .invalid(field: field) }
        return try await gathered.submit(CredentialedTransfer(transfer: transfer, credential: credential))
    }

    /// Posts several in one transaction, each with an outcome of its own, decided in their order.
    /// - Parameters:
    ///   - transfers: at most ``transfersPerCallMax``.
    ///   - links: which of them are done all or none; what was not refused itself is then ``TransferOutcome/batchRefused``.
    public func post(_ transfers: [Transfer], links: TransferLinks = .none, by credential: CredentialHash) async throws -> [TransferOutcome] {
        precondition(transfers.count <= Self.transfersPerCallMax, "the caller checks how many there are")
        let groups = links.groups(count: transfers.count)
        let spoilt = Set(zip(transfers, groups).compactMap { $0.malformedField == nil ? nil : $1 })
        let sound = zip(transfers, groups).filter { transfer, group in
            transfer.malformedField == nil && !(group.map(spoilt.contains) ?? false)
        }
        let outcomes = try await Self.post(
            sound.map { CredentialedTransfer(transfer: $0, credential: credential, group: $1) }, on: database)
        var next = outcomes.makeIterator()
        return zip(transfers, groups).map { transfer, group in
            if let field = transfer.malformedField { return .invalid(field: field) }
            if let group, spoilt.contains(group) { return .batchRefused }
            return next.next() ?? .invalid(field: "id")
        }
    }

    private static func post(_ items: [CredentialedTransfer], on database: Database) async throws -> [TransferOutcome] {
        guard !items.isEmpty else { return [] }
        let rows = try await database.exclusive { try await $0.query(PostTransfers(items: items)) }
        return try rows.inOrder(count: items.count)
    }

    /// Opens an account for the organisation whose access token (scope `ledger.post`) the credential is the hash of. It grows by credits and
    /// never goes negative; the same again changes nothing.
    public func open(_ id: LedgerAccountID, in currency: Currency, by credential: CredentialHash) async throws -> AccountOpening {
        try await database.exclusive { try await $0.one(OpenOrganisationAccount(credential: credential, id: id, currency: currency)) }
    }

    /// An account of that organisation.
    /// - Throws: `AccountRefusal`, `DatabaseError`
    public func account(_ id: LedgerAccountID, by credential: CredentialHash) async throws -> OrganisationAccount {
        try await database.one(OrganisationAccountOf(credential: credential, id: id)).get()
    }

    /// What came into and left an account of that organisation, newest first; nothing of anybody else's.
    /// - Parameters:
    ///   - number: entries before this one; nil for the newest.
    ///   - count: at most 200.
    public func entries(of account: LedgerAccountID, before number: Int64?, count: Int, by credential: CredentialHash) async throws -> [AccountEntry] {
        try await database.query(OrganisationEntries(credential: credential, account: account, before: number, count: count))
    }

    /// The wallets of the resident whom the credential names, one a currency; none before money first came in.
    public func wallets(of credential: CredentialHash) async throws -> [Wallet] {
        try await database.query(WalletsOf(credential: credential))
    }

    /// What came into and left the resident's wallet of a currency, newest first.
    /// - Parameters:
    ///   - number: entries before this one; nil for the newest.
    ///   - count: at most 200.
    public func entries(
        of credential: CredentialHash, in currency: Currency, before number: Int64? = nil, count: Int
    ) async throws -> [WalletEntry] {
        try await database.query(EntriesOf(credential: credential, currency: currency, before: number, count: count))
    }
}

/// A resident's own account with the city.
public struct Wallet: Sendable, Hashable {
    public let id: LedgerAccountID
    public let balance: Money
}

/// One movement of a wallet, with the balance that it left.
public struct WalletEntry: Sendable, Hashable {
    /// Position in the wallet, from 1.
    public let number: Int64
    public let at: Date
    public let transferID: TransferID
    /// Negative for money that left.
    public let amount: Money
    public let balanceAfter: Money
    public let reference: String
}
