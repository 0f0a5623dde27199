// Where everything is and what is accepted (RFC 8414, OpenID Connect Discovery 1.0): the only address that a client needs to know by heart.
import Web

/// The authorization server's metadata.
struct ServerMetadata: Sendable {
    static let path = "/.well-known/oauth-authorization-server"
    /// The same document, where OpenID clients look for it.
    static let openIDPath = "/.well-known/openid-configuration"
    static let keysPath = "/oauth/keys"
    static let endSessionPath = "/oauth/end-session"
    static let introspectionPath = "/oauth/introspect"
    static let userInfoPath = "/oauth/userinfo"
    static let tokenPath = "/oauth/token"
    static let authorizationPath = "/oauth/authorize"
    static let registrationPath = "/oauth/register"
    static let devicePath = "/oauth/device"
    static let pushPath = "/oauth/par"
    static let revocationPath = "/oauth/revoke"
    /// Clients may keep it for an hour: it changes with a release, and an old copy still works.
    static let cacheControl = "public, max-age=3600"

    /// The base URL: scheme, host and port without a slash at the end. Clients compare it as text.
    let issuer: String

    /// What a client may write into the `aud` of its assertion (RFC 7523 §3 item 3): the issuer or the token endpoint,
    /// and the endpoint that it calls, which Authlib's clients name when they revoke.
    func audiences(at path: String) -> Set<String> { [issuer, issuer + Self.tokenPath, issuer + path] }

    var document: JSONValue {
        let algorithms = JSONValue.array(SigningAlgorithm.allCases.map { .string($0.rawValue) })
        return [
            "issuer": .string(issuer),
            "authorization_endpoint": .string(issuer + Self.authorizationPath),
            "token_endpoint": .string(issuer + Self.tokenPath),
            "revocation_endpoint": .string(issuer + Self.revocationPath),
            "userinfo_endpoint": .string(issuer + Self.userInfoPath),
            "end_session_endpoint": .string(issuer + Self.endSessionPath),
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "jwks_uri": .string(issuer + Self.keysPath),
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": algorithms,
            "acr_values_supported": .array(AuthenticationContext.Level.allCases.map { .string($0.rawValue) }),
            "claim_types_supported": ["normal"],
            "claims_supported": .array((["sub", "auth_time", "acr", "amr", "sid", "roles"] + Claim.allCases.map(\.rawValue)).map { .string($0) }),
            "claims_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
            "prompt_values_supported": .array(SignInParameters.Prompt.allCases.map { .string($0.rawValue) }),
            "scopes_supported": .array(ScopeToken.allCases.map { .string($0.rawValue) }),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": .array(IssueToken.Grant.allCases.map { .string($0.rawValue) }),
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "revocation_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
            "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint": .string(issuer + Self.introspectionPath),
            "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
            "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
            "registration_endpoint": .string(issuer + Self.registrationPath),
            "device_authorization_endpoint": .string(issuer + Self.devicePath),
            "pushed_authorization_request_endpoint": .string(issuer + Self.pushPath),
            "require_pushed_authorization_requests": false,
            "dpop_signing_alg_values_supported": .array(DPoPProof.algorithms.map { .string($0.rawValue) }),
            "code_challenge_methods_supported": [.string(PKCE.method)],
            "authorization_response_iss_parameter_supported": true,
            "ui_locales_supported": .array(Language.allCases.map { .string($0.tag) }),
            "service_documentation": .string(issuer + "/api/openapi.yaml"),
        ]
    }
}
