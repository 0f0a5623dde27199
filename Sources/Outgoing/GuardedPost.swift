// The one way out to addresses that somebody outside chose: looks the host up, checks where it leads, and connects to exactly that address. No redirect is
// followed, and nothing of the answer is read but its status. Used for notices (Exchange) and for log-outs (OpenID).
import AsyncHTTPClient
import Foundation
public import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix

/// What came of a post.
public struct PostOutcome: Sendable, Equatable {
    public let isDelivered: Bool
    /// `status 503`, or a word for what went wrong before there was one.
    public let words: String

    static func refused(_ words: String) -> PostOutcome { PostOutcome(isDelivered: false, words: words) }

    static func answered(_ status: Int) -> PostOutcome { PostOutcome(isDelivered: (200...299).contains(status), words: "status \(status)") }
}

/// Posts to the outside, and nowhere inside.
public struct GuardedPost: Sendable {
    /// Whether receivers on this machine are posted to: in the demo city and in tests.
    let permitsLoopback: Bool

    /// A receiver that has not taken a connection by then is away.
    private static let connectSecondsMax: Int64 = 5
    /// The whole post. Receivers take what is posted and work later; the next attempt comes a minute after at the earliest.
    private let secondsMax: Int64

    public init(permitsLoopback: Bool) { self.init(permitsLoopback: permitsLoopback, secondsMax: 10) }

    init(permitsLoopback: Bool, secondsMax: Int64) {
        self.permitsLoopback = permitsLoopback
        self.secondsMax = secondsMax
    }

    /// - Parameters:
    ///   - url: as it was registered.
    ///   - message: what to send, made for the address taken apart.
    public func post(to url: String, _ message: (WebhookAddress) throws -> (body: [UInt8], fields: HTTPFields)) async -> PostOutcome {
        guard let address = WebhookAddress(url) else { return .refused("address malformed") }
        let found = await Self.addresses(of: address)
        guard !found.isEmpty else { return .refused("host unknown") }
        guard let target = found.first(where: { mayConnect(to: $0, securely: address.isSecure) }) else { return .refused("address not public") }
        do {
            let (body, fields) = try message(address)
            return try await send(body, to: address, at: target, fields: fields)
        } catch let error as HTTPClientError where error == .connectTimeout || error == .deadlineExceeded || error == .readTimeout {
            return .refused("timed out")
        } catch {
            return .refused("connection failed")
        }
    }

    /// Whether a connection may lead there.
    public func mayConnect(to address: HostAddress, securely: Bool) -> Bool {
        address.isPublic ? securely : address.isLoopback && permitsLoopback
    }

    private func send(_ body: [UInt8], to address: WebhookAddress, at target: HostAddress, fields: HTTPFields) async throws -> PostOutcome {
        var request = HTTPClientRequest(url: address.text)
        request.method = .POST
        for field in fields { request.headers.add(name: field.name.rawName, value: field.value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        // A client for each post, because each has its own answer to what the host's name means.
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: Self.configuration(address.host, target))
        do {
            let response = try await client.execute(request, timeout: .seconds(secondsMax))
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
