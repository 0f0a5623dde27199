// Use case: from a grant to an access token (RFC 6749 §4.1.3, §4.4 and §6; RFC 8628 §3.4).
// Decided in `web.redeem_authorization_code` (0006_web.sql) and `openid.refresh` (0042_refresh_tokens.sql).
import Logging
import Postgres
import Web

/// The grants of the token endpoint.
struct IssueToken: Sendable {
    enum Grant: String, CaseIterable, Sendable {
        case clientCredentials = "client_credentials"
        case authorizationCode = "authorization_code"
        case refreshToken = "refresh_token"
        case deviceCode = "urn:ietf:params:oauth:grant-type:device_code"
    }

    struct Issued: Sendable {
        let accessToken: String
        let scope: [String]
        let lifetimeSeconds: Int
        /// Of a sign-in at a service.
        var idToken: String?
        /// Of a sign-in that goes on without the resident.
        var refreshToken: String?
        /// Whether it counts only with proofs of the key that it is bound to (RFC 9449).
        var isBound = false
    }

    let database: Database
    let issuer: String
    let keys: SigningKeys
    let claims: ReadClaims
    /// Of the key that the client proved to hold with this request; nil without a proof.
    let keyThumbprint: String?
    let logger: Logger

    /// An organisation's system, for itself.
    func forClient(_ client: RegisteredClient, scope requested: String?) async throws -> Issued {
        guard !client.isPublic else { throw OAuthError(.unauthorizedClient, "A public client cannot use client_credentials.") }
        let registered = client.scope(among: ScopeToken.ofOrganisations)
        guard !registered.isEmpty else { throw OAuthError(.unauthorizedClient, "This client only signs residents in; it cannot use client_credentials.") }
        let token = OpaqueToken()
        let issued = Issued(
            accessToken: token.characters, scope: try ScopeRules.granted(requested: requested, registered: registered),
            lifetimeSeconds: AccessTokenLifetime.organisationSeconds)
        do {
            try await database.execute(
                issueClientToken(hash: token.hash, client: client.id, scope: issued.scope, lifetimeSeconds: issued.lifetimeSeconds))
        } catch let error as DatabaseError where error.isPermissionDenied {
            // Closed since it was authenticated a moment ago.
            throw OAuthError.invalidClient("This client was closed.")
        }
        return issued
    }

    /// A resident's app, for the resident who allowed it; or a service, for the resident or the member of staff who signed in there. Decided in
    /// `web.redeem_authorization_code` (0006_web.sql).
    func forCode(_ client: RegisteredClient, _ parameters: OAuthParameters) async throws -> Issued {
        guard client.isPublic || client.isService else { throw OAuthError(.unauthorizedClient, "This client cannot use authorization_code.") }
        let code = try parameters.required("code")
        let redirectAddress = try parameters.required("redirect_uri")
        let verifier = try parameters.required("code_verifier")
        try checkBinding(client, parameters)
        guard OpaqueToken.isPossible(code) else { throw Self.codeInvalid }
        guard PKCE.isVerifier(verifier) else { throw Self.codeInvalid }
        let (appToken, serviceToken, refreshToken) = (OpaqueToken(), ServiceToken(), OpaqueToken())
        // The function locks the code's row, so it waits for another redemption of the same code: not on a shared connection.
        let row = try await database.exclusive { connection in
            try await connection.one(
                RedeemCode(
                    code: CredentialHash(token: code), client: client.id, redirectAddress: redirectAddress, challenge: PKCE.challenge(of: verifier),
                    token: client.isService ? serviceToken.hash : appToken.hash, lifetimeSeconds: AccessTokenLifetime.appSeconds,
                    refreshToken: refreshToken.hash, keyThumbprint: keyThumbprint))
        }
        guard row.outcome == "issued", let scope = row.scope else {
            logger.notice("authorization code refused", metadata: ["client_id": "\(client.id)", "outcome": "\(row.outcome)"])
            throw Self.codeInvalid
        }
        guard let signIn = row.signIn else {
            // An app's token is looked up where it is used, and no key is asked for there: it is a plain one, and says so (RFC 9449 §5).
            return Issued(accessToken: appToken.characters, scope: scope, lifetimeSeconds: AccessTokenLifetime.appSeconds)
        }
        let isLasting = scope.contains(ScopeToken.offlineAccess.rawValue)
        return try await issued(signIn, serviceToken, client, scope, refreshToken: isLasting ? refreshToken.characters : nil)
    }

    /// A device of a service, for the resident who typed its code (RFC 8628 §3.4). Decided in `openid.poll_device` (0032_openid_provider.sql).
    func forDevice(_ client: RegisteredClient, _ parameters: OAuthParameters) async throws -> Issued {
        let code = try parameters.required("device_code")
        try checkBinding(client, parameters)
        guard client.isService, OpaqueToken.isPossible(code) else { throw Self.codeInvalid }
        let (accessToken, refreshToken) = (ServiceToken(), OpaqueToken())
        // The function locks the device's row, so it waits for another question about the same: not on a shared connection.
        let row = try await database.exclusive { connection in
            try await connection.one(
                PollDevice(device: code, client: client.id, token: accessToken.hash, refreshToken: refreshToken.hash, keyThumbprint: keyThumbprint))
        }
        switch row.outcome {
        case "pending": throw OAuthError(.authorizationPending, "The resident has not answered yet. Ask again after the interval.")
        case "slow_down": throw OAuthError(.slowDown, "Wait five seconds longer between two questions from now on.")
        case "refused": throw OAuthError(.accessDenied, "The resident did not allow it.")
        case "expired": throw OAuthError(.expiredToken, "The code has run out. Begin again.")
        case "issued":
            guard let scope = row.scope, let signIn = row.signIn else { throw Self.codeInvalid }
            let isLasting = scope.contains(ScopeToken.offlineAccess.rawValue)
            return try await issued(signIn, accessToken, client, scope, refreshToken: isLasting ? refreshToken.characters : nil)
        default:
            logger.notice("device code refused", metadata: ["client_id": "\(client.id)", "outcome": "\(row.outcome)"])
            throw Self.codeInvalid
        }
    }

    /// A service, for the resident who signed in there before and agreed that it goes on (RFC 6749 §6).
    func forRefresh(_ client: RegisteredClient, _ parameters: OAuthParameters) async throws -> Issued {
        let token = try parameters.required("refresh_token")
        try checkBinding(client, parameters)
        guard client.isService, OpaqueToken.isPossible(token) else { throw Self.refreshInvalid }
        let (accessToken, successor) = (ServiceToken(), OpaqueToken())
        let scope = try parameters["scope"].map { asked throws(OAuthError) in try ScopeRules.granted(requested: asked, registered: client.scope(among: ScopeToken.ofServices)) }
        // The function locks the sign-in's row, so it waits for another renewal: not on a shared connection.
        let row = try await database.exclusive { connection in
            try await connection.one(
                RenewTokens(
                    token: CredentialHash(token: token), client: client.id, scope: scope, accessToken: accessToken.hash,
                    lifetimeSeconds: ServiceToken.lifetimeSeconds, successor: successor.hash, keyThumbprint: keyThumbprint))
        }
        if row.outcome == "scope_unknown" { throw OAuthError(.invalidScope, "Ask for no more than the resident agreed to.") }
        guard row.outcome == "issued", let granted = row.scope, let signIn = row.signIn else {
            logger.notice("refresh token refused", metadata: ["client_id": "\(client.id)", "outcome": "\(row.outcome)"])
            throw Self.refreshInvalid
        }
        return try await issued(
            signIn, accessToken, client, granted, refreshToken: row.hasRotated == true ? successor.characters : token)
    }

    /// The same words whatever was wrong, as of a code.
    private static let refreshInvalid = OAuthError(
        .invalidGrant, "The refresh token is unknown, used, expired or ended. Let the resident sign in again.")

    /// The tokens of a sign-in whose access token is stored already.
    private func issued(
        _ signIn: SignIn, _ token: ServiceToken, _ client: RegisteredClient, _ scope: [String], refreshToken: String?
    ) async throws -> Issued {
        let accessToken = try token.characters(
            signIn, client: client, scope: scope, keyThumbprint: keyThumbprint, issuer: issuer, key: await keys.current(.es256))
        let asked = Set(signIn.idTokenClaims.compactMap { Claim(rawValue: $0) })
        let isStaff = scope.contains(ScopeToken.roles.rawValue)
        let told = isStaff ? try await claims.staffClaims(token.hash) : try await claims.claims(asked, token.hash, signIn: signIn.id)
        let idToken = IDToken(signIn: signIn, claims: told)
        return Issued(
            accessToken: accessToken, scope: scope, lifetimeSeconds: ServiceToken.lifetimeSeconds,
            idToken: try idToken.characters(
                client: client, accessToken: accessToken, issuer: issuer, key: await keys.current(client.idTokenAlgorithm)),
            refreshToken: refreshToken, isBound: keyThumbprint != nil)
    }

    /// What a profile and RFC 8707 want of a service's token request besides its grant.
    private func checkBinding(_ client: RegisteredClient, _ parameters: OAuthParameters) throws(OAuthError) {
        if let resource = parameters["resource"], !client.resources.contains(resource) {
            throw OAuthError(.invalidTarget, "This client may not ask tokens for this resource.")
        }
        // FAPI 2.0 §5.3.2.1: tokens are bound to a key.
        guard client.isFAPI, keyThumbprint == nil else { return }
        throw OAuthError(.invalidProof, "This client sends a DPoP proof with each token request.")
    }

    /// The same words whatever was wrong: who holds a stolen code learns nothing about it.
    private static let codeInvalid = OAuthError(
        .invalidGrant, "The code is unknown, used or expired, or redirect_uri or code_verifier do not belong to it. Start again.")
}
