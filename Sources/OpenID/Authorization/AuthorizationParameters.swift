// Pure rules of an authorization request (RFC 6749 §4.1.1, RFC 7636 §4.3). Client and redirect address come first: until
// both are right nothing may be sent there, and the resident sees a page instead.
import Web

/// Why a request is answered with a page and never with a redirect. The raw value ends the catalogue key.
enum AuthorizationRefusal: String, Error, CaseIterable, Sendable {
    case malformed
    case unknownClient = "unknown_client"
    case unknownRedirect = "unknown_redirect"
    /// A request of which nothing is known: mistyped, or removed since it ran out.
    case unknownRequest = "unknown_request"
    case expired
    case answered
    /// Begun in another browser, or the cookie that ties it to this one is gone.
    case otherBrowser = "other_browser"
    case staff
}

/// A request that is in order.
struct AuthorizationParameters: Sendable {
    let clientID: String
    let redirectAddress: String
    let state: String?
    let scope: [String]
    let codeChallenge: String
    /// What a service asks for; nil for a resident's app.
    var signIn: SignInParameters?

    /// The `state` column takes no more; apps send 20 to 200 characters.
    static let stateCharactersMax = 1_000

    /// The address to answer at, if the client is registered with it.
    static func redirectAddress(of parameters: OAuthParameters, for client: RegisteredClient) throws(AuthorizationRefusal) -> String {
        guard let address = parameters["redirect_uri"], RedirectAddress.isRegistered(address, among: client.redirectAddresses) else {
            throw .unknownRedirect
        }
        return address
    }

    /// The `state` to send back with whatever answer, nil when there is none that can be sent back.
    static func state(of parameters: OAuthParameters) -> String? {
        parameters["state"].flatMap { isState($0) ? $0 : nil }
    }

    /// VSCHAR of RFC 6749 appendix A.5.
    private static func isState(_ text: String) -> Bool {
        text.utf8.count <= stateCharactersMax && text.utf8.allSatisfy { (0x20...0x7E).contains($0) }
    }

    /// Everything after client and redirect address.
    /// - Parameter isPushed: whether the client itself sent them (RFC 9126), and not a browser.
    /// - Throws: `OAuthError`, to be sent to the redirect address.
    init(_ parameters: OAuthParameters, client: RegisteredClient, redirectAddress: String, isPushed: Bool = false) throws(OAuthError) {
        try parameters.refuseDuplicates()
        guard isPushed || !client.isFAPI else { throw OAuthError(.invalidRequest, "This client pushes its requests first (RFC 9126).") }
        guard try parameters.required("response_type") == "code" else {
            throw OAuthError(.unsupportedResponseType, "The response_type must be code.")
        }
        guard (parameters["response_mode"] ?? "query") == "query" else { throw OAuthError(.invalidRequest, "The response_mode must be query.") }
        guard parameters["request"] == nil, parameters["request_uri"] == nil else {
            throw OAuthError(.invalidRequest, "Request objects are not accepted; send the parameters themselves, or push them first.")
        }
        guard parameters["state"].map(Self.isState) ?? true else {
            throw OAuthError(.invalidRequest, "The state has more than \(Self.stateCharactersMax) characters or some beyond ASCII.")
        }
        // Absent means plain (RFC 7636 §4.3), which is refused as well.
        guard parameters["code_challenge_method"] == PKCE.method else {
            throw OAuthError(.invalidRequest, "PKCE is compulsory: send code_challenge and code_challenge_method=S256.")
        }
        guard let challenge = parameters["code_challenge"], PKCE.isChallenge(challenge) else {
            throw OAuthError(.invalidRequest, "The code_challenge must be the base64url SHA-256 of the verifier, 43 characters.")
        }
        clientID = client.id
        self.redirectAddress = redirectAddress
        state = parameters["state"]
        codeChallenge = challenge
        guard client.isService else {
            scope = try ScopeRules.granted(requested: parameters["scope"], registered: client.scope)
            signIn = nil
            return
        }
        scope = try ScopeRules.granted(requested: parameters["scope"], registered: client.scope(among: ScopeToken.ofServices))
        guard scope.contains(ScopeToken.openID.rawValue) else { throw OAuthError(.invalidScope, "Ask for openid to sign somebody in.") }
        signIn = try SignInParameters(parameters, client: client)
    }

    /// What a device asks for (RFC 8628 §3.1). The device code takes the place of the verifier: whoever asks for the tokens holds it.
    /// - Throws: `OAuthError`.
    init(_ parameters: OAuthParameters, client: RegisteredClient, deviceCode: OpaqueToken) throws(OAuthError) {
        clientID = client.id
        redirectAddress = DeviceGrant.answeredPath
        state = nil
        codeChallenge = PKCE.challenge(of: deviceCode.characters)
        scope = try ScopeRules.granted(requested: parameters["scope"], registered: client.scope(among: ScopeToken.ofServices))
        guard scope.contains(ScopeToken.openID.rawValue) else { throw OAuthError(.invalidScope, "Ask for openid to sign somebody in.") }
        signIn = try SignInParameters(parameters, client: client)
    }
}

/// The answer to an app, as an address to redirect to (RFC 6749 §4.1.2). Always names the issuer (RFC 9207), so that an
/// app with several servers notices when an answer comes from the wrong one.
struct AuthorizationResponse: Sendable {
    let redirectAddress: String
    let state: String?
    let issuer: String

    private func location(_ parameters: [(name: String, value: String)]) -> String {
        let stateParameter = state.map { [(name: "state", value: $0)] } ?? []
        return RedirectAddress.adding(parameters + stateParameter + [(name: "iss", value: issuer)], to: redirectAddress)
    }

    func code(_ code: OpaqueToken) -> String { location([(name: "code", value: code.characters)]) }

    func error(_ error: OAuthError) -> String {
        location([(name: "error", value: error.code.rawValue), (name: "error_description", value: OAuthError.printable(error.description))])
    }
}
