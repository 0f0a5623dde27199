// Use cases: somebody gives the password again, changes it, and looks at the sessions that are open.
import Foundation
import Postgres
public import Primitives
import Register
public import Web

enum SessionTag {}
typealias SessionID = ID<SessionTag>

/// One of somebody's live sessions.
struct OpenSession: Sendable {
    let id: SessionID
    let startedAt: Date
    let lastUsedAt: Date
    let hasSecondFactor: Bool
    let isShared: Bool
    /// The one that asks.
    let isThis: Bool
}

extension IdentityService {
    /// Checks the password once more, for what wants a fresh one.
    /// - Parameter address: what attempts from the same place have in common (`PageContext.clientAddress`).
    /// - Returns: the new token of the session, for the cookie: the former opens nothing any more.
    /// - Throws: ``SignInError``, ``FactorChangeRefusal/signedOut``, ``PasswordHasherError``, `DatabaseError`.
    public func confirmPassword(_ password: Redacted<String>, session: CredentialHash, address: String) async throws -> String {
        let hash = try await check(password, session, address)
        let token = SessionCookie.newToken()
        let isDone = try await database.exclusive {
            try await $0.one(
                Done("SELECT identity.confirm_password(\(session.bytes), \(hash), \(addressHMAC(address)), \(CredentialHash(token: token).bytes))"))
        }
        guard isDone else { throw FactorChangeRefusal.signedOut }
        return token
    }

    /// Changes the password. Everything else that the person opened ends. Decided in `identity.change_password` (0031_sessions.sql).
    /// - Parameter new: allowed by the rules already.
    /// - Returns and throws: as ``confirmPassword(_:session:address:)``; besides ``FactorChangeRefusal/secondFactorNeeded`` where there is one that was not
    ///   shown within fifteen minutes.
    func changePassword(from old: Redacted<String>, to new: Redacted<String>, session: CredentialHash, address: String) async throws -> String {
        // Asked before the password is looked at, and again by the statement that counts.
        try await requireForPasswordChange(session)
        let hash = try await check(old, session, address)
        let newHash = try await passwords.hash(new)
        let token = SessionCookie.newToken()
        let change = ChangeFactors(
            """
            SELECT identity.change_password(
                \(session.bytes), \(hash), \(newHash), \(addressHMAC(address)), \(CredentialHash(token: token).bytes))
            """)
        if let refusal = try await database.exclusive({ try await $0.one(change) }).refusal { throw refusal }
        return token
    }

    /// What a change of the password wants beside the old one: a second factor, shown just now, where there is one.
    /// - Throws: ``FactorChangeRefusal/secondFactorNeeded``, ``FactorChangeRefusal/signedOut``.
    func requireForPasswordChange(_ session: CredentialHash) async throws {
        if let refusal = try await factorChangeNeeds(session), refusal != .passwordNeeded { throw refusal }
    }

    /// - Returns: the hash of the password, which was right.
    private func check(_ password: Redacted<String>, _ session: CredentialHash, _ address: String) async throws -> String {
        let attempt = BeginPasswordCheck(session: session, addressHMAC: addressHMAC(address))
        guard let begun = try await database.exclusive({ try await $0.optional(attempt) }) else { throw FactorChangeRefusal.signedOut }
        if let refusal = begun.outcome.refusal { throw refusal }
        guard try await passwords.check(password, against: begun.passwordHash), let hash = begun.passwordHash else {
            throw SignInError.wrongNameOrPassword
        }
        return hash
    }

    func sessions(of session: CredentialHash) async throws -> [OpenSession] {
        try await database.query(SessionsOf(session: session))
    }

    /// - Returns: false when there is no such live session of this person.
    func endSession(_ id: SessionID, asking session: CredentialHash) async throws -> Bool {
        try await database.one(Done("SELECT identity.end_session(\(session.bytes), \(id.uuid))"))
    }

    func endOtherSessions(_ session: CredentialHash) async throws {
        try await database.exclusive { _ = try await $0.execute("SELECT identity.end_other_sessions(\(session.bytes))") }
    }
}

/// `identity.begin_password_check`: no row without a session.
private struct BeginPasswordCheck: Query {
    let session: CredentialHash
    let addressHMAC: [UInt8]

    var sql: SQL { "SELECT outcome, wait_minutes, password_hash FROM identity.begin_password_check(\(session.bytes), \(addressHMAC))" }

    func decode(_ row: inout RowReader) throws -> (outcome: AttemptOutcome, passwordHash: String?) {
        (try AttemptOutcome(try row.next(), waitMinutes: try row.next()), try row.next())
    }
}

/// `identity.sessions_of`.
private struct SessionsOf: Query {
    let session: CredentialHash

    var sql: SQL { "SELECT id, created_at, last_used_at, second_factor IS NOT NULL, is_shared, is_this FROM identity.sessions_of(\(session.bytes))" }

    func decode(_ row: inout RowReader) throws -> OpenSession {
        OpenSession(
            id: SessionID(try row.next(UUID.self)), startedAt: try row.next(), lastUsedAt: try row.next(), hasSecondFactor: try row.next(), isShared: try row.next(),
            isThis: try row.next())
    }
}

/// A function that says whether it did it.
struct Done: Query {
    let sql: SQL

    init(_ sql: SQL) {
        self.sql = sql
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
