// The statements about signing in. The functions behind them are in migrations/0004_identity.sql and 0030_factors.sql. They wait for others that try the
// same factor of the same person, so they belong on an exclusive connection.
import Foundation
import Postgres
import Primitives
import Register
import Web

/// `identity.begin_sign_in`: counts an attempt, and gives the hash that its password is checked against, if the name opens anything.
struct BeginSignIn: Query {
    let nameHMAC: [UInt8]
    let addressHMAC: [UInt8]

    var sql: SQL { "SELECT outcome, wait_minutes, password_hash FROM identity.begin_sign_in(\(nameHMAC), \(addressHMAC))" }

    func decode(_ row: inout RowReader) throws -> (outcome: AttemptOutcome, passwordHash: String?) {
        (try AttemptOutcome(try row.next(), waitMinutes: try row.next()), try row.next())
    }
}

/// `identity.sign_in`: nil when the password was changed meanwhile.
struct OpenSignIn: Query {
    let nameHMAC: [UInt8]
    let passwordHash: String
    let addressHMAC: [UInt8]
    let tokenHash: CredentialHash
    let isShared: Bool
    let staffNeedSecondFactor: Bool

    enum Outcome: String, Sendable {
        case session
        case secondFactor = "second_factor"
        case enrolment
    }

    var sql: SQL {
        """
        SELECT identity.sign_in(
            \(nameHMAC), \(passwordHash), \(addressHMAC), \(tokenHash.bytes), \(isShared), \(staffNeedSecondFactor))
        """
    }

    func decode(_ row: inout RowReader) throws -> Outcome? { try row.next(word: OpenSignIn.Outcome?.self) }
}
