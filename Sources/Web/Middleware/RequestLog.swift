// First of the middleware: one line of JSON and one measurement for every request, whatever became of it. The line
// names the route's pattern, never the path or the query, so it holds no personal data.
import Foundation
import Hummingbird
import HTTPTypes
import Metrics
import Synchronization

/// Logs and measures each answer after everything else has shaped it.
struct RequestLog: RouterMiddleware {
    typealias Context = WebContext

    private let meters = RouteMeters()

    func handle(_ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response) async throws -> Response {
        let start = DispatchTime.now().uptimeNanoseconds
        let response = try await next(request, context)
        let nanoseconds = DispatchTime.now().uptimeNanoseconds - start
        let route = context.endpointPath ?? "NotFound"
        meters.record(RouteMeters.Key(method: request.method, route: route, status: response.status.code), nanoseconds: nanoseconds)
        context.services.configuration.requestLog(line(request, context, response, route: route, nanoseconds: nanoseconds))
        return response
    }

    private func line(_ request: Request, _ context: WebContext, _ response: Response, route: String, nanoseconds: UInt64) -> [UInt8] {
        JSONValue.object([
            JSONMember("at", .string(RFC3339.text(Date()))),
            JSONMember("request_id", .string(context.id)),
            JSONMember("method", .string(request.method.rawValue)),
            JSONMember("route", .string(route)),
            JSONMember("status", .integer(Int64(response.status.code))),
            JSONMember("duration_ms", .number(Self.milliseconds(nanoseconds))),
            JSONMember("bytes", .integer(Int64(request.method == .head ? 0 : response.body.contentLength ?? 0))),
        ]).serialised()
    }

    /// Nanoseconds as milliseconds with three decimals, without floating point.
    static func milliseconds(_ nanoseconds: UInt64) -> String {
        let micro = nanoseconds / 1_000
        let fraction = String(micro % 1_000)
        return "\(micro / 1_000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
    }
}

/// The measuring instruments of each route, kept because looking them up in the metrics system costs more than the measurement.
final class RouteMeters: Sendable {
    struct Key: Hashable {
        let method: HTTPRequest.Method
        let route: String
        let status: Int
    }

    private let timers = Mutex<[Key: Metrics.Timer]>([:])

    func record(_ key: Key, nanoseconds: UInt64) {
        let timer = timers.withLock { timers in
            if let timer = timers[key] { return timer }
            // A client may send any method; unknown ones share a label, or each would open a time series of its own.
            let known: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
            let method = known.contains(key.method) ? key.method.rawValue : "OTHER"
            let timer = Metrics.Timer(
                label: "http_server_request_duration_seconds",
                dimensions: [("method", method), ("route", key.route), ("status", String(key.status))], preferredDisplayUnit: .seconds)
            if known.contains(key.method) { timers[key] = timer }
            return timer
        }
        timer.recordNanoseconds(Int64(clamping: nanoseconds))
    }
}
