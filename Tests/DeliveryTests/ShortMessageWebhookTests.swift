// Short messages to a gateway: a real server on a real socket.
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Primitives
import Testing
import Web

@testable import Delivery

private actor Gateway {
    private(set) var posts: [(headers: HTTPFields, body: JSONValue)] = []
    private var status: HTTPResponse.Status = .ok

    func answer(_ status: Int) { self.status = HTTPResponse.Status(code: status) }

    func take(_ headers: HTTPFields, _ body: [UInt8]) -> HTTPResponse.Status {
        posts.append((headers, (try? JSONScanner.scan(body)) ?? .null))
        return status
    }

    func serve(_ body: @Sendable (Int) async throws -> Void) async throws {
        let router = Router()
        router.post("**") { [self] request, _ in
            let status = await take(request.headers, Array(try await request.body.collect(upTo: 10_000).readableBytesView))
            return Response(status: status, headers: status.code == 302 ? [.location: "/elsewhere"] : [:])
        }
        var logger = Logger(label: "gateway")
        logger.logLevel = .critical
        let application = Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: logger)
        try await application.test(.live) { client in try await body(try #require(client.port)) }
    }
}

@Suite("Short messages by webhook")
struct ShortMessageWebhookTests {
    @Test("The gateway gets the number and the text, under an id that stays the same; its answer decides what becomes of it, and a redirect is not followed")
    func posted() async throws {
        let gateway = Gateway()
        try await gateway.serve { port in
            let webhook = try #require(ShortMessageWebhook(url: "http://127.0.0.1:\(port)/messages", token: Redacted("gateway-token")))
            let (id, number, text) = (OutgoingID.new(), try #require(PhoneNumber("+254712345678")), try #require(ShortMessage("Your code: 1234 5678")))
            for (status, result) in [
                (200, SendOutcome.Result.sent), (202, .sent), (302, .refused), (400, .refused), (401, .later), (404, .refused), (429, .later), (500, .later), (503, .later),
            ] {
                await gateway.answer(status)
                #expect(await webhook.send(text, to: number, id: id) == SendOutcome(result: result, words: "status \(status)"))
            }
            let posts = await gateway.posts
            #expect(posts.count == 9)
            for post in posts {
                #expect(post.body == ["id": .string(id.description), "to": "+254712345678", "text": "Your code: 1234 5678"])
                #expect(post.headers[.authorization] == "Bearer gateway-token")
            }
        }
        let nobody = try #require(ShortMessageWebhook(url: "http://127.0.0.1:1/", token: nil))
        let (text, number) = (try #require(ShortMessage("x")), try #require(PhoneNumber("+254712345678")))
        #expect(await nobody.send(text, to: number, id: .new()) == .later("connection failed"))
    }

    @Test("A gateway is reached over https, or on this machine", arguments: [
        ("https://gateway.example/messages", true), ("http://localhost:9000/", true), ("http://gateway.example/", false), ("gateway.example", false), ("ftp://gateway.example", false),
        ("https://user:word@gateway.example/", false), ("", false),
    ])
    func addresses(_ url: String, _ isOne: Bool) {
        #expect((ShortMessageWebhook(url: url, token: nil) != nil) == isOne)
    }
}
