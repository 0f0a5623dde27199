// Use case: a resident who forgot the password comes back with a recovery code, and with the second factor where there is one, and chooses another.
// The functions behind it are in migrations/0039_recovery.sql.
import Foundation
import Postgres
import Primitives
import Register
import Web

extension IdentityService {
    /// Uses a recovery code in place of the password.
    /// - Returns: as ``signIn(typedName:password:address:isSharedComputer:)``; a session may then choose another password.
    /// - Throws: ``SignInError`` (`wrongNameOrPassword` for a wrong code or name), ``PasswordHasherError``.
    func recover(typedName: String, code: Redacted<String>, address: String) async throws -> SignedIn {
        let nameHMAC = lookup.signInName(SignInName.any(typedName)?.normalForm ?? typedName)
        let addressHMAC = addressHMAC(address)
        let attempt = try await database.exclusive { try await $0.one(BeginRecovery(.recoveryCode, nameHMAC: nameHMAC, addressHMAC: addressHMAC)) }
        return try await recover(.recoveryCode, code, attempt, nameHMAC: nameHMAC, addressHMAC: addressHMAC)
    }

    /// What both kinds of codes lead to.
    /// - Parameter attempt: counted before the code was looked at, with what it is hashed with.
    func recover(
        _ kind: RecoveryCodeKind, _ code: Redacted<String>, _ attempt: BeginRecovery.Row, nameHMAC: [UInt8], addressHMAC: [UInt8]
    ) async throws -> SignedIn {
        if let refusal = attempt.outcome.refusal { throw refusal }
        // What can be no code is hashed all the same, and so is the code of nobody.
        let read = ListedCodes.read(code.reveal(), as: .recoveryCodes) ?? ""
        let hash = try await passwords.hash(listed: [read], salt: attempt.salt ?? ListedCodes.randomSalt(), under: lookup)[0]
        let token = SessionCookie.newToken()
        let statement = Recover(kind: kind, nameHMAC: nameHMAC, codeHash: hash, addressHMAC: addressHMAC, tokenHash: CredentialHash(token: token))
        switch try await database.exclusive({ try await $0.one(statement) }) {
        case .session: return .session(token: token)
        case .secondFactor: return .needsSecondFactor(token: token)
        case .enrolment, nil: throw SignInError.wrongNameOrPassword
        }
    }

    /// Another password without the old one, in a session that a recovery code opened just now.
    /// - Parameter new: allowed by the rules already.
    /// - Returns: the new token of the session; nil when this session may not.
    func replacePassword(with new: Redacted<String>, session: CredentialHash) async throws -> String? {
        let hash = try await passwords.hash(new)
        let token = SessionCookie.newToken()
        let statement = Done("SELECT identity.replace_password(\(session.bytes), \(hash), \(CredentialHash(token: token).bytes))")
        return try await database.exclusive { try await $0.one(statement) } ? token : nil
    }
}

/// A code that stands in for the password.
enum RecoveryCodeKind: Sendable {
    /// One of those that the resident made.
    case recoveryCode
    /// The one of a letter.
    case letterCode
}

/// `identity.begin_recovery`, or `identity.begin_letter_code`.
struct BeginRecovery: Query {
    typealias Row = (outcome: AttemptOutcome, salt: [UInt8]?)

    let kind: RecoveryCodeKind
    let nameHMAC: [UInt8]
    let addressHMAC: [UInt8]

    init(_ kind: RecoveryCodeKind, nameHMAC: [UInt8], addressHMAC: [UInt8]) {
        (self.kind, self.nameHMAC, self.addressHMAC) = (kind, nameHMAC, addressHMAC)
    }

    var sql: SQL {
        switch kind {
        case .recoveryCode: "SELECT outcome, wait_minutes, salt FROM identity.begin_recovery(\(nameHMAC), \(addressHMAC))"
        case .letterCode: "SELECT outcome, wait_minutes, salt FROM identity.begin_letter_code(\(nameHMAC), \(addressHMAC))"
        }
    }

    func decode(_ row: inout RowReader) throws -> Row {
        (try AttemptOutcome(try row.next(), waitMinutes: try row.next()), try row.next())
    }
}

/// `identity.recover`, or `identity.recover_by_letter`: nil for a wrong code.
private struct Recover: Query {
    let kind: RecoveryCodeKind
    let nameHMAC: [UInt8]
    let codeHash: [UInt8]
    let addressHMAC: [UInt8]
    let tokenHash: CredentialHash

    var sql: SQL {
        switch kind {
        case .recoveryCode: "SELECT identity.recover(\(nameHMAC), \(codeHash), \(addressHMAC), \(tokenHash.bytes))"
        case .letterCode: "SELECT identity.recover_by_letter(\(nameHMAC), \(codeHash), \(addressHMAC), \(tokenHash.bytes))"
        }
    }
    func decode(_ row: inout RowReader) throws -> OpenSignIn.Outcome? { try row.next(word: OpenSignIn.Outcome?.self) }
}
