// The nonces of DPoP proofs (RFC 9449 §8): the server's word for this quarter of an hour or so, which no proof made ahead can know. They are computed and not
// stored, the same on every node.
import Crypto
import Foundation
import Primitives
import Web

/// Makes and judges nonces.
struct DPoPNonce: Sendable {
    /// A nonce is given out for this long, and taken for as long again.
    static let periodSeconds: Int64 = 300

    let key: SymmetricKey

    /// The nonce of a moment.
    func current(_ now: Date) -> String { text(now.seconds / Self.periodSeconds) }

    func isFresh(_ nonce: String, now: Date) -> Bool {
        let period = now.seconds / Self.periodSeconds
        return nonce == text(period) || nonce == text(period - 1)
    }

    private func text(_ period: Int64) -> String {
        Base64URL.encode(Array(HMAC<SHA256>.authenticationCode(for: Array(String(period).utf8), using: key)))
    }
}
