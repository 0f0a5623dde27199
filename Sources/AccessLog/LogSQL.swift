// The statements about the log itself: the queue, the tree heads, and what a resident sees of it.
public import Foundation
public import Postgres
public import Primitives
import TransparencyLog
public import Web

/// Whether there is something for the sequencer to do, and whether it may.
struct LogState: Query {
    struct Row: Sendable {
        /// Of the first entry of the queue; nil when none waits.
        let longestWaitSeconds: Int64?
        /// A witness contradicted the log, and nobody has decided yet what that means.
        let isHalted: Bool
        /// A witness has confirmed the newest head since the database server started.
        let isConfirmed: Bool
    }

    var sql: SQL {
        """
        SELECT access_log.longest_wait_seconds(), EXISTS (SELECT FROM access_log.standing_halt),
            EXISTS (SELECT FROM access_log.confirmation AS c WHERE c.server_started_at = pg_postmaster_start_time())
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(longestWaitSeconds: try row.next(), isHalted: try row.next(), isConfirmed: try row.next())
    }
}

struct SequenceEntries: Query {
    let entriesMax: Int

    struct Row: Sendable {
        let index: Int64
        /// Label and commitment.
        let data: [UInt8]
    }

    var sql: SQL { "SELECT index, data FROM access_log.sequence(\(entriesMax)::integer)" }
    func decode(_ row: inout RowReader) throws -> Row { Row(index: try row.next(), data: try row.next()) }
}

/// Stored heads, newest first.
struct StoredHeads: Query {
    struct Row: Sendable {
        let size: Int64
        let frontier: [[UInt8]]
        let note: String
    }

    let count: Int

    var sql: SQL { "SELECT tree_size, frontier, note FROM access_log.checkpoint ORDER BY tree_size DESC LIMIT \(count)" }

    func decode(_ row: inout RowReader) throws -> Row { Row(size: try row.next(), frontier: try row.next(), note: try row.next()) }
}

/// The data of leaves (label and commitment) in their order, from one index up to and without another: `access_log.leaves`.
struct Leaves: Query {
    let indexes: Range<Int64>

    var sql: SQL { "SELECT data FROM access_log.leaves(\(indexes.lowerBound), \(indexes.upperBound)) ORDER BY index" }

    func decode(_ row: inout RowReader) throws -> [UInt8] { try row.next() }
}

/// The newest entries about the resident whom the credential names, of those that are wanted: `access_log.entries_about`.
struct EntriesAbout: Query {
    let credential: CredentialHash
    var filter = EntryFilter()
    let before: MomentCursor?
    let pageSize: Int

    var sql: SQL {
        """
        SELECT \(AccessEntry.columns) FROM access_log.entries_about(
            \(credential.bytes), \(before?.at as Date?), \(before?.id as UUID?), \(pageSize)::integer, \(filter.withOwn),
            \(filter.organisation as String?), \(filter.purpose as String?), \((filter.onlyRefused ? "refused" : nil) as String?),
            \(filter.entry?.uuid as UUID?), \(filter.withHelp))
        """
    }

    func decode(_ row: inout RowReader) throws -> AccessEntry { try AccessEntry(&row) }
}

/// The entry that a resident asks about, for the auditor who just logged that they look into it: `access_log.questioned_entry`.
public struct QuestionedEntry: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    /// - Parameter viewEntry: the caller's own `log_view`, under five seconds old.
    public init(credential: CredentialHash, viewEntry: AccessEntryID) {
        self.credential = credential
        self.viewEntry = viewEntry
    }

    public var sql: SQL { "SELECT \(AccessEntry.columns) FROM access_log.questioned_entry(\(credential.bytes), \(viewEntry.uuid))" }

    public func decode(_ row: inout RowReader) throws -> AccessEntry { try AccessEntry(&row) }
}

/// What was done in an emergency, for the auditor who just logged that they look into it: `access_log.entries_under_glass`.
public struct EntriesUnderGlass: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    /// - Parameter viewEntry: the caller's own `log_view`, under five seconds old.
    public init(credential: CredentialHash, viewEntry: AccessEntryID) {
        self.credential = credential
        self.viewEntry = viewEntry
    }

    public var sql: SQL { "SELECT \(AccessEntry.columns) FROM access_log.entries_under_glass(\(credential.bytes), \(viewEntry.uuid))" }

    public func decode(_ row: inout RowReader) throws -> AccessEntry { try AccessEntry(&row) }
}

/// What others did with the data of one person, newest first, for the portal that just logged that it shows this: `access_log.usages_under`.
public struct UsagesUnder: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID
    let period: (start: Date?, end: Date?)
    let skipped: Int
    let count: Int

    /// - Parameter viewEntry: the caller's own `usage`, under five seconds old.
    public init(credential: CredentialHash, viewEntry: AccessEntryID, period: (start: Date?, end: Date?), skipped: Int, count: Int) {
        self.credential = credential
        self.viewEntry = viewEntry
        self.period = period
        self.skipped = skipped
        self.count = count
    }

    public var sql: SQL {
        """
        SELECT \(AccessEntry.columns)
        FROM access_log.usages_under(\(credential.bytes), \(viewEntry.uuid), \(period.start as Date?), \(period.end as Date?))
        ORDER BY at DESC, id DESC OFFSET \(skipped)::integer LIMIT \(count)::integer
        """
    }

    public func decode(_ row: inout RowReader) throws -> AccessEntry { try AccessEntry(&row) }
}

/// How many there are in all.
public struct UsageCount: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID
    let period: (start: Date?, end: Date?)

    public init(credential: CredentialHash, viewEntry: AccessEntryID, period: (start: Date?, end: Date?)) {
        self.credential = credential
        self.viewEntry = viewEntry
        self.period = period
    }

    public var sql: SQL {
        "SELECT count(*) FROM access_log.usages_under(\(credential.bytes), \(viewEntry.uuid), \(period.start as Date?), \(period.end as Date?))"
    }

    public func decode(_ row: inout RowReader) throws -> Int { try row.next() }
}

/// Since when the log is kept; nil while it is empty: `access_log.kept_since`.
public struct KeptSince: Query {
    public init() {}
    public var sql: SQL { "SELECT access_log.kept_since()" }
    public func decode(_ row: inout RowReader) throws -> Date? { try row.next() }
}

extension AccessEntry {
    /// Of `access_log.told_entry`, in the order in which they are read.
    static let columns: SQL = """
        id, at, organisation_id, organisation_name, client_id, actor_role, operation, purpose, purpose_title, activity_id, attributes, legal_basis, law,
        consent_at, case_reference, outcome, refusal, form_entered, helper_name, leaf_index, count, question_asked_at, question_due_at, question_answered_at,
        break_glass, review_due_at, review_finding, reviewed_at, released_name, released_username, delayed_by,
        delay_ground, delayed_until
        """

    init(_ row: inout RowReader) throws {
        id = AccessEntryID(try row.next(UUID.self))
        at = try row.next()
        organisationID = try row.next()
        organisationName = try row.next(JSONText?.self).map(LocalisedText.init)
        clientID = try row.next()
        actorRole = try row.next()
        operation = try row.next()
        purpose = try row.next()
        purposeTitle = try row.next(JSONText?.self).map(LocalisedText.init)
        activityID = try row.next()
        attributes = try row.next()
        legalBasis = try row.next()
        law = try row.next()
        consentAt = try row.next()
        caseReference = try row.next()
        outcome = try row.next()
        refusal = try row.next()
        formEntered = try row.next()
        helperName = try row.next()
        leafIndex = try row.next()
        count = try row.next(Int32?.self).map(Int.init)
        let askedAt = try row.next(Date?.self)
        let dueAt = try row.next(Date?.self)
        let answeredAt = try row.next(Date?.self)
        if let askedAt, let dueAt { question = QuestionState(askedAt: askedAt, dueAt: dueAt, answeredAt: answeredAt) } else { question = nil }
        let isInEmergency = try row.next(UUID?.self) != nil
        let review = EmergencyState(reviewDueAt: try row.next(), finding: try row.next(), reviewedAt: try row.next())
        emergency = isInEmergency ? review : nil
        let name = try row.next(String?.self)
        let username = try row.next(String?.self)
        if let name, let username { releasedName = ReleasedName(name: name, username: username) } else { releasedName = nil }
        let order = (authority: try row.next(String?.self), ground: try row.next(String?.self), endedAt: try row.next(Date?.self))
        if let authority = order.authority, let ground = order.ground, let endedAt = order.endedAt {
            delay = DisclosureDelay(authority: authority, ground: ground, endedAt: endedAt)
        } else {
            delay = nil
        }
    }
}

/// `access_log.organisations_about`.
struct OrganisationsAbout: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT id, name FROM access_log.organisations_about(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> LoggedOrganisation {
        LoggedOrganisation(id: try row.next(), name: try LocalisedText(row.next()))
    }
}
