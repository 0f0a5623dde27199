// Makes assertions, good and bad, without the code that is tested: the JWS is put together here byte by byte.
import Crypto
import Foundation
import JWTKit
import Primitives
import Web

/// The issuer that the tests' server has.
let issuer = "http://localhost:8080"

/// What signs, and by which name the header calls it.
enum Signer: Sendable {
    case es256(P256.Signing.PrivateKey)
    case edDSA(Curve25519.Signing.PrivateKey)
    case rs256(JWTKit.Insecure.RSA.PrivateKey)
    case hmac([UInt8])
    case none

    var algorithm: String {
        switch self {
        case .es256: "ES256"
        case .edDSA: "EdDSA"
        case .rs256: "RS256"
        case .hmac: "HS256"
        case .none: "none"
        }
    }

    func signature(over text: String) throws -> [UInt8] {
        let bytes = Array(text.utf8)
        switch self {
        case .es256(let key): return try Array(key.signature(for: bytes).rawRepresentation)
        case .edDSA(let key): return try Array(key.signature(for: bytes))
        case .hmac(let secret): return Array(HMAC<SHA256>.authenticationCode(for: bytes, using: SymmetricKey(data: secret)))
        case .rs256, .none: return []
        }
    }
}

/// The members of a header or of claims; a nil value leaves one out.
typealias Changes = [String: JSONValue?]

/// A client's key and the assertions that it can make.
struct AssertionMaker: Sendable {
    let client: String
    let key: P256.Signing.PrivateKey
    let keyID: String

    init(client: String, keyID: String = "key-1", key: P256.Signing.PrivateKey = P256.Signing.PrivateKey()) {
        self.client = client
        self.keyID = keyID
        self.key = key
    }

    /// The public half as a JWK.
    var publicJWK: JSONValue {
        let point = Array(key.publicKey.x963Representation)
        return [
            "kty": "EC", "crv": "P-256", "x": .string(Base64URL.encode(point[1..<33])), "y": .string(Base64URL.encode(point[33...])),
            "kid": .string(keyID),
        ]
    }

    /// A good assertion, but for the changes.
    func assertion(header: Changes = [:], claims: Changes = [:], signedBy signer: Signer? = nil) throws -> String {
        let signer = signer ?? .es256(key)
        let now = Int64(Date().timeIntervalSince1970)
        let header = Self.object(["alg": .string(signer.algorithm), "kid": .string(keyID), "typ": "JWT"], header)
        let claims = Self.object(
            [
                "iss": .string(client), "sub": .string(client), "aud": .string(issuer), "jti": .string(UUID().uuidString),
                "iat": .integer(now), "exp": .integer(now + 60),
            ], claims)
        return try compact(header: header, claims: claims, signer: signer)
    }

    func compact(header: [UInt8], claims: [UInt8], signer: Signer) throws -> String {
        let signed = Base64URL.encode(header) + "." + Base64URL.encode(claims)
        return signed + "." + Base64URL.encode(try signer.signature(over: signed))
    }

    private static func object(_ members: [String: JSONValue], _ changes: Changes) -> [UInt8] {
        var members = members
        for (name, value) in changes { members[name] = value }
        return JSONValue.object(members.sorted { $0.key < $1.key }.map { JSONMember($0.key, $0.value) }).serialised()
    }
}

/// A set of JWKs as JSON text.
func keySet(_ keys: JSONValue...) -> String {
    String(decoding: (["keys": .array(keys)] as JSONValue).serialised(), as: UTF8.self)
}

/// An RSA key of 2048 bits, made for these tests with joserfc and used for nothing else.
enum TestRSAKey {
    static let modulus =
        "yvOTRIchyTL04XeBqyz32nj1pMz6giiNstGwwpTNerka_2CiMeLngjVADYPPXhDqkQputOouR7MfffEa3XW8jKM_vr5SYOK9mDbn6IT-abUsY9fVF1mqCPII4T_2tevii9v8v4mj"
        + "Hfc2A7RU7puTIx8mkqvNdcSQ6BIR8JlkOmis4_BzChJ0ptt2ljEYUP2EirZJNPyNJr9m3IS_RGkm0X-84xRDy-2Z2xCvp7BE81bfMJfFqmTB7K_XpNyX_jxsm9eP4xziyKiq45LO"
        + "slyz1Hyyeo2Gf1oUEAwSUdYg7agFpBk5XxQomyi2CX2AyRDRvXbdbyOlOGenDiIJCwwB1Q"
    static let privateExponent =
        "CUDJuhofJDk6iP0V4GQQeNmC-ZyO31hR_ZEp6fU22R2PaY1SV8vsmjcrUHJuBe_nge1j1sPGkGZOTUOs4eP4UMEwqtWqk9hCpKn8MNG_d7pW58ZzZLkl03qVhQ-RhAHZNl81StZP"
        + "pZIb2Fdkd-yH7NYCwDUtDO2FXc9VGg8kTrVaP3aC4itKzeHcuj33elf5spKjYlXQmGZ8PpSPlRVKtibzm_zq4URX9oeXfQOK7svhB9HL6-C182xu6Vi07f3pKsd9pOtgUswq8jxu"
        + "7PMeJjbqrWRHRnNiQQZ1pdXvPImHxNK9UG0zKuovtSVt7y9ZCFr-xJSTU8cyxy84PouhgQ"
    static let prime1 =
        "7TK6NWi2SshLY_P1dehIvJyogItUVrXNG4gMxB5Jvg4EZFC51ZLZwhJpbH9t1oYY4J3SfvWdKY7ldHqPGeVZcXXiTSXVOq0iUyG2rWs6oovY-cNZr4wg6PTV89ucXoIRJs1o1oDn"
        + "XdchZoeYE1kReOV2RMfxOAoZOSe_dejqxv0"
    static let prime2 =
        "2wnoPvFdyy6yzhV-UHnjYp0lmv_qcjmB1QF3HEAX4ygYJ1AqjIlWON2YsiQ65XzEAa75C_XW3DXVJ2Hafd2yu1ifNKdCaN0cTD340U8u0yPg_Trj7rSfk5iUefBDmyPmAkc5SOTQ"
        + "S_STmDfGUffw71D5eYDe0IjoFZ7ucmzZmbk"

    static let publicJWK: JSONValue = ["kty": "RSA", "n": .string(modulus), "e": "AQAB", "kid": "rsa-1"]

    /// An RS256 assertion, signed by JWTKit: the one algorithm that swift-crypto's plain module lacks.
    static func assertion(client: String) async throws -> String {
        let key = try JWTKit.Insecure.RSA.PrivateKey(
            modulus: modulus, exponent: "AQAB", privateExponent: privateExponent, prime1: prime1, prime2: prime2)
        let keys = await JWTKeyCollection().add(rsa: key, digestAlgorithm: .sha256, kid: "rsa-1")
        let now = Date()
        return try await keys.sign(
            RSAClaims(iss: client, sub: client, aud: issuer + "/oauth/token", jti: UUID().uuidString, exp: Int(now.timeIntervalSince1970) + 60),
            kid: "rsa-1")
    }

    private struct RSAClaims: JWTPayload {
        let iss: String
        let sub: String
        let aud: String
        let jti: String
        let exp: Int
        func verify(using algorithm: some JWTAlgorithm) {}
    }
}
