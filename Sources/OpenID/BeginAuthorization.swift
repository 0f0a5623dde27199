// Use case: an app sends the resident's browser here (RFC 6749 §4.1.1). What it asks for is stored, so that no page and
// no second request can change it, and the browser goes on to the approval page.
import Logging
import Postgres
import Primitives
import Web

struct BeginAuthorization: Sendable {
    /// From the app's request to the resident's answer: time to find a password on paper and sign in on a slow line.
    static let requestLifetimeSeconds = 600

    let database: Database
    let issuer: String
    let budget: RequestBudget

    /// Where to send the browser: to the approval page, or back to the app with an error.
    /// - Throws: `AuthorizationRefusal` while it is not certain where to answer.
    func location(for parameters: OAuthParameters, logger: Logger) async throws -> String {
        guard let id = parameters["client_id"], id.utf8.count <= AuthenticateClient.clientIDCharactersMax,
            let client = try await database.optional(FindClient(id: id)), client.isPublic
        else { throw AuthorizationRefusal.unknownClient }
        let address = try AuthorizationParameters.redirectAddress(of: parameters, for: client)
        do {
            let asked = try AuthorizationParameters(parameters, client: client, redirectAddress: address)
            guard budget.take(client.id) else {
                logger.warning("authorization requests over budget", metadata: ["client_id": "\(client.id)"])
                throw OAuthError(.temporarilyUnavailable, "Too many sign-ins begin at this moment. Try again in some seconds.")
            }
            let request = AuthorizationRequestID.new()
            try await database.execute(storeAuthorizationRequest(request, asked, lifetimeSeconds: Self.requestLifetimeSeconds))
            return "/oauth/requests/\(request)"
        } catch let error as OAuthError {
            let response = AuthorizationResponse(redirectAddress: address, state: AuthorizationParameters.state(of: parameters), issuer: issuer)
            return response.error(error)
        }
    }
}
