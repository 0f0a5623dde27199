// The statements about factors. The functions behind them are in migrations/0030_factors.sql; they derive the person from the credential, which is a session's
// or that of a sign-in under way.
import Foundation
import Postgres
import Primitives
import Register
import Web

/// `identity.factors_of`.
struct FactorsOf: Query {
    let credential: CredentialHash

    var sql: SQL {
        "SELECT id, kind, created_at, last_used_at, is_closed, codes_left, next_number FROM identity.factors_of(\(credential.bytes))"
    }

    func decode(_ row: inout RowReader) throws -> Factor {
        Factor(
            id: FactorID(try row.next(UUID.self)), kind: try row.next(word: FactorKind.self), addedAt: try row.next(), lastUsedAt: try row.next(),
            isClosed: try row.next(), codesLeft: try row.next(), nextNumber: try row.next())
    }
}

/// `identity.begin_factor_attempt`: counts it, and gives what the code is checked against. No row for nobody.
struct BeginFactorAttempt: Query {
    let credential: CredentialHash
    let kind: FactorKind
    let addressHMAC: [UInt8]

    struct Row: Sendable {
        let outcome: AttemptOutcome
        let factorID: FactorID?
        let sealedSecret: [UInt8]?
        let salt: [UInt8]?
        let number: Int?
        /// The database's clock, by which steps are counted on all nodes.
        let at: Date
    }

    var sql: SQL {
        """
        SELECT outcome, wait_minutes, factor_id, sealed_secret, salt, number, at
        FROM identity.begin_factor_attempt(\(credential.bytes), \(kind.rawValue), \(addressHMAC))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            outcome: try AttemptOutcome(try row.next(), waitMinutes: try row.next()), factorID: try row.next(UUID?.self).map(FactorID.init),
            sealedSecret: try row.next(), salt: try row.next(), number: try row.next(), at: try row.next())
    }
}

/// `identity.use_totp` or `identity.use_listed_code`: true when the code was not used before, and the session is known by the new hash.
struct UseFactor: Query {
    enum Proof: Sendable {
        case step(Int64)
        case listed(number: Int?, hash: [UInt8])
    }

    let credential: CredentialHash
    let factor: FactorID
    let proof: Proof
    let addressHMAC: [UInt8]
    let newHash: CredentialHash

    var sql: SQL {
        switch proof {
        case .step(let step):
            "SELECT identity.use_totp(\(credential.bytes), \(factor.uuid), \(step), \(addressHMAC), \(newHash.bytes))"
        case .listed(let number, let hash):
            """
            SELECT identity.use_listed_code(
                \(credential.bytes), \(factor.uuid), \(number as Int?)::smallint, \(hash), \(addressHMAC), \(newHash.bytes))
            """
        }
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// `identity.pending_totp`.
struct PendingTOTP: Query {
    let credential: CredentialHash

    struct Row: Sendable {
        let id: FactorID
        let sealedSecret: [UInt8]
        let at: Date
    }

    var sql: SQL { "SELECT factor_id, sealed_secret, at FROM identity.pending_totp(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(id: FactorID(try row.next(UUID.self)), sealedSecret: try row.next(), at: try row.next())
    }
}

/// What came of a change, or what it lacks.
enum FactorChangeOutcome: Sendable {
    case done
    case refused(FactorChangeRefusal)

    init(_ word: String?) throws {
        switch word {
        case "nothing", "begun", "confirmed", "made", "removed", "changed": self = .done
        case "password": self = .refused(.passwordNeeded)
        case "second_factor": self = .refused(.secondFactorNeeded)
        case "unknown": self = .refused(.unknown)
        case nil: self = .refused(.signedOut)
        default: throw DatabaseError.decoding(column: "factor change", reason: "is a word that this server does not know")
        }
    }

    var refusal: FactorChangeRefusal? {
        switch self {
        case .done: nil
        case .refused(let refusal): refusal
        }
    }
}

/// `identity.factor_change_needs`.
struct FactorChangeNeeds: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT identity.factor_change_needs(\(credential.bytes))" }
    func decode(_ row: inout RowReader) throws -> FactorChangeOutcome { try FactorChangeOutcome(try row.next(String?.self)) }
}

/// One of the functions that change factors and answer with a word. They lock the account, so they belong on an exclusive connection.
struct ChangeFactors: Query {
    let sql: SQL

    init(_ sql: SQL) {
        self.sql = sql
    }

    func decode(_ row: inout RowReader) throws -> FactorChangeOutcome { try FactorChangeOutcome(try row.next(String?.self)) }
}
