// Sixth of the middleware, pages only: the session cookie becomes a caller, and the browser's own cookies (form secret and
// notice; LocaleChoice has read the language) are read.
import HTTPTypes
import Hummingbird
import Primitives

/// Finds out who is signed in. A dead session's cookie is cleared; nobody is turned away here.
struct SessionLookup: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        var context = context
        let cookies = context.services.cookies
        context.state.face = .page
        if let secret = request.headers.cookie(cookies.csrf).flatMap(Base64URL.decode), secret.count == CSRF.secretBytes {
            context.state.setCSRFSecret(secret)
        }
        if request.method == .get { context.state.noticeKey = request.headers.cookie(cookies.notice) }
        if let token = request.headers.cookie(cookies.session), isToken(token) {
            context.state.sessionToken = token
            if let caller = try await context.services.resolve(CredentialHash(token: token), .session) {
                context.caller = caller
                if case .helper(var helper) = caller {
                    helper.name = try await context.services.representing?.name(helper.credential)
                    context.caller = .helper(helper)
                }
                context.state.nextSessionToken = token
                if let language = caller.language { context.state.language = language }
            } else {
                context.state.setCookie(cookies.clearCookie(cookies.session), named: cookies.session)
            }
        }
        context.state.caller = context.caller
        return try await next(request, context)
    }

    private func isToken(_ token: String) -> Bool {
        !token.isEmpty && token.utf8.count <= tokenCharactersMax && token.utf8.allSatisfy(isTokenCharacter)
    }
}

/// Staff without any role of a group get a 403 page.
struct RequireRole: RouterMiddleware {
    typealias Context = StaffContext

    let roles: Set<StaffRole>

    func handle(_ request: Request, context: StaffContext, next: (Request, StaffContext) async throws -> Response) async throws -> Response
    {
        guard !context.staff.roles.isDisjoint(with: roles) else { throw Problem.forbidden }
        return try await next(request, context)
    }
}
