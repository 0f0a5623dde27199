// Use case: whether a request comes from who holds the key (RFC 9449 §5, §7): the proof is read, compared with the request, and noted as used.
import Crypto
import Foundation
import HTTPTypes
import Postgres
import Web

struct CheckDPoPProof: Sendable {
    let database: Database
    let nonces: DPoPNonce

    /// - Parameters:
    ///   - address: where the request was sent, as clients know it.
    ///   - now: the database's clock.
    /// - Returns: the thumbprint of the key; nil where no proof was sent.
    /// - Throws: `OAuthError` `invalid_dpop_proof`, or `use_dpop_nonce` with a nonce to use.
    func thumbprint(_ headers: HTTPFields, method: HTTPRequest.Method, address: String, accessToken: String? = nil, now: Date) async throws -> String? {
        let sent = headers[values: .dpop]
        guard let compact = sent.first else { return nil }
        do {
            guard sent.count == 1 else { throw DPoPRefusal("Send one proof.") }
            let proof = try await DPoPProof(compact)
            try proof.check(method: method.rawValue, address: address, accessToken: accessToken, now: now)
            guard let nonce = proof.nonce, nonces.isFresh(nonce, now: now) else { throw OAuthError.useNonce(nonces.current(now)) }
            // Last, so that what is refused takes no room.
            guard try await database.execute(rememberProof(proof, now: now)) == 1 else { throw DPoPRefusal("This proof was used before. Make one for each request.") }
            return proof.thumbprint
        } catch let refusal as DPoPRefusal {
            throw OAuthError(.invalidProof, refusal.reason)
        }
    }
}

/// Inserts nothing when it was seen before.
private func rememberProof(_ proof: DPoPProof, now: Date) -> SQL {
    let expiry = Date(timeIntervalSince1970: max(proof.issuedAt, now.timeIntervalSince1970) + DPoPProof.ageSecondsMax)
    return """
        INSERT INTO openid.key_proof (key_thumbprint, jti_hash, expires_at)
        VALUES (\(proof.thumbprint), \(Array(SHA256.hash(data: Array(proof.jti.utf8)))), \(expiry)) ON CONFLICT DO NOTHING
        """
}

extension OAuthError {
    /// RFC 9449 §8: the client asks once more, with this nonce.
    static func useNonce(_ nonce: String) -> OAuthError {
        OAuthError(.useNonce, "Make the proof with the nonce of the header DPoP-Nonce.", headers: [.dpopNonce: nonce])
    }
}

extension HTTPField.Name {
    // Literals of this file; were they no header names, the answers would carry `Via` and the tests would see it.
    static let dpop = HTTPField.Name("DPoP") ?? .via
    static let dpopNonce = HTTPField.Name("DPoP-Nonce") ?? .via
}
