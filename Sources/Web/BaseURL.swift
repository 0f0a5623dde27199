// Configuration, before anything is served: the one public address of the site. Cookies, links in problems and the
// Secure flag all follow from it, so an address that would leak a session is refused here.
import Foundation

/// The public address of the site: scheme, host and port, without a path (RFC 6454 calls it an origin).
public struct BaseURL: Sendable, Hashable, CustomStringConvertible {
    /// `https://city.example` or `http://localhost:8080`, without a slash at the end.
    public let origin: String
    /// The host in lower case, IPv6 in brackets.
    public let host: String
    /// Whether people reach the site over https, and so whether cookies are Secure and `__Host-`.
    public let isSecure: Bool

    /// Why an address is refused; the description says what to write instead.
    public enum Refusal: Error, Equatable, CustomStringConvertible {
        case notAnAddress(String)
        case plainHTTPBeyondThisMachine(String)

        public var description: String {
            switch self {
            case .notAnAddress(let text):
                "base_url \"\(text)\" is not an origin: write scheme, host and perhaps a port, like https://city.example"
            case .plainHTTPBeyondThisMachine(let host):
                "base_url uses http for \(host): passwords and sessions would travel in the clear. Use https; http is for localhost only"
            }
        }
    }

    /// Accepts https for any host, and http for loopback only, where many clients would drop a Secure cookie.
    /// - Parameter text: an origin; one slash at the end is forgiven.
    /// - Throws: `Refusal`.
    public init(_ text: String) throws {
        let trimmed = text.hasSuffix("/") ? String(text.dropLast()) : text
        guard let parts = URLComponents(string: trimmed), let scheme = parts.scheme?.lowercased(), scheme == "https" || scheme == "http",
            let host = parts.host?.lowercased(), !host.isEmpty, parts.path.isEmpty, parts.query == nil, parts.fragment == nil,
            parts.user == nil, parts.password == nil
        else { throw Refusal.notAnAddress(text) }
        guard scheme == "https" || Self.isLoopback(host) else { throw Refusal.plainHTTPBeyondThisMachine(host) }
        isSecure = scheme == "https"
        let writtenHost = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
        self.host = writtenHost
        origin = "\(scheme)://\(writtenHost)" + (parts.port.map { ":\($0)" } ?? "")
    }

    public var description: String { origin }

    /// Only names and addresses that cannot leave the machine: `localhost`, 127.0.0.0/8 (RFC 1122 §3.2.1.3) and `::1`.
    public static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" || host == "[::1]" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }
}
