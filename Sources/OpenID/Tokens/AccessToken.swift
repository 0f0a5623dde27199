// What apps and organisations' systems are given: opaque random tokens that mean nothing by themselves, so that revoking one counts at once. What services
// are given when residents sign in there is in ProviderTokens.swift.
import HTTPTypes
import Hummingbird
import Primitives
import Web

/// An access token or authorization code that was just made. The database gets its hash, the client gets its characters.
struct OpaqueToken: Sendable {
    /// 32 random bytes as base64url, 43 characters.
    let characters: String
    var hash: CredentialHash { CredentialHash(token: characters) }

    init() { characters = Base64URL.encode(Base64URL.randomBytes()) }

    /// Whether a text can be one of ours at all; anything else need not be looked up.
    static func isPossible(_ text: String) -> Bool {
        text.utf8.count == 43 && Base64URL.decode(text) != nil
    }
}

/// How long access tokens live. Of refresh tokens, which services get: openid.refresh_lifetime in migrations/0042_refresh_tokens.sql.
enum AccessTokenLifetime {
    /// An organisation's system signs a new assertion whenever it likes, so a stolen token should die soon.
    static let organisationSeconds = 600
    /// An app would send the resident through the browser again; an hour is a sitting.
    static let appSeconds = 3_600
}

/// The success of RFC 6749 §5.1, with the ID token of OpenID Connect Core §3.1.3.3.
func tokenResponse(_ issued: IssueToken.Issued) -> Response {
    let members: [JSONMember] = [
        JSONMember("access_token", .string(issued.accessToken)), JSONMember("token_type", .string(issued.isBound ? "DPoP" : "Bearer")),
        JSONMember("expires_in", .integer(Int64(issued.lifetimeSeconds))), JSONMember("scope", .string(issued.scope.joined(separator: " "))),
    ]
    let more = [("refresh_token", issued.refreshToken), ("id_token", issued.idToken)].compactMap { name, value in value.map { JSONMember(name, .string($0)) } }
    return Response.json(.object(members + more), headers: OAuthError.neverStored)
}
