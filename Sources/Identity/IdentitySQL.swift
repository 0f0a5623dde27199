// Every statement of the slice. The functions behind them are in migrations/0004_identity.sql and 0006_web.sql.
import Foundation
import Postgres
import Primitives
import Register
import Web

/// Whose password a name opens with, if anybody's.
struct FindSignIn: Query {
    let nameHMAC: [UInt8]

    struct Row: Sendable {
        let accountID: AccountID?
        let staffID: StaffID?
        let passwordHash: String
    }

    var sql: SQL { "SELECT account_id, staff_id, password_hash FROM identity.find_sign_in(\(nameHMAC))" }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            accountID: try row.next(UUID?.self).map(AccountID.init), staffID: try row.next(UUID?.self).map(StaffID.init),
            passwordHash: try row.next())
    }
}

/// Counts and notes an attempt before its password is looked at. False when there were too many already. Attempts for one name from one
/// address wait for each other, so it belongs on an exclusive connection.
struct BeginAttempt: Query {
    let nameHMAC: [UInt8]
    let addressHMAC: [UInt8]
    let attemptsMax: Int

    var sql: SQL {
        "SELECT identity.begin_attempt(\(nameHMAC), \(addressHMAC), \(attemptsMax)::integer, \(signInWaitMinutes)::integer)"
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

enum IdentityStatements {
    /// After the right password: the earlier attempts from there no longer count.
    static func forgetAttempts(nameHMAC: [UInt8], addressHMAC: [UInt8]) -> SQL {
        "DELETE FROM identity.failed_sign_in AS f WHERE f.name_hmac = \(nameHMAC) AND f.address_hmac = \(addressHMAC)"
    }

    static func openSession(_ hash: CredentialHash, of who: SignedIn, idleMinutes: Int) -> SQL {
        let (account, staff): (AccountID?, StaffID?) =
            switch who {
            case .resident(let account): (account, nil)
            case .staff(let staff): (nil, staff)
            }
        return "SELECT web.open_session(\(hash.bytes), \(account?.uuid as UUID?), \(staff?.uuid as UUID?), 1::smallint, \(idleMinutes)::integer)"
    }

    static func endSession(_ hash: CredentialHash) -> SQL {
        "SELECT web.revoke_credential(\(hash.bytes))"
    }

    static func register(_ new: NewAccount, passwordHash: String) -> SQL {
        """
        SELECT identity.register_account(
            \(new.accountID.uuid), \(new.residentID.uuid), \(new.publicCode.description), \(passwordHash), \(new.language.tag),
            \(new.names.map(\.kind.rawValue)), \(new.nameHMACs), \(new.wrappedKey.keyID), \(new.wrappedKey.bytes),
            \(new.sealed.map(\.attribute.rawValue)), \(new.sealed.map(\.value)))
        """
    }
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
}
