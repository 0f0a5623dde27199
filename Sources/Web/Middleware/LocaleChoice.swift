// Fifth of the middleware: the language of the answer, as far as the request itself says it. A signed-in person's own
// choice replaces it when the session has been looked up.
import HTTPTypes
import Hummingbird

/// Chooses by the language cookie, then by Accept-Language, then the city's default.
struct LocaleChoice: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        // Also where programs usually ask: a sign-in for an app is a page under /oauth.
        context.state.language = language(of: request, context: context)
        return try await next(request, context)
    }

    private func language(of request: Request, context: WebContext) -> Language {
        if let chosen = request.headers.cookie(context.services.cookies.language).flatMap(Language.init(rawValue:)) { return chosen }
        if let wish = request.headers[.acceptLanguage].flatMap({ Language.preferred(acceptLanguage: $0) }) { return wish }
        return context.services.configuration.defaultLanguage
    }
}
