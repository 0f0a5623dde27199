// What the log says about one resident, for the resident: pages of entries, one entry, all of them for an export. Looking is itself logged,
// once a session, before anything is told; the functions of migrations/0016 insist on it.
// Decided in `access_log.entries_about` (0016_who_looked.sql).
import Foundation
public import Postgres
public import Primitives
public import Web

/// Which entries are wanted.
struct EntryFilter: Sendable, Hashable {
    /// Residents' own views of their data, which are hidden unless asked for.
    var withOwn = false
    /// What helpers did under a mandate, which is shown unless somebody hides it.
    var withHelp = true
    /// Only of this organisation.
    var organisation: String?
    /// Only for this purpose, or this reason of staff.
    var purpose: String?
    /// Only what was refused.
    var onlyRefused = false
    /// This one alone.
    var entry: AccessEntryID?
}

/// One page of the log and where the next begins.
struct EntryPage: Sendable {
    let entries: [AccessEntry]
    let next: MomentCursor?
}

/// An organisation that somebody's log names.
struct LoggedOrganisation: Sendable {
    let id: String
    let name: LocalisedText
}

/// The log, as residents read it about themselves.
public struct AccessEntries: Sendable {
    private let database: Database
    private let door: Door

    public init(database: Database, door: Door) {
        self.database = database
        self.door = door
    }

    /// Logs that the resident looks at the log: once a session or token, and before every other call here.
    /// - Returns: the record without any values, and with the key that the resident's words are sealed under.
    /// - Throws: `Problem` for a credential that may not.
    @discardableResult
    public func logView(of credential: CredentialHash) async throws -> ReleasedRecord {
        try await door.ownView("access_log", of: credential)
    }

    /// One entry about the resident; nil when there is none of this id, or it is about somebody else.
    public func one(_ id: AccessEntryID, of credential: CredentialHash) async throws -> AccessEntry? {
        try await logView(of: credential)
        return try await newest(1, EntryFilter(withOwn: true, entry: id), before: nil, of: credential).first
    }

    /// A page of entries, newest first.
    func page(_ filter: EntryFilter, before cursor: MomentCursor?, count: Int, of credential: CredentialHash) async throws -> EntryPage {
        try await logView(of: credential)
        // One more than is shown tells whether there is another page.
        let entries = try await newest(count + 1, filter, before: cursor, of: credential)
        let shown = Array(entries.prefix(count))
        return EntryPage(entries: shown, next: entries.count > count ? shown.last.map { MomentCursor(at: $0.at, id: $0.id.uuid) } : nil)
    }

    /// The organisations to choose from, by name.
    func organisations(of credential: CredentialHash) async throws -> [LoggedOrganisation] {
        try await database.query(OrganisationsAbout(credential: credential))
    }

    /// What an organisation was given so far; empty also for one that there is not.
    public func given(to organisation: String, of credential: CredentialHash) async throws -> GivenData {
        try await logView(of: credential)
        return GivenData(try await database.query(GivenTo(credential: credential, organisation: organisation)))
    }

    private func newest(_ count: Int, _ filter: EntryFilter, before cursor: MomentCursor?, of credential: CredentialHash) async throws -> [AccessEntry] {
        try await database.query(EntriesAbout(credential: credential, filter: filter, before: cursor, pageSize: count))
    }
}
