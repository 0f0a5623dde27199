// The way to the witnesses of the log: one HTTP client for as long as they are asked. It is made when the loops run, not before: it lives on the
// threads that CityServer has chosen the number of by then.
import AccessLog
import AsyncHTTPClient
import NIOCore
import NIOHTTP1

enum WitnessClient {
    /// From the first byte of a request to the last of its answer: a witness checks one signature and one proof, and writes one row. All are waited for, so
    /// one that drips its answer may hold up the others no longer than this.
    private static let secondsMax = 5
    /// What is read of an answer: C2SP asks for one signature line or more, of some hundred bytes, or of 4,000 where they are post-quantum.
    private static let answerBytesMax = 16 * 1024

    /// - Parameter body: works with the transport until it is cancelled.
    static func with(_ body: (@escaping WitnessTransport) async -> Void) async {
        // What a witness says counts by its key: nobody is followed elsewhere.
        let client = HTTPClient(
            eventLoopGroupProvider: .singleton,
            configuration: .init(redirectConfiguration: .disallow, timeout: .init(connect: .seconds(Int64(secondsMax)))))
        await body { address, text in
            try await within(seconds: secondsMax) { try await send(text, to: address, client) }
        }
        // Only a client that is shut down already refuses.
        try? await client.shutdown()
    }

    private static func send(_ text: String, to address: String, _ client: HTTPClient) async throws -> WitnessResponse {
        var request = HTTPClientRequest(url: address)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "text/plain; charset=utf-8")
        request.headers.add(name: "User-Agent", value: "stoa")
        request.body = .bytes(ByteBuffer(string: text))
        // The client's own deadline ends with the head of the answer; the one around this ends with its body.
        let response = try await client.execute(request, timeout: .seconds(Int64(secondsMax)))
        let body = try await response.body.collect(upTo: answerBytesMax)
        return WitnessResponse(
            status: Int(response.status.code), contentType: response.headers.first(name: "Content-Type"), body: Array(body.readableBytesView))
    }

    /// Cancels what takes longer.
    private static func within<Value: Sendable>(seconds: Int, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
        try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await work() }
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                return nil
            }
            defer { group.cancelAll() }
            guard let value = try await group.next() ?? nil else { throw WitnessTooSlow(seconds: seconds) }
            return value
        }
    }
}

/// No whole answer came in time.
private struct WitnessTooSlow: Error, CustomStringConvertible {
    let seconds: Int
    var description: String { "no whole answer within \(seconds) seconds" }
}
