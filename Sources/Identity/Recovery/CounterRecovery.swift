// Use cases: somebody who has nothing left to sign in with comes back at a counter. One member of staff sees who it is, another agrees, the resident is told and
// can stop it, and after the waiting period a code is handed out. Decided in `identity.request_recovery` and the functions after it (0039_recovery.sql).
import Foundation
import Postgres
import Primitives
import Web

enum RecoveryTag {}
typealias RecoveryID = ID<RecoveryTag>

/// What was shown at the counter.
enum RecoveryEvidence: String, CaseIterable, Sendable {
    case passport
    case identityCard = "identity_card"
    case residencePermit = "residence_permit"
}

/// Why a step of a recovery is not taken. The raw value ends the catalogue key of its words.
enum RecoveryRefusal: String, Error, Sendable {
    case unknown
    case unproven
    case ownAccount = "own_account"
    case already
    case samePerson = "same_person"
    case notReady = "not_ready"
    case roleMissing = "role_missing"
}

/// One that is under way, as staff see it.
struct CounterRecovery: Sendable {
    let id: RecoveryID
    let publicCode: String
    let evidence: RecoveryEvidence
    let caseReference: String
    let requestedBy: String
    let requestedAt: Date
    let readyAt: Date
    let approvedBy: String?
    let hasCode: Bool
    /// Whether who asks requested it: somebody else agrees to it.
    let isMine: Bool
    let isReady: Bool
}

extension IdentityService {
    /// - Throws: ``RecoveryRefusal``, `DatabaseError`.
    func requestRecovery(of code: PublicCode, evidence: RecoveryEvidence, caseReference: String, by staff: CredentialHash) async throws {
        try await take(
            "SELECT identity.request_recovery(\(staff.bytes), \(code.description), \(evidence.rawValue), \(caseReference), \(Int32(settings.recoveryWaitHours)))")
    }

    /// A second member of staff agrees; or anybody who works on it stops it.
    /// - Throws: ``RecoveryRefusal``, `DatabaseError`.
    func decideRecovery(_ id: RecoveryID, isApproved: Bool, by staff: CredentialHash) async throws {
        try await take("SELECT identity.decide_recovery(\(staff.bytes), \(id), \(isApproved))")
    }

    /// - Returns: the code to hand out, as it is printed; it opens the account once, within a day.
    /// - Throws: ``RecoveryRefusal``, `DatabaseError`.
    func giveRecoveryCode(_ id: RecoveryID, by staff: CredentialHash) async throws -> String {
        let code = ListedCodes.random(for: .recoveryCodes)[0]
        try await take("SELECT identity.give_recovery_code(\(staff.bytes), \(id), \(Self.hash(ofPaper: code).bytes))")
        return ListedCodes.printed(code, of: .recoveryCodes)
    }

    /// Opens the account with what was handed out. No name is asked for, so nobody learns of one; 80 bits are not guessed.
    /// - Returns: the token of a session that may choose another password; nil for a wrong code.
    func recover(withPaper code: Redacted<String>) async throws -> String? {
        guard let read = ListedCodes.read(code.reveal(), as: .recoveryCodes) else { return nil }
        let token = SessionCookie.newToken()
        let statement = Done("SELECT identity.use_recovery_paper(\(Self.hash(ofPaper: read).bytes), \(CredentialHash(token: token).bytes))")
        return try await database.exclusive { try await $0.one(statement) } ? token : nil
    }

    /// The resident stops a recovery of their own account.
    func cancelRecovery(_ session: CredentialHash) async throws {
        _ = try await database.exclusive { try await $0.one(Done("SELECT identity.cancel_recovery(\(session.bytes))")) }
    }

    func recoveries(for staff: CredentialHash) async throws -> [CounterRecovery] { try await database.query(RecoveriesFor(staff: staff)) }

    /// From when on a recovery of the resident's own account opens it; nil where none is under way.
    func recovery(of session: CredentialHash) async throws -> (requestedAt: Date, readyAt: Date)? {
        try await database.optional(RecoveryOf(session: session))
    }

    /// With 80 random bits there is nothing to try out, so a plain hash will do.
    private static func hash(ofPaper code: String) -> CredentialHash { CredentialHash(token: "counter recovery " + code) }

    private func take(_ statement: SQL) async throws {
        let word = try await database.exclusive { try await $0.one(OutcomeWord(sql: statement)) }
        guard let refusal = RecoveryRefusal(rawValue: word) else { return }
        throw refusal
    }
}

/// A function that answers with a word.
private struct OutcomeWord: Query {
    let sql: SQL
    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `identity.recoveries`.
private struct RecoveriesFor: Query {
    let staff: CredentialHash

    var sql: SQL {
        """
        SELECT id, public_code, evidence, case_reference, requested_by, requested_at, ready_at, approved_by, has_code, is_mine, is_ready
          FROM identity.recoveries(\(staff.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> CounterRecovery {
        CounterRecovery(
            id: try row.next(), publicCode: try row.next(), evidence: try row.next(word: RecoveryEvidence.self), caseReference: try row.next(),
            requestedBy: try row.next(), requestedAt: try row.next(), readyAt: try row.next(), approvedBy: try row.next(), hasCode: try row.next(),
            isMine: try row.next(), isReady: try row.next())
    }
}

/// `identity.recovery_of`.
private struct RecoveryOf: Query {
    let session: CredentialHash
    var sql: SQL { "SELECT requested_at, ready_at FROM identity.recovery_of(\(session.bytes))" }
    func decode(_ row: inout RowReader) throws -> (requestedAt: Date, readyAt: Date) { (try row.next(), try row.next()) }
}
