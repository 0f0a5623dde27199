// The public keys of a client (JWK, RFC 7517): read when it is registered and when it asks for a token, and which algorithm each may be
// used with. Signatures are verified with them in ClientAssertionSignature.swift.
import Crypto
import JWTKit
import Primitives
import Web

/// Why a set of keys cannot be registered.
public struct KeyRefusal: Error, Equatable, CustomStringConvertible {
    /// What to change, in English.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// One public key. Its type decides the one algorithm that it is used with, so no header can choose another.
struct ClientKey: Sendable {
    enum Material: Sendable {
        case p256(ES256PublicKey)
        case ed25519(EdDSA.PublicKey)
        case rsa(JWTKit.Insecure.RSA.PublicKey)
    }

    let keyID: String?
    let algorithm: SigningAlgorithm
    let material: Material

    /// RSA keys from 2048 bits (NIST SP 800-131A) to 4096: a larger one only makes each check slow.
    private static let modulusBytes = 256...512
    private static let privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]

    /// - Parameter jwk: one member of a JWK set.
    init(_ jwk: JSONValue) throws(KeyRefusal) {
        guard !Self.privateMembers.contains(where: { jwk[$0] != nil }) else {
            throw KeyRefusal("The key set holds private or secret key material. Register the public key only.")
        }
        guard jwk["use"] == nil || jwk["use"]?.text == "sig" else { throw KeyRefusal("A key whose use is not sig cannot sign assertions.") }
        keyID = jwk["kid"]?.text
        guard (1...ClientAssertion.keyIDCharactersMax).contains(keyID?.utf8.count ?? 1) else { throw KeyRefusal("A kid has 1 to 200 characters.") }
        (algorithm, material) = try Self.read(jwk)
        if let named = jwk["alg"]?.text {
            guard SigningAlgorithm(header: named) == algorithm else { throw KeyRefusal("The alg \(named) does not go with the type of the key.") }
        }
    }

    private static func read(_ jwk: JSONValue) throws(KeyRefusal) -> (SigningAlgorithm, Material) {
        func bytes(_ name: String, count: ClosedRange<Int>) throws(KeyRefusal) -> String {
            guard let text = jwk[name]?.text, let decoded = Base64URL.decode(text), count.contains(decoded.count) else {
                throw KeyRefusal("The member \(name) of a key is missing or not of the right length.")
            }
            return text
        }
        do {
            switch (jwk["kty"]?.text, jwk["crv"]?.text) {
            case ("EC", "P-256"):
                return (.es256, .p256(try ES256PublicKey(parameters: (x: bytes("x", count: 32...32), y: bytes("y", count: 32...32)))))
            case ("OKP", "Ed25519"):
                return (.edDSA, .ed25519(try EdDSA.PublicKey(x: bytes("x", count: 32...32), curve: .ed25519)))
            case ("RSA", _):
                // 65537 and nothing else: an exponent of 1 would make every text its own signature.
                guard jwk["e"]?.text == "AQAB" else { throw KeyRefusal("The exponent of an RSA key must be 65537.") }
                return (.rs256, .rsa(try JWTKit.Insecure.RSA.PublicKey(modulus: bytes("n", count: modulusBytes), exponent: "AQAB")))
            default:
                throw KeyRefusal("Keys are EC with P-256, OKP with Ed25519, or RSA.")
            }
        } catch let refusal as KeyRefusal {
            throw refusal
        } catch {
            throw KeyRefusal("The numbers of a key are no valid public key.")
        }
    }
}

/// The keys that a client registered.
struct ClientKeys: Sendable {
    /// Enough for two systems that each change their key; every key more makes an unsigned request dearer to refuse.
    static let countMax = 8

    let keys: [ClientKey]

    /// - Parameter json: a JWK set, `{"keys": […]}`.
    init(_ json: String) throws(KeyRefusal) {
        guard let value = try? JSONScanner.scan(Array(json.utf8)), case .array(let members) = value["keys"] else {
            throw KeyRefusal("A key set is a JSON object with a list called keys.")
        }
        guard (1...Self.countMax).contains(members.count) else { throw KeyRefusal("A key set holds 1 to \(Self.countMax) keys.") }
        var keys: [ClientKey] = []
        for member in members { keys.append(try ClientKey(member)) }
        let names = keys.compactMap(\.keyID)
        guard Set(names).count == names.count else { throw KeyRefusal("Two keys have the same kid.") }
        self.keys = keys
    }
}
