// The log as anybody sees it: the signed head, the tree in tiles, and the page on which a proof is checked. Together they are a C2SP
// tiled log under the prefix `<base URL>/log`; none of it names a resident or an organisation.
import Foundation
import Hummingbird
public import Postgres
import TransparencyLog
public import Web

/// URL table of the public log.
public struct PublicLogRoutes: Sendable {
    private let database: Database
    private let heads: LogHeads

    /// - Parameter heads: of the log. Nothing beyond them is shown.
    public init(database: Database, heads: LogHeads) {
        self.database = database
        self.heads = heads
    }

    public func add(to site: Site) {
        site.declare(pages: [VerifyEntryPage.self])
        site.publicAPI.get("/log/checkpoint", use: checkpoint)
        // The index of a tile is written in groups of three digits, and a partial tile's width comes last: with three groups and a width the
        // log can grow to 256 thousand million leaves.
        site.publicAPI.get("/log/tile/{level}/{first}", use: tile)
        site.publicAPI.get("/log/tile/{level}/{first}/{second}", use: tile)
        site.publicAPI.get("/log/tile/{level}/{first}/{second}/{third}", use: tile)
        site.publicAPI.get("/log/tile/{level}/{first}/{second}/{third}/{fourth}", use: tile)
        site.everyone.get("/log/verify", use: showVerification)
        site.everyone.post("/log/verify", use: verify)
    }

    /// The newest head of the tree that its witnesses stand behind, or the newest there is (C2SP tlog-checkpoint).
    @Sendable func checkpoint(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let head = try await heads.published() else { throw Problem.notFound }
        return Response(
            status: .ok, headers: [.contentType: "text/plain; charset=utf-8", .cacheControl: "no-cache"],
            body: .init(byteBuffer: ByteBuffer(string: head.note.description)))
    }

    /// A tile or a bundle of leaves (C2SP tlog-tiles), if the newest signed head covers it.
    @Sendable func tile(_ request: Request, _ context: WebContext) async throws -> Response {
        let prefix = "/log/tile/"
        guard request.uri.path.hasPrefix(prefix), let resource = TileResource(path: request.uri.path.dropFirst(prefix.count)),
            let head = try await heads.newest(), resource.tile.endLeaf <= head.tree.size
        else { throw Problem.notFound }
        let bytes = try await bytes(of: resource)
        return Response(
            status: .ok,
            headers: [.contentType: "application/octet-stream", .cacheControl: resource.tile.isFull ? Self.forEver : Self.forAMoment],
            body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// A full tile is the same for all time; a year is what caches understand by that (RFC 9111 §1.2.2 counts seconds).
    private static let forEver = "public, max-age=31536000, immutable"
    /// A partial one never changes either, but the next head has a wider one and nobody asks for this again.
    private static let forAMoment = "public, max-age=60"

    private func bytes(of resource: TileResource) async throws -> [UInt8] {
        let tree = StoredTree(database: database)
        switch resource {
        case .hashes(let tile): return try await tree.hashes(of: tile).flatMap(\.bytes)
        case .entries(let tile): return EntryBundle.bytes(of: try await tree.leaves(of: tile))
        }
    }

    @Sendable func showVerification(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(VerifyEntryPage(heads: heads, form: context.formView()), title: "log.verify.title")
    }

    /// Checks what was pasted, and forgets it.
    @Sendable func verify(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        // A page takes the line end off that every proof ends in.
        let file = fields.longText("proof", charactersMax: LogProof.bytesMax) + "\n"
        guard fields.isValid else { return try show(nil, fields.state, context) }
        do {
            let proven = try ProvenEntry(checking: file.utf8, log: heads.verifier, witnesses: heads.witnesses)
            return try show(ProvenEntryView(proven, of: heads.witnesses.count, context: context), .blank, context)
        } catch let fault as EntryProofFault {
            fields.reject("proof", "log.verify.fault.\(fault.word)", fault.place)
            return try show(nil, fields.state, context)
        }
    }

    private func show(_ proven: ProvenEntryView?, _ state: FormState, _ context: WebContext) throws -> Response {
        var page = VerifyEntryPage(heads: heads, form: context.formView(state))
        page.proven = proven
        return try context.page(page, title: proven == nil ? "log.verify.title" : "log.verify.title_stands", status: state.errors.isEmpty ? .ok : .unprocessableContent)
    }
}

extension TileResource {
    fileprivate var tile: Tile {
        switch self {
        case .hashes(let tile), .entries(let tile): tile
        }
    }
}

extension EntryProofFault {
    /// Its name among the texts.
    fileprivate var word: String {
        switch self {
        case .malformed(nil): "malformed"
        case .malformed: "malformed_line"
        case .headNotSigned: "head_not_signed"
        case .cosignatureInvalid: "cosignature_invalid"
        case .notIncluded: "not_included"
        case .unreadable: "unreadable"
        }
    }

    /// Where in the file the trouble is, for a text that says so.
    fileprivate var place: [String: String] {
        if case .malformed(let line?) = self { ["line": String(line)] } else { [:] }
    }
}
