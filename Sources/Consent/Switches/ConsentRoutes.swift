// The switch of every sharing, for residents and for their apps: URL table first, handlers in the same order. Both faces call
// DecideConsent.swift; pages are in ConsentPages.swift, JSON in ConsentViews.swift, refusals in ConsentProblems.swift. What concerns one organisation as
// a whole is in OrganisationRoutes.swift.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

public struct ConsentRoutes: Sendable {
    private let consents: Consents
    private let guardians: Guardians

    /// - Parameter vault: opens the names by which guardians and children know each other.
    public init(database: Database, vault: ResidentVault) {
        consents = Consents(database: database)
        guardians = Guardians(database: database, vault: vault)
    }

    /// URL table of the slice.
    public func add(to site: Site) {
        site.declare(pages: [ConsentDashboard.self, ConsentPage.self])
        site.addTasks(EndingConsents(consents: consents).tasks)
        site.addNavigation(.resident, path: "/consents", textKey: "consent.navigation")
        site.addOwnData(OwnDataPart(name: "consents", textKey: "consent.own_data", scope: "consents", isPortable: true, read: readOwn))
        site.resident.get("/consents", use: showDashboard)
        site.resident.get("/consents/{activity}", use: showPurpose)
        site.resident.post("/consents/{activity}", use: moveSwitch)
        site.residentAPI.get("/api/v1/consents", use: list)
        site.residentAPI.put("/api/v1/consents/{id}", use: put)
    }

    // MARK: Pages

    @Sendable func showDashboard(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let sharings = try await consents.all(of: context.resident.credential)
        return try context.page(ConsentDashboard(sharings, context: context), title: "consent.title")
    }

    @Sendable func showPurpose(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await purposePage(sharing(context.parameter("activity"), of: context.resident.credential), context: context)
    }

    @Sendable func moveSwitch(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let sharing = try await sharing(context.parameter("activity"), of: context.resident.credential)
        var fields = FormReader(context.form)
        switch ConsentForm.read(&fields, for: sharing.activity) {
        case .invalid: return try await purposePage(sharing, form: fields.state, status: .unprocessableContent, context: context)
        case .outdated(let version): return try await changedPage(sharing, readVersion: version, context: context)
        case .decision(let decision):
            let outcome = try await consents.decide(
                decision, on: sharing, credential: context.resident.credential, language: context.language)
            return try await answer(to: outcome, decision, of: sharing.activity.organisationID, context: context)
        }
    }

    private func answer(
        to outcome: DecisionOutcome, _ decision: ConsentDecision, of organisation: String, context: ResidentContext
    ) async throws -> Response {
        switch outcome {
        case .recorded, .unchanged:
            context.notice(decision.kind.notice)
            // Who stops is shown what was given before, and what may be kept of it.
            return context.redirect(to: decision.kind == .withdrawn ? OrganisationPage.path(of: organisation) : "/consents")
        case .policyChanged, .attributesUnknown:
            // A new version was published between our look and the decision.
            let sharing = try await sharing(decision.activity, of: context.resident.credential)
            return try await changedPage(sharing, readVersion: decision.readVersion ?? sharing.activity.policyVersion, context: context)
        case .notRenewable: throw Problem.notRenewable
        case .notConsent: throw Problem.noSwitch(law: nil)
        case .activityUnknown: throw Problem.notFound
        case .credentialInvalid: throw Redirection(to: "/sign-in?next=/consents")
        case .guardiansDecide: throw Problem.guardiansDecide
        case .inForce: throw Problem.stopFirst
        case .childUnknown, .childDecides: throw Problem.notFound
        }
    }

    private func purposePage(
        _ sharing: Sharing, change: PolicyChange? = nil, form: FormState? = nil, status: HTTPResponse.Status = .ok, context: ResidentContext
    ) async throws -> Response {
        let events = try await consents.history(of: sharing.activity.id, for: context.resident.credential)
        let named = events.contains { $0.guardian != nil } ? try await guardians.guardians(of: context.resident.credential) : []
        let page = ConsentPage(sharing, events: events, guardians: named, change: change, form: form, context: context)
        return try context.page(page, title: "consent.purpose_page_title", ["purpose": page.title], status: status)
    }

    /// The text changed while somebody was reading it: the purpose again, with what is different, and nothing recorded.
    private func changedPage(_ sharing: Sharing, readVersion: Int, context: ResidentContext) async throws -> Response {
        let read = try await consents.policy(of: sharing.activity.id, version: readVersion)
        let change = PolicyChange(from: read, to: sharing.activity, context: context)
        return try await purposePage(sharing, change: change, status: .conflict, context: context)
    }

    private func sharing(_ activity: ActivityID, of credential: CredentialHash) async throws -> Sharing {
        guard let sharing = try await consents.one(activity, of: credential) else { throw Problem.notFound }
        return sharing
    }

    // MARK: JSON

    @Sendable func list(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let sharings = try await consents.all(of: context.resident.credential)
        let language = context.shownLanguage(request)
        return .list(sharings.map { consentItem($0, language: language) })
    }

    /// Every sharing that anything ever happened to, with its events and the way to its receipt.
    @Sendable private func readOwn(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        var items: [JSONValue] = []
        for sharing in try await consents.all(of: reader.credential) where sharing.state != nil && sharing.state != .notGiven {
            let events = try await consents.history(of: sharing.activity.id, for: reader.credential)
            items.append(exportedSharing(sharing, events, language: reader.language))
        }
        return OwnDataPage(items)
    }

    @Sendable func put(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let credential = context.resident.credential
        var body = try await context.json(request)
        let wish = try ConsentBody(&body)
        let sharing = try await sharing(context.parameter("id"), of: credential)
        let decision = try wish.decision(for: sharing)
        let language = context.shownLanguage(request)
        let outcome = try await consents.decide(decision, on: sharing, credential: credential, language: language)
        if let problem = outcome.problem(decision, on: sharing.activity) { throw problem }
        return .json(consentItem(try await self.sharing(sharing.activity.id, of: credential), language: language))
    }
}

extension ResidentAPIContext {
    /// The language in which an app shows the texts, and which an event therefore records: its wish, else the account's.
    func shownLanguage(_ request: Request) -> Language {
        request.headers[.acceptLanguage].flatMap { Language.preferred(acceptLanguage: $0) } ?? resident.language ?? language
    }
}
