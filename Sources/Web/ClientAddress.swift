// Whose network address a request comes from, for limits on guessing: that of the connection, or what a proxy of the city's own says.
// Asked by the routes that need it, and never written to a log.
import Foundation

/// An IPv4 or IPv6 address as bytes, so that one address has one form however it is written.
struct NetworkAddress: Hashable, Sendable {
    /// 4 or 16 bytes. An IPv4 address inside IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
    let bytes: [UInt8]

    private static let mappedPrefix: [UInt8] = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]

    /// - Parameter text: without port, brackets or zone. A host name is no address and is not looked up.
    init?(_ text: String) {
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            bytes = withUnsafeBytes(of: v4) { Array($0) }
        } else if inet_pton(AF_INET6, text, &v6) == 1 {
            let all = withUnsafeBytes(of: v6) { Array($0) }
            bytes = all.starts(with: Self.mappedPrefix) ? Array(all.dropFirst(Self.mappedPrefix.count)) : all
        } else {
            return nil
        }
    }

    /// What a limit counts by: an IPv4 address; of IPv6 the first 64 bits, because one subscriber has all the addresses behind them.
    var countedAs: String { bytes.prefix(bytes.count == 4 ? 4 : 8).map { String($0) }.joined(separator: ".") }
}

/// The proxies in front of Stoa, whose word about the client's address is taken.
public struct TrustedProxies: Sendable, Hashable {
    private struct Network: Sendable, Hashable {
        let bytes: [UInt8]
        let bits: Int

        func contains(_ address: NetworkAddress) -> Bool {
            guard address.bytes.count == bytes.count else { return false }
            return (0..<bits).allSatisfy { bit in (address.bytes[bit / 8] ^ bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0 }
        }
    }

    private let networks: [Network]

    /// Nobody's word is taken: the address is always that of the connection.
    public static let none = TrustedProxies(networks: [])

    private init(networks: [Network]) {
        self.networks = networks
    }

    /// Reads a list like `127.0.0.1, 10.1.0.0/16, ::1`. Nil when one of its parts is neither an address nor a network.
    public init?(_ list: String) {
        var networks: [Network] = []
        for part in list.split(separator: ",", omittingEmptySubsequences: false) {
            let halves = trimmed(String(part)).split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard let address = halves.first.flatMap({ NetworkAddress(String($0)) }) else { return nil }
            let bitsMax = address.bytes.count * 8
            guard let bits = halves.count == 1 ? bitsMax : Int(halves[1]), (0...bitsMax).contains(bits) else { return nil }
            networks.append(Network(bytes: address.bytes, bits: bits))
        }
        self.networks = networks
    }

    private func contains(_ address: NetworkAddress) -> Bool { networks.contains { $0.contains(address) } }

    /// The address that asks: the connection's own; behind trusted proxies the right-most of `X-Forwarded-For` that is not one of them.
    /// What stands further left was written by the client and may say anything.
    /// - Parameter forwardedFor: the header's values in order, each a list with commas.
    func client(peer: NetworkAddress, forwardedFor: [String]) -> NetworkAddress {
        guard contains(peer) else { return peer }
        var client = peer
        for entry in forwardedFor.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }).reversed() {
            guard let address = Self.address(inEntry: trimmed(String(entry))) else { return client }
            client = address
            if !contains(address) { return client }
        }
        return client
    }

    /// Some proxies write the port as well: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
    private static func address(inEntry entry: String) -> NetworkAddress? {
        if let address = NetworkAddress(entry) { return address }
        if entry.hasPrefix("["), let end = entry.firstIndex(of: "]") { return NetworkAddress(String(entry[..<end].dropFirst())) }
        return entry.firstIndex(of: ":").flatMap { NetworkAddress(String(entry[..<$0])) }
    }
}
