// Use case: the resident allows what an app asked for, or does not (RFC 6749 §4.1.2). A request takes one answer.
import Postgres
import Web

struct AnswerAuthorization: Sendable {
    enum Decision: Sendable {
        case allow
        case refuse
    }

    /// The session ended between the look-up and the answer; nothing was answered.
    struct SessionEnded: Error {}

    let database: Database
    let issuer: String

    /// A request that still waits for its answer.
    /// - Throws: `AuthorizationRefusal` when it is unknown, answered or has run out.
    func open(_ id: AuthorizationRequestID) async throws -> FindAuthorizationRequest.Row {
        guard let row = try await database.optional(FindAuthorizationRequest(id: id)) else { throw AuthorizationRefusal.unknownRequest }
        guard !row.isAnswered else { throw AuthorizationRefusal.answered }
        guard !row.isExpired else { throw AuthorizationRefusal.expired }
        return row
    }

    /// Answers, and says where the browser goes with it.
    /// - Parameter session: whose resident the code will be for; the database reads that from the session's row.
    /// - Throws: `AuthorizationRefusal`, `SessionEnded`.
    func location(_ id: AuthorizationRequestID, _ decision: Decision, session: CredentialHash) async throws -> String {
        let code = OpaqueToken()
        let closed = try await database.transaction { transaction in
            let closed = try await transaction.optional(CloseAuthorizationRequest(id: id))
            if closed != nil, decision == .allow {
                // Throwing rolls back, so the request stays open for the next sign-in.
                guard try await transaction.one(IssueCode(code: code.hash, request: id, session: session)) else { throw SessionEnded() }
            }
            return closed
        }
        guard let closed else {
            _ = try await open(id)
            // Open again in this instant can only mean that its client or clock changed; the page says to start anew.
            throw AuthorizationRefusal.expired
        }
        let response = AuthorizationResponse(redirectAddress: closed.redirectAddress, state: closed.state, issuer: issuer)
        switch decision {
        case .allow: return response.code(code)
        case .refuse: return response.error(OAuthError(.accessDenied, "The resident did not allow it."))
        }
    }
}
