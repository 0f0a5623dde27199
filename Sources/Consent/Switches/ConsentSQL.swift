// Every statement of consent: text, binds and row together. What a resident holds comes from definer functions that take the
// credential, so no statement here can name somebody else's. The event itself is recorded by `consent.append` in migrations/0007_consent.sql.
import Foundation
import Postgres
import Primitives
import Web

/// The columns that make a `ProcessingActivity`, of the version that stands today.
let activityColumns: SQL = """
    a.id, a.organisation_id, o.name, a.purpose, a.legal_basis, a.law, a.retention, a.retention_law, p.version, p.valid_months, p.reads_per_day_max, p.attributes, p.title,
    p.explanation
    """
let activityTables: SQL = """
    consent.processing_activity AS a
    JOIN consent.organisation AS o ON o.id = a.organisation_id
    JOIN consent.policy AS p ON p.activity_id = a.id AND p.version = a.policy_version
    """

/// The register, by organisation and purpose.
struct AllActivities: Query {
    var sql: SQL { "SELECT \(activityColumns) FROM \(activityTables) ORDER BY o.name ->> 'en', a.purpose" }

    func decode(_ row: inout RowReader) throws -> ProcessingActivity { try ProcessingActivity(&row) }
}

/// A purpose with what one resident decided about it.
struct Sharing: Sendable {
    let activity: ProcessingActivity
    let held: HeldConsent
    /// What guardians agreed to ended with a birthday, and the resident is asked whether to go on (migrations/0023).
    let endedWithBirthday: Bool
    /// Who has to agree.
    let wayToAgree: WayToAgree
    /// When the database was asked: what "now" means for this answer.
    let askedAt: Date

    /// Nil where the law decides and there is no switch.
    var state: ConsentState? { activity.legalBasis == .consent ? held.state : nil }

    /// What today's policy offers to agree to.
    var offer: ConsentOffer {
        ConsentOffer(
            legalBasis: activity.legalBasis, policyVersion: activity.policyVersion, attributes: activity.attributes,
            validMonths: activity.validMonths)
    }

    /// What may be read now by consent: agreed to and still asked for, in the policy's order.
    var granted: [String] { activity.attributes.filter { held.permits([$0], offered: activity.attributes) } }

    /// Agreed to an earlier text than today's.
    var isOutdated: Bool { held.state.permits && held.policyVersion != activity.policyVersion }
}

/// How somebody agrees to a sharing: `consent.way_to_agree`.
enum WayToAgree: String, Sendable {
    case alone
    /// A child that is asked, and those who must agree with it.
    case together
    /// A child that is not asked yet.
    case guardians
}

/// All purposes, or one, with the decisions of the resident whom the credential names.
struct Sharings: Query {
    let credential: CredentialHash
    var activity: ActivityID?

    var sql: SQL {
        """
        SELECT \(activityColumns), s.state, s.policy_version, s.attributes, s.since, s.valid_until, coalesce(s.ended_with_birthday, false),
            (SELECT consent.way_to_agree(\(credential.bytes))), public.stoa_now()
        FROM \(activityTables)
        LEFT JOIN consent.states_of(\(credential.bytes)) AS s ON s.activity_id = a.id
        WHERE \(activity as ActivityID?) IS NULL OR a.id = \(activity as ActivityID?)
        ORDER BY o.name ->> 'en', a.purpose
        """
    }

    func decode(_ row: inout RowReader) throws -> Sharing { try Sharing(&row) }
}

extension Sharing {
    init(_ row: inout RowReader) throws {
        let activity = try ProcessingActivity(&row)
        let state = try row.next(String?.self)
        let version = try row.next(Int32?.self)
        let attributes = try row.next([String]?.self)
        self.init(
            activity: activity,
            held: HeldConsent(
                // A word that this server does not know permits nothing.
                state: state.map { ConsentState(rawValue: $0) ?? .invalidated } ?? .notGiven, attributes: attributes ?? [],
                policyVersion: version.map(Int.init), since: try row.next(), validUntil: try row.next()),
            endedWithBirthday: try row.next(), wayToAgree: try row.next(word: WayToAgree.self), askedAt: try row.next())
    }
}

extension ProcessingActivity {
    init(_ row: inout RowReader) throws {
        id = ActivityID(try row.next(UUID.self))
        organisationID = try row.next()
        organisationName = try LocalisedText(row.next())
        purpose = try row.next()
        let basis = try row.next(String.self)
        guard let legalBasis = LegalBasis(rawValue: basis) else {
            throw DatabaseError.decoding(column: "legal_basis", reason: "is none of GDPR Art. 6(1)")
        }
        self.legalBasis = legalBasis
        law = try row.next()
        retention = try row.next(JSONText?.self).map(LocalisedText.init)
        retentionLaw = try row.next()
        policyVersion = Int(try row.next(Int32.self))
        validMonths = try row.next()
        readsPerDayMax = try row.next(Int32?.self).map(Int.init)
        attributes = try row.next()
        title = try LocalisedText(row.next())
        explanation = try LocalisedText(row.next())
    }
}

/// The text of one policy version, as it was shown.
struct PolicyText: Sendable {
    let version: Int
    let attributes: [String]
    let title: LocalisedText
    let explanation: LocalisedText
}

struct PolicyOfVersion: Query {
    let activity: ActivityID
    let version: Int

    var sql: SQL {
        """
        SELECT p.version, p.attributes, p.title, p.explanation FROM consent.policy AS p
        WHERE p.activity_id = \(activity) AND p.version = \(Int32(clamping: version))
        """
    }

    func decode(_ row: inout RowReader) throws -> PolicyText { try PolicyText(&row) }
}

extension PolicyText {
    init(_ row: inout RowReader) throws {
        version = Int(try row.next(Int32.self))
        attributes = try row.next()
        title = try LocalisedText(row.next())
        explanation = try LocalisedText(row.next())
    }
}

/// One line of a sharing's history.
struct RecordedEvent: Sendable {
    let state: ConsentState
    let attributes: [String]
    let at: Date
    /// `self`, `guardian`, `paper`, `organisation` or `system`.
    let capacity: String
    /// `page`, `app`, `paper_form`, `exchange`, `identity_linked`, `guardian_entered` or `time_passed`.
    let method: String
    let formReference: String?
    /// The first instant at which it did not count any more; nil for what has no end.
    let validUntil: Date?
    /// Whose guardian's word it was; nil for everything else.
    let guardian: AccountID?
    /// In which the text was shown.
    let language: Language
    let policy: PolicyText
    /// What the organisation was told because of it; nil where it lost nothing.
    let notice: NoticeToRecipient?
}

/// That an organisation was told what it may not read any more.
struct NoticeToRecipient: Sendable {
    /// `open`, `overdue`, `acknowledged` or `allowed_again`.
    let state: String
    let toldAt: Date
    let dueAt: Date
    /// `deleted` or `kept`; nil while it has not answered.
    let done: String?
    /// Which law lets it keep the data.
    let law: String?
    let answeredAt: Date?
}

/// Every event of one sharing, newest first, each with the text that was shown.
struct History: Query {
    let credential: CredentialHash
    let activity: ActivityID

    var sql: SQL {
        """
        SELECT h.kind, h.attributes, h.at, h.capacity, h.method, h.form_reference, h.valid_until, h.account_id, h.language, p.version, p.attributes, p.title,
            p.explanation, n.state, n.made_at, n.due_at, n.done, n.law, n.acknowledged_at
        FROM consent.history_of(\(credential.bytes), \(activity)) WITH ORDINALITY
            AS h (event_id, kind, policy_version, attributes, at, capacity, method, form_reference, language, valid_until, account_id, position)
        JOIN consent.policy AS p ON p.activity_id = \(activity) AND p.version = h.policy_version
        LEFT JOIN consent.notices_about(\(credential.bytes), \(activity)) AS n ON n.event_id = h.event_id
        ORDER BY h.position
        LIMIT \(historyEventsMax)
        """
    }

    func decode(_ row: inout RowReader) throws -> RecordedEvent {
        let state = try row.next(String.self)
        return RecordedEvent(
            state: ConsentState(rawValue: state) ?? .invalidated, attributes: try row.next(), at: try row.next(), capacity: try row.next(),
            method: try row.next(), formReference: try row.next(), validUntil: try row.next(),
            guardian: try row.next(UUID?.self).map { AccountID($0) }, language: Language(rawValue: try row.next()) ?? .english, policy: try PolicyText(&row),
            notice: try NoticeToRecipient(&row))
    }
}

extension NoticeToRecipient {
    /// Nil where there is none.
    init?(_ row: inout RowReader) throws {
        guard let state = try row.next(String?.self) else {
            row.skip(5)
            return nil
        }
        self.init(
            state: state, toldAt: try row.next(), dueAt: try row.next(), done: try row.next(), law: try row.next(), answeredAt: try row.next())
    }
}

/// Events on one page. A resident who moves a switch every week for nine years stays below it.
private let historyEventsMax = 500

/// What consent.decide answers.
enum DecisionOutcome: String, Sendable {
    case recorded
    case unchanged
    case policyChanged = "policy_changed"
    case attributesUnknown = "attributes_unknown"
    case notRenewable = "not_renewable"
    case notConsent = "not_consent"
    case activityUnknown = "activity_unknown"
    case credentialInvalid = "credential_invalid"
    /// Who asks may not decide about it alone, or not at all.
    case guardiansDecide = "guardians_decide"
    /// Of a child: what is shared must be stopped before something else is agreed to.
    case inForce = "in_force"
    /// The child is not, or not any more, in the care of who asks.
    case childUnknown = "child_unknown"
    case childDecides = "child_decides"

    init(_ row: inout RowReader) throws {
        let word = try row.next(String.self)
        guard let outcome = DecisionOutcome(rawValue: word) else {
            throw DatabaseError.decoding(column: "decide", reason: "is no outcome that this server knows")
        }
        self = outcome
    }
}

/// Moves one switch. It waits for a lock, so it belongs on an exclusive connection.
struct Decide: Query {
    let credential: CredentialHash
    let decision: ConsentDecision
    let language: Language

    var sql: SQL {
        """
        SELECT consent.decide(\(credential.bytes), \(ID<ConsentEventTag>.new()), \(decision.activity), \(decision.kind.rawValue),
            \(decision.attributes as [String]?), \(decision.readVersion.map { Int32(clamping: $0) } as Int32?), \(language.tag))
        """
    }

    func decode(_ row: inout RowReader) throws -> DecisionOutcome { try DecisionOutcome(&row) }
}

/// Stops everything that one organisation may read by consent. Gives the number of sharings stopped; nil when the credential ended.
struct WithdrawAll: Query {
    let credential: CredentialHash
    let organisation: String
    let language: Language

    var sql: SQL { "SELECT consent.withdraw_all(\(credential.bytes), \(organisation), \(language.tag))" }

    func decode(_ row: inout RowReader) throws -> Int? { try row.next(Int32?.self).map(Int.init) }
}

/// What the id of a consent event names.
enum ConsentEventTag {}
