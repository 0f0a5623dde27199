// A guardian and a child: what the guardian sees of the child's sharing, agrees to and stops, in their own name. The database decides who is whose guardian and who must
// agree (migrations/0023_guardians.sql); looking is an entry in the child's log.
// Decided in `consent.decide_for_child` and `access_log.log_guardian_view` (0023_guardians.sql).
import Foundation
import AccessLog
import Postgres
import Primitives
import Register
import Web

/// A child of the guardian who asks.
struct Child: Sendable {
    let id: ResidentID
    let publicCode: String
    /// What the guardian calls it.
    let name: String
    /// Whether nothing is shared without this guardian.
    let mustAgree: Bool
    /// Whether the child is asked beside the guardians.
    let isAsked: Bool
    /// Whether it is old enough to decide alone: its guardians see, and no longer decide.
    let decidesAlone: Bool
}

/// A child's guardian, as the child sees them.
struct Guardian: Sendable {
    let name: String
    let accountID: AccountID?
    let mustAgree: Bool
    let since: Date
    let until: Date?
}

/// One purpose, as a guardian sees it for a child.
struct ChildSharing: Sendable {
    let sharing: Sharing
    /// This guardian agreed, and others have to yet.
    let hasAgreed: Bool
}

/// Reads and decides for children.
struct Guardians: Sendable {
    let database: Database
    let vault: ResidentVault

    /// The children of the resident whom the credential names, the eldest first.
    func children(of credential: CredentialHash) async throws -> [Child] {
        try await database.query(ChildrenOf(credential: credential)).map { row in
            let name = try vault.open(row.sealedName, as: .childName(row.guardianship), under: row.key)
            return Child(
                id: row.id, publicCode: row.publicCode, name: name, mustAgree: row.mustAgree, isAsked: row.isAsked, decidesAlone: row.decidesAlone)
        }
    }

    /// The children at whose sharing this guardian has not looked yet.
    func unseen(of credential: CredentialHash) async throws -> [Child] {
        let unseen = Set(try await database.query(UnseenChildren(credential: credential)))
        return unseen.isEmpty ? [] : try await children(of: credential).filter { unseen.contains($0.id) }
    }

    /// The guardians of the resident whom the credential names, also those of earlier.
    func guardians(of credential: CredentialHash) async throws -> [Guardian] {
        try await database.query(GuardiansOf(credential: credential)).map { row in
            let name = try vault.open(row.sealedName, as: .guardianName(row.guardianship), under: row.key)
            return Guardian(name: name, accountID: row.account, mustAgree: row.mustAgree, since: row.since, until: row.until)
        }
    }

    /// Every purpose as it stands for the child, after the look is in the child's log.
    /// - Throws: `Problem` 404 for a child that is not, or not any more, in this guardian's care.
    func sharings(of child: ResidentID, for credential: CredentialHash) async throws -> [ChildSharing] {
        let statement = LogGuardianView(credential: credential, entry: UUID(), child: child)
        switch try await database.exclusive({ try await $0.one(statement) }) {
        case "permitted": return try await database.query(ChildSharings(credential: credential, child: child))
        case "credential_invalid": throw Problem.tokenEnded
        default: throw Problem.notFound
        }
    }

    /// Agrees for a child, or stops. When this returns `recorded` for a withdrawal, the next read is refused.
    func decide(_ decision: ConsentDecision, for child: ResidentID, credential: CredentialHash, language: Language) async throws -> DecisionOutcome {
        let statement = DecideForChild(credential: credential, child: child, decision: decision, language: language)
        return try await database.exclusive { try await $0.one(statement) }
    }
}

extension Attribute {
    // What a sealed name is bound to, as values are to their attribute (Register.Guardianships seals them).
    fileprivate static func childName(_ id: GuardianshipID) -> Attribute { Attribute(rawValue: "child_name/\(id)") }
    fileprivate static func guardianName(_ id: GuardianshipID) -> Attribute { Attribute(rawValue: "guardian_name/\(id)") }
}
