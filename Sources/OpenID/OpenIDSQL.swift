// Every statement of the slice. Tokens and codes go in and out as SHA-256 only; who a code or token belongs to is decided
// by the definer functions of migration 0006 from the session's or client's row.
import Foundation
import Postgres
import Primitives
import Web

/// What `ID` names: a request to sign in at an app.
enum AuthorizationRequestTag {}
typealias AuthorizationRequestID = ID<AuthorizationRequestTag>

/// A client that is registered and not closed.
struct RegisteredClient: Sendable {
    let id: String
    /// Public: an app that can keep no secret (RFC 6749 §2.1). Otherwise an organisation's system with keys of its own.
    let isPublic: Bool
    let name: LocalisedText
    let redirectAddresses: [String]
    let scope: [String]
    let keys: JSONText?
    /// What signs its ID tokens.
    let idTokenAlgorithm: SigningAlgorithm
    /// Whether it keeps the FAPI 2.0 Security Profile: pushed requests, bound tokens, the issuer alone as audience.
    let isFAPI: Bool
    /// The organisation's interfaces that it may ask tokens for.
    let resources: [String]
    let hasDevices: Bool
    /// The database's clock at this moment: the time against which an assertion is judged.
    let now: Date

    /// Whether residents sign in there (OpenID Connect): a client of an organisation that holds `openid`.
    var isService: Bool { scope.contains(ScopeToken.openID.rawValue) }

    /// What it holds of some scopes, in the order in which it was registered.
    func scope(among tokens: [ScopeToken]) -> [String] { scope.filter { name in tokens.contains { $0.rawValue == name } } }
}

struct FindClient: Query {
    let id: String

    var sql: SQL {
        """
        SELECT c.id, c.kind = 'public', c.name, c.redirect_uris, c.scope, c.jwks, c.id_token_algorithm, c.profile = 'fapi2', c.resources,
               c.has_devices,
               public.stoa_now()
          FROM openid.client AS c WHERE c.id = \(id) AND c.closed_at IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> RegisteredClient {
        try RegisteredClient(
            id: row.next(), isPublic: row.next(), name: LocalisedText(row.next(JSONText.self)), redirectAddresses: row.next(), scope: row.next(),
            keys: row.next(), idTokenAlgorithm: SigningAlgorithm(rawValue: row.next()) ?? .es256, isFAPI: row.next(), resources: row.next(), hasDevices: row.next(), now: row.next())
    }
}

/// Notes that an assertion was used. No row is inserted when it was used before (RFC 7523 §3 item 7).
func rememberAssertion(client: String, jti: String, until expiry: Date) -> SQL {
    """
    INSERT INTO openid.client_assertion (client_id, jti, expires_at) VALUES (\(client), \(jti), \(expiry)) ON CONFLICT DO NOTHING
    """
}

/// A token of an organisation's client for itself.
func issueClientToken(hash: CredentialHash, client: String, scope: [String], lifetimeSeconds: Int) -> SQL {
    "SELECT web.issue_client_token(\(hash.bytes), \(client), \(scope), \(Int32(lifetimeSeconds)))"
}

/// Consumes a code, whatever comes of it, and issues the token when everything matches.
struct RedeemCode: Query {
    let code: CredentialHash
    let client: String
    let redirectAddress: String
    let challenge: String
    let token: CredentialHash
    let lifetimeSeconds: Int
    /// Stored where the code's scope has `offline_access`.
    let refreshToken: CredentialHash
    /// Of the key that the client proved to hold.
    let keyThumbprint: String?

    struct Row: Sendable {
        /// `issued`, or why not: `unknown`, `replayed`, `expired`, `redirect_uri_differs`, `verifier_wrong`, `key_differs`, `session_ended`.
        let outcome: String
        let scope: [String]?
        /// Nil for a resident's app.
        let signIn: SignIn?
    }

    var sql: SQL {
        """
        SELECT outcome, scope, resource, sign_in_id, subject, nonce, signed_in_at, authenticator_assurance::bigint, identity_assurance::bigint, id_token_claims, issued_at
          FROM web.redeem_authorization_code(
            \(code.bytes), \(client), \(redirectAddress), \(challenge), \(token.bytes), \(Int32(lifetimeSeconds)), \(refreshToken.bytes),
            \(keyThumbprint as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let (outcome, scope) = (try row.next(String.self), try row.next([String]?.self))
        return Row(outcome: outcome, scope: scope, signIn: try SignIn(&row))
    }
}

/// A resident's signing in at a service, as its tokens tell it.
struct SignIn: Sendable {
    /// The `sid`.
    let id: UUID
    /// The name under which the organisation knows the resident.
    let subject: UUID
    /// The interface that its access token is for; nil: the city's UserInfo.
    let resource: String?
    let nonce: String?
    let signedInAt: Date
    let context: AuthenticationContext
    let idTokenClaims: [String]
    let issuedAt: Date

    /// - Returns: nil where the row is about an app's code, or about none.
    init?(_ row: inout RowReader) throws {
        resource = try row.next()
        let (id, subject, nonce) = (try row.next(UUID?.self), try row.next(UUID?.self), try row.next(String?.self))
        let (signedInAt, authenticator, identity) = (try row.next(Date?.self), try row.next(Int?.self), try row.next(Int?.self))
        let (claims, issuedAt) = (try row.next([String]?.self), try row.next(Date?.self))
        guard let id, let subject, let signedInAt, let authenticator, let identity, let claims, let issuedAt else { return nil }
        self.id = id
        self.subject = subject
        self.nonce = nonce
        self.signedInAt = signedInAt
        context = AuthenticationContext(identityAssurance: identity, authenticatorAssurance: authenticator)
        idTokenClaims = claims
        self.issuedAt = issuedAt
    }
}

/// Renews the tokens of a sign-in, once for each refresh token.
struct RenewTokens: Query {
    let token: CredentialHash
    let client: String
    /// A part of what was granted; nil for all of it.
    let scope: [String]?
    let accessToken: CredentialHash
    let lifetimeSeconds: Int
    let successor: CredentialHash
    let keyThumbprint: String?

    struct Row: Sendable {
        /// `issued`, or why not: `unknown`, `expired`, `ended`, `scope_unknown`, `key_differs`, `reused`.
        let outcome: String
        /// Whether the successor counts; otherwise the token that was sent goes on counting.
        let hasRotated: Bool?
        let scope: [String]?
        let signIn: SignIn?
    }

    var sql: SQL {
        """
        SELECT outcome, has_rotated, granted, resource, sign_in_id, subject, nonce, signed_in_at, authenticator_assurance::bigint, identity_assurance::bigint,
               id_token_claims, issued_at
          FROM openid.refresh(\(token.bytes), \(client), \(scope as [String]?), \(accessToken.bytes), \(Int32(lifetimeSeconds)), \(successor.bytes),
            \(keyThumbprint as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let (outcome, hasRotated, scope) = (try row.next(String.self), try row.next(Bool?.self), try row.next([String]?.self))
        return Row(outcome: outcome, hasRotated: hasRotated, scope: scope, signIn: try SignIn(&row))
    }
}

/// Ends a token, or with a refresh token its sign-in: `revoked`, `unknown`, `other_client`.
struct EndToken: Query {
    let token: CredentialHash
    let client: String

    var sql: SQL { "SELECT openid.revoke_token(\(token.bytes), \(client))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// What a token is worth, for a client of the organisation that it was issued to; no row when it is worth nothing.
struct InspectToken: Query {
    let token: CredentialHash
    let client: String

    struct Row: Sendable {
        let isAccessToken: Bool
        let clientID: String
        /// Nil for a token of the organisation itself.
        let subject: UUID?
        let scope: [String]
        let issuedAt: Date
        let expiresAt: Date
    }

    var sql: SQL {
        "SELECT is_access, client_id, subject, scope, issued_at, expires_at FROM openid.introspect(\(token.bytes), \(client))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        try Row(isAccessToken: row.next(), clientID: row.next(), subject: row.next(), scope: row.next(), issuedAt: row.next(), expiresAt: row.next())
    }
}

/// By whom a request was begun, or will be.
enum RequestOrigin: Sendable {
    /// In this browser.
    case browser(CredentialHash)
    /// By the client, which will name it by this hash's secret (RFC 9126), in whatever browser comes with it first.
    case pushed(CredentialHash, secondsToBegin: Int)
}

/// Keeps what was asked for; from here on the parameters come from the row and never from a page.
func storeAuthorizationRequest(_ id: AuthorizationRequestID, _ asked: AuthorizationParameters, _ origin: RequestOrigin, lifetimeSeconds: Int) -> SQL {
    let signIn = asked.signIn ?? SignInParameters()
    let claims = asked.signIn == nil ? [] : signIn.claims.userInfo.union(signIn.claims.idToken).union(Claim.asked(by: asked.scope))
    let (browser, pushed, secondsToBegin): (CredentialHash?, CredentialHash?, Int?) =
        switch origin {
        case .browser(let browser): (browser, nil, nil)
        case .pushed(let hash, let seconds): (nil, hash, seconds)
        }
    return """
        INSERT INTO openid.authorization_request
            (id, client_id, redirect_uri, scope, state, code_challenge, nonce, prompt, max_age_seconds, essential_acr, wished_acr, login_hint, language, attributes, id_token_claims,
             user_info_claims, resource, key_thumbprint, browser, pushed_hash, begin_until, expires_at)
        VALUES (\(id), \(asked.clientID), \(asked.redirectAddress), \(asked.scope), \(asked.state as String?), \(asked.codeChallenge),
                \(signIn.nonce as String?), \(signIn.prompt.map(\.rawValue).sorted()), \(signIn.maxAgeSeconds.map { Int32($0) } as Int32?),
                \(signIn.claims.essentialACR), \(signIn.wishedACR), \(signIn.hint as String?), \(signIn.language?.tag as String?), \(Claim.attributes(of: claims).map(\.rawValue)), \(signIn.claims.idToken.map(\.rawValue).sorted()),
                \(signIn.claims.userInfo.map(\.rawValue).sorted()), \(signIn.resource as String?), \(signIn.keyThumbprint as String?),
                \(browser?.bytes as [UInt8]?), \(pushed?.bytes as [UInt8]?),
                public.stoa_now() + make_interval(secs => \(secondsToBegin.map { Int32($0) } as Int32?)),
                public.stoa_now() + make_interval(secs => \(Int32(lifetimeSeconds))))
        """
}

/// Ties what was pushed to the browser that comes with its name first; again there when the page is loaded again. No row for a name that is unknown, too old,
/// another client's or another browser's.
struct BeginPushedRequest: Query {
    let name: CredentialHash
    let client: String
    let browser: CredentialHash

    struct Row: Sendable {
        let id: AuthorizationRequestID
        let redirectAddress: String
        let state: String?
        let prompt: Set<SignInParameters.Prompt>
        let scope: [String]
        let language: Language?
    }

    var sql: SQL {
        """
        UPDATE openid.authorization_request AS r SET browser = \(browser.bytes)
         WHERE r.pushed_hash = \(name.bytes) AND r.client_id = \(client) AND r.answered_at IS NULL
           AND CASE WHEN r.browser IS NULL THEN r.begin_until > public.stoa_now() ELSE r.browser = \(browser.bytes) END
        RETURNING r.id, r.redirect_uri, r.state, r.prompt, r.scope, r.language
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        try Row(
            id: row.next(), redirectAddress: row.next(), state: row.next(),
            prompt: Set(row.next([String].self).compactMap { SignInParameters.Prompt(rawValue: $0) }), scope: row.next(),
            language: row.next(String?.self).flatMap(Language.init(rawValue:)))
    }
}

/// Whom the service named that began a request in this browser.
struct FindLoginHint: Query {
    let request: AuthorizationRequestID
    let browser: CredentialHash

    var sql: SQL {
        """
        SELECT r.login_hint FROM openid.authorization_request AS r
         WHERE r.id = \(request) AND r.browser = \(browser.bytes) AND r.answered_at IS NULL AND r.expires_at > public.stoa_now()
        """
    }

    func decode(_ row: inout RowReader) throws -> String? { try row.next() }
}

/// How a request stands for whoever holds a session.
struct Standing: Sendable {
    let clientName: LocalisedText
    /// Nil for a resident's app, which speaks for nobody.
    let organisationName: LocalisedText?
    let registeredAt: Date
    let redirectAddress: String
    let scope: [String]
    let state: String?
    let prompt: Set<SignInParameters.Prompt>
    let maxAgeSeconds: Int?
    let essentialACR: [String]
    let wishedACR: [String]
    let browser: [UInt8]
    let createdAt: Date
    let expiresAt: Date
    let isExpired: Bool
    let isAnswered: Bool
    /// What the service reads rests on: `consent`, or what a law says. Nil where it reads nothing.
    let legalBasis: String?
    let law: String?
    let purpose: LocalisedText?
    let explanation: LocalisedText?
    let policyVersion: Int?
    /// What it asks for this time, of what it may ever ask for.
    let attributes: [String]
    /// What the resident shares with it already.
    let shared: [String]
    /// What the resident was asked for before and does not share.
    let declined: [String]
    /// Nil where the resident was never asked, or has ended it.
    let connectedScope: [String]?
    /// When the session was opened; nil without one.
    let signedInAt: Date?
    let context: AuthenticationContext
    /// Whether a member of staff would sign in.
    let isStaff: Bool
    let hasSecondFactor: Bool

    /// Whether the answer goes to a device that asks for it, and not to an address.
    var isForDevice: Bool { redirectAddress == DeviceGrant.answeredPath }

    /// Whether residents sign in there, in contrast to an app that acts for them here.
    var isService: Bool { scope.contains(ScopeToken.openID.rawValue) }
}

struct FindStanding: Query {
    let request: AuthorizationRequestID
    let session: CredentialHash?

    var sql: SQL {
        """
        SELECT client_name, organisation_name, registered_at, redirect_uri, scope, state, prompt, max_age_seconds::bigint, essential_acr, wished_acr, coalesce(browser, ''), created_at,
               expires_at, is_expired, is_answered, legal_basis, law, purpose_title, purpose_explanation, policy_version::bigint, attributes, coalesce(shared, '{}'),
               declined, connected_scope, signed_in_at, coalesce(identity_assurance, 0)::bigint, coalesce(authenticator_assurance, 0)::bigint, is_staff, has_second_factor
          FROM openid.standing(\(request), \(session?.bytes as [UInt8]?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Standing {
        func text(_ row: inout RowReader) throws -> LocalisedText? { try row.next(JSONText?.self).map { try LocalisedText($0) } }
        return try Standing(
            clientName: LocalisedText(row.next(JSONText.self)), organisationName: text(&row), registeredAt: row.next(), redirectAddress: row.next(),
            scope: row.next(), state: row.next(), prompt: Set(row.next([String].self).compactMap { SignInParameters.Prompt(rawValue: $0) }),
            maxAgeSeconds: row.next(), essentialACR: row.next(), wishedACR: row.next(), browser: row.next(), createdAt: row.next(), expiresAt: row.next(), isExpired: row.next(),
            isAnswered: row.next(), legalBasis: row.next(), law: row.next(), purpose: text(&row), explanation: text(&row), policyVersion: row.next(),
            attributes: row.next(), shared: row.next(), declined: row.next(), connectedScope: row.next(), signedInAt: row.next(),
            context: AuthenticationContext(identityAssurance: row.next(), authenticatorAssurance: row.next()), isStaff: row.next(), hasSecondFactor: row.next())
    }
}

/// What a resident agrees to when signing in at a service: `connected`, or why not: `policy_changed`, `session_ended`. It waits for whoever decides about the
/// same consent, so it belongs on an exclusive connection.
struct Connect: Query {
    let request: AuthorizationRequestID
    let session: CredentialHash
    let decision: AnswerAuthorization.Decision
    let language: Language

    var sql: SQL {
        let (word, version): (String, Int?) =
            switch decision {
            case .allow(let policyVersion): ("share", policyVersion)
            case .allowWithoutSharing: ("decline", nil)
            case .proceed, .refuse: ("proceed", nil)
            }
        return "SELECT openid.connect(\(request), \(session.bytes), \(word), \(version.map { Int32($0) } as Int32?), \(language.tag))"
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// The sign-in that a service's token belongs to; no row when it has ended.
struct FindSignIn: Query {
    let token: CredentialHash

    struct Row: Sendable {
        let id: UUID
        let subject: UUID
        let clientID: String
        let scope: [String]
        let userInfoClaims: [String]
        /// Whether the service may ask for anything at all.
        let hasClaims: Bool
        /// Of a member of staff.
        let staff: (name: String, roles: [String])?
        /// The database's clock.
        let now: Date
    }

    var sql: SQL {
        "SELECT sign_in_id, subject, client_id, scope, user_info_claims, has_claims, staff_name, coalesce(staff_roles, '{}'), now FROM openid.sign_in_of(\(token.bytes))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let (id, subject, clientID) = (try row.next(UUID.self), try row.next(UUID.self), try row.next(String.self))
        let (scope, claims, hasClaims) = (try row.next([String].self), try row.next([String].self), try row.next(Bool.self))
        let (name, roles) = (try row.next(String?.self), try row.next([String].self))
        return Row(
            id: id, subject: subject, clientID: clientID, scope: scope, userInfoClaims: claims, hasClaims: hasClaims, staff: name.map { ($0, roles) },
            now: try row.next())
    }
}

/// Takes the one answer that a request can have; no row when it has one already or has run out.
struct CloseAuthorizationRequest: Query {
    let id: AuthorizationRequestID

    struct Row: Sendable {
        let redirectAddress: String
        let state: String?
        let isService: Bool
    }

    var sql: SQL {
        """
        UPDATE openid.authorization_request AS r SET answered_at = public.stoa_now()
          FROM openid.client AS c
         WHERE r.id = \(id) AND r.answered_at IS NULL AND r.expires_at > public.stoa_now() AND c.id = r.client_id AND c.closed_at IS NULL
        RETURNING r.redirect_uri, r.state, 'openid' = ANY (r.scope)
        """
    }

    func decode(_ row: inout RowReader) throws -> Row { try Row(redirectAddress: row.next(), state: row.next(), isService: row.next()) }
}

/// A code for the resident whom the session names; false when the session has ended meanwhile.
struct IssueCode: Query {
    let code: CredentialHash
    let request: AuthorizationRequestID
    let session: CredentialHash

    var sql: SQL { "SELECT web.issue_authorization_code(\(code.bytes), \(request), \(session.bytes))" }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
