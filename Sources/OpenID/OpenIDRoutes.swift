// The authorization server and OpenID provider: how organisations' systems and residents' apps get access tokens, and how residents sign in at
// services. The URL table first, then the handlers in its order.
import HTTPTypes
public import AccessLog
public import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

/// URL table of the slice.
public struct OpenIDRoutes: Sendable {
    let database: Database
    let server: ServerMetadata
    let ownProfile: OwnProfile
    let keys: SigningKeys
    let claims: ReadClaims
    let proofs: CheckDPoPProof
    let budget: RequestBudget

    /// - Parameters:
    ///   - door: the way to the resident's own attributes for `GET /api/v1/me`.
    ///   - keys: what ID tokens and services' access tokens are signed with.
    ///   - baseURL: the issuer, and where the endpoints are.
    public init(database: Database, door: Door, vault: ResidentVault, keys: SigningKeys, baseURL: BaseURL) {
        self.database = database
        self.keys = keys
        claims = ReadClaims(database: database, door: door, vault: vault, keys: keys, issuer: baseURL.origin)
        proofs = CheckDPoPProof(database: database, nonces: DPoPNonce(key: vault.derivedKey(for: "openid/proof-nonce")))
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
        site.declare(pages: [ApprovalPage.self, ServicePage.self, GoOnPage.self, RefusalPage.self])
        site.publicAPI.get(ServerMetadata.path, use: metadata)
        site.publicAPI.get(ServerMetadata.openIDPath, use: metadata)
        site.publicAPI.get(ServerMetadata.keysPath, use: keySet)
        site.publicAPI.post(ServerMetadata.tokenPath, use: token)
        site.publicAPI.post(ServerMetadata.pushPath, use: push)
        site.publicAPI.post(ServerMetadata.devicePath, use: beginDevice)
        site.publicAPI.post(ServerMetadata.registrationPath, use: register)
        site.publicAPI.post(ServerMetadata.revocationPath, use: revoke)
        site.publicAPI.post(ServerMetadata.introspectionPath, use: introspect)
        site.publicAPI.get(ServerMetadata.userInfoPath, use: userInfo)
        site.publicAPI.post(ServerMetadata.userInfoPath, use: userInfo)
        site.everyone.get(ServerMetadata.authorizationPath, use: authorize)
        site.signedIn.get("/oauth/requests/{id}", use: showRequest)
        // Not in the group of those who are signed in: a session that ended while the page was open leads back to the request.
        site.everyone.post("/oauth/requests/{id}/allow", use: allow)
        site.everyone.post("/oauth/requests/{id}/allow-without-sharing", use: allowWithoutSharing)
        site.everyone.post("/oauth/requests/{id}/refuse", use: refuse)
        site.residentAPI.get("/api/v1/me", use: me)
    }

    /// Whom the service expects that sent a browser here, for the form to sign in with.
    /// - Parameter path: where the sign-in page goes on to; a request of that browser, or something else.
    public func loginHint(_ path: String, _ request: Request, _ context: WebContext) async throws -> String? {
        guard path.hasPrefix(Self.requestsPath), let id = AuthorizationRequestID(String(path.dropFirst(Self.requestsPath.count))),
            let browser = LoginCookie.read(request, in: context)
        else { return nil }
        return try await database.optional(FindLoginHint(request: id, browser: browser)) ?? nil
    }

    private static let requestsPath = "/oauth/requests/"

    @Sendable func metadata(_ request: Request, _ context: WebContext) async throws -> Response {
        Response.json(server.document, headers: [.cacheControl: ServerMetadata.cacheControl])
    }

    @Sendable func keySet(_ request: Request, _ context: WebContext) async throws -> Response {
        Response.json(try await keys.keySet(), headers: [.cacheControl: ServerMetadata.cacheControl])
    }

    @Sendable func token(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let named = try parameters.required("grant_type")
            let client = try await client(of: parameters, at: ServerMetadata.tokenPath, request, context)
            let thumbprint = try await proofs.thumbprint(
                request.headers, method: .post, address: server.issuer + ServerMetadata.tokenPath, now: client.now)
            let issue = IssueToken(
                database: database, issuer: server.issuer, keys: keys, claims: claims, keyThumbprint: thumbprint, logger: context.logger)
            let issued =
                switch IssueToken.Grant(rawValue: named) {
                case .clientCredentials: try await issue.forClient(client, scope: parameters["scope"])
                case .authorizationCode: try await issue.forCode(client, parameters)
                case .refreshToken: try await issue.forRefresh(client, parameters)
                case .deviceCode: try await issue.forDevice(client, parameters)
                case nil:
                    throw OAuthError(
                        .unsupportedGrantType, "The grant_type is one of: " + IssueToken.Grant.allCases.map(\.rawValue).joined(separator: ", ") + ".")
                }
            return tokenResponse(issued)
        }
    }

    @Sendable func push(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let client = try await client(of: parameters, at: ServerMetadata.pushPath, request, context)
            let thumbprint = try await proofs.thumbprint(
                request.headers, method: .post, address: server.issuer + ServerMetadata.pushPath, now: client.now)
            return try await PushRequest(database: database, budget: budget).push(parameters, by: client, keyThumbprint: thumbprint)
        }
    }

    @Sendable func beginDevice(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let client = try await client(of: parameters, at: ServerMetadata.devicePath, request, context)
            return try await DeviceGrant(database: database, issuer: server.issuer, budget: budget).begin(parameters, by: client)
        }
    }

    @Sendable func register(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            guard let token = ServiceToken.sent(request.headers), !token.isProven else { throw OAuthError.invalidToken }
            do {
                let metadata = try await context.jsonValue(request, bytesMax: RegisterService.bodyBytesMax).value
                return try await RegisterService(database: database).register(metadata, token: token.characters)
            } catch let problem as Problem where problem.status.kind == .clientError {
                throw OAuthError(.invalidClientMetadata, problem.detail, status: problem.status == .unsupportedMediaType ? .badRequest : problem.status)
            }
        }
    }

    @Sendable func revoke(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let client = try await client(of: parameters, at: ServerMetadata.revocationPath, request, context)
            try await RevokeToken(database: database, keys: keys).revoke(try parameters.required("token"), by: client)
            return Response(status: .ok, headers: OAuthError.neverStored)
        }
    }

    @Sendable func introspect(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answering {
            let parameters = try await OAuthParameters.read(request, context)
            let client = try await client(of: parameters, at: ServerMetadata.introspectionPath, request, context)
            let introspect = IntrospectToken(database: database, keys: keys, issuer: server.issuer)
            return Response.json(try await introspect.body(try parameters.required("token"), for: client), headers: OAuthError.neverStored)
        }
    }

    @Sendable func userInfo(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let token = ServiceToken.sent(request.headers) else { throw BearerContext.missingToken }
        do {
            let body = try await claims.userInfo(token) { now in
                try await proofs.thumbprint(
                    request.headers, method: request.method, address: server.issuer + ServerMetadata.userInfoPath, accessToken: token.characters, now: now)
            }
            return Response.json(body)
        } catch let error as OAuthError {
            return error.challenge
        }
    }

    @Sendable func authorize(_ request: Request, _ context: WebContext) async throws -> Response {
        do {
            guard let query = try? context.query(request) else { throw AuthorizationRefusal.malformed }
            let parameters = OAuthParameters(query)
            if let language = parameters.preferredLanguage { context.suggest(language, for: request) }
            let (session, isStaff) = context.signInSession
            let begin = BeginAuthorization(
                database: database, issuer: server.issuer, budget: budget, browser: LoginCookie.readOrIssue(request, in: context),
                session: session, isStaff: isStaff, language: context.language)
            let next = try await begin.location(for: parameters, logger: context.logger)
            if let language = next.language { context.suggest(language, for: request) }
            return context.redirect(to: next.location)
        } catch let refusal as AuthorizationRefusal {
            return try refusalPage(refusal, context)
        }
    }

    @Sendable func showRequest(_ request: Request, _ context: SignedInContext) async throws -> Response {
        let id: AuthorizationRequestID = try context.parameter("id")
        do {
            let answers = answers(context)
            let standing = try await answers.open(id, browser: LoginCookie.read(request, in: context), session: context.credential)
            guard standing.isStaff == context.isStaff else { throw AuthorizationRefusal.staff }
            switch SignInRules.step(standing) {
            case .ask: return try askingPage(id, standing, context)
            // Identity's pages, which come back here with a session of the same person.
            case .signInAgain: return context.redirect(to: "/confirm-password?next=/oauth/requests/\(id)")
            case .addFactor: return context.redirect(to: "/confirm-factor?next=/oauth/requests/\(id)")
            case .proceed:
                return try goOn(to: try await answers.location(id, .proceed, session: context.credential), standing, context)
            case .unmet: return try goOn(to: try await answers.unmet(id, standing), standing, context)
            }
        } catch let refusal as AuthorizationRefusal {
            return try refusalPage(refusal, context)
        }
    }

    @Sendable func allow(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let version = fields.optionalText("policy_version", charactersMax: 10).flatMap { Int($0) }
        return try await answer(.allow(policyVersion: version), request, context)
    }

    @Sendable func allowWithoutSharing(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answer(.allowWithoutSharing, request, context)
    }

    @Sendable func refuse(_ request: Request, _ context: WebContext) async throws -> Response {
        try await answer(.refuse, request, context)
    }

    @Sendable func me(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: ScopeToken.profile.rawValue)
        return Response.json(try await ownProfile.body(of: context.resident))
    }
}

extension OpenIDRoutes {
    private func client(of parameters: OAuthParameters, at path: String, _ request: Request, _ context: WebContext) async throws -> RegisteredClient {
        try await AuthenticateClient(database: database, issuer: server.issuer, audiences: server.audiences(at: path))
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

    private func answers(_ context: some PageContext) -> AnswerAuthorization {
        AnswerAuthorization(database: database, issuer: server.issuer, language: context.language)
    }

    private func answer(_ decision: AnswerAuthorization.Decision, _ request: Request, _ context: WebContext) async throws -> Response {
        let id: AuthorizationRequestID = try context.parameter("id")
        switch context.caller {
        case .resident(let resident):
            do {
                let location = try await answers(context).location(
                    id, decision, browser: LoginCookie.read(request, in: context), session: resident.credential)
                return context.redirect(to: location)
            } catch is AnswerAuthorization.SessionEnded {
                throw context.signInFirst()
            } catch is AnswerAuthorization.ShowAgain {
                context.notice("openid.changed")
                return context.redirect(to: "/oauth/requests/\(id)")
            } catch let refusal as AuthorizationRefusal {
                return try refusalPage(refusal, context)
            }
        case .helper: return context.redirect(to: Representing.path)
        case .staff, .organisation: return try refusalPage(.staff, context)
        case .anonymous: throw context.signInFirst()
        }
    }

    private func askingPage(_ id: AuthorizationRequestID, _ standing: Standing, _ context: SignedInContext) throws -> Response {
        if !standing.isForDevice { context.allowFormAction(RedirectAddress.formActionSource(of: standing.redirectAddress)) }
        let name = ["client": standing.clientName.text(context.language)]
        guard standing.isService else {
            return try context.page(ApprovalPage(id, standing, context), title: "openid.approval.title", name)
        }
        return try context.page(ServicePage(id, standing, context), title: "openid.service.title", name)
    }

    /// A page that goes on by itself, and a link for browsers that do not. It is no redirect, because the request before it may have been the form of the
    /// sign-in page, whose policy lets that form lead nowhere else.
    private func goOn(to location: String, _ standing: Standing, _ context: SignedInContext) throws -> Response {
        var response = try context.page(GoOnPage(location, standing, context), title: "openid.go_on.title")
        response.headers[.refresh] = "0; url=" + location
        return response
    }

    private func refusalPage(_ refusal: AuthorizationRefusal, _ context: some PageContext) throws -> Response {
        try context.page(RefusalPage(refusal, context: context), title: "openid.refusal.\(refusal.rawValue).title", status: refusal.status)
    }
}

extension WebContext {
    /// The session of whoever is signed in, if anybody is.
    fileprivate var signInSession: (CredentialHash?, isStaff: Bool) {
        switch caller {
        case .resident(let resident): (resident.credential, false)
        case .staff(let staff): (staff.credential, true)
        case .anonymous, .organisation, .helper: (nil, false)
        }
    }
}

extension ServiceToken {
    /// The token of `Authorization: Bearer …` or `DPoP …` (RFC 9449 §7.1), of whatever length ours have.
    static func sent(_ headers: HTTPFields) -> (characters: String, isProven: Bool)? {
        guard let value = headers[.authorization], let space = value.firstIndex(of: " ") else { return nil }
        switch value[..<space].lowercased() {
        case "bearer": return (String(value[value.index(after: space)...]), false)
        case "dpop": return (String(value[value.index(after: space)...]), true)
        default: return nil
        }
    }
}

extension HTTPField.Name {
    // A literal of this file; were it no header name, the answer would carry `Via` and the tests would see it.
    fileprivate static let refresh = HTTPField.Name("Refresh") ?? .via
}

extension AuthorizationRefusal {
    /// What programs see; people read the page.
    var status: HTTPResponse.Status {
        switch self {
        case .malformed, .unknownClient, .unknownRedirect: .badRequest
        case .unknownRequest: .notFound
        case .expired, .answered: .gone
        case .staff, .otherBrowser: .forbidden
        }
    }
}
