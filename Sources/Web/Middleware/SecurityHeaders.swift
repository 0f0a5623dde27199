// Third of the middleware: what browsers may do with an answer. It stands outside the error pages, so that errors carry
// the same headers; and it is where the cookies of the request's state join the answer.
import HTTPTypes
import Hummingbird

/// Adds the headers that keep pages from being framed, scripted, sniffed, cached or leaked.
struct SecurityHeaders: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        var response = try await next(request, context)
        response.headers[.xContentTypeOptions] = "nosniff"
        response.headers[.crossOriginResourcePolicy] = "same-origin"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        if context.services.configuration.baseURL.isSecure { response.headers[.strictTransportSecurity] = "max-age=31536000" }
        switch context.state.face {
        case .json:
            response.headers[.contentSecurityPolicy] = Self.policyOfDocuments
        case .page:
            response.headers[.contentSecurityPolicy] = Self.policyOfPages(
                formActions: context.state.formActions, hasScript: context.state.hasScript)
            response.headers[.referrerPolicy] = "no-referrer"
            response.headers[.crossOriginOpenerPolicy] = "same-origin"
            response.headers[.permissionsPolicy] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        }
        for cookie in context.state.cookieHeaders { response.headers.append(HTTPField(name: .setCookie, value: cookie)) }
        return response
    }

    /// For JSON, should a browser ever be made to show it.
    static let policyOfDocuments = "default-src 'none'; frame-ancestors 'none'"

    /// No scripts, but one of our own on the pages that cannot do without; styles, pictures and forms of our own only. `data:` pictures are for the layout's empty icon, which
    /// spares every first visit a third request.
    /// - Parameter formActions: further origins that a form of this page may lead to.
    static func policyOfPages(formActions: [String], hasScript: Bool) -> String {
        // Only what can be an origin gets into the header: a stray semicolon would write directives of its own.
        let origins = formActions.filter {
            $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: ",") }
        }
        let formAction = (["'self'"] + origins).joined(separator: " ")
        return
            "default-src 'none'; \(hasScript ? "script-src 'self'; " : "")style-src 'self'; img-src 'self' data:; form-action \(formAction); base-uri 'none'; frame-ancestors 'none'"
    }
}

extension HTTPField.Name {
    static let referrerPolicy = known("Referrer-Policy")
    static let crossOriginOpenerPolicy = known("Cross-Origin-Opener-Policy")
    static let permissionsPolicy = known("Permissions-Policy")
    static let secFetchSite = known("Sec-Fetch-Site")
    static let xForwardedFor = known("X-Forwarded-For")

    /// The names are literals of this file; one that is no header name would answer as `Via`, which every test would see.
    private static func known(_ name: String) -> HTTPField.Name { HTTPField.Name(name) ?? .via }
}
