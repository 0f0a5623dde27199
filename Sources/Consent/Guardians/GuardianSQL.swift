// The statements about guardians and their children: `register.children_of`, `consent.states_of_child` and what they stand beside (migrations/0023). Each takes the
// credential, so none can name somebody else's child and get anything.
import AccessLog
import Foundation
import Postgres
import Primitives
import Register
import Web

/// What a guardianship's id names.
enum GuardianshipTag {}
typealias GuardianshipID = ID<GuardianshipTag>

struct ChildrenOf: Query {
    let credential: CredentialHash

    struct Row: Sendable {
        let id: ResidentID
        let publicCode: String
        let mustAgree: Bool
        let decidesAlone: Bool
        let isAsked: Bool
        let guardianship: GuardianshipID
        let sealedName: [UInt8]
        let key: SealingKey
    }

    var sql: SQL {
        """
        SELECT child_id, public_code, must_agree, decides_alone, is_asked, guardianship_id, sealed_child_name, holder_id, key_id, wrapped_key
        FROM register.children_of(\(credential.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            id: ResidentID(try row.next(UUID.self)), publicCode: try row.next(), mustAgree: try row.next(), decidesAlone: try row.next(), isAsked: try row.next(),
            guardianship: GuardianshipID(try row.next(UUID.self)), sealedName: try row.next(),
            key: try SealingKey(&row))
    }
}

struct GuardiansOf: Query {
    let credential: CredentialHash

    struct Row: Sendable {
        let guardianship: GuardianshipID
        let account: AccountID?
        let mustAgree: Bool
        let since: Date
        let until: Date?
        let sealedName: [UInt8]
        let key: SealingKey
    }

    var sql: SQL {
        """
        SELECT guardianship_id, account_id, must_agree, since, until, sealed_guardian_name, holder_id, key_id, wrapped_key
        FROM register.guardians_of(\(credential.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            guardianship: GuardianshipID(try row.next(UUID.self)), account: try row.next(UUID?.self).map { AccountID($0) }, mustAgree: try row.next(),
            since: try row.next(), until: try row.next(), sealedName: try row.next(),
            key: try SealingKey(&row))
    }
}

/// `register.unseen_children`.
struct UnseenChildren: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT child_id FROM register.unseen_children(\(credential.bytes))" }
    func decode(_ row: inout RowReader) throws -> ResidentID { ResidentID(try row.next(UUID.self)) }
}

/// `access_log.log_guardian_view`: the outcome's word.
struct LogGuardianView: Query {
    let credential: CredentialHash
    let entry: UUID
    let child: ResidentID

    var sql: SQL { "SELECT access_log.log_guardian_view(\(credential.bytes), \(entry), \(child))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

struct ChildSharings: Query {
    let credential: CredentialHash
    let child: ResidentID

    var sql: SQL {
        """
        SELECT \(activityColumns), s.state, s.policy_version, s.attributes, s.since, s.valid_until, false, 'alone'::text, public.stoa_now(), coalesce(s.has_agreed, false)
        FROM \(activityTables)
        LEFT JOIN consent.states_of_child(\(credential.bytes), \(child)) AS s ON s.activity_id = a.id
        ORDER BY o.name ->> 'en', a.purpose
        """
    }

    func decode(_ row: inout RowReader) throws -> ChildSharing {
        ChildSharing(sharing: try Sharing(&row), hasAgreed: try row.next())
    }
}

struct DecideForChild: Query {
    let credential: CredentialHash
    let child: ResidentID
    let decision: ConsentDecision
    let language: Language

    var sql: SQL {
        """
        SELECT consent.decide_for_child(\(credential.bytes), \(child), \(ID<ConsentEventTag>.new()), \(decision.activity), \(decision.kind.rawValue),
            \(decision.attributes as [String]?), \(decision.readVersion.map { Int32(clamping: $0) } as Int32?), \(language.tag))
        """
    }

    func decode(_ row: inout RowReader) throws -> DecisionOutcome { try DecisionOutcome(&row) }
}
