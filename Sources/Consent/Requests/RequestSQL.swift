// Every statement about requests: what organisations ask, what residents answer. The functions are in migrations/0020; each takes the
// credential, so no statement here can name somebody else's request.
import Foundation
import Postgres
import Primitives
import Web

/// What the id of a request names: its event `requested`.
enum ConsentRequestTag {}
typealias ConsentRequestID = ID<ConsentRequestTag>

/// A request as its resident sees it.
struct ConsentRequest: Sendable {
    let id: ConsentRequestID
    let activity: ProcessingActivity
    /// What was asked for, in the policy's order of that day.
    let asked: [String]
    let requestedAt: Date
    /// The first instant at which it cannot be answered any more.
    let expiresAt: Date
    /// `requested`, `deferred`, `given`, `refused`, `expired` or `withdrawn`, the last by the organisation.
    let state: ConsentState
    /// What was agreed to; empty unless given.
    let granted: [String]
    /// When it came to stand as it does.
    let stateAt: Date
    let message: String?
    let messageLanguage: Language?
    /// When the database was asked.
    let askedAt: Date

    /// What agreeing would share: asked for, and still in today's text.
    var offered: [String] { activity.attributes.filter(asked.contains) }
}

/// The requests that wait for a resident's answer, oldest first; or the one that is named, whatever became of it.
struct RequestsOf: Query {
    let credential: CredentialHash
    var request: ConsentRequestID?

    var sql: SQL {
        """
        SELECT \(activityColumns), r.id, r.attributes, r.requested_at, r.expires_at, r.state, r.granted_attributes, r.state_at, r.message,
            r.message_language, public.stoa_now()
        FROM \(activityTables)
        JOIN consent.requests_of(\(credential.bytes), \(request as ConsentRequestID?)) AS r ON r.activity_id = a.id
        ORDER BY r.requested_at, r.id
        """
    }

    func decode(_ row: inout RowReader) throws -> ConsentRequest {
        let activity = try ProcessingActivity(&row)
        return ConsentRequest(
            id: ConsentRequestID(try row.next(UUID.self)), activity: activity, asked: try row.next(), requestedAt: try row.next(),
            expiresAt: try row.next(), state: ConsentState(rawValue: try row.next()) ?? .invalidated, granted: try row.next(),
            stateAt: try row.next(), message: try row.next(), messageLanguage: try row.next(String?.self).flatMap { Language(rawValue: $0) },
            askedAt: try row.next())
    }
}

/// What consent.answer answers.
enum AnswerOutcome: String, Sendable {
    case recorded
    case unchanged
    case policyChanged = "policy_changed"
    case attributesUnknown = "attributes_unknown"
    /// Answered otherwise, taken back or over.
    case noRequest = "no_request"
    case requestUnknown = "request_unknown"
    /// The purpose rests on a law since.
    case notConsent = "not_consent"
    case credentialInvalid = "credential_invalid"
    case guardiansDecide = "guardians_decide"
    /// Of a child: something else is shared.
    case inForce = "in_force"
}

/// Answers a request. It waits for a lock, so it belongs on an exclusive connection.
struct Answer: Query {
    let credential: CredentialHash
    let answer: RequestAnswer
    let language: Language

    var sql: SQL {
        """
        SELECT consent.answer(\(credential.bytes), \(ID<ConsentEventTag>.new()), \(answer.request), \(answer.decision.rawValue),
            \(answer.attributes as [String]?), \(answer.readVersion.map { Int32(clamping: $0) } as Int32?), \(language.tag))
        """
    }

    func decode(_ row: inout RowReader) throws -> AnswerOutcome { try row.word("answer") }
}

/// Refuses everything that waits. Gives how many requests that were; nil when the credential ended.
struct RefuseAll: Query {
    let credential: CredentialHash
    let language: Language

    var sql: SQL { "SELECT consent.refuse_all(\(credential.bytes), \(language.tag))" }

    func decode(_ row: inout RowReader) throws -> Int? { try row.next(Int32?.self).map(Int.init) }
}

/// What consent.ask answers.
enum AskOutcome: String, Sendable {
    case recorded
    case inForce = "in_force"
    case alreadyRequested = "already_requested"
    case refusedRecently = "refused_recently"
    case attributesUnknown = "attributes_unknown"
    case notConsent = "not_consent"
    case purposeUnknown = "purpose_unknown"
    case subjectUnknown = "subject_unknown"
    case keyReused = "key_reused"
    case scopeMissing = "scope_missing"
    case credentialInvalid = "credential_invalid"
}

/// Makes a request. It waits for locks, so it belongs on an exclusive connection.
struct Ask: Query {
    struct Row: Sendable {
        let outcome: AskOutcome
        /// The new request, or the one that the key made before.
        let request: ConsentRequestID?
        /// What the purpose reads; empty when there is no such purpose.
        let offered: [String]
        /// After a no: when it can be asked again.
        let notBefore: Date?
    }

    let credential: CredentialHash
    let body: AskBody
    let key: IdempotencyKey

    var sql: SQL {
        """
        SELECT outcome, request, offered, not_before
        FROM consent.ask(\(credential.bytes), \(ConsentRequestID.new()), \(body.subject), \(body.purpose), \(body.attributes),
            \(body.message?.text as String?), \(body.message?.language.tag as String?), \(key.text), \(key.requestHash))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            outcome: try row.word("outcome"), request: try row.next(UUID?.self).map { ConsentRequestID($0) }, offered: try row.next([String]?.self) ?? [],
            notBefore: try row.next())
    }
}

/// A request as the organisation that made it sees it.
struct AskedRequest: Sendable {
    let id: ConsentRequestID
    let subject: UUID
    let purpose: String
    let attributes: [String]
    let state: String
    let granted: [String]
    let requestedAt: Date
    let expiresAt: Date
    let answeredAt: Date?
}

/// One request of the organisation whose token it is. No row when the token ended.
struct RequestOfOrganisation: Query {
    enum Row: Sendable {
        case scopeMissing
        /// No such request, or another organisation's.
        case unknown
        case found(AskedRequest)
    }

    let credential: CredentialHash
    let request: ConsentRequestID

    var sql: SQL {
        """
        SELECT may_ask, id, subject, purpose, attributes, state, granted_attributes, requested_at, expires_at, answered_at
        FROM consent.request_of_organisation(\(credential.bytes), \(request))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let mayAsk = try row.next(Bool.self)
        guard let id = try row.next(UUID?.self) else {
            row.skip(8)
            return mayAsk ? .unknown : .scopeMissing
        }
        return .found(
            AskedRequest(
                id: ConsentRequestID(id), subject: try row.next(), purpose: try row.next(), attributes: try row.next(), state: try row.next(),
                granted: try row.next(), requestedAt: try row.next(), expiresAt: try row.next(), answeredAt: try row.next()))
    }
}

/// What consent.retract answers.
enum RetractOutcome: String, Sendable {
    case recorded
    case unchanged
    case noRequest = "no_request"
    case requestUnknown = "request_unknown"
    case scopeMissing = "scope_missing"
    case credentialInvalid = "credential_invalid"
}

/// Takes a request back.
struct Retract: Query {
    let credential: CredentialHash
    let request: ConsentRequestID

    var sql: SQL { "SELECT consent.retract(\(credential.bytes), \(ID<ConsentEventTag>.new()), \(request))" }

    func decode(_ row: inout RowReader) throws -> RetractOutcome { try row.word("retract") }
}

extension RowReader {
    /// The next column as one of the words that this server knows.
    fileprivate mutating func word<Word: RawRepresentable<String>>(_ column: String) throws -> Word {
        guard let word = Word(rawValue: try next()) else {
            throw DatabaseError.decoding(column: column, reason: "is no outcome that this server knows")
        }
        return word
    }
}
