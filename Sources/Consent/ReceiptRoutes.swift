// Receipts of sharings, to print and to keep. What they say is in ConsentReceipt.swift.
import Foundation
import Hummingbird
public import Postgres
public import TransparencyLog
public import Web

public struct ConsentReceiptRoutes: Sendable {
    private let database: Database
    private let signer: Ed25519NoteSigner

    /// - Parameter signer: the city's key. What it signs here begins with a label of its own.
    public init(database: Database, signer: Ed25519NoteSigner) {
        self.database = database
        self.signer = signer
    }

    /// URL table of receipts.
    public func add(to site: Site) {
        site.declare(pages: [ConsentReceiptPage.self])
        site.resident.get("/consents/{activity}/receipt", use: showReceipt)
        site.residentAPI.get("/api/v1/consents/{id}/receipt", use: getReceipt)
    }

    @Sendable func showReceipt(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let receipt = try await find(context.parameter("activity"), context.resident.credential)
        let page = try ConsentReceiptPage(receipt, signature: try receipt.signature(by: signer), key: signer.verifier.vkey, context: context)
        return try context.page(page, title: "consent.receipt.title")
    }

    @Sendable func getReceipt(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let receipt = try await find(context.parameter("id"), context.resident.credential)
        return .json([
            "receipt": try receipt.document,
            "signature": [
                "algorithm": "Ed25519", "label": .string(ConsentReceipt.label), "vkey": .string(signer.verifier.vkey),
                "value": .string(Data(try receipt.signature(by: signer)).base64EncodedString()),
            ],
        ])
    }

    /// The sharing of the address; 404 also where the resident has decided nothing.
    private func find(_ activity: ActivityID, _ credential: CredentialHash) async throws -> ConsentReceipt {
        guard let receipt = try await database.optional(ReceiptOf(credential: credential, activity: activity)), receipt.isDecided else { throw Problem.notFound }
        return receipt
    }
}
