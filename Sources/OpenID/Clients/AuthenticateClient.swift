// Use case: which client is asking (RFC 6749 §2.3). An organisation's system proves it with a signed assertion
// (RFC 7521 §4.2, RFC 7523); a resident's app only names itself and proves the rest with PKCE.
import Foundation
import HTTPTypes
import Logging
import Postgres
import Web

/// Decides which client sent a request to the token or revocation endpoint.
struct AuthenticateClient: Sendable {
    static let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    /// The column takes ids of up to 63 characters; anything longer is nobody.
    static let clientIDCharactersMax = 63

    private static let noSecrets = "Client secrets are not accepted. Authenticate with private_key_jwt."

    /// One answer for an unknown client and for one that has keys.
    private static let notPublic = "There is no public client of this client_id. A client with keys authenticates with private_key_jwt."

    let database: Database
    let issuer: String
    /// What the assertion may be addressed to: `ServerMetadata.audiences(at:)`. With FAPI 2.0 that is the issuer alone (§5.3.2.1).
    let audiences: Set<String>

    /// - Throws: `OAuthError` `invalid_client` (401), or `invalid_request` for two methods at once.
    func client(of parameters: OAuthParameters, headers: HTTPFields, logger: Logger) async throws -> RegisteredClient {
        if let header = headers[.authorization] {
            throw header.lowercased().hasPrefix("basic") ? OAuthError.invalidClient(Self.noSecrets, scheme: "Basic") : .invalidClient(Self.noSecrets)
        }
        guard parameters["client_secret"] == nil else { throw OAuthError.invalidClient(Self.noSecrets) }
        if let assertion = parameters["client_assertion"] {
            return try await confidentialClient(assertion, parameters, logger)
        }
        guard parameters["client_assertion_type"] == nil else { throw OAuthError(.invalidRequest, "The parameter client_assertion is missing.") }
        guard let id = parameters["client_id"] else {
            throw OAuthError.invalidClient("Send client_assertion, or client_id if the client is a public one.")
        }
        guard let client = try await find(id), client.isPublic else { throw OAuthError.invalidClient(Self.notPublic) }
        return client
    }

    private func confidentialClient(_ compact: String, _ parameters: OAuthParameters, _ logger: Logger) async throws -> RegisteredClient {
        guard parameters["client_assertion_type"] == Self.assertionType else {
            throw OAuthError(.invalidRequest, "The client_assertion_type must be \(Self.assertionType).")
        }
        do {
            let assertion = try ClientAssertion(compact: compact)
            guard (parameters["client_id"] ?? assertion.subject) == assertion.subject else {
                throw AssertionRefusal("The client_id is not the sub of the assertion.")
            }
            guard let client = try await find(assertion.subject), !client.isPublic, let keys = client.keys else { throw Self.notProven }
            // First, so that what the claims are told apart by is told to nobody but the client itself.
            guard try await ClientKeys(keys.text).signed(assertion) else { throw Self.notProven }
            guard !client.isFAPI || assertion.algorithm != .rs256 else { throw AssertionRefusal("This client signs with ES256 or EdDSA.") }
            try assertion.check(audiences: client.isFAPI ? [issuer] : audiences, now: client.now)
            // Last, so that a stranger's guesses cannot use up a client's jti.
            let isFirst = try await database.execute(rememberAssertion(client: client.id, jti: assertion.jti, until: assertion.rememberedUntil)) == 1
            guard isFirst else { throw AssertionRefusal("This assertion was used before. Sign a new one, with a new jti, for each request.") }
            return client
        } catch let refusal as AssertionRefusal {
            logger.notice("client assertion refused", metadata: ["reason": "\(refusal.reason)"])
            throw OAuthError.invalidClient(refusal.reason)
        }
    }

    /// One answer for an unknown client and for a wrong signature: which client ids exist is nobody's business.
    private static let notProven = AssertionRefusal("No registered key of such a client signed this assertion.")

    private func find(_ id: String) async throws -> RegisteredClient? {
        guard id.utf8.count <= Self.clientIDCharactersMax else { return nil }
        return try await database.optional(FindClient(id: id))
    }
}
