// "My details": what the city holds about the resident, from which source, and the way to say that it is wrong.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
import Messages
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct RegisterRoutes: Sendable {
    private let database: Database
    private let door: Door
    private let vault: ResidentVault

    public init(database: Database, door: Door, vault: ResidentVault) {
        self.database = database
        self.door = door
        self.vault = vault
    }

    public func add(to site: Site) {
        site.declare(pages: [DetailsPage.self, CorrectionPage.self])
        site.addNavigation(.resident, path: "/details", textKey: "register.navigation")
        site.resident.get("/details", use: show)
        site.resident.get("/details/corrections/{attribute}", use: showCorrection)
        site.resident.post("/details/corrections/{attribute}", use: requestCorrection)
    }

    /// Longest statement, in characters: a letter of half a page. Its UTF-8 bytes stay below what the column takes.
    static let statementCharactersMax = 1000

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let record = try await ownRecord(context)
        return try context.page(DetailsPage(try vault.open(record), context), title: "register.title")
    }

    @Sendable func showCorrection(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let attribute = try knownAttribute(context)
        return try context.page(CorrectionPage(attribute, context.formView(), context), title: "register.correction.title")
    }

    @Sendable func requestCorrection(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let attribute = try knownAttribute(context)
        var fields = FormReader(context.form)
        let statement = fields.longText("statement", charactersMax: Self.statementCharactersMax)
        let id = fields.optionalText("request", charactersMax: 36).flatMap { CorrectionRequestID($0) } ?? .new()
        guard fields.isValid else {
            return try context.page(
                CorrectionPage(attribute, context.formView(fields.state), context), title: "register.correction.title", status: .unprocessableContent)
        }
        let record = try await ownRecord(context)
        let correction = try sealed(statement, attribute, record, id, context)
        let database = self.database
        try await database.transaction { transaction in
            // A form that is sent twice carries the same id: the second time there is nothing to do.
            guard try await transaction.one(correction) else { return }
            try await Messages.send(
                .correctionReceived, to: record.residentID, ["reference": correction.reference.description], on: transaction)
        }
        context.notice("register.correction.received")
        return context.redirect(to: "/details")
    }

    private func sealed(
        _ statement: String, _ attribute: Attribute, _ record: ReleasedRecord, _ id: CorrectionRequestID, _ context: ResidentContext
    ) throws -> RequestCorrection {
        guard let sealing = record.key else { throw VaultError.unknownKey(keyID: "none") }
        let key = try vault.unwrap(sealing)
        return RequestCorrection(
            credential: context.resident.credential, id: id, reference: .random(), attribute: attribute,
            sealedStatement: try vault.seal(statement, as: attribute, of: record.residentID, under: key))
    }

    /// The resident's own record, logged as an own view once a session.
    private func ownRecord(_ context: ResidentContext) async throws -> ReleasedRecord {
        do {
            return try await door.read(
                AccessRequest(
                    credential: context.resident.credential, operation: .ownView, subject: .own, attributes: Attribute.all.map(\.rawValue),
                    purpose: "profile", caseReference: ""))
        } catch let refused as RefusedAccess {
            throw refused.problem(scope: "profile")
        }
    }

    private func knownAttribute(_ context: ResidentContext) throws -> Attribute {
        let attribute = Attribute(rawValue: try context.parameter("attribute"))
        guard Attribute.all.contains(attribute) else { throw Problem.notFound }
        return attribute
    }
}
