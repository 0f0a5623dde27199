// Every statement about mandates: the functions of migrations/0034_mandates.sql, which derive who asks, and for whom they act, from the credential.
import AccessLog
import Foundation
import Postgres
import Primitives
import Register
import Web

/// `mandates.mandates_of`.
struct MandatesOf: Query {
    let session: CredentialHash

    struct Row: Sendable {
        let id: MandateID
        let reference: String
        let isGiven: Bool
        let state: MandateState
        let themes: [MandateTheme]
        let grantedAt: Date
        let until: Date
        let otherCode: String
        let sealedName: [UInt8]
        let key: SealingKey
    }

    var sql: SQL {
        """
        SELECT id, reference, is_given, state, themes, granted_at, until, other_code, sealed_name, holder_id, key_id, wrapped_key
        FROM mandates.mandates_of(\(session.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            id: MandateID(try row.next(UUID.self)), reference: try row.next(), isGiven: try row.next(), state: try row.next(word: MandateState.self),
            themes: try row.themes(), grantedAt: try row.next(), until: try row.next(), otherCode: try row.next(), sealedName: try row.next(), key: try SealingKey(&row))
    }
}

/// The key of the session's own resident (`identity.own_key`), or of a helper (`mandates.helper_key`). No row for a code behind which nobody can be a helper.
struct MandateKey: Query {
    enum Whose {
        case own
        case helper(PublicCode)
    }

    let whose: Whose
    let session: CredentialHash

    init(_ whose: Whose, session: CredentialHash) {
        (self.whose, self.session) = (whose, session)
    }

    var sql: SQL {
        switch whose {
        case .own: "SELECT holder_id, key_id, wrapped_key FROM identity.own_key(\(session.bytes))"
        case .helper(let code): "SELECT holder_id, key_id, wrapped_key FROM mandates.helper_key(\(session.bytes), \(code.description))"
        }
    }

    func decode(_ row: inout RowReader) throws -> SealingKey { try SealingKey(&row) }
}

/// What `mandates.grant_mandate` answers.
enum GrantMandateOutcome: String, Sendable {
    case granted
    /// To be given first: the password, or the second factor.
    case password
    case secondFactor = "second_factor"
    case unproven
    case minor
    case helperUnknown = "helper_unknown"
    case ownCode = "own_code"
    case exists
    case tooMany = "too_many"
    case credentialInvalid = "credential_invalid"
}

/// `mandates.grant_mandate`; for an exclusive connection.
struct GrantMandate: Query {
    let session: CredentialHash
    let id: MandateID
    let new: NewMandate
    let sealedHelperName: [UInt8]
    let sealedRepresentedName: [UInt8]

    var sql: SQL {
        """
        SELECT mandates.grant_mandate(
            \(session.bytes), \(id.uuid), \(new.helper.description), \(new.themes.map(\.rawValue)), public.stoa_now() + make_interval(days => \(Int32(new.days))),
            \(sealedHelperName), \(sealedRepresentedName))
        """
    }

    func decode(_ row: inout RowReader) throws -> GrantMandateOutcome { try row.next(word: GrantMandateOutcome.self) }
}

/// What somebody says about a mandate that is there.
enum MandateDecision: String, Sendable, CaseIterable {
    /// The helper.
    case accepted
    case declined
    case givenUp = "given_up"
    /// The resident.
    case withdrawn
}

/// What `mandates.decide` answers.
enum DecideMandateOutcome: String, Sendable {
    case done
    case unchanged
    case mandateUnknown = "mandate_unknown"
    case credentialInvalid = "credential_invalid"
}

/// `mandates.decide`; for an exclusive connection.
struct DecideMandate: Query {
    let session: CredentialHash
    let id: MandateID
    let decision: MandateDecision

    var sql: SQL { "SELECT mandates.decide(\(session.bytes), \(id.uuid), \(decision.rawValue))" }
    func decode(_ row: inout RowReader) throws -> DecideMandateOutcome { try row.next(word: DecideMandateOutcome.self) }
}

/// `mandates.act`: the outcome's word; for an exclusive connection.
struct Act: Query {
    let session: CredentialHash
    let id: MandateID
    let own: CredentialHash
    let acting: CredentialHash

    var sql: SQL { "SELECT mandates.act(\(session.bytes), \(id.uuid), \(own.bytes), \(acting.bytes))" }
    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `mandates.stop_acting`; for an exclusive connection.
struct StopActing: Query {
    let credential: CredentialHash
    let own: CredentialHash

    var sql: SQL { "SELECT mandates.stop_acting(\(credential.bytes), \(own.bytes))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// `mandates.represented`.
struct RepresentedBy: Query {
    let credential: CredentialHash

    struct Row: Sendable {
        let id: MandateID
        let reference: String
        let themes: [MandateTheme]
        let isInForce: Bool
        let until: Date
        let sealedName: [UInt8]
        let key: SealingKey
    }

    var sql: SQL {
        """
        SELECT id, reference, themes, is_in_force, until, sealed_name, holder_id, key_id, wrapped_key FROM mandates.represented(\(credential.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            id: MandateID(try row.next(UUID.self)), reference: try row.next(), themes: try row.themes(), isInForce: try row.next(), until: try row.next(),
            sealedName: try row.next(), key: try SealingKey(&row))
    }
}

/// `mandates.log_view`: the outcome's word. It inserts, so it belongs on an exclusive connection.
struct LogMandateView: Query {
    let credential: CredentialHash
    let theme: MandateTheme

    var sql: SQL { "SELECT mandates.log_view(\(credential.bytes), \(AccessEntryID.new().uuid), \(theme.rawValue))" }
    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

extension RowReader {
    fileprivate mutating func themes() throws -> [MandateTheme] {
        try next([String].self).map { word in
            guard let theme = MandateTheme(rawValue: word) else { throw DatabaseError.decoding(column: "themes", reason: "holds a word that this server does not know") }
            return theme
        }
    }
}
