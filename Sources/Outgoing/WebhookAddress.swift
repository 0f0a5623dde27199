// Pure rules of addresses that somebody outside chose (webhooks, back-channel log-outs): which are written, and which network addresses they may lead to. A webhook is an address that somebody
// outside chose and this server connects to, so what only this server can reach must never be behind it (server-side request forgery).
import Foundation

/// Where an organisation wants to be posted to, taken apart. The rules of `exchange.webhook.url` and of `openid.client.backchannel_logout_uri` hold the same.
public struct WebhookAddress: Sendable, Hashable {
    public let text: String
    public let isSecure: Bool
    /// In small letters; IPv6 without its brackets.
    public let host: String
    public let port: Int

    /// As long as the column takes.
    private static let charactersMax = 500
    private static let loopbackHosts: Set<String> = ["localhost", "127.0.0.1", "::1"]

    /// - Returns: nil unless it is `https://host[:port]/path`, or the same with http for a loopback host. Strict, so that no other parser reads another host.
    public init?(_ text: String) {
        let pattern = /(https?):\/\/(?:([a-z0-9.-]+)|\[([0-9a-f:]+)\])(?::([0-9]{1,5}))?\/[!-~]*/
        guard text.utf8.count <= Self.charactersMax, !text.utf8.contains(where: { "\\#\"<>".utf8.contains($0) }),
            let match = text.wholeMatch(of: pattern), let host = match.2 ?? match.3
        else { return nil }
        isSecure = match.1 == "https"
        self.host = String(host)
        guard isSecure || Self.loopbackHosts.contains(self.host) else { return nil }
        guard let port = match.4.map({ Int($0) }) ?? (isSecure ? 443 : 80), (1...65_535).contains(port) else { return nil }
        self.port = port
        self.text = text
    }

    /// What is signed as `@target-uri`, and `@authority`: the default port is left out (RFC 9421 §2.2.2, §2.2.3).
    public var authority: String {
        let written = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? written : "\(written):\(port)"
    }
}

/// An IPv4 or IPv6 address that a name led to.
public struct HostAddress: Sendable, Hashable {
    /// 4 or 16 bytes.
    public let bytes: [UInt8]

    /// - Parameter text: without brackets, port or zone.
    public init?(_ text: String) {
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            bytes = withUnsafeBytes(of: v4) { Array($0) }
        } else if inet_pton(AF_INET6, text, &v6) == 1 {
            bytes = withUnsafeBytes(of: v6) { Array($0) }
        } else {
            return nil
        }
    }

    init?(_ address: UnsafePointer<sockaddr>) {
        switch Int32(address.pointee.sa_family) {
        case AF_INET: bytes = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin_addr) { Array($0) } }
        case AF_INET6: bytes = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { withUnsafeBytes(of: $0.pointee.sin6_addr) { Array($0) } }
        default: return nil
        }
    }

    /// As it is written in an address: `192.0.2.1`, `2001:db8:0:…`.
    public var text: String {
        if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
        return stride(from: 0, to: 16, by: 2).map { String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16) }.joined(separator: ":")
    }

    public var isLoopback: Bool { bytes.count == 4 ? bytes[0] == 127 : bytes == [UInt8](repeating: 0, count: 15) + [1] }

    /// Whether everybody can reach it: in no network of the special-purpose registries of IANA (RFC 6890), and not an IPv4 address in disguise.
    public var isPublic: Bool { bytes.count == 4 ? !Self.special4.contains { holds($0) } : Self.global6.contains { holds($0) } && !Self.special6.contains { holds($0) } }

    private typealias Network = (bytes: [UInt8], bits: Int)

    private func holds(_ network: Network) -> Bool {
        (0..<network.bits).allSatisfy { bit in
            let byte = bit / 8 < network.bytes.count ? network.bytes[bit / 8] : 0
            return (bytes[bit / 8] ^ byte) & (0x80 >> UInt8(bit % 8)) == 0
        }
    }

    /// This network, private, shared, loopback, link-local, protocol assignments, documentation, relays, benchmarks, multicast and reserved.
    private static let special4: [Network] = [
        ([0], 8), ([10], 8), ([100, 64], 10), ([127], 8), ([169, 254], 16), ([172, 16], 12), ([192, 0, 0], 24), ([192, 0, 2], 24), ([192, 31, 196], 24),
        ([192, 52, 193], 24), ([192, 88, 99], 24), ([192, 168], 16), ([192, 175, 48], 24), ([198, 18], 15), ([198, 51, 100], 24), ([203, 0, 113], 24),
        ([224], 4), ([240], 4),
    ]
    /// What is given out of IPv6 at all (RFC 4291 §2.4): everything else is loopback, mapped, unique-local, link-local, multicast or a translation.
    private static let global6: [Network] = [([0x20], 3)]
    /// Protocol assignments with Teredo, 6to4, and documentation.
    private static let special6: [Network] = [([0x20, 0x01, 0x00], 23), ([0x20, 0x01, 0x0d, 0xb8], 32), ([0x20, 0x02], 16), ([0x3f, 0xff], 20)]
}
