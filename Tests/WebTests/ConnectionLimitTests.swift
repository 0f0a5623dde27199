// What a connection may cost, tried over real sockets: slow headers, slow bodies, too much, too many, too long; and how
// the server stops.
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle
import Testing

@testable import Web

/// Runs a story against a listening sample city with small limits, then stops it as a signal would.
///
/// Not through HummingbirdTesting, whose live framework drops the limit on connections.
private func withListeningCity(
    _ change: (inout WebLimits) -> Void = { _ in }, routes: (Site) -> Void = { _ in },
    _ story: @Sendable @escaping (Int) async throws -> Void
) async throws {
    var limits = WebLimits()
    change(&limits)
    let site = try sampleSite(sampleConfiguration(limits: limits))
    routes(site)
    let (ports, running) = AsyncStream.makeStream(of: Int.self)
    let application = try WebApplication.build(site: site, logger: quietLogger) { channel in
        running.yield(channel.localAddress?.port ?? 0)
        running.finish()
    }
    let group = ServiceGroup(configuration: .init(services: [application], logger: quietLogger))
    try await withThrowingTaskGroup { tasks in
        tasks.addTask { try await group.run() }
        for await port in ports { try await story(port) }
        await group.triggerGracefulShutdown()
        try await tasks.waitForAll()
    }
}

private let apiHead =
    "PUT /api/v1/things/0191aaaa-0000-7000-8000-000000000001 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(Token.app)\r\nContent-Type: application/json\r\n"

@Suite struct ConnectionLimitTests {
    @Test func headersThatStopHalfwayAreAnswered408AndClosed() async throws {
        try await withListeningCity({ $0.headerSeconds = 1 }) { port in
            let connection = try RawConnection(port: port)
            await connection.send("GET /hello HTTP/1.1\r\nHost: local")
            let answer = await connection.readToEnd()
            #expect(answer.text.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"))
            #expect(answer.isClosed)
        }
    }

    @Test func headersThatDripAreCutAllTheSame() async throws {
        try await withListeningCity({ $0.headerSeconds = 1 }) { port in
            let connection = try RawConnection(port: port)
            var drops = 0
            await connection.send("GET /hello HTTP/1.1\r\nX: ")
            while drops < 200, await !connection.hasInput(milliseconds: 100), await connection.send("x") { drops += 1 }
            let answer = await connection.readToEnd()
            #expect(answer.isClosed && answer.text.contains("408"))
            #expect(drops < 200)
        }
    }

    @Test func aBodyThatStopsOrDripsIsAnswered408WithAProblem() async throws {
        try await withListeningCity({ $0.bodySeconds = 1 }) { port in
            for drips in [false, true] {
                let connection = try RawConnection(port: port)
                await connection.send(apiHead + "Content-Length: 500\r\n\r\n{\"state\":\"")
                var drops = 0
                if drips {
                    while drops < 200, await !connection.hasInput(milliseconds: 100), await connection.send("x") { drops += 1 }
                }
                let answer = await connection.readToEnd()
                #expect(answer.text.hasPrefix("HTTP/1.1 408 Request Timeout\r\n"), "\(answer.text.prefix(60))")
                #expect(answer.text.contains("/problems/body-too-slow"))
                #expect(answer.isClosed)
                #expect(drops < 100)
            }
        }
    }

    @Test(arguments: ["Transfer-Encoding: identity", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked"])
    func aBodyThatIsNotFramedProperlyIsAnswered400(framing: String) async throws {
        try await withListeningCity { port in
            let connection = try RawConnection(port: port)
            // Behind `chunked`, an extension with a control character in its name (RFC 9112 §7.1.1).
            await connection.send(
                "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(formContentType)\r\n\(framing)\r\n\r\n4;\u{1}=x\r\na=bc\r\n0\r\n\r\n")
            let answer = await connection.readToEnd()
            #expect(answer.text.hasPrefix("HTTP/1.1 400 "), "\(answer.text.prefix(300))")
            #expect(!answer.text.contains("internal-error"))
            #expect(answer.isClosed)
        }
    }

    @Test(arguments: [
        ("GET /hello HTTP/1.1\r\n\r\n", "400"), ("GET /hello HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400"),
        ("GET /hello HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "400"), ("GET /hello HTTP/1.0\r\nConnection: close\r\n\r\n", "200"),
        ("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200"),
        ("POST /sample HTTP/1.1\r\nContent-Length: 3\r\n\r\na=bGET /hello HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    ])
    func aRequestNamesOneHost(request: String, status: String) async throws {
        try await withListeningCity { port in
            let connection = try RawConnection(port: port)
            await connection.send(request)
            let answer = await connection.readToEnd()
            #expect(answer.text.hasPrefix("HTTP/1.1 \(status) "), "\(answer.text.prefix(100))")
            #expect(answer.text.ranges(of: "HTTP/1.1 ").count == 1)
            #expect(answer.isClosed)
        }
    }

    @Test func aFormThatStopsGetsAPage() async throws {
        try await withListeningCity({ $0.bodySeconds = 1 }) { port in
            let connection = try RawConnection(port: port)
            await connection.send(
                "POST /sample HTTP/1.1\r\nHost: localhost\r\nAccept-Language: ar\r\nContent-Type: \(formContentType)\r\nContent-Length: 9\r\n\r\nname"
            )
            let answer = await connection.readToEnd()
            #expect(answer.text.contains("408 Request Timeout"))
            #expect(answer.text.contains("تأخر وصول نموذجك كثيرًا"))
        }
    }

    @Test func aBodyThatIsAnnouncedTooLargeIsRefusedBeforeItIsSent() async throws {
        try await withListeningCity { port in
            let connection = try RawConnection(port: port)
            await connection.send(apiHead + "Content-Length: 1000000\r\n\r\n")
            let answer = await connection.readToEnd()
            #expect(answer.text.hasPrefix("HTTP/1.1 413 "))
            #expect(answer.text.contains("/problems/body-too-large"))
            #expect(answer.isClosed)
        }
    }

    @Test func aChunkedBodyIsCutWhenItGrowsTooLarge() async throws {
        try await withListeningCity { port in
            let connection = try RawConnection(port: port)
            await connection.send(apiHead + "Transfer-Encoding: chunked\r\n\r\n")
            let chunk = "3e8\r\n" + String(repeating: "a", count: 1_000) + "\r\n"
            for _ in 0..<5 { await connection.send(chunk) }
            let answer = await connection.readToEnd()
            #expect(answer.text.hasPrefix("HTTP/1.1 413"))
            #expect(answer.isClosed)
        }
    }

    @Test func headersThatAreTooLargeOrTooManyAreRefused() async throws {
        try await withListeningCity { port in
            for headers in [
                "X: " + String(repeating: "a", count: 9 * 1_024) + "\r\n", (0..<101).map { "X\($0): 1\r\n" }.joined(),
                (0..<5).map { "X\($0): " + String(repeating: "a", count: 4_000) + "\r\n" }.joined(),
            ] {
                let connection = try RawConnection(port: port)
                await connection.send("GET /hello HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n")
                let answer = await connection.readToEnd()
                #expect(answer.text.hasPrefix("HTTP/1.1 400"))
                #expect(answer.isClosed)
            }
        }
    }

    @Test func anIdleConnectionIsClosed() async throws {
        try await withListeningCity({ $0.idleSeconds = 1 }) { port in
            let silent = try RawConnection(port: port)
            let used = try RawConnection(port: port)
            await used.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let (first, second) = await (silent.readToEnd(), used.readToEnd())
            #expect(first.isClosed && first.text.isEmpty)
            #expect(second.isClosed && second.text.contains("200 OK"))
        }
    }

    @Test func connectionsBeyondTheLimitWaitTheirTurn() async throws {
        try await withListeningCity({ $0.connectionsMax = 2 }) { port in
            let request = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
            var first: RawConnection? = try RawConnection(port: port)
            await first?.send(request)
            #expect(await first?.read(until: "live").contains("200 OK") == true)
            let second = try RawConnection(port: port)
            await second.send(request)
            #expect(await second.read(until: "live").contains("200 OK"))
            let third = try RawConnection(port: port)
            await third.send(request)
            #expect(await !third.hasInput(milliseconds: 300))
            first = nil
            #expect(await third.read(until: "live").contains("200 OK"))
        }
    }

    @Test func aRequestThatTakesTooLongIsCancelledAndAnswered503() async throws {
        try await withListeningCity(
            { $0.requestSeconds = 1 },
            routes: { site in
                site.publicAPI.get("/api/v1/endless") { _, _ in
                    for await _ in AsyncStream<Int>(unfolding: {
                        try? await Task.sleep(for: .seconds(60))
                        return Task.isCancelled ? nil : 1
                    }) {}
                    try Task.checkCancellation()
                    return Response(status: .ok)
                }
            }
        ) { port in
            let connection = try RawConnection(port: port)
            await connection.send("GET /api/v1/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let answer = await connection.read(until: "service-unavailable")
            #expect(answer.hasPrefix("HTTP/1.1 503"))
            #expect(answer.lowercased().contains("retry-after: 5"))
        }
    }

    @Test func requestsOfOneConnectionAreAnsweredInTheirOrder() async throws {
        try await withListeningCity { port in
            let connection = try RawConnection(port: port)
            await connection.send(
                "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/v1/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            )
            let answer = await connection.readToEnd()
            let statuses = answer.text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { String($0.prefix(3)) }
            #expect(statuses == ["200", "404", "200"])
            #expect(answer.isClosed)
        }
    }

    @Test func oddRequestsAreRefusedAndLeaveTheServerWell() async throws {
        try await withListeningCity { port in
            for (line, statuses) in [
                ("GET //hello//..//%00 HTTP/1.1", ["404"]), ("GET /hello%2F..%2Fx HTTP/1.1", ["404"]), ("GET /%zz HTTP/1.1", ["404"]),
                ("OPTIONS * HTTP/1.1", ["400", "404"]), ("CONNECT localhost:443 HTTP/1.1", ["400", "404"]), ("BREW /hello HTTP/1.1", ["400", "405"]),
                ("GET http://localhost/hello HTTP/1.1", ["200"]), ("GET /hello?a=%C3%28 HTTP/1.1", ["200"]), ("GET /hello HTTP/9.9", ["400", "505"]),
                ("GET /\(String(repeating: "a", count: 7_000)) HTTP/1.1", ["404"]), ("GET /hello\u{1}x HTTP/1.1", ["400", "404"]),
                ("\u{16}\u{3}\u{1}\u{2} HTTP/1.1", ["400"]), ("GET /hello", ["400"]), ("POST /language HTTP/1.1", ["415"]),
            ] as [(String, [String])] {
                let connection = try RawConnection(port: port)
                await connection.send("\(line)\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                let answer = await connection.readToEnd(seconds: 10)
                #expect(answer.text.hasPrefix("HTTP/1.1 "), "\(line.prefix(40)) → \(answer.text.prefix(40))")
                #expect(statuses.contains(String(answer.text.dropFirst(9).prefix(3))), "\(line.prefix(40)) → \(answer.text.prefix(40))")
                #expect(!answer.text.contains("Sources/") && !answer.text.contains(".swift"))
            }
            for (headers, status) in [
                ("Content-Length: 5\r\nContent-Length: 6", "400"), ("Content-Length: -1", "400"), ("Content-Length: x", "400"),
                ("Content-Length: 5\r\nTransfer-Encoding: chunked", "400"), ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "400"),
                ("X: a\rb", "400"), ("Bad Header: 1", "400"),
            ] {
                let connection = try RawConnection(port: port)
                await connection.send("POST /oauth/token HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n\r\nhello")
                let answer = await connection.readToEnd(seconds: 10)
                #expect(answer.text.dropFirst(9).prefix(3) == status, "\(headers) → \(answer.text.prefix(60))")
            }
            let connection = try RawConnection(port: port)
            await connection.send("GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            #expect(await connection.readToEnd().text.contains("200 OK"))
        }
    }

    @Test func stoppingFinishesTheRequestInFlight() async throws {
        let (gate, opener) = AsyncStream.makeStream(of: Void.self)
        let (arrival, arrived) = AsyncStream.makeStream(of: Void.self)
        let (outcome, outcomes) = AsyncStream.makeStream(of: String.self)
        try await withListeningCity(routes: { site in
            site.publicAPI.get("/api/v1/gate") { _, _ in
                arrived.finish()
                for await _ in gate {}
                return Response.json(["passed": true] as JSONValue)
            }
        }) { port in
            let connection = try RawConnection(port: port)
            await connection.send("GET /api/v1/gate HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for await _ in arrival {}
            // Leaving this closure begins the shutdown; the gate opens when nobody new is let in any more.
            Task {
                let deadline = Date(timeIntervalSinceNow: 20)
                while Date() < deadline, (try? RawConnection(port: port)) != nil { await Task.yield() }
                opener.finish()
                outcomes.yield(await connection.readToEnd().text)
                outcomes.finish()
            }
        }
        var text = ""
        for await part in outcome { text += part }
        #expect(text.contains("200 OK") && text.contains(#"{"passed":true}"#))
    }
}
