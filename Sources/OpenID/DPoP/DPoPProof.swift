// Pure rules of DPoP proofs (RFC 9449 §4.3): a client shows with each request that it holds the key that its token is bound to. Which proofs were seen before
// the database says; nonces are in DPoPNonce.swift.
import Crypto
import Foundation
import Primitives
import Web

/// Why a proof is refused; what the client's developer reads.
struct DPoPRefusal: Error, Equatable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// A proof that its own key signed, not yet compared with the request.
struct DPoPProof: Sendable {
    /// Longest proof in characters; one with an EC key has about 500.
    static let charactersMax = 4_000
    /// How far `iat` may lie from the clock, in seconds. The nonce says more exactly how fresh it is.
    static let ageSecondsMax = 300.0
    private static let jtiCharactersMax = 500
    /// FAPI 2.0 §5.4 has no RSASSA-PKCS1-v1_5 and the city offers no RSASSA-PSS.
    static let algorithms: [SigningAlgorithm] = [.es256, .edDSA]

    /// RFC 7638 thumbprint of the key.
    let thumbprint: String
    let jti: String
    let method: String
    let address: String
    let issuedAt: Double
    let nonce: String?
    /// SHA-256 of the access token that it goes with.
    let tokenHash: String?

    /// - Parameter compact: the value of the header `DPoP`.
    init(_ compact: String) async throws {
        let parts = compact.split(separator: ".", omittingEmptySubsequences: false)
        guard compact.utf8.count <= Self.charactersMax, parts.count == 3, let header = Self.object(parts[0]), let claims = Self.object(parts[1]) else {
            throw DPoPRefusal("The proof is not a signed JWT of three base64url parts.")
        }
        guard header["typ"]?.text == "dpop+jwt", header["crit"] == nil else { throw DPoPRefusal("The typ of a proof is dpop+jwt, and it has no crit.") }
        guard let name = header["alg"]?.text, let algorithm = SigningAlgorithm(header: name), Self.algorithms.contains(algorithm) else {
            throw DPoPRefusal("The alg of a proof is one of: " + Self.algorithms.map(\.rawValue).joined(separator: ", ") + ".")
        }
        guard let jwk = header["jwk"], let key = try? ClientKey(jwk), key.algorithm == algorithm, let thumbprint = Self.thumbprint(of: jwk) else {
            throw DPoPRefusal("The jwk of a proof is a public key of its alg.")
        }
        guard await key.signed(compact) else { throw DPoPRefusal("The proof is not signed by its jwk.") }
        guard let jti = claims["jti"]?.text, (1...Self.jtiCharactersMax).contains(jti.utf8.count), let method = claims["htm"]?.text,
            let address = claims["htu"]?.text, let issuedAt = Self.seconds(claims["iat"])
        else { throw DPoPRefusal("A proof has jti, htm, htu and iat.") }
        self.thumbprint = thumbprint
        self.jti = jti
        self.method = method
        self.address = address
        self.issuedAt = issuedAt
        nonce = claims["nonce"]?.text
        tokenHash = claims["ath"]?.text
    }

    private static func object(_ part: Substring) -> JSONValue? {
        guard let value = Base64URL.decode(String(part)).flatMap({ try? JSONScanner.scan($0, depthMax: 4) }), case .object = value else { return nil }
        return value
    }

    private static func seconds(_ value: JSONValue?) -> Double? {
        switch value {
        case .integer(let number): Double(number)
        case .number(let written): Double(written).flatMap { $0.isFinite ? $0 : nil }
        default: nil
        }
    }

    private static func thumbprint(of jwk: JSONValue) -> String? {
        let names = jwk["kty"]?.text == "EC" ? ["crv", "kty", "x", "y"] : ["crv", "kty", "x"]
        let members = names.compactMap { name in jwk[name].map { JSONMember(name, $0) } }
        return members.count == names.count ? JWKThumbprint.text(of: members) : nil
    }

    /// Judges what it was made for.
    /// - Parameters:
    ///   - address: of the request, without query and fragment.
    ///   - accessToken: that came with it; nil at the token endpoint.
    ///   - now: the database's clock.
    func check(method: String, address: String, accessToken: String?, now: Date) throws(DPoPRefusal) {
        guard self.method == method else { throw DPoPRefusal("The htm of the proof is not the method of the request.") }
        guard self.address.prefix(while: { $0 != "?" && $0 != "#" }) == address else { throw DPoPRefusal("The htu of the proof is not the address of the request.") }
        guard abs(now.timeIntervalSince1970 - issuedAt) <= Self.ageSecondsMax else { throw DPoPRefusal("The iat of the proof is too far from now. Make one for each request.") }
        guard let accessToken else { return }
        guard tokenHash == Base64URL.encode(Array(SHA256.hash(data: Array(accessToken.utf8)))) else { throw DPoPRefusal("The ath of the proof is not the hash of the token.") }
    }
}
