// What a receiver outside can do to whoever posts to it: lead elsewhere, answer without end, or not at all. The receivers are real servers on real sockets.
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Testing

@testable import Outgoing

@Suite("Posting outside")
struct GuardedPostTests {
    private static func quiet() -> Logger {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return logger
    }

    /// Serves `/out` and counts what comes to `/inside`.
    private func serve(
        _ answer: @escaping @Sendable () async throws -> Response, _ body: @Sendable (_ port: Int) async throws -> Void
    ) async throws -> Int {
        let inside = Counter()
        let router = Router()
        router.post("/out") { _, _ in try await answer() }
        router.on("/inside", method: .get) { _, _ in await inside.count(); return Response(status: .ok) }
        router.on("/inside", method: .post) { _, _ in await inside.count(); return Response(status: .ok) }
        let application = Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: Self.quiet())
        try await application.test(.live) { client in try await body(try #require(client.port)) }
        return await inside.number
    }

    private actor Counter {
        private(set) var number = 0
        func count() { number += 1 }
    }

    private func post(_ port: Int, permitsLoopback: Bool = true, secondsMax: Int64 = 10) async -> PostOutcome {
        await GuardedPost(permitsLoopback: permitsLoopback, secondsMax: secondsMax).post(to: "http://127.0.0.1:\(port)/out") { _ in (Array("x".utf8), [:]) }
    }

    @Test("A redirect is an answer like another: nobody goes where it leads", arguments: [301, 302, 303, 307, 308])
    func redirects(status: Int) async throws {
        let came = try await serve({ Response(status: .init(code: status), headers: [.location: "/inside"]) }) { port in
            #expect(await post(port) == PostOutcome(isDelivered: false, words: "status \(status)"))
        }
        #expect(came == 0)
    }

    @Test("An answer without end is not read: its status is all that counts")
    func oversize() async throws {
        _ = try await serve({
            Response(status: .ok, body: ResponseBody { writer in
                // Until the reader goes away.
                while true { try await writer.write(ByteBuffer(repeating: 0, count: 65_536)) }
            })
        }) { port in
            #expect(await post(port) == PostOutcome(isDelivered: true, words: "status 200"))
        }
    }

    @Test("Whoever never answers is given up")
    func slow() async throws {
        let (release, released) = AsyncStream<Never>.makeStream()
        _ = try await serve({
            for await _ in release {}
            return Response(status: .ok)
        }) { port in
            #expect(await post(port, secondsMax: 1).words == "timed out")
            released.finish()
        }
    }

    @Test("This machine and what only this network reaches are not posted to in a city, by no name and no number")
    func inside() async throws {
        let came = try await serve({ Response(status: .ok) }) { port in
            #expect(await post(port, permitsLoopback: false).words == "address not public")
            let city = GuardedPost(permitsLoopback: false)
            for url in ["https://localhost:\(port)/out", "https://[::1]:\(port)/out", "https://10.0.0.1/out", "https://169.254.169.254/latest/"] {
                #expect(await city.post(to: url) { _ in ([], [:]) }.words == "address not public", "\(url)")
            }
            for url in ["http://10.0.0.1/", "https://user@127.0.0.1/", "https://127.1/", "https://0x7f000001/", "file:///etc/passwd"] {
                let words = await city.post(to: url) { _ in ([], [:]) }.words
                #expect(["address malformed", "address not public", "host unknown"].contains(words), "\(url): \(words)")
            }
        }
        #expect(came == 0)
    }
}
