// A child's sharing in the hands of its guardians, as pages and as JSON. The guardian stays who they are: their own session or token, in the capacity of a guardian.
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

public struct GuardianRoutes: Sendable {
    private let guardians: Guardians

    public init(database: Database, vault: ResidentVault) {
        guardians = Guardians(database: database, vault: vault)
    }

    /// URL table of children and guardians.
    public func add(to site: Site) {
        site.declare(pages: [ChildrenPage.self, ChildPage.self])
        site.addTasks(tasks)
        site.resident.get("/children", use: showChildren)
        site.resident.get("/children/{child}", use: showChild)
        site.resident.post("/children/{child}/consents/{activity}", use: decide)
        site.residentAPI.get("/api/v1/children", use: listChildren)
        site.residentAPI.get("/api/v1/children/{id}/consents", use: listConsents)
        site.residentAPI.put("/api/v1/children/{id}/consents/{activity}", use: putConsent)
    }

    /// A child that came into somebody's care is to be looked at once.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        try await guardians.unseen(of: resident.credential).map { child in
            HomeTask(
                title: context.text("consent.child.task", ["name": child.name.isolated]), detail: context.text("consent.child.task_detail"),
                path: ChildPage.path(of: child))
        }
    }

    // MARK: Pages

    @Sendable func showChildren(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let children = try await guardians.children(of: context.resident.credential)
        let own = try await guardians.guardians(of: context.resident.credential)
        return try context.page(ChildrenPage(children, own, context: context), title: "consent.child.list_title")
    }

    @Sendable func showChild(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let (child, others) = try await child(context.parameter("child"), of: context.resident.credential)
        let sharings = try await guardians.sharings(of: child.id, for: context.resident.credential)
        return try context.page(ChildPage(child, others: others, sharings, context: context), title: "consent.child.title", ["name": child.name.isolated])
    }

    @Sendable func decide(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let (child, _) = try await child(context.parameter("child"), of: context.resident.credential)
        var fields = FormReader(context.form)
        guard let kind = fields.choice("state", of: ChildDecision.self) else { throw Problem.notFound }
        let version = fields.integer("policy_version", in: 1...Int(Int32.max))
        let named = context.form.values("attribute")
        let decision = ConsentDecision(
            activity: try context.parameter("activity"), kind: kind.decision, attributes: kind == .given && !named.isEmpty ? named : nil,
            readVersion: kind == .given ? version : nil)
        let outcome = try await guardians.decide(decision, for: child.id, credential: context.resident.credential, language: context.language)
        switch outcome {
        case .recorded, .unchanged: context.notice(kind == .given ? "consent.child.notice.agreed" : "consent.child.notice.stopped")
        case .policyChanged: context.notice("consent.child.notice.changed")
        default: throw outcome.childProblem
        }
        return context.redirect(to: ChildPage.path(of: child))
    }

    /// A child by its public code, and the guardian's other children.
    private func child(_ code: String, of credential: CredentialHash) async throws -> (child: Child, all: [Child]) {
        let children = try await guardians.children(of: credential)
        guard let child = children.first(where: { $0.publicCode == code }) else { throw Problem.notFound }
        return (child, children)
    }

    // MARK: JSON

    @Sendable func listChildren(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let children = try await guardians.children(of: context.resident.credential)
        return .list(
            children.map { child in
                [
                    "id": .string(child.publicCode), "name": .string(child.name), "must_agree": .bool(child.mustAgree), "is_asked": .bool(child.isAsked),
                    "decides_alone": .bool(child.decidesAlone),
                ]
            })
    }

    @Sendable func listConsents(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let (child, _) = try await child(context.parameter("id"), of: context.resident.credential)
        return try await answer(child, request, context)
    }

    @Sendable func putConsent(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let (child, _) = try await child(context.parameter("id"), of: context.resident.credential)
        var body = try await context.json(request)
        let kind = body.choice("state", of: ChildDecision.self)
        let attributes = body.optionalStrings("attributes", countMax: attributesMax, charactersMax: attributeCharactersMax)
        let version = body.optionalInteger("policy_version", in: 1...Int64(Int32.max)).map(Int.init)
        try body.finish()
        let decision = ConsentDecision(
            activity: try context.parameter("activity"), kind: (kind ?? .withdrawn).decision, attributes: kind == .given ? attributes : nil, readVersion: version)
        let outcome = try await guardians.decide(
            decision, for: child.id, credential: context.resident.credential, language: context.shownLanguage(request))
        guard outcome == .recorded || outcome == .unchanged else { throw outcome.childProblem }
        return try await answer(child, request, context)
    }

    /// How every sharing of the child stands.
    private func answer(_ child: Child, _ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        let sharings = try await guardians.sharings(of: child.id, for: context.resident.credential)
        let language = context.shownLanguage(request)
        return .list(
            sharings.map { item in
                guard case .object(let members) = consentItem(item.sharing, language: language) else { return nil }
                return .object(members + [JSONMember("has_agreed", .bool(item.hasAgreed))])
            })
    }
}

/// What a guardian can say.
enum ChildDecision: String, Sendable, CaseIterable {
    case given
    case withdrawn

    var decision: ConsentDecision.Kind { self == .given ? .given : .withdrawn }
}

extension DecisionOutcome {
    /// Why a guardian's word does not count.
    fileprivate var childProblem: Problem {
        switch self {
        case .guardiansDecide: .guardiansDecide
        case .childDecides: .childDecides
        case .inForce: .stopFirst
        case .policyChanged: .policyChanged(current: nil)
        case .attributesUnknown: .attributesNotOffered([], offered: [])
        case .notConsent: .noSwitch(law: nil)
        case .credentialInvalid: .tokenEnded
        case .childUnknown, .activityUnknown, .recorded, .unchanged, .notRenewable: .notFound
        }
    }
}
