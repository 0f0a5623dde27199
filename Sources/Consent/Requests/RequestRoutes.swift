// Requests for consent: organisations ask, residents answer on one screen or in an app. URL table first, handlers in the same order.
// What is asked and answered is in AnswerRequest.swift, pages in RequestPages.swift, JSON in RequestViews.swift.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

public struct ConsentRequestRoutes: Sendable {
    private let received: ReceivedRequests
    private let made: MadeRequests

    public init(database: Database) {
        received = ReceivedRequests(database: database)
        made = MadeRequests(database: database)
    }

    /// URL table of requests.
    public func add(to site: Site) {
        site.declare(pages: [RequestListPage.self, RequestPage.self, RequestPartPage.self])
        site.addTasks(WaitingRequests(received: received).tasks)
        site.resident.get("/consent-requests", use: showList)
        site.resident.post("/consent-requests", use: refuseAll)
        site.resident.get("/consent-requests/{id}", use: showRequest)
        site.resident.post("/consent-requests/{id}", use: answer)
        site.resident.get("/consent-requests/{id}/part", use: showPart)
        site.residentAPI.get("/api/v1/consent-requests", use: list)
        site.residentAPI.put("/api/v1/consent-requests/{id}", use: put)
        site.bearerAPI.post("/api/v1/exchange/consent-requests", use: ask)
        site.bearerAPI.get("/api/v1/exchange/consent-requests/{id}", use: asked)
        site.bearerAPI.delete("/api/v1/exchange/consent-requests/{id}", use: retract)
    }

    // MARK: Pages

    @Sendable func showList(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let open = try await received.open(of: context.resident.credential)
        return try context.page(RequestListPage(open, context: context), title: "consent.request.title")
    }

    @Sendable func refuseAll(_ request: Request, _ context: ResidentContext) async throws -> Response {
        guard try await received.refuseAll(credential: context.resident.credential, language: context.language) != nil else {
            throw Redirection(to: "/sign-in?next=/consent-requests")
        }
        context.notice("consent.request.notice.refused_all")
        return context.redirect(to: "/consent-requests")
    }

    @Sendable func showRequest(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try page(of: try await find(context, context.resident.credential), context: context)
    }

    @Sendable func answer(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let asked = try await find(context, context.resident.credential)
        var fields = FormReader(context.form)
        guard let answer = read(&fields, for: asked) else {
            let page = RequestPartPage(asked, form: fields.state, context: context)
            return try context.page(page, title: "consent.request.part_title", ["name": page.organisation], status: .unprocessableContent)
        }
        switch try await received.answer(answer, credential: context.resident.credential, language: context.language) {
        case .recorded, .unchanged:
            context.notice(answer.decision.notice)
            return context.redirect(to: "/consent-requests")
        case .policyChanged, .attributesUnknown:
            return try page(of: try await find(context, context.resident.credential), isChanged: true, status: .conflict, context: context)
        case .noRequest:
            // Another tab, the organisation or the clock was faster: the page says what became of it.
            return try page(of: try await find(context, context.resident.credential), status: .conflict, context: context)
        case .notConsent: throw Problem.noSwitch(law: nil)
        case .requestUnknown: throw Problem.notFound
        case .credentialInvalid: throw Redirection(to: "/sign-in?next=/consent-requests")
        case .guardiansDecide: throw Problem.guardiansDecide
        case .inForce: throw Problem.stopFirst
        }
    }

    @Sendable func showPart(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let asked = try await find(context, context.resident.credential)
        guard asked.state.isOpenRequest else { return context.redirect(to: asked.path) }
        let page = RequestPartPage(asked, form: nil, context: context)
        return try context.page(page, title: "consent.request.part_title", ["name": page.organisation])
    }

    /// `decision`; for agreeing also `policy_version`, and `part` with `attribute` for agreeing by ticking. Nil: the reader holds the errors.
    private func read(_ fields: inout FormReader, for asked: ConsentRequest) -> RequestAnswer? {
        guard let decision = fields.choice("decision", of: RequestAnswer.Decision.self) else { return nil }
        guard decision == .given else { return RequestAnswer(request: asked.id, decision: decision) }
        let version = fields.integer("policy_version", in: 1...Int(Int32.max))
        var attributes: [String]?
        if fields.flag("part") {
            let ticked = fields.list("attribute", from: asked.asked)
            if ticked.isEmpty, fields.isValid { fields.reject("attribute", "consent.error.nothing_ticked") }
            attributes = ticked
        }
        guard fields.isValid, let version else { return nil }
        return RequestAnswer(request: asked.id, decision: .given, attributes: attributes, readVersion: version)
    }

    private func page(
        of request: ConsentRequest, isChanged: Bool = false, status: HTTPResponse.Status = .ok, context: ResidentContext
    ) throws -> Response {
        let page = RequestPage(request, isChanged: isChanged, context: context)
        return try context.page(page, title: "consent.request.page_title", ["name": page.organisation], status: status)
    }

    /// The request of the address; 404 for a malformed id, an unknown one and somebody else's alike.
    private func find(_ context: some PageContext, _ credential: CredentialHash) async throws -> ConsentRequest {
        guard let request = try await received.one(try context.parameter("id"), of: credential) else { throw Problem.notFound }
        return request
    }

    // MARK: JSON of residents' apps

    @Sendable func list(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let language = context.shownLanguage(request)
        let open = try await received.open(of: context.resident.credential)
        return .list(open.map { requestItem($0, language: language) })
    }

    @Sendable func put(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "consents")
        let credential = context.resident.credential
        let language = context.shownLanguage(request)
        var body = try await context.json(request)
        let answer = try AnswerBody(&body, to: context.parameter("id")).answer
        let outcome = try await received.answer(answer, credential: credential, language: language)
        let asked = try await find(context, credential)
        if let problem = outcome.problem(answer, to: asked) { throw problem }
        return .json(requestItem(asked, language: language))
    }

    // MARK: JSON of organisations

    @Sendable func ask(_ request: Request, _ context: BearerContext) async throws -> Response {
        let key = try request.idempotencyKey()
        let (value, bytes) = try await context.jsonValue(request, bytesMax: AskBody.bytesMax)
        let body = try AskBody(JSONReader(value))
        let made = try await made.ask(
            body, key: IdempotencyKey(key, path: "/api/v1/exchange/consent-requests", body: bytes), credential: context.credential)
        return .json(askedItem(made), status: .created)
    }

    @Sendable func asked(_ request: Request, _ context: BearerContext) async throws -> Response {
        .json(askedItem(try await made.one(try context.parameter("id"), credential: context.credential)))
    }

    @Sendable func retract(_ request: Request, _ context: BearerContext) async throws -> Response {
        let id: ConsentRequestID = try context.parameter("id")
        try await made.retract(id, credential: context.credential)
        return .json(askedItem(try await made.one(id, credential: context.credential)))
    }
}

extension RequestAnswer.Decision {
    /// The key of what the next page says.
    fileprivate var notice: String {
        switch self {
        case .given: "consent.notice.shared"
        case .refused: "consent.request.notice.refused"
        case .deferred: "consent.request.notice.deferred"
        }
    }
}
