// Use case: an app or a service sends the resident's browser here (RFC 6749 §4.1.1). What it asks for is stored, so that no page and
// no second request can change it, and the browser goes on: to a page, or back at once where nothing is left to ask.
import Logging
import Postgres
import Primitives
import Web

struct BeginAuthorization: Sendable {
    /// From the app's request to the resident's answer: time to find a password on paper and sign in on a slow line.
    static let requestLifetimeSeconds = 600

    let database: Database
    let issuer: String
    let budget: RequestBudget
    /// The cookie of the browser that begins.
    let browser: CredentialHash
    /// The session of a resident or a member of staff there, if there is one.
    let session: CredentialHash?
    let isStaff: Bool
    let language: Language

    /// Where to send the browser: to the page of the request, or back to the client with a code or an error; and the language that the client asked for when it
    /// pushed the request.
    /// - Throws: `AuthorizationRefusal` while it is not certain where to answer.
    func location(for parameters: OAuthParameters, logger: Logger) async throws -> (location: String, language: Language?) {
        guard let id = parameters["client_id"], id.utf8.count <= AuthenticateClient.clientIDCharactersMax,
            let client = try await database.optional(FindClient(id: id)), client.isPublic || client.isService
        else { throw AuthorizationRefusal.unknownClient }
        if let name = parameters["request_uri"], PushRequest.isName(name) { return try await pushed(name, client) }
        let address = try AuthorizationParameters.redirectAddress(of: parameters, for: client)
        let response = AuthorizationResponse(redirectAddress: address, state: AuthorizationParameters.state(of: parameters), issuer: issuer)
        do {
            let asked = try AuthorizationParameters(parameters, client: client, redirectAddress: address)
            try refuseStaff(asked.scope)
            guard budget.take(client.id) else {
                logger.warning("authorization requests over budget", metadata: ["client_id": "\(client.id)"])
                throw OAuthError(.temporarilyUnavailable, "Too many sign-ins begin at this moment. Try again in some seconds.")
            }
            let request = AuthorizationRequestID.new()
            try await database.execute(
                storeAuthorizationRequest(request, asked, .browser(browser), lifetimeSeconds: Self.requestLifetimeSeconds))
            return (try await next(request, isService: asked.signIn != nil, prompt: asked.signIn?.prompt ?? []), nil)
        } catch let error as OAuthError {
            return (response.error(error), nil)
        }
    }

    /// Staff sign in where their roles are asked for, and nowhere as residents.
    private func refuseStaff(_ scope: [String]) throws(AuthorizationRefusal) {
        guard !isStaff || scope.contains(ScopeToken.roles.rawValue) else { throw .staff }
    }

    /// What the client pushed before; whatever else stands in the address counts for nothing (RFC 9126 §4).
    private func pushed(_ name: String, _ client: RegisteredClient) async throws -> (location: String, language: Language?) {
        let begin = BeginPushedRequest(name: CredentialHash(token: name), client: client.id, browser: browser)
        // Two browsers that come at once wait for each other: not on a shared connection.
        guard let request = try await database.exclusive({ try await $0.optional(begin) }) else { throw AuthorizationRefusal.unknownRequest }
        try refuseStaff(request.scope)
        do {
            let isService = request.scope.contains(ScopeToken.openID.rawValue)
            return (try await next(request.id, isService: isService, prompt: request.prompt), request.language)
        } catch let error as OAuthError {
            return (AuthorizationResponse(redirectAddress: request.redirectAddress, state: request.state, issuer: issuer).error(error), request.language)
        }
    }

    /// Where nothing is left to ask, the answer. Whoever asked for no page gets no page.
    private func next(_ request: AuthorizationRequestID, isService: Bool, prompt: Set<SignInParameters.Prompt>) async throws -> String {
        let page = "/oauth/requests/\(request)"
        let isSilent = prompt.contains(.none)
        guard isService, isSilent || session != nil else { return page }
        let answer = AnswerAuthorization(database: database, issuer: issuer, language: language)
        let standing = try await answer.open(request, browser: browser, session: session)
        let step = standing.signedInAt == nil ? SignInStep.signInAgain : SignInRules.step(standing)
        switch (step, session) {
        case (.proceed, let session?): return try await answer.location(request, .proceed, session: session)
        case (.unmet, _): throw OAuthError.unmet
        case (.ask, _) where isSilent: throw OAuthError(.consentRequired, "The resident would have to be asked.")
        case (_, _) where isSilent: throw OAuthError(.loginRequired, "The resident would have to sign in.")
        default: return page
        }
    }
}

extension OAuthError {
    /// The sign-in does not reach what the service calls essential.
    static let unmet = OAuthError(.unmetAuthenticationRequirements, "This resident's sign-in does not reach the acr that was asked for.")
}
