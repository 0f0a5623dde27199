// One key of the provider: made here, signs what the provider gives out, checks what comes back. Which key signs when is in SigningKeys.swift.
import Crypto
import CryptoExtras
import Foundation
import Primitives
import Web

/// A private key with its public half as a JWK (RFC 7517).
struct SigningKey: Sendable {
    private enum Material: Sendable {
        case p256(P256.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)
        case rsa(_RSA.Signing.PrivateKey)
    }

    let algorithm: SigningAlgorithm
    /// RFC 7638 thumbprint of the public key.
    let keyID: String
    let publicJWK: JSONValue
    private let material: Material

    /// A fresh key. RSA has 2048 bits (NIST SP 800-131A) and takes a tenth of a second to be found.
    init(new algorithm: SigningAlgorithm) throws {
        switch algorithm {
        case .es256: try self.init(.p256(P256.Signing.PrivateKey()))
        case .edDSA: try self.init(.ed25519(Curve25519.Signing.PrivateKey()))
        case .rs256: try self.init(.rsa(_RSA.Signing.PrivateKey(keySize: .bits2048)))
        }
    }

    /// - Parameter privateBytes: what `privateBytes` gave: a scalar, a seed, or PKCS #1 in DER.
    init(_ algorithm: SigningAlgorithm, privateBytes: [UInt8]) throws {
        switch algorithm {
        case .es256: try self.init(.p256(P256.Signing.PrivateKey(rawRepresentation: privateBytes)))
        case .edDSA: try self.init(.ed25519(Curve25519.Signing.PrivateKey(rawRepresentation: privateBytes)))
        case .rs256: try self.init(.rsa(_RSA.Signing.PrivateKey(derRepresentation: privateBytes)))
        }
    }

    private init(_ material: Material) throws {
        self.material = material
        // The members that RFC 7638 §3.2 hashes, in the order of their names.
        let required: [JSONMember]
        switch material {
        case .p256(let key):
            algorithm = .es256
            let point = Array(key.publicKey.x963Representation)
            required = [
                JSONMember("crv", "P-256"), JSONMember("kty", "EC"), JSONMember("x", .string(Base64URL.encode(point[1..<33]))),
                JSONMember("y", .string(Base64URL.encode(point[33...]))),
            ]
        case .ed25519(let key):
            algorithm = .edDSA
            required = [
                JSONMember("crv", "Ed25519"), JSONMember("kty", "OKP"),
                JSONMember("x", .string(Base64URL.encode(Array(key.publicKey.rawRepresentation)))),
            ]
        case .rsa(let key):
            algorithm = .rs256
            let numbers = try key.publicKey.getKeyPrimitives()
            required = [
                JSONMember("e", .string(Base64URL.encode(Array(numbers.publicExponent)))), JSONMember("kty", "RSA"),
                JSONMember("n", .string(Base64URL.encode(Array(numbers.modulus)))),
            ]
        }
        keyID = JWKThumbprint.text(of: required)
        publicJWK = .object(required + [JSONMember("kid", .string(keyID)), JSONMember("alg", .string(algorithm.rawValue)), JSONMember("use", "sig")])
    }

    var privateBytes: [UInt8] {
        switch material {
        case .p256(let key): Array(key.rawRepresentation)
        case .ed25519(let key): Array(key.rawRepresentation)
        case .rsa(let key): Array(key.derRepresentation)
        }
    }

    /// A signed token in the compact form of RFC 7515.
    /// - Parameter type: the `typ` of its header, by which one kind of token never passes for another (RFC 8725 §3.11).
    func sign(_ claims: JSONValue, type: String) throws -> String {
        let header: JSONValue = ["alg": .string(algorithm.rawValue), "kid": .string(keyID), "typ": .string(type)]
        let signed = Base64URL.encode(header.serialised()) + "." + Base64URL.encode(claims.serialised())
        return signed + "." + Base64URL.encode(try signature(over: Array(signed.utf8)))
    }

    private func signature(over bytes: [UInt8]) throws -> [UInt8] {
        switch material {
        case .p256(let key): Array(try key.signature(for: bytes).rawRepresentation)
        case .ed25519(let key): Array(try key.signature(for: bytes))
        case .rsa(let key): Array(try key.signature(for: bytes, padding: .insecurePKCS1v1_5).rawRepresentation)
        }
    }

    func isValid(_ signature: [UInt8], over bytes: [UInt8]) -> Bool {
        switch material {
        case .p256(let key):
            (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map { key.publicKey.isValidSignature($0, for: bytes) } ?? false
        case .ed25519(let key): key.publicKey.isValidSignature(signature, for: bytes)
        case .rsa(let key): key.publicKey.isValidSignature(.init(rawRepresentation: signature), for: bytes, padding: .insecurePKCS1v1_5)
        }
    }
}

/// RFC 7638.
enum JWKThumbprint {
    /// - Parameter required: the members that the type of the key needs, in the order of their names.
    static func text(of required: [JSONMember]) -> String {
        Base64URL.encode(Array(SHA256.hash(data: JSONValue.object(required).serialised())))
    }
}
