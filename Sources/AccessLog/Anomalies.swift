// Unusual accesses: what the log shows that nobody complained of. The search is one statement (migrations/0022_oversight.sql) that one node at a
// time runs now and then; what it finds are tasks for auditors. The entries behind a task are shown only after that look is in the log of
// everybody whom they are about.
// Decided in `access_log.find_anomalies` and `access_log.close_anomaly` (0022_oversight.sql).
public import Foundation
public import Postgres
import Primitives
import Web

/// What counts as unusual in this city.
public struct AnomalyRules: Sendable {
    /// Whose days and hours count.
    public var timeZone: TimeZone
    /// From which hour, and up to which, staff open records on Mondays to Fridays.
    public var officeHours: Range<Int>
    /// More people than this in an hour are unusual for one member of staff.
    public var peoplePerHourMax: Int

    public init(timeZone: TimeZone, officeHours: Range<Int> = Self.usualOfficeHours, peoplePerHourMax: Int = Self.usualPeoplePerHourMax) {
        self.timeZone = timeZone
        self.officeHours = officeHours
        self.peoplePerHourMax = peoplePerHourMax
    }

    /// Counters open at eight or nine and close at five or six; an hour before and after is for those who prepare and finish.
    public static let usualOfficeHours = 7..<19
    /// A person every two minutes, for a whole hour: more than twice what a busy counter serves.
    public static let usualPeoplePerHourMax = 30
}

/// Searches the log.
public enum AnomalySearch {
    /// - Returns: how many tasks are new; 0 also while another node searches.
    /// - Throws: `DatabaseError`.
    @discardableResult
    public static func run(in database: Database, rules: AnomalyRules) async throws -> Int {
        // It reads an hour of entries, and holds a lock while it does.
        try await database.exclusive { try await $0.one(FindAnomalies(rules: rules)) }
    }
}

/// What an auditor finds about an unusual access.
enum AnomalyFinding: String, Sendable, CaseIterable {
    case explained
    case misuse
}

/// What came of closing a task.
enum CloseOutcome: String, Sendable {
    case closed
    case alreadyClosed = "already_closed"
    case ownAction = "own_action"
    case notAllowed = "not_allowed"
}

/// A task: who, by which rule, and how many. Nothing in it is about any resident.
struct Anomaly: Sendable {
    let reference: String
    let rule: String
    let day: CalendarDay
    /// Requests in the hour that stood out and in a usual one; of organisations alone.
    let volume: (count: Int, usual: Int)?
    let entryCount: Int
    let staff: (name: String, username: String)?
    let organisationName: LocalisedText?
}

/// Shows and closes the tasks.
public struct Anomalies: Sendable {
    private let database: Database
    private let door: Door

    public init(database: Database, door: Door) {
        self.database = database
        self.door = door
    }

    /// Longest note of a finding, in characters: what the column takes.
    static let noteCharactersMax = 1000

    /// The hundred oldest that wait for this auditor; none for anybody else.
    func waiting(for session: CredentialHash) async throws -> [Anomaly] {
        try await database.query(OpenAnomalies(credential: session))
    }

    /// One that waits; nil when no such one does.
    func one(_ reference: String, for session: CredentialHash) async throws -> Anomaly? {
        try await database.optional(OpenAnomalies(credential: session, reference: reference))
    }

    /// The entries behind a task, after the look is in the log of each of those (two hundred at most) whom they are about.
    /// - Throws: `Problem` for somebody who may not.
    func entries(behind anomaly: Anomaly, for session: CredentialHash) async throws -> [AccessEntry] {
        let residents = try await database.query(AnomalySubjects(credential: session, reference: anomaly.reference))
        guard !residents.isEmpty else { return [] }
        let looks = try await door.read(
            residents.map {
                AccessRequest(
                    credential: session, operation: .logView, subject: .resident($0), attributes: [], purpose: "anomaly", caseReference: anomaly.reference)
            })
        do {
            let views = try looks.map { try $0.get().entryID }
            return try await database.query(AnomalyEntries(credential: session, viewEntries: views))
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    func close(_ reference: String, _ finding: AnomalyFinding, note: String, session: CredentialHash) async throws -> CloseOutcome {
        try await database.exclusive { try await $0.one(CloseAnomaly(credential: session, reference: reference, finding: finding, note: note)) }
    }
}

// MARK: Statements

/// `access_log.find_anomalies`.
private struct FindAnomalies: Query {
    let rules: AnomalyRules

    var sql: SQL {
        """
        SELECT access_log.find_anomalies(
            \(rules.timeZone.identifier), \(Int32(rules.officeHours.lowerBound)), \(Int32(rules.officeHours.upperBound)),
            \(Int32(rules.peoplePerHourMax)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Int { Int(try row.next(Int32.self)) }
}

/// `access_log.open_anomalies`.
struct OpenAnomalies: Query {
    let credential: CredentialHash
    var reference: String?

    var sql: SQL {
        """
        SELECT reference, rule, day, count, usual, entry_count, staff_name, staff_username, organisation_name
        FROM access_log.open_anomalies(\(credential.bytes), \(reference as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Anomaly {
        let reference = try row.next(String.self)
        let rule = try row.next(String.self)
        let day = try row.next(CalendarDay.self)
        let count = try row.next(Int32?.self)
        let usual = try row.next(Int32?.self)
        let entryCount = Int(try row.next(Int64.self))
        let name = try row.next(String?.self)
        let username = try row.next(String?.self)
        var volume: (count: Int, usual: Int)?
        if let count, let usual { volume = (Int(count), Int(usual)) }
        var staff: (name: String, username: String)?
        if let name, let username { staff = (name, username) }
        return Anomaly(
            reference: reference, rule: rule, day: day, volume: volume, entryCount: entryCount, staff: staff,
            organisationName: try row.next(JSONText?.self).map(LocalisedText.init))
    }
}

/// `access_log.anomaly_subjects`.
struct AnomalySubjects: Query {
    let credential: CredentialHash
    let reference: String

    var sql: SQL { "SELECT resident_id FROM access_log.anomaly_subjects(\(credential.bytes), \(reference))" }
    func decode(_ row: inout RowReader) throws -> ResidentID { ResidentID(try row.next(UUID.self)) }
}

/// `access_log.anomaly_entries`.
struct AnomalyEntries: Query {
    let credential: CredentialHash
    let viewEntries: [AccessEntryID]

    var sql: SQL { "SELECT \(AccessEntry.columns) FROM access_log.anomaly_entries(\(credential.bytes), \(viewEntries.map(\.uuid)))" }
    func decode(_ row: inout RowReader) throws -> AccessEntry { try AccessEntry(&row) }
}

/// `access_log.close_anomaly`.
struct CloseAnomaly: Query {
    let credential: CredentialHash
    let reference: String
    let finding: AnomalyFinding
    let note: String

    var sql: SQL { "SELECT access_log.close_anomaly(\(credential.bytes), \(reference), \(finding.rawValue), \(note))" }

    func decode(_ row: inout RowReader) throws -> CloseOutcome { try row.next(word: CloseOutcome.self) }
}
