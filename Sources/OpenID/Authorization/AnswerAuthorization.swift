// Use case: the resident allows what was asked for, or does not (RFC 6749 §4.1.2). A request takes one answer, in the browser that began it.
import Postgres
import Web

struct AnswerAuthorization: Sendable {
    enum Decision: Sendable, Equatable {
        /// An app may act; a service may sign the resident in, and gets what it asked for in the policy of this version.
        case allow(policyVersion: Int?)
        /// The service signs the resident in and gets nothing that it does not have already.
        case allowWithoutSharing
        /// Nothing was left to ask: everything was agreed to before.
        case proceed
        case refuse
    }

    /// The session ended between the look-up and the answer; nothing was answered.
    struct SessionEnded: Error {}

    /// What was agreed to is not what is asked for any more, or the sign-in is too old: the page says so anew.
    struct ShowAgain: Error {}

    let database: Database
    let issuer: String
    /// In which what is agreed to was shown.
    let language: Language

    /// A request that still waits for its answer.
    /// - Parameter browser: the cookie of the browser that asks for it.
    /// - Throws: `AuthorizationRefusal` when it is unknown, another browser's, answered or has run out.
    func open(_ id: AuthorizationRequestID, browser: CredentialHash?, session: CredentialHash?) async throws -> Standing {
        guard let standing = try await database.optional(FindStanding(request: id, session: session)) else { throw AuthorizationRefusal.unknownRequest }
        guard standing.browser == browser?.bytes else { throw AuthorizationRefusal.otherBrowser }
        guard !standing.isAnswered else { throw AuthorizationRefusal.answered }
        guard !standing.isExpired else { throw AuthorizationRefusal.expired }
        return standing
    }

    /// Answers what the resident was shown, and says where the browser goes with it.
    /// - Throws: `AuthorizationRefusal`, `SessionEnded`, `ShowAgain`.
    func location(_ id: AuthorizationRequestID, _ decision: Decision, browser: CredentialHash?, session: CredentialHash) async throws -> String {
        let standing = try await open(id, browser: browser, session: session)
        guard standing.signedInAt != nil else { throw SessionEnded() }
        guard decision == .refuse || [.ask, .proceed].contains(SignInRules.step(standing)) else { throw ShowAgain() }
        return try await location(id, decision, session: session)
    }

    /// - Parameter session: whose resident the code will be for; the database reads that from the session's row.
    func location(_ id: AuthorizationRequestID, _ decision: Decision, session: CredentialHash) async throws -> String {
        let code = OpaqueToken()
        let closed = try await database.transaction { transaction in
            let closed = try await transaction.optional(CloseAuthorizationRequest(id: id))
            if let closed, decision != .refuse {
                if closed.isService { try await connect(id, decision, session, in: transaction) }
                // Throwing rolls back, so the request stays open for the next sign-in.
                guard try await transaction.one(IssueCode(code: code.hash, request: id, session: session)) else { throw SessionEnded() }
            }
            return closed
        }
        // Answered or run out in this instant.
        guard let closed else { throw AuthorizationRefusal.answered }
        if closed.redirectAddress == DeviceGrant.answeredPath { return closed.redirectAddress }
        let response = AuthorizationResponse(redirectAddress: closed.redirectAddress, state: closed.state, issuer: issuer)
        if decision == .refuse { return response.error(OAuthError(.accessDenied, "The resident did not allow it.")) }
        return response.code(code)
    }

    /// Closes a request that the sign-in cannot satisfy, and says where the browser goes with the error.
    func unmet(_ id: AuthorizationRequestID, _ standing: Standing) async throws -> String {
        guard try await database.optional(CloseAuthorizationRequest(id: id)) != nil else { throw AuthorizationRefusal.answered }
        if standing.isForDevice { return standing.redirectAddress }
        return AuthorizationResponse(redirectAddress: standing.redirectAddress, state: standing.state, issuer: issuer).error(.unmet)
    }

    private func connect(_ id: AuthorizationRequestID, _ decision: Decision, _ session: CredentialHash, in transaction: some Executor) async throws {
        let outcome = try await transaction.one(Connect(request: id, session: session, decision: decision, language: language))
        switch outcome {
        case "connected": return
        case "session_ended": throw SessionEnded()
        default: throw ShowAgain()
        }
    }
}
