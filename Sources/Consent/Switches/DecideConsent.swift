// One use case for both faces: a resident moves one switch. The database decides under a lock (consent.append, migrations/0007); this asks it and says in types
// what came of it.
// Decided in `consent.decide` and `consent.append` (0007_consent.sql).
import Postgres
import Primitives
import Web

/// What the resident wants.
struct ConsentDecision: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case given
        case renewed
        case withdrawn
    }

    let activity: ActivityID
    let kind: Kind
    /// Nil: all that are offered. Without meaning for a withdrawal, which ends everything, and a renewal, which changes nothing else.
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

    /// The purposes of one organisation; none when there is no such organisation, or it asks for nothing.
    func all(from organisation: String, of credential: CredentialHash) async throws -> [Sharing] {
        try await all(of: credential).filter { $0.activity.organisationID == organisation }
    }

    func history(of activity: ActivityID, for credential: CredentialHash) async throws -> [RecordedEvent] {
        try await database.query(History(credential: credential, activity: activity))
    }

    /// An earlier text; nil when there was no such version.
    func policy(of activity: ActivityID, version: Int) async throws -> PolicyText? {
        try await database.optional(PolicyOfVersion(activity: activity, version: version))
    }

    /// Records the decision where it changes something. When this returns `recorded` for a withdrawal, the next read is refused.
    ///
    /// The rules refuse what they can on the sharing as it was read, so that the refusal is about what the resident saw; what they let
    /// through the database decides again under its lock, because another tab may have been faster.
    func decide(_ decision: ConsentDecision, on sharing: Sharing, credential: CredentialHash, language: Language) async throws -> DecisionOutcome {
        let action = ConsentRules.action(for: decision.event, held: sharing.held, offer: sharing.offer, at: sharing.askedAt)
        if case .refuse(let refusal) = action, let outcome = DecisionOutcome(rawValue: refusal.rawValue) { return outcome }
        let statement = Decide(credential: credential, decision: decision, language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }

    /// Stops all that an organisation reads by consent, in one transaction. When this returns, its next read is refused.
    /// - Returns: how many sharings were stopped, 0 when there was nothing to stop; nil when the credential ended meanwhile.
    func withdrawAll(from organisation: String, credential: CredentialHash, language: Language) async throws -> Int? {
        let statement = WithdrawAll(credential: credential, organisation: organisation, language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }
}

extension ConsentDecision {
    fileprivate var event: ConsentEvent {
        switch kind {
        case .given: .give(attributes: attributes, readVersion: readVersion)
        case .renewed: .renew(readVersion: readVersion)
        case .withdrawn: .withdraw(readVersion: readVersion)
        }
    }
}
