// The statements about registering. The functions behind them are in migrations/0004_identity.sql and 0033_delivery.sql.
import Foundation
import Postgres
import Primitives
import Register
import Web

/// Counts and notes an attempt to register. False when there were too many already. Those from one address wait for each other, so it belongs on an
/// exclusive connection.
struct BeginRegistration: Query {
    let addressHMAC: [UInt8]

    var sql: SQL {
        """
        SELECT identity.begin_registration(
            \(addressHMAC), \(registrationAttemptsMax)::integer, \(registrationWindowMinutes)::integer)
        """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// Everything that a registration stores, sealed already.
struct NewAccount: Sendable {
    let accountID: AccountID
    let residentID: ResidentID
    let publicCode: PublicCode
    let language: Language
    let names: [SignInName]
    let nameHMACs: [[UInt8]]
    let wrappedKey: WrappedKey
    let sealed: [(attribute: Attribute, value: [UInt8])]

    func insert(passwordHash: String) -> SQL {
        """
        SELECT identity.register_account(
            \(accountID.uuid), \(residentID.uuid), \(publicCode.description), \(passwordHash), \(language.tag),
            \(names.map(\.kind.rawValue)), \(nameHMACs), \(wrappedKey.keyID), \(wrappedKey.bytes),
            \(sealed.map(\.attribute.rawValue)), \(sealed.map(\.value)))
        """
    }
}

/// `identity.open_first_session`: false when the account is not new any more. It locks the account, so it belongs on an exclusive connection.
struct OpenFirstSession: Query {
    let account: RegisteredAccount
    let tokenHash: CredentialHash
    let isShared: Bool

    var sql: SQL { "SELECT identity.open_first_session(\(account.accountID.uuid), \(account.passwordHash), \(tokenHash.bytes), \(isShared))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
