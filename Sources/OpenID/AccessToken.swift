// What a client is given: opaque random tokens that mean nothing by themselves, so that revoking one counts at once.
import HTTPTypes
import Hummingbird
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

/// How long access tokens live. There are no refresh tokens yet: an app asks the resident again.
enum AccessTokenLifetime {
    /// An organisation's system signs a new assertion whenever it likes, so a stolen token should die soon.
    static let organisationSeconds = 600
    /// An app would send the resident through the browser again; an hour is a sitting.
    static let appSeconds = 3_600
}

/// The success of RFC 6749 §5.1.
func tokenResponse(_ token: OpaqueToken, lifetimeSeconds: Int, scope: [String]) -> Response {
    Response.json(
        [
            "access_token": .string(token.characters), "token_type": "Bearer", "expires_in": .integer(Int64(lifetimeSeconds)),
            "scope": .string(scope.joined(separator: " ")),
        ], headers: OAuthError.neverStored)
}
