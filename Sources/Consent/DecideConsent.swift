// One use case for both faces: a resident moves one switch. The database decides under a lock; this asks it and says in types
// what came of it.
import Postgres
import Primitives
import Web

/// What the resident wants.
struct ConsentDecision: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case given
        case withdrawn
    }

    let activity: ActivityID
    let kind: Kind
    /// Nil: all that are offered. Without meaning for a withdrawal, which ends everything.
    var attributes: [String]?
    /// The policy version that was read, when the asker says so.
    var readVersion: Int?
}

/// Moves switches and says how they stand.
struct Consents: Sendable {
    let database: Database

    /// Every purpose with the resident's decisions.
    func all(of credential: CredentialHash) async throws -> [Sharing] {
        try await database.query(Sharings(credential: credential))
    }

    /// One purpose with the resident's decision; nil when there is no such purpose.
    func one(_ activity: ActivityID, of credential: CredentialHash) async throws -> Sharing? {
        try await database.optional(Sharings(credential: credential, activity: activity))
    }

    func history(of activity: ActivityID, for credential: CredentialHash) async throws -> [RecordedEvent] {
        try await database.query(History(credential: credential, activity: activity))
    }

    /// An earlier text; nil when there was no such version.
    func policy(of activity: ActivityID, version: Int) async throws -> PolicyText? {
        try await database.optional(PolicyOfVersion(activity: activity, version: version))
    }

    /// Records the decision where it changes something. When this returns `recorded` for a withdrawal, the next read is refused.
    func decide(_ decision: ConsentDecision, credential: CredentialHash, language: Language) async throws -> DecisionOutcome {
        let statement = Decide(credential: credential, decision: decision, language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }
}
