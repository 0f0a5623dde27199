// An authenticator in software, written from the standard's tables and not from the reader under test.
public import Crypto
public import CryptoExtras
import Foundation

/// Writes what an authenticator and its browser would.
public struct Authenticator: Sendable {
    public enum Key: Sendable {
        case es256(P256.Signing.PrivateKey)
        case eddsa(Curve25519.Signing.PrivateKey)
        case rs256(_RSA.Signing.PrivateKey)
    }

    public var key: Key
    public var relyingParty: String
    public var origin: String
    public var id: [UInt8] = Array(1...16)
    /// User present and user verified.
    public var flags: UInt8 = 0x05
    public var signCount: UInt32 = 1

    public init(key: Key, relyingParty: String = "city.example", origin: String = "https://city.example") {
        self.key = key
        self.relyingParty = relyingParty
        self.origin = origin
    }

    static func head(_ major: UInt8, _ count: Int) -> [UInt8] {
        count < 24 ? [major << 5 | UInt8(count)] : count < 256 ? [major << 5 | 24, UInt8(count)] : [major << 5 | 25, UInt8(count >> 8), UInt8(count & 255)]
    }

    public static func bytes(_ bytes: [UInt8]) -> [UInt8] { head(2, bytes.count) + bytes }
    public static func text(_ text: String) -> [UInt8] { head(3, text.utf8.count) + Array(text.utf8) }

    /// COSE keys as RFC 9053 §7 writes them: 1 kty, 3 alg, −1 crv or n, −2 x or e, −3 y.
    public var cose: [UInt8] {
        switch key {
        case .es256(let key):
            let point = Array(key.publicKey.x963Representation)
            return [0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21] + Self.bytes(Array(point[1..<33])) + [0x22] + Self.bytes(Array(point[33...]))
        case .eddsa(let key):
            return [0xA4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21] + Self.bytes(Array(key.publicKey.rawRepresentation))
        case .rs256(let key):
            let parts = try? key.publicKey.getKeyPrimitives()
            return [0xA4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20] + Self.bytes(Array(parts?.modulus ?? Data())) + [0x21] + Self.bytes(Array(parts?.publicExponent ?? Data()))
        }
    }

    public func sign(_ data: [UInt8]) throws -> [UInt8] {
        switch key {
        case .es256(let key): Array(try key.signature(for: data).derRepresentation)
        case .eddsa(let key): Array(try key.signature(for: data))
        case .rs256(let key): Array(try key.signature(for: data, padding: .insecurePKCS1v1_5).rawRepresentation)
        }
    }

    public func data(withCredential: Bool) -> [UInt8] {
        let counter = [24, 16, 8, 0].map { UInt8(signCount >> $0 & 0xFF) }
        let header = Array(SHA256.hash(data: Array(relyingParty.utf8))) + [flags | (withCredential ? 0x40 : 0)] + counter
        return withCredential ? header + [UInt8](repeating: 0, count: 16) + [UInt8(id.count >> 8), UInt8(id.count & 255)] + id + cose : header
    }

    public func clientData(_ type: String, _ challenge: [UInt8], crossOrigin: Bool = false) -> [UInt8] {
        let text = Data(challenge).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        return Array(#"{"type":"\#(type)","challenge":"\#(text)","origin":"\#(origin)","crossOrigin":\#(crossOrigin)}"#.utf8)
    }

    /// An attestation object without attestation.
    public func attestation(format: String = "none", statement: [UInt8] = [0xA0]) -> [UInt8] {
        [0xA3] + Self.text("fmt") + Self.text(format) + Self.text("attStmt") + statement + Self.text("authData") + Self.bytes(data(withCredential: true))
    }

    /// An assertion: authenticator data and signature.
    public func assertion(_ clientData: [UInt8]) throws -> (data: [UInt8], signature: [UInt8]) {
        let data = data(withCredential: false)
        return (data, try sign(data + Array(SHA256.hash(data: clientData))))
    }
}
