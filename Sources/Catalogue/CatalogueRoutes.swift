// The catalogue: anybody looks up which data there are, who answers for them and who uses them; stewards describe them. URL table first,
// handlers in the same order; statements in CatalogueSQL.swift, pages in CataloguePages.swift, the document for programs in CatalogueDocument.swift.
// Decided in `catalogue.describe` (0025_catalogue.sql).
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
public import Postgres
import Primitives
public import Web

public struct CatalogueRoutes: Sendable {
    private let database: Database
    private let baseURL: BaseURL
    private let city: String

    /// - Parameters:
    ///   - baseURL: what the document's addresses begin with.
    ///   - city: who publishes it.
    public init(database: Database, baseURL: BaseURL, city: String) {
        self.database = database
        self.baseURL = baseURL
        self.city = city
    }

    /// URL table of the slice.
    public func add(to site: Site) {
        site.declare(pages: [CataloguePage.self, CatalogueItemPage.self, StatisticsPage.self, StewardListPage.self, StewardPage.self])
        site.everyone.get("/catalogue", use: search)
        site.everyone.get("/catalogue/statistics", use: statistics)
        site.everyone.get("/catalogue/{kind}/{subject}", use: show)
        site.publicAPI.get("/catalogue.jsonld", use: document)
        let stewards = site.staff([.organisationAdministrator])
        site.addNavigation(.staff, path: "/staff/catalogue", textKey: "catalogue.navigation", roles: [.organisationAdministrator])
        stewards.get("/staff/catalogue", use: list)
        stewards.get("/staff/catalogue/{kind}/{subject}", use: edit)
        stewards.post("/staff/catalogue/{kind}/{subject}", use: describe)
    }

    // MARK: Everybody

    /// Longer than any name; a search is no place for more.
    private static let wordsCharactersMax = 100

    @Sendable func search(_ request: Request, _ context: WebContext) async throws -> Response {
        let words = String((try context.query(request).value("q") ?? "").prefix(Self.wordsCharactersMax))
        return try context.page(CataloguePage(try await database.query(CatalogueItems()), words: words, context), title: "catalogue.title")
    }

    @Sendable func statistics(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(StatisticsPage(try await database.query(MonthlySharings()), context), title: "catalogue.statistics.title")
    }

    @Sendable func show(_ request: Request, _ context: WebContext) async throws -> Response {
        let items = try await database.query(CatalogueItems())
        let item = try find(items, context)
        return try context.page(CatalogueItemPage(item, among: items, context), title: "catalogue.item_title", ["name": item.name(context)])
    }

    @Sendable func document(_ request: Request, _ context: WebContext) async throws -> Response {
        let items = try await database.query(CatalogueItems()).filter { $0.classification == .open }
        return Response(
            status: .ok, headers: [.contentType: "application/ld+json", .cacheControl: "no-cache"],
            body: .init(byteBuffer: .init(bytes: catalogueDocument(items, baseURL: baseURL, city: city) { context.text("attributes.\($0)") }.serialised())))
    }

    // MARK: Stewards

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(StewardListPage(try await database.query(CatalogueItems()), context), title: "catalogue.steward.title")
    }

    @Sendable func edit(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await form(context, nil)
    }

    @Sendable func describe(_ request: Request, _ context: StaffContext) async throws -> Response {
        let item = try find(try await database.query(CatalogueItems()), context)
        var fields = FormReader(context.form)
        guard let new = try await read(&fields, for: item) else { return try await form(context, fields.state, status: .unprocessableContent) }
        switch try await database.exclusive({ try await $0.one(Describe(credential: context.staff.credential, new: new)) }) {
        case .recorded, .unchanged:
            context.notice("catalogue.steward.saved")
            return context.redirect(to: item.stewardPath)
        case .stale:
            fields.reject("steward", "catalogue.steward.stale")
            return try await form(context, fields.state, status: .conflict)
        case .ownerUnknown, .subjectUnknown: throw Problem.notFound
        case .notAllowed: throw Problem.forbidden
        }
    }

    /// Nil: the reader holds the errors.
    private func read(_ fields: inout FormReader, for item: CatalogueItem) async throws -> NewDescription? {
        let owner = fields.choice("owner", from: try await database.query(Owners()).map(\.id))
        let steward = fields.text("steward", charactersMax: 100)
        let classification = fields.choice("classification", of: Classification.self)
        let schema = fields.text("schema", charactersMax: 200)
        let retention = fields.text("retention", charactersMax: 300)
        let version = fields.integer("version", in: 0...Int(Int32.max) - 1)
        guard fields.isValid, let classification, let version else { return nil }
        return NewDescription(
            kind: item.kind, subject: item.subject, readVersion: version, ownerID: owner, steward: steward, classification: classification, schema: schema,
            retention: retention)
    }

    private func form(_ context: StaffContext, _ state: FormState?, status: HTTPResponse.Status = .ok) async throws -> Response {
        let item = try find(try await database.query(CatalogueItems()), context)
        let history = try await database.query(
            DescriptionHistory(credential: context.staff.credential, kind: item.kind, subject: item.subject))
        let page = StewardPage(item, history, owners: try await database.query(Owners()), context.formView(state ?? item.formState), context)
        return try context.page(page, title: "catalogue.item_title", ["name": item.name(context)], status: status)
    }

    /// What the address names.
    private func find(_ items: [CatalogueItem], _ context: some PageContext) throws -> CatalogueItem {
        let kind: CatalogueKind = try context.parameter("kind")
        let subject: String = try context.parameter("subject")
        guard let item = items.first(where: { $0.kind == kind && $0.subject == subject }) else { throw Problem.notFound }
        return item
    }
}
