// From a cookie or an Authorization header to the caller: the token is hashed here and never stored or logged.
import Crypto
import HTTPTypes

/// The SHA-256 of a session or access token's characters, as the database keeps it. The token itself goes no further.
public struct CredentialHash: Sendable, Hashable, CustomStringConvertible {
    /// 32 bytes, for binding to `bytea`.
    public let bytes: [UInt8]

    /// - Parameter token: the characters of the token as the client sends them (ASCII).
    public init(token: String) {
        bytes = Array(SHA256.hash(data: Array(token.utf8)))
    }

    /// - Parameter bytes: a hash that was made before, from a row.
    public init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    public var description: String { "[redacted]" }
}

/// The two kinds of credential, which never stand in for one another.
public enum CredentialKind: String, Sendable {
    case session
    case accessToken = "access_token"
}

/// Finds out who holds a credential: nil when it is unknown, expired, idle for too long or revoked.
public typealias CredentialResolver = @Sendable (CredentialHash, CredentialKind) async throws -> Caller?

/// Longest token that is looked up, in characters. Ours have 43; longer texts are not worth a hash and a round trip.
let tokenCharactersMax = 512

extension HTTPFields {
    /// The token of `Authorization: Bearer …` (RFC 6750 §2.1), nil when the header is absent or of another scheme.
    var bearerToken: String? {
        guard let value = self[.authorization] else { return nil }
        guard value.utf8.count > 7, value.prefix(7).lowercased() == "bearer " else { return nil }
        let token = value.dropFirst(7)
        guard token.utf8.count <= tokenCharactersMax, token.utf8.allSatisfy(isTokenCharacter) else { return nil }
        return String(token)
    }
}

/// The characters of `b64token` in RFC 6750 §2.1.
func isTokenCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
    case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"),
        UInt8(ascii: "="):
        true
    default: false
    }
}
