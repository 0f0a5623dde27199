// The registered keys of an organisation's client, for whoever checks what else it signed than assertions: messages of the exchange (RFC 9421).
import Crypto
public import Foundation
public import Postgres
import Primitives
public import Web

/// The public keys behind one access token.
public struct ClientMessageKeys: Sendable {
    /// One key with its algorithm's name in RFC 9421 §6.2.2.
    private enum Key: Sendable {
        case p256(P256.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)

        var algorithm: String {
            switch self {
            case .p256: "ecdsa-p256-sha256"
            case .ed25519: "ed25519"
            }
        }

        /// ECDSA signatures are r and s of 32 bytes each (RFC 9421 §3.3.4), not DER.
        func isValid(_ signature: [UInt8], over text: [UInt8]) -> Bool {
            switch self {
            case .p256(let key): (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map { key.isValidSignature($0, for: text) } ?? false
            case .ed25519(let key): key.isValidSignature(signature, for: text)
            }
        }
    }

    private let keys: [(keyID: String?, key: Key)]
    /// The database's clock when it was asked.
    public let now: Date

    /// Finds the keys of the client that a token was issued to.
    /// - Returns: nil when the token does not stand, or is no organisation's.
    /// - Throws: `DatabaseError`.
    public static func find(of credential: CredentialHash, in database: some Executor) async throws -> ClientMessageKeys? {
        guard let row = try await database.optional(FindMessageKeys(credential: credential)) else { return nil }
        return ClientMessageKeys(row.keys, now: row.now)
    }

    /// - Parameter set: a JWK set that `ClientKeys` has accepted at registration.
    init(_ set: JSONText, now: Date) {
        let value = try? JSONScanner.scan(Array(set.text.utf8))
        guard case .array(let members)? = value?["keys"] else {
            keys = []
            self.now = now
            return
        }
        keys = members.compactMap { jwk in Self.key(jwk).map { (jwk["kid"]?.text, $0) } }
        self.now = now
    }

    private static func key(_ jwk: JSONValue) -> Key? {
        func bytes(_ name: String) -> [UInt8]? { jwk[name]?.text.flatMap { Base64URL.decode($0) } }
        switch (jwk["kty"]?.text, jwk["crv"]?.text) {
        case ("EC", "P-256"):
            guard let x = bytes("x"), let y = bytes("y") else { return nil }
            // SEC 1 §2.3.3: 0x04, x, y.
            return (try? P256.Signing.PublicKey(x963Representation: [0x04] + x + y)).map { .p256($0) }
        case ("OKP", "Ed25519"):
            return bytes("x").flatMap { try? Curve25519.Signing.PublicKey(rawRepresentation: $0) }.map { .ed25519($0) }
        default:
            return nil
        }
    }

    /// Whether one of the keys signed a text.
    /// - Parameters:
    ///   - keyID: the `kid` that the signature names; nil tries each.
    ///   - algorithm: as RFC 9421 names it; nil is that of the key. RSA keys sign assertions only.
    public func isValid(_ signature: [UInt8], over text: [UInt8], keyID: String?, algorithm: String?) -> Bool {
        keys.contains { id, key in
            (keyID == nil || id == keyID) && (algorithm == nil || key.algorithm == algorithm) && key.isValid(signature, over: text)
        }
    }
}

private struct FindMessageKeys: Query {
    let credential: CredentialHash

    var sql: SQL {
        """
        SELECT c.jwks, public.stoa_now()
          FROM web.resolve_credential(\(credential.bytes)) AS r JOIN openid.client AS c ON c.id = r.client_id
         WHERE r.kind = 'access_token' AND c.kind = 'confidential' AND c.closed_at IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> (keys: JSONText, now: Date) { (try row.next(), try row.next()) }
}
