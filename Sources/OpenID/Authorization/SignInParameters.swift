// Pure rules of what a service adds to an authorization request (OpenID Connect Core §3.1.2.1).
import Web

/// The parameters of signing in at a service. A resident's app has none of them.
struct SignInParameters: Sendable, Equatable {
    enum Prompt: String, CaseIterable, Sendable {
        /// Answer without showing anything, or with an error.
        case none
        case login
        case consent
        case selectAccount = "select_account"
    }

    var nonce: String?
    var prompt: Set<Prompt> = []
    /// The sign-in may be this old.
    var maxAgeSeconds: Int?
    var claims = ClaimsRequest()
    /// Levels that the service would like, the best first (`acr_values`).
    var wishedACR: [String] = []
    /// Whom it thinks will sign in, for the form.
    var hint: String?
    /// The language that it asked for.
    var language: Language?
    /// The interface that the access token is for (RFC 8707).
    var resource: String?
    /// Of the key that the code will be bound to (RFC 9449 §10).
    var keyThumbprint: String?

    /// The `nonce` column takes no more; clients send 20 to 50 characters.
    static let nonceCharactersMax = 500
    /// The longest name that anybody signs in with is an e-mail address.
    private static let hintCharactersMax = 254
    /// Thirty years; what is longer is a mistake, and would not fit the column.
    private static let maxAgeSecondsMax = 1_000_000_000

    init() {}

    /// - Throws: `OAuthError`, to be sent to the redirect address.
    init(_ parameters: OAuthParameters, client: RegisteredClient) throws(OAuthError) {
        nonce = parameters["nonce"]
        if let nonce, nonce.unicodeScalars.count > Self.nonceCharactersMax || nonce.utf8.contains(where: { $0 < 0x20 }) {
            throw OAuthError(.invalidRequest, "The nonce has more than \(Self.nonceCharactersMax) characters, or some that cannot be printed.")
        }
        for word in (parameters["prompt"] ?? "").split(separator: " ") {
            guard let known = Prompt(rawValue: String(word)) else { throw OAuthError(.invalidRequest, "A prompt is none, login, consent or select_account.") }
            prompt.insert(known)
        }
        guard !prompt.contains(.none) || prompt.count == 1 else { throw OAuthError(.invalidRequest, "The prompt none stands alone.") }
        if let text = parameters["max_age"] {
            guard let seconds = Int(text), (0...Self.maxAgeSecondsMax).contains(seconds) else {
                throw OAuthError(.invalidRequest, "The max_age must be a whole number of seconds.")
            }
            maxAgeSeconds = seconds
        }
        if let json = parameters["claims"] { claims = try ClaimsRequest(json) }
        let wished = (parameters["acr_values"] ?? "").split(separator: " ").prefix(ClaimsRequest.acrValuesMax).map(String.init)
        wishedACR = wished.isEmpty ? claims.wishedACR : wished
        // Only a hint: one that can be nobody's name is passed over.
        hint = parameters["login_hint"].flatMap { $0.count <= Self.hintCharactersMax && !$0.utf8.contains { $0 < 0x20 } ? $0 : nil }
        language = parameters.preferredLanguage
        resource = parameters["resource"]
        if let resource, !client.resources.contains(resource) { throw OAuthError(.invalidTarget, "This client may not ask tokens for this resource.") }
        keyThumbprint = parameters["dpop_jkt"]
        if let keyThumbprint, !PKCE.isChallenge(keyThumbprint) { throw OAuthError(.invalidRequest, "The dpop_jkt must be the SHA-256 thumbprint of a key, 43 characters.") }
    }
}
