// First of the middleware: one line of JSON and one measurement for every request, whatever became of it. The line
// names the route's pattern, never the path or the query, so it holds no personal data.
import Foundation
import HTTPTypes
import Hummingbird
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

    /// Written by hand, because it is written for every request. No value needs escaping but the method, which a client makes up.
    private func line(_ request: Request, _ context: WebContext, _ response: Response, route: String, nanoseconds: UInt64) -> [UInt8] {
        let method =
            request.method.rawValue.utf8.allSatisfy { ($0 | 0x20) >= UInt8(ascii: "a") && ($0 | 0x20) <= UInt8(ascii: "z") }
            ? request.method.rawValue : "OTHER"
        let bytes = request.method == .head ? 0 : response.body.contentLength ?? 0
        var line: [UInt8] = []
        line.reserveCapacity(256)
        func add(_ name: StaticString, _ value: String) {
            name.withUTF8Buffer { line.append(contentsOf: $0) }
            line.append(contentsOf: value.utf8)
        }
        add("{\"at\":\"", RFC3339.text(Date()))
        add("\",\"request_id\":\"", context.id)
        add("\",\"method\":\"", method)
        add("\",\"route\":\"", route)
        add("\",\"status\":", String(response.status.code))
        add(",\"duration_ms\":", Self.milliseconds(nanoseconds))
        add(",\"bytes\":", String(bytes))
        line.append(UInt8(ascii: "}"))
        return line
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
