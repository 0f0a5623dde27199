// Use case: an organisation's interface asks what a token is worth at this moment (RFC 7662). It learns about tokens of its own organisation's clients alone.
import Foundation
import Postgres
import Web

struct IntrospectToken: Sendable {
    let database: Database
    let keys: SigningKeys
    let issuer: String

    /// - Returns: the body of the answer; `active` is false for everything that this client may not know about (§2.2).
    /// - Throws: `OAuthError` for a client that cannot prove who it is.
    func body(_ token: String, for client: RegisteredClient) async throws -> JSONValue {
        guard !client.isPublic else { throw OAuthError.invalidClient("A public client cannot ask about tokens. Authenticate with private_key_jwt.") }
        guard let hash = try await keys.storedHash(of: token), let found = try await database.optional(InspectToken(token: hash, client: client.id)) else {
            return ["active": false]
        }
        let binding = try await keys.claims(of: token, type: ServiceToken.type)?["cnf"]
        let type: [JSONMember] = found.isAccessToken ? [JSONMember("token_type", binding == nil ? "Bearer" : "DPoP")] : []
        return .object(
            [
                JSONMember("active", true), JSONMember("iss", .string(issuer)), JSONMember("client_id", .string(found.clientID)),
                JSONMember("sub", .string(found.subject?.uuidString.lowercased() ?? found.clientID)),
                JSONMember("scope", .string(found.scope.joined(separator: " "))), JSONMember("iat", .integer(found.issuedAt.seconds)),
                JSONMember("exp", .integer(found.expiresAt.seconds)),
            ] + type + (binding.map { [JSONMember("cnf", $0)] } ?? []))
    }
}
