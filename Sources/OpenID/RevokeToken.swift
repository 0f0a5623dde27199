// Use case: a client gives a token back (RFC 7009), for example when the resident signs out of the app.
import Postgres
import Web

struct RevokeToken: Sendable {
    let database: Database

    /// Unknown, expired and already revoked tokens are no error (RFC 7009 §2.2): the client wants the token gone, and it is.
    /// - Throws: `OAuthError` `invalid_grant` for a token of another client (§2.1).
    func revoke(_ token: String, by client: RegisteredClient) async throws {
        guard OpaqueToken.isPossible(token) else { return }
        let hash = CredentialHash(token: token)
        // Only access tokens: a session cookie that is sent here is as unknown as any other text.
        guard let owner = try await database.optional(FindAccessTokenClient(hash: hash)) else { return }
        guard owner == client.id else { throw OAuthError(.invalidGrant, "This token was issued to another client.") }
        try await database.execute(OpenID.revoke(hash))
    }
}
