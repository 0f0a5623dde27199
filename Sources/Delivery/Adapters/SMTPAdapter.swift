// The way out for e-mails: submission to the city's own relay (RFC 6409), which knows where mail goes and tries again by itself. One connection a message.
import Foundation
import NIOCore
import NIOPosix
import NIOSSL
public import Primitives
import Web

/// How the relay is reached.
public struct SMTPSettings: Sendable {
    public enum Security: String, Sendable, CaseIterable {
        /// In the clear at first, and never a command of ours that matters before TLS (RFC 3207). Port 587.
        case startTLS = "starttls"
        /// From the first byte on (RFC 8314 §3.3). Port 465.
        case tls
        /// For a relay on this very machine.
        case none
    }

    public var host: String
    public var port: Int
    public var security: Security
    public var userName: String?
    public var password: Redacted<String>?
    /// A file of certificates in PEM that vouch for the relay, where its authority is the city's own.
    public var authorityFile: String?

    public init(host: String, port: Int, security: Security, userName: String? = nil, password: Redacted<String>? = nil, authorityFile: String? = nil) {
        self.host = host
        self.port = port
        self.security = security
        self.userName = userName
        self.password = password
        self.authorityFile = authorityFile
    }
}

/// Hands e-mails to the relay.
public struct SMTPAdapter: EmailAdapter {
    private let settings: SMTPSettings
    private let sender: (name: String, address: EmailAddress)
    private let domain: String
    private let tls: NIOSSLContext?

    /// A relay that has not taken a connection by then is away.
    private static let connectSecondsMax: Int64 = 5
    /// The whole dialogue. Shorter than the minutes of RFC 5321 §4.5.3.2, which are for servers that deliver; the next attempt comes a minute after the first.
    private static let secondsMax: Int64 = 25

    public enum Failure: Error, CustomStringConvertible {
        case plainBeyondThisMachine(String)
        case passwordInTheClear

        public var description: String {
            switch self {
            case .plainBeyondThisMachine(let host): "e-mails would travel to \(host) in the clear: set delivery.smtp_security to starttls or tls; none is for a relay on this machine"
            case .passwordInTheClear: "the relay's password would travel in the clear: set delivery.smtp_security to starttls or tls"
            }
        }
    }

    /// - Parameter domain: of the messages' ids and of the greeting, such as the host of `base_url`.
    /// - Throws: ``Failure``, or what is wrong with the file of certificates.
    public init(settings: SMTPSettings, sender: (name: String, address: EmailAddress), domain: String) throws {
        self.settings = settings
        self.sender = sender
        self.domain = domain
        guard settings.security != .none else {
            guard BaseURL.isLoopback(settings.host) else { throw Failure.plainBeyondThisMachine(settings.host) }
            guard settings.password == nil else { throw Failure.passwordInTheClear }
            tls = nil
            return
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let file = settings.authorityFile { configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file)) }
        tls = try NIOSSLContext(configuration: configuration)
    }

    public func send(_ message: EmailMessage) async -> SendOutcome {
        do {
            let connection = try await SMTPConnection.open(
                host: settings.host, port: settings.port, tls: settings.security == .tls ? tlsHandler : nil, connectSecondsMax: Self.connectSecondsMax, secondsMax: Self.secondsMax)
            let outcome: SendOutcome
            do { outcome = try await submit(message, over: connection) } catch { outcome = Self.outcome(of: error) }
            await connection.close()
            return outcome
        } catch {
            return Self.outcome(of: error)
        }
    }

    private func submit(_ message: EmailMessage, over connection: SMTPConnection) async throws -> SendOutcome {
        let greeting = try await connection.reply()
        // Until the receiver is named, a refusal is about the relay and the city, and mended there the message still goes out.
        guard greeting.code == 220 else { return .later("status \(greeting.code)") }
        var extensions = try await connection.send("EHLO \(domain)")
        if settings.security == .startTLS {
            guard extensions.offers("STARTTLS") else { return .later("no STARTTLS") }
            let consent = try await connection.startTLS(tlsHandler)
            guard consent.code == 220 else { return .later("no STARTTLS") }
            // What was offered in the clear counts no more (RFC 3207 §4.2).
            extensions = try await connection.send("EHLO \(domain)")
        }
        guard extensions.code == 250 else { return .later("status \(extensions.code)") }
        if let user = settings.userName, let password = settings.password {
            // RFC 4616; only ever under TLS.
            let secret = Data("\u{0}\(user)\u{0}\(password.reveal())".utf8).base64EncodedString()
            guard extensions.offers("AUTH", "PLAIN") else { return .later("no AUTH PLAIN") }
            let answer = try await connection.send("AUTH PLAIN \(secret)")
            guard answer.code == 235 else { return .later("status \(answer.code)") }
        }
        // No address has a character that could end a command: EmailAddress refuses them.
        let from = try await connection.send("MAIL FROM:<\(sender.address.text)>")
        guard from.code == 250 else { return .later("status \(from.code)") }
        let to = try await connection.send("RCPT TO:<\(message.to.text)>")
        guard to.code / 100 == 2 else { return Self.outcome(of: to) }
        let start = try await connection.send("DATA")
        guard start.code == 354 else { return Self.outcome(of: start) }
        return Self.outcome(of: try await connection.sendData(message.bytes(from: sender, domain: domain, date: Date())))
    }

    private var tlsHandler: (@Sendable () throws -> NIOSSLClientHandler)? {
        tls.map { context in
            let host = settings.host
            // An address has no name to be announced (RFC 6066 §3); the certificate is then that of the address.
            let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
            return { try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host) }
        }
    }

    /// RFC 5321 §4.2.1: 2yz done, 4yz try again, 5yz never.
    static func outcome(of reply: SMTPReply) -> SendOutcome {
        switch reply.code / 100 {
        case 2: .sent("status \(reply.code)")
        case 5: .refused("status \(reply.code)")
        default: .later("status \(reply.code)")
        }
    }

    private static func outcome(of error: any Error) -> SendOutcome {
        switch error {
        case SMTPFailure.timedOut: .later("timed out")
        case SMTPFailure.closed: .later("connection closed")
        case SMTPFailure.notSMTP: .later("no SMTP server")
        case SMTPFailure.injected: .later("STARTTLS tampered with")
        case is NIOSSLError, is NIOSSLExtraError, is BoringSSLError: .later("TLS failed")
        default: .later("connection failed")
        }
    }
}

extension SMTPReply {
    /// Whether an EHLO reply names this extension (RFC 5321 §4.1.1.1), with this among its parameters.
    fileprivate func offers(_ keyword: String, _ parameter: String? = nil) -> Bool {
        lines.dropFirst().contains { line in
            let words = line.uppercased().split(separator: " ")
            return words.first.map(String.init) == keyword && (parameter == nil || words.dropFirst().contains { $0 == parameter ?? "" })
        }
    }
}
