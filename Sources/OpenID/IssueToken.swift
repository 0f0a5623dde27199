// Use case: from a grant to an access token (RFC 6749 §4.1.3 and §4.4).
import Logging
import Postgres
import Web

/// The two grants of the token endpoint.
struct IssueToken: Sendable {
    enum Grant: String, CaseIterable, Sendable {
        case clientCredentials = "client_credentials"
        case authorizationCode = "authorization_code"
    }

    struct Issued: Sendable {
        let token: OpaqueToken
        let scope: [String]
        let lifetimeSeconds: Int
    }

    let database: Database
    let logger: Logger

    /// An organisation's system, for itself.
    func forClient(_ client: RegisteredClient, scope requested: String?) async throws -> Issued {
        guard !client.isPublic else { throw OAuthError(.unauthorizedClient, "A public client cannot use client_credentials.") }
        let issued = Issued(
            token: OpaqueToken(), scope: try ScopeRules.granted(requested: requested, registered: client.scope),
            lifetimeSeconds: AccessTokenLifetime.organisationSeconds)
        do {
            try await database.execute(
                issueClientToken(hash: issued.token.hash, client: client.id, scope: issued.scope, lifetimeSeconds: issued.lifetimeSeconds))
        } catch let error as DatabaseError where error.isPermissionDenied {
            // Closed since it was authenticated a moment ago.
            throw OAuthError.invalidClient("This client was closed.")
        }
        return issued
    }

    /// A resident's app, for the resident who allowed it.
    func forCode(_ client: RegisteredClient, _ parameters: OAuthParameters) async throws -> Issued {
        guard client.isPublic else { throw OAuthError(.unauthorizedClient, "This client cannot use authorization_code.") }
        let code = try parameters.required("code")
        let redirectAddress = try parameters.required("redirect_uri")
        let verifier = try parameters.required("code_verifier")
        guard OpaqueToken.isPossible(code) else { throw Self.codeInvalid }
        guard PKCE.isVerifier(verifier) else { throw Self.codeInvalid }
        let token = OpaqueToken()
        // The function locks the code's row, so it waits for another redemption of the same code: not on a shared connection.
        let row = try await database.exclusive { connection in
            try await connection.one(
                RedeemCode(
                    code: CredentialHash(token: code), client: client.id, redirectAddress: redirectAddress,
                    challenge: PKCE.challenge(of: verifier), token: token.hash, lifetimeSeconds: AccessTokenLifetime.appSeconds))
        }
        guard row.outcome == "issued", let scope = row.scope else {
            logger.notice("authorization code refused", metadata: ["client_id": "\(client.id)", "outcome": "\(row.outcome)"])
            throw Self.codeInvalid
        }
        return Issued(token: token, scope: scope, lifetimeSeconds: AccessTokenLifetime.appSeconds)
    }

    /// The same words whatever was wrong: who holds a stolen code learns nothing about it.
    private static let codeInvalid = OAuthError(
        .invalidGrant, "The code is unknown, used or expired, or redirect_uri or code_verifier do not belong to it. Start again.")
}
