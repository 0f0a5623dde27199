// This city as a witness of others' logs (c2sp.org/tlog-witness): it signs their heads, each only when it follows from the last one, and shows the
// newest that it signed. No token: a request counts by the log's signature in it.
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
public import Postgres
public import TransparencyLog
public import Web

/// URL table of the slice. The submission prefix and the monitoring prefix are both `<base URL>/witness`.
public struct WitnessRoutes: Sendable {
    private let database: Database
    private let logs: WitnessedLogs
    private let signer: CosignatureSigner?

    /// - Parameters:
    ///   - logs: whose heads are signed.
    ///   - signer: nil where this city is no witness: then it knows no log.
    public init(database: Database, logs: WitnessedLogs, signer: CosignatureSigner?) {
        self.database = database
        self.logs = logs
        self.signer = signer
    }

    public func add(to site: Site) {
        site.publicAPI.post("/witness/add-checkpoint", use: addCheckpoint)
        site.publicAPI.get("/witness/{hash}/checkpoint", use: checkpoint)
    }

    @Sendable func addCheckpoint(_ request: Request, _ context: WebContext) async throws -> Response {
        let body = try await context.bytes(request, bytesMax: AddCheckpointRequest.bytesMax)
        guard let signer else { throw CosignRefusal.unknownLog.problem }
        do {
            let signature = try await CosignHead(request: body, logs: logs, signer: signer).perform(in: database)
            return Self.text(.ok, "text/plain; charset=utf-8", signature.line)
        } catch CosignRefusal.anotherSize(let size) {
            return Self.text(.conflict, TreeSizeAnswer.contentType, TreeSizeAnswer.write(size))
        } catch let refusal as CosignRefusal {
            throw refusal.problem
        }
    }

    /// The newest head of a log that this witness signed.
    @Sendable func checkpoint(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let signer, let origin = logs.origin(hash: try context.parameter("hash")),
            let note = try await database.one(LatestHead(witness: signer.verifier, origin: origin)).note
        else { throw Problem.notFound }
        return Self.text(.ok, "text/plain; charset=utf-8", note)
    }

    private static func text(_ status: HTTPResponse.Status, _ contentType: String, _ body: String) -> Response {
        Response(status: status, headers: [.contentType: contentType, .cacheControl: "no-cache"], body: .init(byteBuffer: ByteBuffer(string: body)))
    }
}
