// "Take your data with you": everything that the city holds about a resident in one file (GDPR Art. 15), and the part of it that another city or service can go on with,
// signed (Art. 20). The slices give out their parts themselves (Web/OwnData.swift); this one logs that they are taken, and writes the files.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
public import TransparencyLog
public import Web

/// URL table of the slice.
public struct DataExportRoutes: Sendable {
    private let export: DataExport
    private let signer: Ed25519NoteSigner

    /// - Parameter signer: the city's key. What it signs here begins with a label of its own.
    public init(database: Database, door: Door, signer: Ed25519NoteSigner) {
        export = DataExport(database: database, door: door)
        self.signer = signer
    }

    public func add(to site: Site) {
        site.declare(pages: [DataExportPage.self])
        site.resident.get("/your-data", use: show)
        site.resident.get("/your-data.json", use: takeJSON)
        site.resident.get("/your-data.csv", use: takeCSV)
        site.resident.get("/your-data/portable.json", use: takePortable)
        site.residentAPI.get("/api/v1/your-data", use: getAll)
        site.residentAPI.get("/api/v1/your-data/portable", use: getPortable)
    }

    // MARK: Pages

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try context.page(DataExportPage(context), title: "your_data.title")
    }

    @Sendable func takeJSON(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await file(.json, for: OwnDataReader(credential: context.resident.credential, context: context.web))
    }

    @Sendable func takeCSV(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await file(.csv, for: OwnDataReader(credential: context.resident.credential, context: context.web))
    }

    @Sendable func takePortable(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await portable(for: OwnDataReader(credential: context.resident.credential, context: context.web))
    }

    // MARK: JSON

    @Sendable func getAll(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: DataExport.scope)
        // Everything or nothing: a part must not pass for the whole.
        for part in context.ownData { try context.require(scope: part.scope) }
        return try await file(.json, for: OwnDataReader(credential: context.resident.credential, context: context.web))
    }

    @Sendable func getPortable(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: DataExport.scope)
        for part in context.ownData where part.isPortable { try context.require(scope: part.scope) }
        return try await portable(for: OwnDataReader(credential: context.resident.credential, context: context.web))
    }

    // MARK: Files

    /// Written part by part and page by page, so that a long one needs no memory. What cannot be read any more breaks the answer off.
    private func file(_ format: ExportFile.Format, for reader: OwnDataReader) async throws -> Response {
        let file = ExportFile(format: format, taking: try await export.begin(reader), language: reader.language)
        let parts = reader.context.ownData
        let body = ResponseBody { writer in
            try await writer.write(ByteBuffer(bytes: file.beginning))
            for (position, part) in parts.enumerated() {
                try await writer.write(ByteBuffer(bytes: file.beginning(of: part, isFirst: position == 0)))
                var count = 0
                for try await items in DataExport.pages(of: part, for: reader) {
                    try await writer.write(ByteBuffer(bytes: file.lines(items, of: part, from: count)))
                    count += items.count
                }
                try await writer.write(ByteBuffer(bytes: file.endOfPart))
            }
            try await writer.write(ByteBuffer(bytes: file.end))
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: file.headers, body: body)
    }

    private func portable(for reader: OwnDataReader) async throws -> Response {
        let taking = try await export.begin(reader)
        let document = PortableData(taking: taking, parts: try await export.portableParts(for: reader), language: reader.language, city: signer.verifier.name)
        let answer = try document.signed(by: signer)
        return Response(
            status: .ok, headers: [.contentType: "application/json", .contentDisposition: "attachment; filename=\"your-data-to-take-elsewhere.json\""],
            body: .init(byteBuffer: ByteBuffer(bytes: answer.serialised())))
    }
}
