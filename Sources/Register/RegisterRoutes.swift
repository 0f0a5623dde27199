// "My details": what the city holds about the resident, from which source, and the way to say that it is wrong.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
import Primitives
public import Web

/// URL table of the slice.
public struct RegisterRoutes: Sendable {
    private let door: Door
    private let vault: ResidentVault
    private let corrections: Corrections

    public init(door: Door, vault: ResidentVault, corrections: Corrections) {
        self.door = door
        self.vault = vault
        self.corrections = corrections
    }

    public func add(to site: Site) {
        site.declare(pages: [DetailsPage.self, CorrectionPage.self])
        site.addNavigation(.resident, path: "/details", textKey: "register.navigation")
        site.addOwnData(OwnDataPart(name: "details", textKey: "register.own_data.details", scope: "profile", isPortable: true, read: readDetails))
        site.addOwnData(OwnDataPart(name: "corrections", textKey: "register.own_data.corrections", scope: "profile", read: readCorrections))
        site.resident.get("/details", use: show)
        site.resident.get("/details/corrections/{attribute}", use: showCorrection)
        site.resident.post("/details/corrections/{attribute}", use: requestCorrection)
    }

    /// Requests for correction under the details: more than anybody makes in a year.
    static let correctionsOnPage = 50

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let record = try await ownRecord(of: context.resident.credential)
        let requests = try await corrections.own(Self.correctionsOnPage, before: nil, of: context.resident.credential)
        return try context.page(DetailsPage(try vault.open(record), requests, context), title: "register.title")
    }

    @Sendable func showCorrection(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let attribute = try knownAttribute(context)
        return try context.page(CorrectionPage(attribute, context.formView(), context), title: "register.correction.title")
    }

    @Sendable func requestCorrection(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let attribute = try knownAttribute(context)
        var fields = FormReader(context.form)
        let statement = fields.longText("statement", charactersMax: Corrections.wordsCharactersMax)
        let id = fields.optionalText("request", charactersMax: 36).flatMap { CorrectionRequestID($0) } ?? .new()
        guard fields.isValid else {
            return try context.page(
                CorrectionPage(attribute, context.formView(fields.state), context), title: "register.correction.title", status: .unprocessableContent)
        }
        try await corrections.request(
            statement, about: attribute, id: id, of: try await ownRecord(of: context.resident.credential), session: context.resident.credential)
        context.notice("register.correction.received")
        return context.redirect(to: "/details")
    }

    /// The resident's own record, logged as an own view once a session.
    private func ownRecord(of credential: CredentialHash) async throws -> ReleasedRecord {
        try await door.ownView("profile", of: credential, attributes: Attribute.all.map(\.rawValue))
    }

    /// What the register holds, as "my details" shows it.
    @Sendable private func readDetails(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        OwnDataPage(try vault.open(try await ownRecord(of: reader.credential)).attributes.map(\.exported))
    }

    @Sendable private func readCorrections(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        // The requests are told after the view is logged, as on the page.
        _ = try await ownRecord(of: reader.credential)
        let count = OwnDataPart.itemsPerRead
        let requests = try await corrections.own(count + 1, before: cursor.flatMap(MomentCursor.init), of: reader.credential)
        return OwnDataPage(requests, count: count, cursor: { MomentCursor(at: $0.request.requestedAt, id: $0.request.id.uuid) }, item: \.exported)
    }

    private func knownAttribute(_ context: ResidentContext) throws -> Attribute {
        let attribute = Attribute(rawValue: try context.parameter("attribute"))
        guard Attribute.all.contains(attribute) else { throw Problem.notFound }
        return attribute
    }
}
