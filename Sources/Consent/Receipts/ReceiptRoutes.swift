// Receipts of sharings, to print and to keep, each with the proof that the log holds the decision. What they say is in ConsentReceipt.swift.
public import AccessLog
import Foundation
import Hummingbird
public import Postgres
public import TransparencyLog
public import Web

public struct ConsentReceiptRoutes: Sendable {
    private let database: Database
    private let signer: Ed25519NoteSigner
    private let heads: LogHeads

    /// - Parameters:
    ///   - signer: the city's key. What it signs here begins with a label of its own.
    ///   - heads: of the log, to which proofs lead.
    public init(database: Database, signer: Ed25519NoteSigner, heads: LogHeads) {
        self.database = database
        self.signer = signer
        self.heads = heads
    }

    /// URL table of receipts.
    public func add(to site: Site) {
        site.declare(pages: [ConsentReceiptPage.self])
        site.resident.get("/consents/{activity}/receipt", use: showReceipt)
        site.resident.get("/consents/{activity}/receipt/proof", use: showProof)
        site.residentAPI.get("/api/v1/consents/{id}/receipt", use: getReceipt)
    }

    @Sendable func showReceipt(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let receipt = try await find(context.parameter("activity"), context.resident.credential)
        let page = try ConsentReceiptPage(receipt, signature: try receipt.signature(by: signer), key: signer.verifier.vkey, context: context)
        return try context.page(page, title: "consent.receipt.title")
    }

    @Sendable func showProof(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let receipt = try await find(context.parameter("activity"), context.resident.credential)
        guard let leaf = try await database.optional(LeafOfEvent(credential: context.resident.credential, event: receipt.eventID)) else { throw Problem.notFound }
        guard let file = try await proof(leaf) else { throw Problem.notInTreeYet }
        return .logProof(file, named: receipt.eventID.uuidString.lowercased())
    }

    @Sendable func getReceipt(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let receipt = try await find(context.parameter("id"), context.resident.credential)
        let leaf = try await database.optional(LeafOfEvent(credential: context.resident.credential, event: receipt.eventID))
        return .json([
            "receipt": try receipt.document,
            "signature": [
                "algorithm": "Ed25519", "label": .string(ConsentReceipt.label), "vkey": .string(signer.verifier.vkey),
                "value": .string(Data(try receipt.signature(by: signer)).base64EncodedString()),
            ],
            "log_proof": try await proof(leaf).map { .string($0) } ?? .null,
        ])
    }

    /// Nil while the event waits for its leaf, and where its salt was erased.
    private func proof(_ leaf: LeafOfEvent.Row?) async throws -> String? {
        guard let leaf, let index = leaf.index else { return nil }
        return try await heads.proof(opening: leaf.opening, leaf: Int(index))
    }

    /// The sharing of the address; 404 also where the resident has decided nothing.
    private func find(_ activity: ActivityID, _ credential: CredentialHash) async throws -> ConsentReceipt {
        guard let receipt = try await database.optional(ReceiptOf(credential: credential, activity: activity)), receipt.isDecided else { throw Problem.notFound }
        return receipt
    }
}
