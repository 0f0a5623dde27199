// One organisation as a whole: what it may read now, what it was given already, what it may keep, and stopping all of it at once. What was
// given comes out of the log (AccessLog.GivenData), so looking at this page is looking at the log, and is logged as that.
public import AccessLog
import Hummingbird
public import Postgres
public import Web

public struct ConsentOrganisationRoutes: Sendable {
    private let consents: Consents
    private let entries: AccessEntries

    public init(database: Database, entries: AccessEntries) {
        consents = Consents(database: database)
        self.entries = entries
    }

    /// URL table of one organisation.
    public func add(to site: Site) {
        site.declare(pages: [OrganisationPage.self])
        site.resident.get("/consents/organisations/{organisation}", use: show)
        site.resident.post("/consents/organisations/{organisation}", use: stopAll)
        site.residentAPI.get("/api/v1/consents/organisations/{organisation}", use: get)
        site.residentAPI.put("/api/v1/consents/organisations/{organisation}", use: put)
    }

    // MARK: Pages

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let sharings = try await sharings(from: context.parameter("organisation"), of: context.resident.credential)
        let given = try await entries.given(to: sharings[0].activity.organisationID, of: context.resident.credential)
        let page = OrganisationPage(sharings, given, context: context)
        return try context.page(page, title: "consent.organisation.title", ["name": page.name])
    }

    @Sendable func stopAll(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let credential = context.resident.credential
        let organisation = try context.parameter("organisation", as: String.self)
        _ = try await sharings(from: organisation, of: credential)
        guard try await consents.withdrawAll(from: organisation, credential: credential, language: context.language) != nil else {
            throw Redirection(to: "/sign-in?next=/consents")
        }
        context.notice("consent.notice.stopped_all")
        return context.redirect(to: OrganisationPage.path(of: organisation))
    }

    /// At least one; 404 for an organisation that there is not, or that asks for nothing.
    private func sharings(from organisation: String, of credential: CredentialHash) async throws -> [Sharing] {
        let sharings = try await consents.all(from: organisation, of: credential)
        guard !sharings.isEmpty else { throw Problem.notFound }
        return sharings
    }

    // MARK: JSON

    /// Two scopes, because it tells of the log too.
    @Sendable func get(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        try context.require(scope: "access_log")
        let sharings = try await sharings(from: context.parameter("organisation"), of: context.resident.credential)
        let organisation = sharings[0].activity
        let given = try await entries.given(to: organisation.organisationID, of: context.resident.credential)
        let language = context.shownLanguage(request)
        return .json([
            "organisation": .string(organisation.organisationID), "organisation_name": .string(organisation.organisationName.text(language)),
            "consents": .array(sharings.map { consentItem($0, language: language) }), "given": .array(givenItems(given, sharings)),
            "given_counted_since": given.countedSince.map { .string(RFC3339.text($0)) } ?? nil,
        ])
    }

    @Sendable func put(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let credential = context.resident.credential
        var body = try await context.json(request)
        try requireWithdrawal(&body)
        let organisation = try context.parameter("organisation", as: String.self)
        _ = try await sharings(from: organisation, of: credential)
        let language = context.shownLanguage(request)
        guard try await consents.withdrawAll(from: organisation, credential: credential, language: language) != nil else { throw Problem.tokenEnded }
        let sharings = try await sharings(from: organisation, of: credential)
        return .list(sharings.map { consentItem($0, language: language) })
    }
}
