// Who looked at your data: the pages and the JSON of the access log, and the public head of the tree.
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

    /// - Parameter verifier: the log's public key. Heads that it does not verify are not shown.
    public init(database: Database, door: Door, verifier: Ed25519NoteVerifier) {
        self.database = database
        self.door = door
        self.verifier = verifier
    }

    public func add(to site: Site) {
        site.declare(pages: [AccessLogPage.self])
        site.addNavigation(.resident, path: "/access-log", textKey: "access_log.navigation")
        site.resident.get("/access-log", use: showEntries)
        site.residentAPI.get("/api/v1/access-entries", use: listEntries)
        site.publicAPI.get("/log/checkpoint", use: checkpoint)
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

    /// The newest signed head of the tree (C2SP tlog-checkpoint), for anybody.
    @Sendable func checkpoint(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let head = try await SignedHead.newest(verifier: verifier, query: database.query) else { throw Problem.notFound }
        return Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-cache"],
            body: .init(byteBuffer: ByteBuffer(string: head.note)))
    }

    /// Looking at the log is itself logged, once a session, before anything is shown.
    private func entries(of credential: CredentialHash, before: String?, count: Int, withOwn: Bool) async throws -> EntryPage {
        let cursor = try before.map { text in
            guard let cursor = EntryCursor(text) else { throw Problem.malformedCursor() }
            return cursor
        }
        let view = AccessRequest(
            credential: credential, operation: .ownView, subject: .own, attributes: [], purpose: "access_log", caseReference: "")
        do {
            _ = try await door.read(view)
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
