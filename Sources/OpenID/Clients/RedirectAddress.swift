// Pure rules of redirect addresses: where a code may be sent. Compared as text, never parsed: two parsers that read an
// address differently are how codes end up elsewhere (RFC 9700 §4.1).

/// A redirect address as a client registered it.
struct RedirectAddress: Sendable, Hashable {
    /// Longest address in characters; the column takes no more.
    static let charactersMax = 2_000
    private static let loopbackPrefix = "http://127.0.0.1"
    private static let portMax = 65_535

    let text: String

    /// - Returns: nil unless it is `https://host/path` or `http://127.0.0.1/path` (RFC 8252 §7.3: an app on the
    ///   resident's own device; no port, any will do). `localhost` is not accepted: it may resolve to somewhere else (§8.3).
    init?(registered text: String) {
        guard text.utf8.count <= Self.charactersMax, text.utf8.allSatisfy(Self.isAddressByte) else { return nil }
        let isLoopback = text.hasPrefix(Self.loopbackPrefix + "/")
        guard isLoopback || Self.isHTTPS(text) else { return nil }
        self.text = text
    }

    private static func isHTTPS(_ text: String) -> Bool {
        guard text.hasPrefix("https://") else { return false }
        let rest = text.dropFirst("https://".count)
        guard let slash = rest.firstIndex(of: "/") else { return false }
        let authority = rest[..<slash]
        return !authority.isEmpty && !authority.contains("@")
    }

    /// Printable ASCII without what changes meaning between parsers: no fragment (RFC 6749 §3.1.2), no backslash, no
    /// quotation marks; no comma and semicolon, which would end the address inside a Content-Security-Policy.
    private static func isAddressByte(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && !"#\\\"<>`{|}^,;'".utf8.contains(byte)
    }

    /// Whether a request's address is this one: the same text, but for the port of a loopback address.
    func matches(_ requested: String) -> Bool {
        guard requested.utf8.count <= Self.charactersMax else { return false }
        if requested.utf8.elementsEqual(text.utf8) { return true }
        guard text.hasPrefix(Self.loopbackPrefix + "/"), requested.hasPrefix(Self.loopbackPrefix + ":") else { return false }
        let path = text.utf8.dropFirst(Self.loopbackPrefix.utf8.count)
        let rest = requested.utf8.dropFirst(Self.loopbackPrefix.utf8.count + 1)
        let digits = rest.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard (1...5).contains(digits.count), digits.first != UInt8(ascii: "0"), let port = Int(Substring(digits)), port <= Self.portMax else {
            return false
        }
        return rest.dropFirst(digits.count).elementsEqual(path)
    }

    /// The first of a client's addresses that a request's is.
    static func isRegistered(_ requested: String, among registered: [String]) -> Bool {
        registered.lazy.compactMap { RedirectAddress(registered: $0) }.contains { $0.matches(requested) }
    }

    /// What a page's Content-Security-Policy must name so that its form may lead to this address (Chromium checks where
    /// the post is redirected to). Any port for loopback: a policy cannot be wrong about which one the app listens on.
    static func formActionSource(of address: String) -> String {
        if address.hasPrefix(loopbackPrefix) { return loopbackPrefix + ":*" }
        let rest = address.dropFirst("https://".count)
        return "https://" + rest.prefix { $0 != "/" }
    }

    /// The host that a person is told; nil for an address on their own device.
    static func host(of address: String) -> String? {
        address.hasPrefix(loopbackPrefix) ? nil : String(formActionSource(of: address).dropFirst("https://".count))
    }

    /// The address with parameters of the answer added (RFC 6749 §4.1.2), behind those that it was registered with.
    static func adding(_ parameters: [(name: String, value: String)], to address: String) -> String {
        let query = parameters.map { "\($0.name)=\(percentEncoded($0.value))" }.joined(separator: "&")
        return address + (address.utf8.contains(UInt8(ascii: "?")) ? "&" : "?") + query
    }

    private static let hexadecimal = Array("0123456789ABCDEF".utf8)

    /// Everything but RFC 3986's unreserved characters becomes %XX, so that no value can add a parameter of its own.
    private static func percentEncoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if isUnreserved(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// RFC 3986 §2.3; also the alphabet of a PKCE verifier (RFC 7636 §4.1).
func isUnreserved(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
    default: false
    }
}
