// Use case: a client gives a token back (RFC 7009), for example when the resident signs out of the app.
import Postgres
import Web

struct RevokeToken: Sendable {
    let database: Database
    let keys: SigningKeys

    /// Unknown, expired and already revoked tokens are no error (RFC 7009 §2.2): the client wants the token gone, and it is. A session cookie that is sent here
    /// is as unknown as any other text. A refresh token ends the whole sign-in (§2.1).
    /// - Throws: `OAuthError` `invalid_grant` for a token of another client (§2.1).
    func revoke(_ token: String, by client: RegisteredClient) async throws {
        guard let hash = try await keys.storedHash(of: token) else { return }
        // A refresh token waits for whoever renews the same sign-in: not on a shared connection.
        let outcome = try await database.exclusive { try await $0.one(EndToken(token: hash, client: client.id)) }
        guard outcome != "other_client" else { throw OAuthError(.invalidGrant, "This token was issued to another client.") }
    }
}

extension SigningKeys {
    /// Under which a token is stored; nil for what can be none of ours.
    func storedHash(of token: String) async throws -> CredentialHash? {
        if OpaqueToken.isPossible(token) { return CredentialHash(token: token) }
        return try await claims(of: token, type: ServiceToken.type)?["jti"]?.text.map { ServiceToken.hash(jti: $0) }
    }
}
