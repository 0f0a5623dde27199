// Notices that are posted: where to, signed how, how often, and by whom of several nodes. The receiver is a real server on a real socket.
import City
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Outgoing
import Postgres
import Primitives
import Testing
import TransparencyLog
import Web

@testable import Exchange

@Suite("Addresses of webhooks")
struct WebhookAddressTests {
    @Test(
        "What is written otherwise is refused, here and by the database", arguments: [
            "", "https://", "https://clinic.example", "http://clinic.example/", "https://user@clinic.example/", "https://Clinic.example/", "ftp://clinic.example/",
            "https://clinic.example/a b", "https://clinic.example/\n", "https://clinic.example/#part", "https://clinic.example\\@127.0.0.1/",
            "https://clinic.example:123456/", "https://[::1/", "http://127.0.0.2/", "http://localhost.example/", "https://clínica.example/",
            "https://clinic.example/" + String(repeating: "a", count: 500), "https://clinic.example:/", "https:///path", "https://clinic.example?x/",
        ])
    func refused(_ text: String) async throws {
        #expect(WebhookAddress(text) == nil)
        let city = try await CityFixture.make()
        _ = try await city.organisation("clinic")
        let error = await #expect(throws: DatabaseError.self) { try await WebhookAdministration.set(text, of: "clinic", with: city.owner) }
        #expect(error?.constraint == "webhook_url_check")
    }

    @Test(
        "What can be written is taken apart", arguments: [
            ("https://clinic.example/", "clinic.example", 443, "clinic.example"), ("https://clinic.example:8443/a?b=c", "clinic.example", 8443, "clinic.example:8443"),
            ("http://127.0.0.1:9000/stoa", "127.0.0.1", 9000, "127.0.0.1:9000"), ("http://[::1]/", "::1", 80, "[::1]"), ("https://[2a00::1]:443/", "2a00::1", 443, "[2a00::1]"),
        ])
    func accepted(_ text: String, _ host: String, _ port: Int, _ authority: String) async throws {
        let address = try #require(WebhookAddress(text))
        #expect(address.host == host && address.port == port && address.authority == authority)
        let city = try await CityFixture.make()
        _ = try await city.organisation("clinic")
        try await WebhookAdministration.set(text, of: "clinic", with: city.owner)
    }
}

@Suite("HTTP message signatures")
struct MessageSignatureTests {
    @Test("The lines and the signature of RFC 9421 Appendix B.2.6")
    func example() throws {
        let base = SignatureBase(
            [
                .init("date", "Tue, 20 Apr 2021 02:07:55 GMT"), .init("@method", "POST"), .init("@path", "/foo"), .init("@authority", "example.com"),
                .init("content-type", "application/json"), .init("content-length", "18"),
            ],
            parameters: #"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#)
        let lines = """
            "date": Tue, 20 Apr 2021 02:07:55 GMT
            "@method": POST
            "@path": /foo
            "@authority": example.com
            "content-type": application/json
            "content-length": 18
            "@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"
            """
        #expect(String(decoding: base.bytes, as: UTF8.self) == lines)
        // Appendix B.1.4.
        let key = try Curve25519.Signing.PublicKey(rawRepresentation: try #require(Base64URL.decode("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")))
        let signature = try #require(Data(base64Encoded: "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="))
        #expect(key.isValidSignature(signature, for: base.bytes))
    }

    @Test("The digest of RFC 9530 Appendix B.1")
    func digest() {
        #expect(ContentDigest.field(of: Array(#"{"hello": "world"}"#.utf8)) == "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:")
    }
}

/// A receiver that keeps what it gets and answers what it is told to.
private actor Receiver {
    struct Post: Sendable {
        let path: String
        let headers: HTTPFields
        let body: [UInt8]
    }

    private(set) var posts: [Post] = []
    private var status: HTTPResponse.Status = .noContent
    private var isSilent = false
    /// Posts without an answer yet.
    private var unanswered: [CheckedContinuation<Void, Never>] = []
    /// Who waits until there are so many posts.
    private var awaited: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []

    func answer(_ status: HTTPResponse.Status) { self.status = status }

    /// Takes posts from now on and does not answer them until it is told to.
    func fallSilent() { isSilent = true }

    func answerAll() {
        isSilent = false
        for continuation in unanswered { continuation.resume() }
        unanswered = []
    }

    func first(_ count: Int) async {
        guard posts.count < count else { return }
        await withCheckedContinuation { awaited.append((count, $0)) }
    }

    func take(_ post: Post) async -> HTTPResponse.Status {
        posts.append(post)
        for waiter in awaited where waiter.count == posts.count { waiter.continuation.resume() }
        awaited.removeAll { $0.count <= posts.count }
        if isSilent { await withCheckedContinuation { unanswered.append($0) } }
        return status
    }

    /// Serves while `body` runs with the port.
    func serve(_ body: @Sendable (Int) async throws -> Void) async throws {
        let router = Router()
        router.post("**") { [self] request, _ in
            let bytes = Array(try await request.body.collect(upTo: 100_000).readableBytesView)
            let status = await take(Post(path: request.uri.path, headers: request.headers, body: bytes))
            return Response(status: status, headers: status == .found ? [.location: "/elsewhere"] : [:])
        }
        var logger = Logger(label: "receiver")
        logger.logLevel = .critical
        let application = Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: logger)
        try await application.test(.live) { client in try await body(try #require(client.port)) }
    }
}

/// A clinic with a webhook, and residents who stop sharing with it. The clock stands.
private struct Town {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let care: FixtureActivity
    let signer: Ed25519NoteSigner
    let receiver = Receiver()

    static let start = Date(timeIntervalSince1970: 1_801_353_600)  // 31 January 2027

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        care = try await city.activity(clinic, "care", attributes: ["street"])
        signer = try Ed25519NoteSigner.generate(name: "city.example/log")
        try await at(seconds: 0)
    }

    func at(seconds: TimeInterval) async throws {
        try await city.stopClock(at: Self.start + seconds)
        try await city.owner.execute("UPDATE web.credential SET expires_at = 'infinity', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
    }

    func node(permitsLoopback: Bool = true) -> NoticeDelivery {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        return NoticeDelivery(database: city.app, signer: signer, permitsLoopback: permitsLoopback, logger: logger)
    }

    /// Somebody shares and stops.
    func notice(_ activity: FixtureActivity? = nil) async throws {
        let resident = try await city.resident()
        try await city.owner.execute("UPDATE web.credential SET expires_at = 'infinity', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
        for kind in ["given", "withdrawn"] { #expect(try await city.decide(kind, activity ?? care, by: resident) == "recorded") }
    }

    func set(_ url: String?) async throws { try await WebhookAdministration.set(url, of: "clinic", with: city.owner) }

    func outcomes() async throws -> [String] {
        try await city.owner.query(OneValue("SELECT coalesce(outcome, 'none') FROM exchange.delivery", of: String.self))
    }
}

@Suite("Posting notices")
struct PostingTests {
    @Test("A notice is posted once, signed so that its receiver can check whom it is from, whom it is for and that it is whole")
    func posted() async throws {
        let town = try await Town()
        try await town.receiver.serve { port in
            // What was made before the webhook is the organisation's to read.
            try await town.notice()
            _ = try await town.city.app.exclusive { try await $0.query(NoticesOf(credential: town.clinic.credential.hash)) }
            try await town.set("http://127.0.0.1:\(port)/stoa?for=clinic")
            #expect(try await town.node().deliverOnce() == 0)
            try await town.notice()
            #expect(try await town.node().deliverOnce() == 1)
            #expect(try await town.node().deliverOnce() == 0)
            let post = try #require(await town.receiver.posts.first)
            #expect(await town.receiver.posts.count == 1)
            let json = try JSONScanner.scan(post.body)
            #expect(json["number"] == 2 && json["notice"]?["reason"] == "withdrawn" && json["state"] == "open")
            #expect(post.headers[.contentDigest] == ContentDigest.field(of: post.body))
            let input = try #require(post.headers[.signatureInput])
            #expect(input.hasPrefix("stoa="))
            let base = SignatureBase(
                [
                    .init("@method", "POST"), .init("@target-uri", "http://127.0.0.1:\(port)/stoa?for=clinic"), .init("content-type", "application/json"),
                    .init("content-digest", ContentDigest.field(of: post.body)),
                ], parameters: String(input.dropFirst("stoa=".count)))
            let signature = try #require(post.headers[.signature]?.dropFirst("stoa=:".count).dropLast())
            let bytes = Array(try #require(Data(base64Encoded: String(signature))))
            #expect(town.signer.verifier.isValid(bytes, over: base.bytes))
            #expect(input.contains("keyid=\"\(town.signer.verifier.vkey.split(separator: "+")[1])\""))
            #expect(try await town.outcomes() == ["status 204"])
        }
    }

    @Test("What is not taken is posted again after 1, 4, 16 minutes …, sixteen times at most; taken, no more")
    func retries() async throws {
        let town = try await Town()
        try await town.receiver.serve { port in
            try await town.set("http://127.0.0.1:\(port)/stoa")
            try await town.notice()
            await town.receiver.answer(.serviceUnavailable)
            var seconds: TimeInterval = 0
            // In minutes.
            let delays: [TimeInterval] = [1, 4, 16, 64, 256] + Array(repeating: 360, count: 10)
            for delay in delays {
                #expect(try await town.node().deliverOnce() == 1)
                #expect(try await town.node().deliverOnce() == 0)
                try await town.at(seconds: seconds + 60 * delay - 0.001)
                #expect(try await town.node().deliverOnce() == 0)
                seconds += 60 * delay
                try await town.at(seconds: seconds)
            }
            #expect(try await town.outcomes() == ["status 503"])
            #expect(try await town.node().deliverOnce() == 1)
            try await town.at(seconds: seconds + 1_000_000)
            #expect(try await town.node().deliverOnce() == 0, "sixteen times, then no more")
            #expect(await town.receiver.posts.count == 16)
            try await town.notice()
            #expect(try await town.node().deliverOnce() == 1)
            await town.receiver.answer(.ok)
            try await town.at(seconds: seconds + 1_000_060)
            #expect(try await town.node().deliverOnce() == 1)
            try await town.at(seconds: seconds + 2_000_000)
            #expect(try await town.node().deliverOnce() == 0)
            let outcomes = try await town.outcomes()
            #expect(Set(outcomes) == ["status 503", "status 200"])
        }
    }

    @Test("A redirect is not followed; this machine is not posted to outside the demo city; a port where nobody listens is no success")
    func refusals() async throws {
        let town = try await Town()
        try await town.receiver.serve { port in
            try await town.set("http://127.0.0.1:\(port)/stoa")
            try await town.notice()
            #expect(try await town.node(permitsLoopback: false).deliverOnce() == 1)
            #expect(try await town.outcomes() == ["address not public"])
            try await town.set("http://localhost:\(port)/stoa")
            try await town.at(seconds: 60)
            #expect(try await town.node(permitsLoopback: false).deliverOnce() == 1)
            #expect(await town.receiver.posts.isEmpty)
            await town.receiver.answer(.found)
            try await town.at(seconds: 300)
            #expect(try await town.node().deliverOnce() == 1)
            #expect(try await town.outcomes() == ["status 302"])
            #expect(await town.receiver.posts.map(\.path) == ["/stoa"])
            // Port 1 (tcpmux) is nobody's.
            try await town.set("http://127.0.0.1:1/stoa")
            try await town.at(seconds: 1260)
            #expect(try await town.node().deliverOnce() == 1)
            #expect(try await town.outcomes() == ["connection failed"])
            try await town.set("https://nobody.invalid/stoa")
            try await town.at(seconds: 5100)
            #expect(try await town.node().deliverOnce() == 1)
            #expect(try await town.outcomes() == ["host unknown"])
            try await town.set(nil)
            try await town.at(seconds: 1_000_000)
            #expect(try await town.node().deliverOnce() == 0)
            #expect(try await town.outcomes() == ["webhook removed"])
        }
    }

    @Test("Three nodes post each of twenty notices once")
    func nodes() async throws {
        let town = try await Town()
        try await town.receiver.serve { port in
            try await town.set("http://127.0.0.1:\(port)/stoa")
            for _ in 0..<20 { try await town.notice() }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<3 { group.addTask { while try await town.node().deliverOnce() > 0 {} } }
                try await group.waitForAll()
            }
            let numbers = try await town.receiver.posts.map { try JSONScanner.scan($0.body)["number"] }
            #expect(Set(numbers.map { "\(String(describing: $0))" }).count == 20)
            #expect(numbers.count == 20)
        }
    }

    @Test("A receiver that does not answer holds up its own notices, and no more of them than its share; others are posted to meanwhile")
    func slowReceiver() async throws {
        let town = try await Town()
        let shop = Receiver()
        let sale = try await town.city.activity(town.city.organisation("shop"), "sale", attributes: ["street"])
        let share = NoticeDelivery.deliveriesPerOrganisationMax
        try await town.receiver.serve { slowPort in
            try await shop.serve { port in
                try await town.set("http://127.0.0.1:\(slowPort)/stoa")
                try await WebhookAdministration.set("http://127.0.0.1:\(port)/stoa", of: "shop", with: town.city.owner)
                await town.receiver.fallSilent()
                for _ in 0..<share + 2 { try await town.notice() }
                let delivery = Task { await town.node().run() }
                await town.receiver.first(share)
                for count in 1...3 {
                    try await town.notice(sale)
                    await shop.first(count)
                }
                #expect(await town.receiver.posts.count == share)
                await town.receiver.answerAll()
                await town.receiver.first(share + 2)
                delivery.cancel()
                await delivery.value
                #expect(await shop.posts.count == 3)
            }
        }
    }

    @Test("An attempt that ended late says nothing about a later one, but a delivery counts whenever it is known")
    func lateOutcome() async throws {
        let town = try await Town()
        try await town.set("http://127.0.0.1:1/stoa")
        try await town.notice()
        let take = { try await town.city.app.exclusive { try await $0.query(TakeDeliveries(countMax: 5)) } }
        let first = try #require(try await take().first)
        try await town.at(seconds: 60)
        let second = try #require(try await take().first)
        #expect(first.attempt == 1 && second.attempt == 2)
        try await town.city.app.execute(noteDelivery(first, isDelivered: false, outcome: "timed out"))
        #expect(try await town.outcomes() == ["none"])
        try await town.city.app.execute(noteDelivery(first, isDelivered: true, outcome: "status 200"))
        try await town.city.app.execute(noteDelivery(second, isDelivered: false, outcome: "timed out"))
        #expect(try await town.outcomes() == ["status 200"])
    }
}
