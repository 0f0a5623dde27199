// Posts one notice to one webhook: looks the host up, checks where it leads, connects to exactly that address, and signs what it sends. No
// redirect is followed, and nothing of the answer is read but its status.
import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix
import TransparencyLog
import Web

/// What came of a post.
struct PostOutcome: Sendable, Equatable {
    let isDelivered: Bool
    /// `status 503`, or a word for what went wrong before there was one.
    let words: String

    static func refused(_ words: String) -> PostOutcome { PostOutcome(isDelivered: false, words: words) }

    static func answered(_ status: Int) -> PostOutcome { PostOutcome(isDelivered: (200...299).contains(status), words: "status \(status)") }
}

/// The way out to webhooks.
struct NoticePost: Sendable {
    let signer: Ed25519NoteSigner
    /// Whether receivers on this machine are posted to: in the demo city and in tests.
    let permitsLoopback: Bool

    /// A receiver that has not taken a connection by then is away.
    private static let connectSecondsMax: Int64 = 5
    /// The whole post. Receivers take the notice and work later; the next attempt comes a minute after at the earliest.
    private static let secondsMax: Int64 = 10

    /// - Parameter now: the moment that the signature names.
    func post(_ notice: Notice, to url: String, now: Date = Date()) async -> PostOutcome {
        guard let address = WebhookAddress(url) else { return .refused("address malformed") }
        let found = await Self.addresses(of: address)
        guard !found.isEmpty else { return .refused("host unknown") }
        guard let target = found.first(where: { mayConnect(to: $0, securely: address.isSecure) }) else { return .refused("address not public") }
        do {
            return try await send(Array(notice.item(signedBy: signer).serialised()), to: address, at: target, now: now)
        } catch let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded || error == .readTimeout {
            return .refused("timed out")
        } catch {
            return .refused("connection failed")
        }
    }

    func mayConnect(to address: HostAddress, securely: Bool) -> Bool {
        address.isPublic ? securely : address.isLoopback && permitsLoopback
    }

    private func send(_ body: [UInt8], to address: WebhookAddress, at target: HostAddress, now: Date) async throws -> PostOutcome {
        var request = HTTPClientRequest(url: address.text)
        request.method = .POST
        for field in try fields(of: body, to: address, now: now) { request.headers.add(name: field.name.rawName, value: field.value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        // A client for each post, because each has its own answer to what the host's name means.
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: Self.configuration(address.host, target))
        do {
            let response = try await client.execute(request, timeout: .seconds(Self.secondsMax))
            try await client.shutdown()
            return .answered(Int(response.status.code))
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    private static func configuration(_ host: String, _ target: HostAddress) -> HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow, timeout: .init(connect: .seconds(connectSecondsMax)))
        configuration.httpVersion = .http1Only
        // The certificate is still that of the name.
        configuration.dnsOverride = [host: target.text]
        return configuration
    }

    /// What is signed is whom it is for, what it is, and that it is whole (RFC 9421 §7.2.1, §7.2.2).
    func fields(of body: [UInt8], to address: WebhookAddress, now: Date) throws -> HTTPFields {
        let digest = ContentDigest.field(of: body)
        var fields: HTTPFields = [.contentType: "application/json", .contentDigest: digest, .userAgent: "Stoa"]
        let signed = try signer.messageFields(
            label: "stoa",
            [
                .init("@method", "POST"), .init("@target-uri", address.text), .init("content-type", "application/json"), .init("content-digest", digest),
            ], created: now)
        fields.append(contentsOf: signed)
        return fields
    }

    /// Where a host's name leads, in the order of the system's resolver; the address itself where it is one.
    private static func addresses(of address: WebhookAddress) async -> [HostAddress] {
        if let literal = HostAddress(address.host) { return [literal] }
        // It blocks, so it has a thread of its own.
        let found = try? await NIOThreadPool.singleton.runIfActive { resolve(address.host) }
        return found ?? []
    }

    private static func resolve(_ host: String) -> [HostAddress] {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { freeaddrinfo(list) }
        var addresses: [HostAddress] = []
        var next = list
        while let entry = next {
            if let address = entry.pointee.ai_addr.flatMap({ HostAddress(UnsafePointer($0)) }) { addresses.append(address) }
            next = entry.pointee.ai_next
        }
        return addresses
    }
}
