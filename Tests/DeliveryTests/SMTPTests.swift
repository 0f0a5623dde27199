// The dialogue with a mail relay, against a server that says what a test tells it to. Real relays: Tests/Conformance/test_delivery.py.
import Foundation
import NIOCore
import NIOPosix
import Primitives
import Synchronization
import Testing
import Web

@testable import Delivery

/// A relay that answers by the first word of each command, on a real socket.
private final class Relay: Sendable {
    /// What it was told, line by line; a message's lines too.
    let heard = Mutex<[String]>([])
    private let answers: [String: String]

    /// - Parameter answers: by command; the usual ones where none is given. `""` answers nothing at all; `hangup` closes.
    init(_ answers: [String: String] = [:]) {
        self.answers = [
            "greeting": "220 relay.example\r\n", "EHLO": "250-relay.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n", "MAIL": "250 OK\r\n", "RCPT": "250 OK\r\n",
            "DATA": "354 go on\r\n", ".": "250 taken\r\n", "QUIT": "221 bye\r\n",
        ].merging(answers) { $1 }
    }

    func answer(to command: String) -> String { answers[command] ?? "500 what?\r\n" }

    func serve<Value: Sendable>(_ body: @Sendable (Int) async throws -> Value) async throws -> Value {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(RelayHandler(self)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let value: Value
        do { value = try await body(try #require(channel.localAddress?.port)) } catch {
            try? await channel.close().get()
            throw error
        }
        try? await channel.close().get()
        return value
    }
}

private final class RelayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let relay: Relay
    private var received = ""
    private var isInMessage = false

    init(_ relay: Relay) { self.relay = relay }

    func channelActive(context: ChannelHandlerContext) { say(relay.answer(to: "greeting"), context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        // A TLS handshake (RFC 8446 §5.1), which this relay does not speak.
        if bytes.readableBytesView.first == 22 { return context.close(promise: nil) }
        received += String(buffer: bytes)
        while let end = received.range(of: "\r\n") {
            let line = String(received[..<end.lowerBound])
            received = String(received[end.upperBound...])
            relay.heard.withLock { $0.append(line) }
            if isInMessage {
                guard line == "." else { continue }
                isInMessage = false
            }
            let command = line == "." ? "." : line.prefix { $0 != " " }.uppercased()
            let answer = relay.answer(to: command)
            isInMessage = command == "DATA" && answer.hasPrefix("354")
            say(answer, context)
        }
    }

    private func say(_ answer: String, _ context: ChannelHandlerContext) {
        if answer == "hangup" { return context.close(promise: nil) }
        if !answer.isEmpty { context.writeAndFlush(NIOAny(ByteBuffer(string: answer)), promise: nil) }
    }
}

@Suite("Handing e-mails to a relay")
struct SMTPTests {
    private static let sender = (name: "Marisport", address: EmailAddress("no-reply@stoa.example")!)

    private func send(_ relay: Relay, security: SMTPSettings.Security = .none, user: String? = nil) async throws -> SendOutcome {
        try await relay.serve { port in
            let settings = SMTPSettings(host: "127.0.0.1", port: port, security: security, userName: user, password: user.map { _ in Redacted("secret words") })
            let adapter = try SMTPAdapter(settings: settings, sender: Self.sender, domain: "stoa.example")
            return await adapter.send(
                EmailMessage(id: .new(), to: EmailAddress("ada@example.org")!, subject: "News", text: ".\nnews\n", language: .english))
        }
    }

    @Test("A message is handed over once, whole, to the one receiver")
    func sent() async throws {
        let relay = Relay()
        #expect(try await send(relay) == .sent("status 250"))
        let heard = relay.heard.withLock { $0 }
        #expect(heard.first == "EHLO stoa.example")
        #expect(heard.filter { $0.hasPrefix("MAIL") || $0.hasPrefix("RCPT") } == ["MAIL FROM:<no-reply@stoa.example>", "RCPT TO:<ada@example.org>"])
        #expect(heard.contains("To: <ada@example.org>") && heard.contains("."))
        #expect(heard.contains("Lg0KbmV3cw0K"), "the text, in base64")
    }

    @Test("What the relay says decides whether it is tried again", arguments: [
        ("greeting", "554 no\r\n", SendOutcome.later("status 554")), ("greeting", "421 later\r\n", .later("status 421")), ("greeting", "hangup", .later("connection closed")),
        ("greeting", "HTTP/1.1 400 Bad Request\r\n", .later("no SMTP server")), ("EHLO", "502 never heard\r\n", .later("status 502")),
        ("MAIL", "550 not you\r\n", .later("status 550")), ("RCPT", "550 nobody\r\n", .refused("status 550")), ("RCPT", "451 greylisted\r\n", .later("status 451")),
        ("RCPT", "250-half\r\n250 OK\r\n", .sent("status 250")), ("DATA", "452 full\r\n", .later("status 452")), (".", "554 spam\r\n", .refused("status 554")),
        (".", "hangup", .later("connection closed")), ("RCPT", "99 what\r\n", .later("no SMTP server")),
        ("RCPT", "250" + String(repeating: "x", count: 3000) + "\r\n", .later("no SMTP server")),
    ])
    func answers(_ command: String, _ answer: String, _ outcome: SendOutcome) async throws {
        #expect(try await send(Relay([command: answer])) == outcome)
    }

    @Test("Without TLS nothing is said where TLS is asked for: neither a password nor whom a message is for")
    func startTLS() async throws {
        for answers in [[:], ["EHLO": "250-relay\r\n250 STARTTLS\r\n", "STARTTLS": "454 not now\r\n"]] {
            let relay = Relay(answers)
            #expect(try await send(relay, security: .startTLS, user: "stoa") == .later("no STARTTLS"))
            #expect(relay.heard.withLock { $0 }.allSatisfy { $0.hasPrefix("EHLO") || $0 == "STARTTLS" || $0 == "QUIT" })
        }
    }

    @Test("What somebody puts behind the consent to TLS is not taken for the relay's word under TLS")
    func injection() async throws {
        let relay = Relay(["EHLO": "250-relay\r\n250 STARTTLS\r\n", "STARTTLS": "220 go on\r\n250-relay\r\n250 AUTH PLAIN\r\n"])
        #expect(try await send(relay, security: .startTLS, user: "stoa") == .later("STARTTLS tampered with"))
    }

    @Test("A relay that speaks no TLS where TLS is due gets nothing to read")
    func noTLS() async throws {
        let relay = Relay(["EHLO": "250-relay\r\n250 STARTTLS\r\n", "STARTTLS": "220 go on\r\n"])
        let outcome = try await send(relay, security: .startTLS, user: "stoa")
        #expect(outcome.result == .later)
        #expect(relay.heard.withLock { $0 }.prefix(2) == ["EHLO stoa.example", "STARTTLS"])
        #expect(!relay.heard.withLock { $0 }.joined().contains("AUTH"))
    }

    @Test("Plain connections and passwords in the clear are for this machine or for nobody")
    func settings() throws {
        #expect(throws: SMTPAdapter.Failure.self) {
            try SMTPAdapter(settings: SMTPSettings(host: "mail.example", port: 25, security: .none), sender: Self.sender, domain: "stoa.example")
        }
        #expect(throws: SMTPAdapter.Failure.self) {
            try SMTPAdapter(
                settings: SMTPSettings(host: "127.0.0.1", port: 25, security: .none, userName: "a", password: Redacted("b")), sender: Self.sender, domain: "stoa.example")
        }
    }

    @Test("A port where nobody listens is no success")
    func nobody() async throws {
        let adapter = try SMTPAdapter(settings: SMTPSettings(host: "127.0.0.1", port: 1, security: .none), sender: Self.sender, domain: "stoa.example")
        let outcome = await adapter.send(EmailMessage(id: .new(), to: EmailAddress("ada@example.org")!, subject: "News", text: "news", language: .english))
        #expect(outcome == .later("connection failed"))
    }

    @Test("A line that begins with a dot gets another one")
    func dots() async throws {
        let relay = Relay()
        try await relay.serve { port in
            let connection = try await SMTPConnection.open(host: "127.0.0.1", port: port, tls: nil, connectSecondsMax: 5, secondsMax: 25)
            _ = try await connection.reply()
            _ = try await connection.send("DATA")
            #expect(try await connection.sendData(Array(".\r\n..two\r\nQUIT\r\n".utf8)).code == 250)
            await connection.close()
        }
        #expect(relay.heard.withLock { Array($0.prefix(5)) } == ["DATA", "..", "...two", "QUIT", "."])
    }
}
