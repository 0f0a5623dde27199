// Keys for a new organisation's client: the CLI and the demo city write the private half to a file of the organisation
// and register the public one. The server never keeps a client's private key.
import Crypto
import Foundation
public import Primitives
import Web

/// An ES256 key pair in JWK form (RFC 7517, RFC 7518 §6.2).
public struct ClientKeyPair: Sendable {
    /// The `kid` of both halves: the RFC 7638 thumbprint of the public one.
    public let keyID: String
    /// The public key as one JWK, JSON text.
    public let publicJWK: String
    /// The private key as one JWK, JSON text. Write it to a file of mode 0600 and nowhere else.
    public let privateJWK: Redacted<String>

    /// A fresh pair.
    public init() {
        let key = P256.Signing.PrivateKey()
        // x963 is 0x04, then 32 bytes of x and 32 of y (SEC 1 §2.3.3).
        let point = Array(key.publicKey.x963Representation)
        let x = Base64URL.encode(point[1..<33])
        let y = Base64URL.encode(point[33...])
        // RFC 7638 §3: the required members in the order of their names, without space.
        let canonical = #"{"crv":"P-256","kty":"EC","x":"\#(x)","y":"\#(y)"}"#
        keyID = Base64URL.encode(Array(SHA256.hash(data: Array(canonical.utf8))))
        let members: [JSONMember] = [
            JSONMember("kty", "EC"), JSONMember("crv", "P-256"), JSONMember("x", .string(x)), JSONMember("y", .string(y)),
            JSONMember("kid", .string(keyID)), JSONMember("alg", "ES256"), JSONMember("use", "sig"),
        ]
        publicJWK = Self.text(members)
        privateJWK = Redacted(Self.text(members + [JSONMember("d", .string(Base64URL.encode(Array(key.rawRepresentation))))]))
    }

    private static func text(_ members: [JSONMember]) -> String {
        String(decoding: JSONValue.object(members).serialised(), as: UTF8.self)
    }
}
