// Who looked at your data: the pages and the JSON of the access log, and the proof of each entry.
import Foundation
import Hummingbird
public import Postgres
public import TransparencyLog
public import Web

/// URL table of the slice.
public struct AccessLogRoutes: Sendable {
    private let database: Database
    private let door: Door
    private let verifier: Ed25519NoteVerifier

    /// - Parameter verifier: the log's public key. Proofs lead to heads that it verifies.
    public init(database: Database, door: Door, verifier: Ed25519NoteVerifier) {
        self.database = database
        self.door = door
        self.verifier = verifier
    }

    public func add(to site: Site) {
        site.declare(pages: [AccessLogPage.self])
        site.addNavigation(.resident, path: "/access-log", textKey: "access_log.navigation")
        site.resident.get("/access-log", use: showEntries)
        site.resident.get("/access-log/{entry}/proof", use: showProof)
        site.residentAPI.get("/api/v1/access-entries", use: listEntries)
        site.residentAPI.get("/api/v1/access-entries/{entry}/proof", use: getProof)
    }

    /// Entries on one page: a screenful of a phone times five, some 12 kB.
    static let entriesPerPage = 20
    static let entriesPerAnswer = 50

    @Sendable func showEntries(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let query = try context.query(request)
        let withOwn = try query.value("own") == "shown"
        let page = try await entries(of: context.resident.credential, before: query.value("before"), count: Self.entriesPerPage, withOwn: withOwn)
        return try context.page(AccessLogPage(page, withOwn: withOwn, context: context), title: "access_log.title")
    }

    @Sendable func listEntries(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        let query = try context.query(request)
        let withOwn = try query.value("own") == "shown"
        let page = try await entries(of: context.resident.credential, before: query.value("cursor"), count: Self.entriesPerAnswer, withOwn: withOwn)
        return try .json(CursorList(items: page.entries.map { AccessEntryBody($0, language: context.language) }, nextCursor: page.next?.description))
    }

    @Sendable func showProof(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await proof(of: context.parameter("entry"), for: context.resident.credential)
    }

    @Sendable func getProof(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        return try await proof(of: context.parameter("entry"), for: context.resident.credential)
    }

    /// A file to keep (C2SP tlog-proof).
    private func proof(of entry: AccessEntryID, for credential: CredentialHash) async throws -> Response {
        do {
            let file = try await ProveEntry(credential: credential, entry: entry).perform(door: door, database: database, verifier: verifier)
            return Response(
                status: .ok,
                headers: [.contentType: "text/plain; charset=utf-8", .contentDisposition: "attachment; filename=\"\(entry).tlog-proof\""],
                body: .init(byteBuffer: ByteBuffer(string: file)))
        } catch let refused as RefusedAccess {
            throw refused.problem(scope: "access_log")
        } catch let none as NoEntryProof {
            throw none.problem
        }
    }

    private func entries(of credential: CredentialHash, before: String?, count: Int, withOwn: Bool) async throws -> EntryPage {
        let cursor = try before.map { text in
            guard let cursor = EntryCursor(text) else { throw Problem.malformedCursor() }
            return cursor
        }
        do {
            try await door.viewOwnLog(credential)
        } catch let refused as RefusedAccess {
            throw refused.problem(scope: "access_log")
        }
        // One more than is shown tells whether there is another page.
        var entries = try await database.query(
            EntriesAbout(credential: credential, before: cursor, pageSize: count + 1, withOwn: withOwn))
        let hasMore = entries.count > count
        if hasMore { entries.removeLast() }
        return EntryPage(entries: entries, next: hasMore ? entries.last.map(EntryCursor.init) : nil)
    }
}

/// One page of the log and where the next begins.
struct EntryPage: Sendable {
    let entries: [AccessEntry]
    let next: EntryCursor?
}

extension NoEntryProof {
    fileprivate var problem: Problem {
        switch self {
        case .noSuchEntry: .notFound
        case .notInTreeYet:
            Problem(
                "entry-not-in-tree-yet", status: .conflict, title: "The entry has no place in the log's tree yet",
                detail: "It gets one within a second or so. Ask again then.", headers: [.retryAfter: "1"], pageKey: "log.not_in_tree_yet")
        }
    }
}

extension RefusedAccess {
    /// For routes that ask on behalf of a signed-in person or an app. Organisations get more specific answers (Exchange).
    /// - Parameter scope: what an app's token needs for this; nil where only sessions come.
    public func problem(scope: String? = nil) -> Problem {
        switch refusal {
        case .credentialInvalid: BearerContext.invalidToken
        case .scopeMissing: scope.map { Problem.insufficientScope($0) } ?? Problem.forbidden
        case .roleMissing: Problem.forbidden
        case .subjectUnknown, .subjectAmbiguous: Problem.notFound
        default: Problem.forbidden
        }
    }
}
