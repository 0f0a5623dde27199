// For the JSON face, in place of session and form: the bearer token becomes a caller. Cookies are never looked at.
import HTTPTypes
import Hummingbird

/// Marks an answer as JSON, errors included.
struct APIFace: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        context.state.face = .json
        return try await next(request, context)
    }
}

/// Finds out who holds the access token; 401 without one, or with one that is unknown, expired or revoked.
struct TokenLookup: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        guard let token = request.headers.bearerToken else { throw Problem.unauthorised(nil) }
        guard let caller = try await context.services.resolve(CredentialHash(token: token), .accessToken) else {
            throw Problem.unauthorised("invalid_token")
        }
        var context = context
        context.caller = caller
        return try await next(request, context)
    }
}

/// Hashes the access token and leaves it to the handler's own statement to say whose it is.
struct TokenReading: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        var context = context
        context.bearer = request.headers.bearerToken.map { CredentialHash(token: $0) }
        return try await next(request, context)
    }
}
