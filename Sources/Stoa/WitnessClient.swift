// The way to the witnesses of the log: one HTTP client for as long as they are asked. It is made when the loops run, not before: it lives on the
// threads that CityServer has chosen the number of by then.
import AccessLog
import AsyncHTTPClient
import NIOCore
import NIOHTTP1

enum WitnessClient {
    /// From the first byte of a request to the last of its answer: a witness checks one signature and one proof, and writes one row.
    private static let timeout = TimeAmount.seconds(5)
    /// What is read of an answer: C2SP asks for one signature line or more, of some hundred bytes, or of 4,000 where they are post-quantum.
    private static let answerBytesMax = 16 * 1024

    /// - Parameter body: works with the transport until it is cancelled.
    static func with(_ body: (@escaping WitnessTransport) async -> Void) async {
        // What a witness says counts by its key: nobody is followed elsewhere.
        let client = HTTPClient(
            eventLoopGroupProvider: .singleton,
            configuration: .init(redirectConfiguration: .disallow, timeout: .init(connect: timeout, read: timeout)))
        await body { address, text in try await send(text, to: address, client) }
        // Only a client that is shut down already refuses.
        try? await client.shutdown()
    }

    private static func send(_ text: String, to address: String, _ client: HTTPClient) async throws -> WitnessResponse {
        var request = HTTPClientRequest(url: address)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "text/plain; charset=utf-8")
        request.headers.add(name: "User-Agent", value: "stoa")
        request.body = .bytes(ByteBuffer(string: text))
        let response = try await client.execute(request, timeout: timeout)
        let body = try await response.body.collect(upTo: answerBytesMax)
        return WitnessResponse(
            status: Int(response.status.code), contentType: response.headers.first(name: "Content-Type"), body: Array(body.readableBytesView))
    }
}
