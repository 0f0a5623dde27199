// A resident's bank accounts: sealed on the way in, opened on the way out after the view of them is logged.
public import AccessLog
import Foundation
import Messages
public import Postgres
import Primitives
public import Register
public import Web

/// An account as its resident sees it.
struct OwnAccount: Sendable {
    let id: PayoutAccountID
    let account: BankAccount
    let givenAt: Date
    let usableFrom: Date
    /// Whether it waits its cooling time.
    let isWaiting: Bool
    /// Whether money goes there now.
    let isUsed: Bool
}

/// Gives, shows and takes back bank accounts.
public struct PayoutAccounts: Sendable {
    private let database: Database
    private let door: Door
    private let vault: ResidentVault

    public init(database: Database, door: Door, vault: ResidentVault) {
        self.database = database
        self.door = door
        self.vault = vault
    }

    /// The kind of the own view, as the log names it; of an app's token also the scope that it needs.
    static let viewKind = "payments"

    /// The accounts that stand, newest first.
    /// - Throws: `Problem`, `VaultError`, `DatabaseError`.
    func own(_ credential: CredentialHash) async throws -> [OwnAccount] {
        _ = try await view(credential)
        return try await database.query(AccountsOf(credential: credential)).map { row in
            OwnAccount(
                id: row.id, account: try vault.openAccount(row.sealed, row.id, of: row.key.holderID, under: try vault.unwrap(row.key)), givenAt: row.givenAt,
                usableFrom: row.usableFrom, isWaiting: row.isWaiting, isUsed: row.isUsed)
        }
    }

    /// Stores an account that is used after its cooling time, and tells the resident. The same id twice is one account.
    func give(_ account: BankAccount, id: PayoutAccountID, by credential: CredentialHash) async throws {
        let record = try await view(credential)
        guard let key = record.key else { throw VaultError.unknownKey(keyID: "none") }
        let sealed = try vault.sealAccount(account, id, of: record.residentID, under: try vault.unwrap(key))
        let statement = GiveAccount(credential: credential, id: id, sealed: sealed)
        try await database.transaction { transaction in
            let given = try await transaction.one(statement)
            guard given.outcome == "given" else { return }
            try await Messages.send(.payoutAccountGiven, to: record.residentID, ["ending": account.iban.ending], on: transaction)
        }
    }

    /// - Returns: false for an account that was taken back before; nil for one that is not theirs.
    func end(_ id: PayoutAccountID, by credential: CredentialHash) async throws -> Bool? {
        try await database.one(EndAccount(credential: credential, id: id))
    }

    /// An own view, logged once a session; it brings the key that accounts are sealed under.
    private func view(_ credential: CredentialHash) async throws -> ReleasedRecord {
        try await door.ownView(Self.viewKind, of: credential, attributes: ["bank_account"])
    }
}

extension ResidentVault {
    // Bound to its id, so that no other account or value can take its place.
    private func place(_ id: PayoutAccountID) -> Attribute { Attribute(rawValue: "bank_account/\(id)") }

    func sealAccount(_ account: BankAccount, _ id: PayoutAccountID, of resident: ResidentID, under key: DataKey) throws -> [UInt8] {
        try seal(account.lines, as: place(id), of: resident, under: key)
    }

    /// - Throws: `VaultError`
    func openAccount(_ sealed: [UInt8], _ id: PayoutAccountID, of resident: ResidentID, under key: DataKey) throws(VaultError) -> BankAccount {
        guard let account = BankAccount(lines: try open(sealed, as: place(id), of: resident, under: key)) else { throw .notAuthentic }
        return account
    }
}
