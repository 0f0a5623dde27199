// The authorization server: how organisations' systems and residents' apps get access tokens. The URL table first, then
// the handlers in its order.
import HTTPTypes
public import AccessLog
import Hummingbird
public import Postgres
public import Register
public import Web

/// URL table of the slice.
public struct OpenIDRoutes: Sendable {
    let database: Database
    let server: ServerMetadata
    let ownProfile: OwnProfile
    let budget: RequestBudget

    /// - Parameters:
    ///   - door: the way to the resident's own attributes for `GET /api/v1/me`.
    ///   - baseURL: the issuer, and where the endpoints are.
    public init(database: Database, door: Door, vault: ResidentVault, baseURL: BaseURL) {
        self.database = database
        server = ServerMetadata(issuer: baseURL.origin)
        ownProfile = OwnProfile(door: door, vault: vault)
        budget = RequestBudget(requestsMax: Self.authorizationRequestsBurst, requestsPerSecond: Self.authorizationRequestsPerSecond)
    }

    /// Authorization requests that one client may begin at once, and each second after. They are stored before anybody
    /// has signed in, so something must bound them; a city of a million whose every resident opens the app in one
    /// morning hour makes 280 a second over all nodes.
    static let authorizationRequestsBurst = 2_000
    static let authorizationRequestsPerSecond = 200

    public func add(to site: Site) {
        site.declare(pages: [ApprovalPage.self, RefusalPage.self])
        site.publicAPI.get(ServerMetadata.path, use: metadata)
        site.publicAPI.post(ServerMetadata.tokenPath, use: token)
        site.publicAPI.post(ServerMetadata.revocationPath, use: revoke)
        site.everyone.get(ServerMetadata.authorizationPath, use: authorize)
        site.resident.get("/oauth/requests/{id}", use: showRequest)
        // Not in the group of signed-in residents: a session that ended while the page was open leads back to the request.
        site.everyone.post("/oauth/requests/{id}/allow", use: allow)
        site.everyone.post("/oauth/requests/{id}/refuse", use: refuse)
        site.residentAPI.get("/api/v1/me", use: me)
    }

    @Sendable func metadata(_ request: Request, _ context: WebContext) async throws -> Response {
        Response.json(server.document, headers: [.cacheControl: ServerMetadata.cacheControl])
    }

    @Sendable func token(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let named = try parameters.required("grant_type")
            let client = try await client(of: parameters, at: ServerMetadata.tokenPath, request, context)
            let issue = IssueToken(database: database, logger: context.logger)
            let issued =
                switch IssueToken.Grant(rawValue: named) {
                case .clientCredentials: try await issue.forClient(client, scope: parameters["scope"])
                case .authorizationCode: try await issue.forCode(client, parameters)
                case nil: throw OAuthError(.unsupportedGrantType, "The grant_type is client_credentials or authorization_code.")
                }
            return tokenResponse(issued.token, lifetimeSeconds: issued.lifetimeSeconds, scope: issued.scope)
        }
    }

    @Sendable func revoke(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let client = try await client(of: parameters, at: ServerMetadata.revocationPath, request, context)
            try await RevokeToken(database: database).revoke(try parameters.required("token"), by: client)
            return Response(status: .ok, headers: OAuthError.neverStored)
        }
    }

    @Sendable func authorize(_ request: Request, _ context: WebContext) async throws -> Response {
        do {
            if case .staff = context.caller { throw AuthorizationRefusal.staff }
            guard let query = try? context.query(request) else { throw AuthorizationRefusal.malformed }
            let begin = BeginAuthorization(database: database, issuer: server.issuer, budget: budget)
            return context.redirect(to: try await begin.location(for: OAuthParameters(query), logger: context.logger))
        } catch let refusal as AuthorizationRefusal {
            return try refusalPage(refusal, context)
        }
    }

    @Sendable func showRequest(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let id: AuthorizationRequestID = try context.parameter("id")
        let asked: FindAuthorizationRequest.Row
        do {
            asked = try await AnswerAuthorization(database: database, issuer: server.issuer).open(id)
        } catch let refusal as AuthorizationRefusal {
            return try refusalPage(refusal, context)
        }
        context.allowFormAction(RedirectAddress.formActionSource(of: asked.redirectAddress))
        return try context.page(
            ApprovalPage(id, asked, resident: context.resident, context: context), title: "openid.approval.title",
            ["client": asked.clientName.text(context.language)])
    }

    @Sendable func allow(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answer(.allow, context)
    }

    @Sendable func refuse(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answer(.refuse, context)
    }

    @Sendable func me(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: ScopeToken.profile.rawValue)
        return Response.json(try await ownProfile.body(of: context.resident))
    }
}

extension OpenIDRoutes {
    private func client(of parameters: OAuthParameters, at path: String, _ request: Request, _ context: WebContext) async throws -> RegisteredClient {
        try await AuthenticateClient(database: database, audiences: server.audiences(at: path))
            .client(of: parameters, headers: request.headers, logger: context.logger)
    }

    /// Turns refusals into the JSON that OAuth clients read. Whatever else goes wrong is the web layer's to answer.
    private func answering(_ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch let error as OAuthError {
            return error.response
        }
    }

    private func answer(_ decision: AnswerAuthorization.Decision, _ context: WebContext) async throws -> Response {
        let id: AuthorizationRequestID = try context.parameter("id")
        switch context.caller {
        case .resident(let resident):
            do {
                let answer = AnswerAuthorization(database: database, issuer: server.issuer)
                return context.redirect(to: try await answer.location(id, decision, session: resident.credential))
            } catch is AnswerAuthorization.SessionEnded {
                throw context.signInFirst()
            } catch let refusal as AuthorizationRefusal {
                return try refusalPage(refusal, context)
            }
        case .staff, .organisation: return try refusalPage(.staff, context)
        case .anonymous: throw context.signInFirst()
        }
    }

    private func refusalPage(_ refusal: AuthorizationRefusal, _ context: some PageContext) throws -> Response {
        try context.page(RefusalPage(refusal, context: context), title: "openid.refusal.\(refusal.rawValue).title", status: refusal.status)
    }
}

extension AuthorizationRefusal {
    /// What programs see; people read the page.
    var status: HTTPResponse.Status {
        switch self {
        case .malformed, .unknownClient, .unknownRedirect: .badRequest
        case .unknownRequest: .notFound
        case .expired, .answered: .gone
        case .staff: .forbidden
        }
    }
}
