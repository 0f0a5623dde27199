// The public key of a passkey: read from COSE, and asked whether a signature is its.
import Crypto
import CryptoExtras
import Foundation

/// A COSE_Key (RFC 9052 §7, RFC 9053) of one of the three kinds that we offer: ES256, EdDSA and RS256.
public struct CredentialKey: Sendable {
    /// COSE algorithm numbers, in the order in which browsers are asked for them.
    public enum Algorithm: Int, Sendable, CaseIterable {
        case eddsa = -8
        case es256 = -7
        case rs256 = -257
    }

    private enum Key: Sendable {
        case es256(P256.Signing.PublicKey)
        case eddsa(Curve25519.Signing.PublicKey)
        case rs256(_RSA.Signing.PublicKey)
    }

    public let algorithm: Algorithm
    private let key: Key

    /// Longest modulus that is read, in bytes: 4,096 bits, more than any authenticator has.
    private static let modulusBytesMax = 512

    /// - Parameter cose: the bytes of a COSE_Key.
    /// - Throws: ``WebAuthnError/malformed`` or ``WebAuthnError/algorithmNotOffered``.
    public init(cose: [UInt8]) throws(WebAuthnError) {
        do {
            try self.init(try CBOR.readAll(cose))
        } catch let error as WebAuthnError {
            throw error
        } catch {
            throw .malformed
        }
    }

    init(_ cose: CBOR) throws {
        guard let number = cose[3]?.integer, let algorithm = Algorithm(rawValue: number) else { throw WebAuthnError.algorithmNotOffered }
        self.algorithm = algorithm
        switch (algorithm, cose[1]?.integer, cose[-1]) {
        case (.es256, 2, .unsigned(1)):
            guard let x = cose[-2]?.byteString, let y = cose[-3]?.byteString, x.count == 32, y.count == 32 else { throw WebAuthnError.malformed }
            key = .es256(try P256.Signing.PublicKey(x963Representation: [0x04] + x + y))
        case (.eddsa, 1, .unsigned(6)):
            guard let x = cose[-2]?.byteString, x.count == 32 else { throw WebAuthnError.malformed }
            key = .eddsa(try Curve25519.Signing.PublicKey(rawRepresentation: x))
        case (.rs256, 3, .bytes(let modulus)):
            guard let exponent = cose[-2]?.byteString, modulus.count <= Self.modulusBytesMax else { throw WebAuthnError.malformed }
            key = .rs256(try _RSA.Signing.PublicKey(n: modulus, e: exponent))
        default: throw WebAuthnError.malformed
        }
    }

    /// Whether the holder of the private key signed these bytes (WebAuthn level 2 §6.5.6: ECDSA signatures are DER).
    func isSigned(_ data: [UInt8], by signature: [UInt8]) -> Bool {
        switch key {
        case .es256(let key):
            guard let signature = try? P256.Signing.ECDSASignature(derRepresentation: signature) else { return false }
            return key.isValidSignature(signature, for: data)
        case .eddsa(let key):
            return key.isValidSignature(signature, for: data)
        case .rs256(let key):
            // COSE's RS256 is RSASSA-PKCS1-v1_5; the padding is weak for encryption, not for this.
            return key.isValidSignature(_RSA.Signing.RSASignature(rawRepresentation: signature), for: data, padding: .insecurePKCS1v1_5)
        }
    }
}
