// Who looked at your data: the pages and the JSON of the access log, and the proof of each entry.
import Foundation
public import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct AccessLogRoutes: Sendable {
    private let database: Database
    private let entries: AccessEntries
    private let heads: LogHeads

    /// - Parameter heads: those that proofs lead to.
    public init(database: Database, entries: AccessEntries, heads: LogHeads) {
        self.database = database
        self.entries = entries
        self.heads = heads
    }

    public func add(to site: Site) {
        site.declare(pages: [AccessLogPage.self, EntryPageModel.self])
        site.addNavigation(.resident, path: "/access-log", textKey: "access_log.navigation")
        site.addOwnData(OwnDataPart(name: "access_log", textKey: "access_log.own_data", scope: "access_log", read: readOwn))
        site.resident.get("/access-log", use: showEntries)
        site.resident.get("/access-log/{entry}", use: showEntry)
        site.resident.get("/access-log/{entry}/proof", use: showProof)
        site.resident.get("/access-log.csv", use: exportCSV)
        site.resident.get("/access-log.json", use: exportJSON)
        site.residentAPI.get("/api/v1/access-entries", use: listEntries)
        site.residentAPI.get("/api/v1/access-entries/{id}", use: getEntry)
        site.residentAPI.get("/api/v1/access-entries/{id}/proof", use: getProof)
    }

    /// Entries on one page: a screenful of a phone times five, some 12 kB.
    static let entriesPerPage = 20
    static let entriesPerAnswer = 50

    @Sendable func showEntries(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let query = try context.query(request)
        let filter = try EntryFilter(query)
        let page = try await entries.page(filter, before: try MomentCursor(parameter: query.value("before")), count: Self.entriesPerPage, of: context.resident.credential)
        let organisations = try await entries.organisations(of: context.resident.credential)
        return try context.page(AccessLogPage(page, filter, organisations, context), title: "access_log.title")
    }

    @Sendable func showEntry(_ request: Request, _ context: ResidentContext) async throws -> Response {
        guard let entry = try await entries.one(try context.parameter("entry"), of: context.resident.credential) else { throw Problem.notFound }
        return try context.page(EntryPageModel(entry, context), title: "access_log.entry.title")
    }

    @Sendable func listEntries(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        let query = try context.query(request)
        let page = try await entries.page(
            try EntryFilter(query), before: try MomentCursor(parameter: query.value("cursor")), count: Self.entriesPerAnswer, of: context.resident.credential)
        return try .json(CursorList(items: page.entries.map { AccessEntryBody($0, language: context.language) }, nextCursor: page.next?.description))
    }

    @Sendable func getEntry(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        guard let entry = try await entries.one(try context.parameter("id"), of: context.resident.credential) else { throw Problem.notFound }
        return try .json(AccessEntryBody(entry, language: context.language))
    }

    @Sendable func exportCSV(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await export(.csv, context)
    }

    @Sendable func exportJSON(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await export(.json, context)
    }

    /// The whole log, own views too, page by page, so that a long one needs no memory. What cannot be read any more breaks the answer off: a part
    /// never passes for the whole.
    private func export(_ format: EntryExport.Format, _ context: ResidentContext) async throws -> Response {
        let credential = context.resident.credential
        try await entries.logView(of: credential)
        let export = EntryExport(format: format, language: context.language)
        let body = ResponseBody { [entries] writer in
            try await writer.write(ByteBuffer(bytes: export.beginning))
            var cursor: MomentCursor?
            var isFirst = true
            repeat {
                let page = try await entries.page(EntryFilter(withOwn: true), before: cursor, count: EntryExport.entriesPerRead, of: credential)
                try await writer.write(ByteBuffer(bytes: try export.lines(page.entries, isFirst: isFirst)))
                isFirst = isFirst && page.entries.isEmpty
                cursor = page.next
            } while cursor != nil
            try await writer.write(ByteBuffer(bytes: export.end))
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: export.headers, body: body)
    }

    @Sendable private func readOwn(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let page = try await entries.page(
            EntryFilter(withOwn: true), before: try MomentCursor(parameter: cursor), count: OwnDataPart.itemsPerRead, of: reader.credential)
        return OwnDataPage(try page.entries.map { try JSONValue(encoding: AccessEntryBody($0, language: reader.language)) }, next: page.next?.description)
    }

    @Sendable func showProof(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await proof(of: context.parameter("entry"), for: context.resident.credential)
    }

    @Sendable func getProof(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        return try await proof(of: context.parameter("id"), for: context.resident.credential)
    }

    /// A file to keep (C2SP tlog-proof).
    private func proof(of entry: AccessEntryID, for credential: CredentialHash) async throws -> Response {
        do {
            let file = try await ProveEntry(credential: credential, entry: entry).perform(entries: entries, database: database, heads: heads)
            return .logProof(file, named: entry.description)
        } catch let none as NoEntryProof {
            throw none.problem
        }
    }
}

extension EntryFilter {
    /// Of a page's or an app's query: `own=shown`, `helpers=hidden`, `organisation`, `purpose`, `outcome=refused`. An empty one is none.
    init(_ query: Form) throws {
        func chosen(_ name: String) throws -> String? { try query.value(name).flatMap { $0.isEmpty ? nil : $0 } }
        withOwn = try query.value("own") == "shown"
        withHelp = try query.value("helpers") != "hidden"
        organisation = try chosen("organisation")
        purpose = try chosen("purpose")
        onlyRefused = try query.value("outcome") == "refused"
    }

    /// The same as a query, without the sign in front; empty when nothing is filtered.
    var query: String {
        var items: [String] = []
        let allowed = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~"))
        func add(_ name: String, _ value: String?) {
            if let value = value?.addingPercentEncoding(withAllowedCharacters: allowed) { items.append("\(name)=\(value)") }
        }
        add("own", withOwn ? "shown" : nil)
        add("helpers", withHelp ? nil : "hidden")
        add("organisation", organisation)
        add("purpose", purpose)
        add("outcome", onlyRefused ? "refused" : nil)
        return items.joined(separator: "&")
    }
}

extension NoEntryProof {
    fileprivate var problem: Problem {
        switch self {
        case .noSuchEntry: .notFound
        case .notInTreeYet: .notInTreeYet
        }
    }
}

extension Problem {
    /// What was just written waits for its leaf.
    public static var notInTreeYet: Problem {
        Problem(
            "entry-not-in-tree-yet", status: .conflict, title: "The entry has no place in the log's tree yet",
            detail: "It gets one within a second or so. Ask again then.", headers: [.retryAfter: "1"], pageKey: "log.not_in_tree_yet")
    }
}

extension Response {
    /// A proof, as a file to keep (C2SP tlog-proof).
    public static func logProof(_ file: String, named name: String) -> Response {
        Response(
            status: .ok,
            headers: [.contentType: "text/plain; charset=utf-8", .contentDisposition: "attachment; filename=\"\(name).tlog-proof\""],
            body: .init(byteBuffer: ByteBuffer(string: file)))
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
