// Fourth of the middleware: every error becomes an answer here. People get a page in their language that says what to
// do next, programs get problem+json; what nobody foresaw is logged once and shown blandly.
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1

/// Turns what inner middleware and handlers throw into responses.
struct ErrorPages: RouterMiddleware {
    typealias Context = WebContext

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let redirection as Redirection {
            return Response(status: .seeOther, headers: [.location: redirection.location])
        } catch {
            return answer(to: problem(for: error, request: request, context: context), context: context)
        }
    }

    private func problem(for error: any Error, request: Request, context: WebContext) -> Problem {
        switch error {
        case let problem as Problem:
            return problem
        case is SlowBody:
            return .bodyTooSlow
        case let error as HTTPParserError:
            // The headers were proper and what follows them is not: a body framed in a way that nobody can read safely.
            context.logger.notice("malformed request", metadata: ["error": "\(error)"])
            return .malformedFraming
        case let error as any HTTPResponseError where error.status.code < 500:
            return self.problem(status: error.status, request: request, context: context)
        case is CancellationError:
            // Only the request's own time limit cancels it while somebody waits for the answer.
            return .outcomeUnknown
        default:
            if let problem = Problem(databaseError: error) {
                context.logger.warning("the database did not answer", metadata: ["error": "\(error)"])
                return problem
            }
            context.logger.error("unexpected error", metadata: ["error": "\(error)", "route": "\(context.endpointPath ?? "")"])
            return .internalError
        }
    }

    /// Errors of the router itself: no such path, or a path that exists for other methods.
    private func problem(status: HTTPResponse.Status, request: Request, context: WebContext) -> Problem {
        guard status == .notFound else {
            return Problem("malformed-request", status: status, title: status.reasonPhrase, detail: "The request was not understood.")
        }
        let methods = context.services.routes.methods(ofPath: context.state.path)
        return methods.isEmpty ? .notFound : .methodNotAllowed(methods)
    }

    private func answer(to problem: Problem, context: WebContext) -> Response {
        let baseURL = context.services.configuration.baseURL
        guard context.state.face == .page else { return problem.response(baseURL: baseURL) }
        let page = ErrorPage(problem, context: context)
        var context = context
        context.caller = context.state.caller ?? .anonymous
        do {
            var response = try context.render(page, title: page.heading, status: problem.status)
            for field in problem.headers { response.headers[field.name] = field.value }
            return response
        } catch {
            context.logger.error("the error page cannot be rendered", metadata: ["error": "\(error)"])
            return problem.response(baseURL: baseURL)
        }
    }
}

/// What went wrong and what to do next, for people.
struct ErrorPage: PageModel {
    static let template = "errors/problem"

    var heading: String
    var detail: String
    var requestID: String
    var isOurFault: Bool

    static let fields: Fields<Self> = [
        "heading": .text(\.heading), "detail": .text(\.detail), "request_id": .text(\.requestID), "is_our_fault": .flag(\.isOurFault),
    ]

    /// The problem's own texts if the catalogue has them, else those of its status, else those of any error.
    init(_ problem: Problem, context: WebContext) {
        let catalogue = context.services.catalogue(context.language)
        let candidates = [problem.pageKey, "errors.status_\(problem.status.code)"].compactMap { $0 }
        let key =
            candidates.first { catalogue.raw($0 + ".title") != nil } ?? (problem.status.code >= 500 ? "errors.server" : "errors.client")
        heading = catalogue.text(key + ".title")
        detail = catalogue.text(key + ".detail")
        requestID = context.id
        isOurFault = problem.status.code >= 500
    }
}

/// Finds out for which methods a path exists. A plain list is enough: it is asked only when something went wrong.
struct RouteTable: Sendable {
    private typealias Route = (method: String, parts: [Substring], audience: Audience, formBytesMax: Int?)
    private let routes: [Route]

    init(_ records: [RouteRecord]) {
        routes = records.map { ($0.method.rawValue, $0.path.split(separator: "/").map { Substring($0) }, $0.audience, $0.formBytesMax) }
    }

    /// The methods that the path answers, sorted, HEAD wherever GET is; empty when there is no such path.
    func methods(ofPath path: String) -> [String] {
        var methods: Set<String> = []
        for route in matching(path.split(separator: "/")) {
            methods.insert(route.method)
            if route.method == "GET" { methods.insert("HEAD") }
        }
        return methods.sorted()
    }

    /// Whether the path answers the method only to somebody who is signed in.
    func needsSession(_ method: HTTPRequest.Method, path: String) -> Bool {
        matching(path.split(separator: "/")).contains { $0.method == method.rawValue && $0.audience.needsSession }
    }

    /// What a form of staff may hold at this path; nil where it is what every form may.
    func formBytesMax(_ method: HTTPRequest.Method, path: String) -> Int? {
        matching(path.split(separator: "/")).first { $0.method == method.rawValue }?.formBytesMax
    }

    /// The page that a form of this path stands on: the path itself, or what is nearest above it, among what GET answers. Nil when only
    /// the home page is.
    func page(ofForm path: String) -> String? {
        var parts = path.split(separator: "/")
        while !parts.isEmpty {
            if matching(parts).contains(where: { $0.method == "GET" && !$0.audience.isAPI }) { return "/" + parts.joined(separator: "/") }
            parts.removeLast()
        }
        return nil
    }

    private func matching(_ parts: [Substring]) -> [Route] {
        routes.filter { route in
            route.parts.count == parts.count && zip(route.parts, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
    }
}
