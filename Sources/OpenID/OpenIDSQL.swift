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
    /// The database's clock at this moment: the time against which an assertion is judged.
    let now: Date
}

struct FindClient: Query {
    let id: String

    var sql: SQL {
        """
        SELECT c.id, c.kind = 'public', c.name, c.redirect_uris, c.scope, c.jwks, public.stoa_now()
          FROM openid.client AS c WHERE c.id = \(id) AND c.closed_at IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> RegisteredClient {
        try RegisteredClient(
            id: row.next(), isPublic: row.next(), name: LocalisedText(row.next(JSONText.self)), redirectAddresses: row.next(), scope: row.next(),
            keys: row.next(), now: row.next())
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

    struct Row: Sendable {
        /// `issued`, or why not: `unknown`, `replayed`, `expired`, `redirect_uri_differs`, `verifier_wrong`.
        let outcome: String
        let scope: [String]?
    }

    var sql: SQL {
        """
        SELECT outcome, scope FROM web.redeem_authorization_code(
            \(code.bytes), \(client), \(redirectAddress), \(challenge), \(token.bytes), \(Int32(lifetimeSeconds)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row { try Row(outcome: row.next(), scope: row.next()) }
}

/// Whether a credential is an access token that stands, and of which client.
struct FindAccessTokenClient: Query {
    let hash: CredentialHash

    var sql: SQL { "SELECT r.client_id FROM web.resolve_credential(\(hash.bytes)) AS r WHERE r.kind = 'access_token'" }

    func decode(_ row: inout RowReader) throws -> String? { try row.next() }
}

func revoke(_ hash: CredentialHash) -> SQL { "SELECT web.revoke_credential(\(hash.bytes))" }

/// Keeps what an app asked for; from here on the parameters come from the row and never from a page.
func storeAuthorizationRequest(_ id: AuthorizationRequestID, _ asked: AuthorizationParameters, lifetimeSeconds: Int) -> SQL {
    """
    INSERT INTO openid.authorization_request (id, client_id, redirect_uri, scope, state, code_challenge, expires_at)
    VALUES (\(id), \(asked.clientID), \(asked.redirectAddress), \(asked.scope), \(asked.state as String?), \(asked.codeChallenge),
            public.stoa_now() + make_interval(secs => \(Int32(lifetimeSeconds))))
    """
}

/// A request as the approval page shows it.
struct FindAuthorizationRequest: Query {
    let id: AuthorizationRequestID

    struct Row: Sendable {
        let clientName: LocalisedText
        let redirectAddress: String
        let scope: [String]
        let expiresAt: Date
        let isExpired: Bool
        let isAnswered: Bool
    }

    var sql: SQL {
        """
        SELECT c.name, r.redirect_uri, r.scope, r.expires_at, r.expires_at <= public.stoa_now() OR c.closed_at IS NOT NULL,
               r.answered_at IS NOT NULL
          FROM openid.authorization_request AS r JOIN openid.client AS c ON c.id = r.client_id
         WHERE r.id = \(id)
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        try Row(
            clientName: LocalisedText(row.next(JSONText.self)), redirectAddress: row.next(), scope: row.next(), expiresAt: row.next(),
            isExpired: row.next(), isAnswered: row.next())
    }
}

/// Takes the one answer that a request can have; no row when it has one already or has run out.
struct CloseAuthorizationRequest: Query {
    let id: AuthorizationRequestID

    struct Row: Sendable {
        let redirectAddress: String
        let state: String?
    }

    var sql: SQL {
        """
        UPDATE openid.authorization_request AS r SET answered_at = public.stoa_now()
          FROM openid.client AS c
         WHERE r.id = \(id) AND r.answered_at IS NULL AND r.expires_at > public.stoa_now() AND c.id = r.client_id AND c.closed_at IS NULL
        RETURNING r.redirect_uri, r.state
        """
    }

    func decode(_ row: inout RowReader) throws -> Row { try Row(redirectAddress: row.next(), state: row.next()) }
}

/// A code for the resident whom the session names; false when the session has ended meanwhile.
struct IssueCode: Query {
    let code: CredentialHash
    let request: AuthorizationRequestID
    let session: CredentialHash

    var sql: SQL { "SELECT web.issue_authorization_code(\(code.bytes), \(request), \(session.bytes))" }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
