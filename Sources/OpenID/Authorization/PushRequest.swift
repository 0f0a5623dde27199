// Use case: a client sends its authorization request itself (RFC 9126), so that no browser carries or changes it, and gets a name for it.
import Hummingbird
import Logging
import Postgres
import Primitives
import Web

struct PushRequest: Sendable {
    /// RFC 9126 §2.2.
    private static let prefix = "urn:ietf:params:oauth:request_uri:"
    /// From the push to the browser's coming: a redirect on a slow line. FAPI 2.0 §5.3.2.2 wants under ten minutes.
    static let secondsToBegin = 90

    let database: Database
    let budget: RequestBudget

    static func isName(_ text: String) -> Bool { text.hasPrefix(prefix) && OpaqueToken.isPossible(String(text.dropFirst(prefix.count))) }

    /// - Parameter keyThumbprint: of the key that the client proved to hold with this request: the code is bound to it (RFC 9449 §10.1).
    /// - Returns: the answer with the name.
    /// - Throws: `OAuthError`.
    func push(_ parameters: OAuthParameters, by client: RegisteredClient, keyThumbprint: String?) async throws -> Response {
        guard client.isPublic || client.isService else { throw OAuthError(.unauthorizedClient, "This client cannot use authorization_code.") }
        guard parameters["request_uri"] == nil else { throw OAuthError(.invalidRequest, "A pushed request has no request_uri.") }
        let address: String
        do {
            address = try AuthorizationParameters.redirectAddress(of: parameters, for: client)
        } catch {
            throw OAuthError(.invalidRequest, "The redirect_uri is missing or not registered.")
        }
        var asked = try AuthorizationParameters(parameters, client: client, redirectAddress: address, isPushed: true)
        if let keyThumbprint {
            guard asked.signIn?.keyThumbprint ?? keyThumbprint == keyThumbprint else { throw OAuthError(.invalidProof, "The dpop_jkt is not the key of the proof.") }
            asked.signIn?.keyThumbprint = keyThumbprint
        }
        guard budget.take(client.id) else { throw OAuthError(.temporarilyUnavailable, "Too many sign-ins begin at this moment. Try again in some seconds.", status: .serviceUnavailable) }
        let name = Self.prefix + OpaqueToken().characters
        try await database.execute(
            storeAuthorizationRequest(
                .new(), asked, .pushed(CredentialHash(token: name), secondsToBegin: Self.secondsToBegin),
                lifetimeSeconds: BeginAuthorization.requestLifetimeSeconds))
        return Response.json(
            ["request_uri": .string(name), "expires_in": .integer(Int64(Self.secondsToBegin))], status: .created, headers: OAuthError.neverStored)
    }
}
