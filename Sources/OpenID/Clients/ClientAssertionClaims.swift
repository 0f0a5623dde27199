// Pure rules of `private_key_jwt` (RFC 7523 §3): an assertion is read strictly here and its claims are judged, before any key is
// tried. Its signature is verified in ClientAssertionSignature.swift; the database says whether it was used before (AuthenticateClient.swift).
import Foundation
import Primitives
import Web

/// Why an assertion is refused; what the client's developer reads.
struct AssertionRefusal: Error, Equatable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// The signature algorithms that are accepted (RFC 7518 §3.1, RFC 8037 §3.1). HMAC and `none` are not among them: with a
/// public key as the HMAC key, or with nothing, anybody could sign.
enum SigningAlgorithm: String, CaseIterable, Sendable {
    case es256 = "ES256"
    case edDSA = "EdDSA"
    case rs256 = "RS256"

    /// - Parameter name: the `alg` of a header. RFC 9864 calls EdDSA with Curve25519 `Ed25519`.
    init?(header name: String) {
        guard let algorithm = name == "Ed25519" ? .edDSA : SigningAlgorithm(rawValue: name) else { return nil }
        self = algorithm
    }
}

/// A client assertion as it was sent: well formed, its signature not yet checked.
struct ClientAssertion: Sendable {
    /// Longest assertion in characters; one signed with RSA-4096 has about 1,200.
    static let charactersMax = 8_000
    /// How far ahead `exp` may lie. Authlib's clients, unmodified, say one hour; `jti` bars a second use until then.
    static let lifetimeSecondsMax = 3_600.0
    /// How far the clocks of a client and of the database may differ.
    static let clockSkewSecondsMax = 60.0
    /// The `jti` column takes no more.
    static let jtiCharactersMax = 200
    static let keyIDCharactersMax = 200
    /// Objects may nest this deep in header and claims; none that matter nest at all.
    private static let depthMax = 4

    /// The whole assertion, for the check of its signature.
    let compact: String
    let algorithm: SigningAlgorithm
    let keyID: String?
    let issuer: String
    let subject: String
    let audience: String
    let jti: String
    /// Seconds since 1970, as the claims have them.
    let expiresAt: Double
    let issuedAt: Double?
    let notBefore: Double?

    /// - Parameter compact: the JWS in its compact form.
    /// - Throws: `AssertionRefusal` for whatever could be read in two ways or asks for something that is not offered.
    init(compact: String) throws(AssertionRefusal) {
        guard compact.utf8.count <= Self.charactersMax else { throw AssertionRefusal("The assertion is too long.") }
        let parts = compact.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[2].isEmpty, Base64URL.decode(String(parts[2])) != nil else {
            throw AssertionRefusal("The assertion is not a signed JWT of three base64url parts.")
        }
        let header = try Self.object(parts[0], "header")
        algorithm = try Self.algorithm(of: header)
        keyID = header["kid"]?.text
        guard (keyID?.utf8.count ?? 0) <= Self.keyIDCharactersMax else { throw AssertionRefusal("The kid of the assertion is too long.") }

        let claims = try Self.object(parts[1], "claims")
        issuer = try Self.text("iss", of: claims)
        subject = try Self.text("sub", of: claims)
        jti = try Self.text("jti", of: claims)
        guard jti.unicodeScalars.count <= Self.jtiCharactersMax else {
            throw AssertionRefusal("The jti is longer than \(Self.jtiCharactersMax) characters.")
        }
        // A list of audiences would let one assertion serve at several servers, any of which could pass it on.
        guard let audience = claims["aud"]?.text else { throw AssertionRefusal("The aud of the assertion must be one text, not a list.") }
        self.audience = audience
        guard let expiresAt = try Self.seconds("exp", of: claims) else { throw AssertionRefusal("The assertion has no exp.") }
        self.expiresAt = expiresAt
        issuedAt = try Self.seconds("iat", of: claims)
        notBefore = try Self.seconds("nbf", of: claims)
        self.compact = compact
    }

    private static func object(_ part: Substring, _ name: String) throws(AssertionRefusal) -> JSONValue {
        guard let bytes = Base64URL.decode(String(part)), let value = try? JSONScanner.scan(bytes, depthMax: depthMax), case .object = value else {
            throw AssertionRefusal("The \(name) of the assertion must be one base64url JSON object without duplicate names.")
        }
        return value
    }

    private static func algorithm(of header: JSONValue) throws(AssertionRefusal) -> SigningAlgorithm {
        guard header["crit"] == nil else { throw AssertionRefusal("The assertion has critical header parameters (crit); none is understood here.") }
        // A key that travels with the signature proves nothing; only registered keys count.
        for name in ["jwk", "jku", "x5c", "x5u"] where header[name] != nil {
            throw AssertionRefusal("The assertion carries a key (\(name)). Sign with a registered key and name it by kid.")
        }
        let types: [String] = ["jwt", "client-authentication+jwt"]
        if let type = header["typ"], !types.contains(type.text?.lowercased() ?? "") {
            throw AssertionRefusal("The typ of a client assertion is JWT or client-authentication+jwt.")
        }
        guard let name = header["alg"]?.text, let algorithm = SigningAlgorithm(header: name) else {
            let accepted = SigningAlgorithm.allCases.map(\.rawValue).joined(separator: ", ")
            throw AssertionRefusal("The alg of the assertion is not accepted here. Use one of: \(accepted).")
        }
        return algorithm
    }

    private static func text(_ name: String, of claims: JSONValue) throws(AssertionRefusal) -> String {
        guard let text = claims[name]?.text, !text.isEmpty else {
            throw AssertionRefusal("The claim \(name) of the assertion is missing or no text.")
        }
        return text
    }

    /// A NumericDate (RFC 7519 §2), which may have a fraction.
    private static func seconds(_ name: String, of claims: JSONValue) throws(AssertionRefusal) -> Double? {
        switch claims[name] {
        case nil: return nil
        case .integer(let number): return Double(number)
        case .number(let written):
            if let number = Double(written), number.isFinite { return number }
            fallthrough
        default: throw AssertionRefusal("The claim \(name) of the assertion is no number of seconds.")
        }
    }

    /// Judges the claims.
    /// - Parameters:
    ///   - audiences: what this server is called: its issuer and its token endpoint (RFC 7523 §3 item 3).
    ///   - now: the database's clock.
    func check(audiences: Set<String>, now: Date) throws(AssertionRefusal) {
        let now = now.timeIntervalSince1970
        guard issuer == subject else { throw AssertionRefusal("The claims iss and sub must both be the client_id.") }
        guard audiences.contains(audience) else { throw AssertionRefusal("The aud must be the issuer or the token endpoint of this server.") }
        guard expiresAt > now - Self.clockSkewSecondsMax else {
            throw AssertionRefusal("The assertion has expired. Sign a new one for each request.")
        }
        guard expiresAt <= now + Self.lifetimeSecondsMax + Self.clockSkewSecondsMax else {
            throw AssertionRefusal("The exp lies too far ahead; at most \(Int(Self.lifetimeSecondsMax)) seconds.")
        }
        guard (issuedAt ?? now) <= now + Self.clockSkewSecondsMax, (issuedAt ?? now) <= expiresAt else {
            throw AssertionRefusal("The iat lies in the future. Set the clock.")
        }
        guard (notBefore ?? now) <= now + Self.clockSkewSecondsMax else { throw AssertionRefusal("The assertion is not valid yet (nbf).") }
    }

    /// Until when its `jti` must be remembered: as long as the assertion could be accepted.
    var rememberedUntil: Date { Date(timeIntervalSince1970: expiresAt + Self.clockSkewSecondsMax) }
}
