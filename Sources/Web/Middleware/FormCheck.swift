// Last of the middleware for pages: a post is read, decoded and its form token checked before any handler sees it.
import HTTPTypes
import Hummingbird

/// Reads posted forms and refuses those that no page of ours sent.
struct FormCheck: RouterMiddleware {
    typealias Context = WebContext

    /// Choosing a language changes nothing but the language, so its buttons carry no token: a page whose only form is
    /// the language switch stays the same for everybody and can be revalidated by its ETag.
    static let languagePath = "/language"

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        if request.method == .get || request.method == .head { return try await next(request, context) }
        var context = context
        var bytesMax: Int?
        if case .staff = context.caller { bytesMax = context.services.routes.formBytesMax(request.method, path: context.state.path) }
        context.form = try await context.form(request, bytesMax: bytesMax)
        // Signing out takes the form token along, so whoever did it in another window would be told of the token only.
        if context.caller.isAnonymous, context.services.routes.needsSession(request.method, path: context.state.path) {
            throw context.signInFirst()
        }
        guard context.state.path == Self.languagePath || tokenIsValid(context) else { throw Problem.csrfTokenInvalid }
        return try await next(request, context)
    }

    private func tokenIsValid(_ context: WebContext) -> Bool {
        let tokens = context.form.values(CSRF.fieldName)
        guard tokens.count == 1, let secret = context.state.csrfSecret else { return false }
        return CSRF.isValid(tokens[0], secret: secret, sessionToken: context.state.sessionToken)
    }
}
