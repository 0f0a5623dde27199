// Whether a client's key signed its assertion (RFC 7515 §5.2), after the claims were judged (ClientAssertionClaims.swift). The
// cryptography is JWTKit's; which key and which algorithm may meet is decided here and in ClientKeys.swift.
import JWTKit

extension ClientKeys {
    /// Whether one of the keys signed the assertion: the one that its header names; each in turn when it names none.
    func signed(_ assertion: ClientAssertion) async -> Bool {
        for key in keys where assertion.keyID == nil || key.keyID == assertion.keyID {
            if await key.signed(assertion) { return true }
        }
        return false
    }
}

extension ClientKey {
    /// Whether this key signed the assertion, with its own algorithm.
    func signed(_ assertion: ClientAssertion) async -> Bool {
        guard assertion.algorithm == algorithm else { return false }
        return await signed(assertion.compact)
    }

    /// Whether this key signed a token in compact form whose header names its algorithm.
    func signed(_ compact: String) async -> Bool {
        // A collection of one key: nothing in the header can lead to another.
        let keys = JWTKeyCollection()
        switch material {
        case .p256(let key): await keys.add(ecdsa: key)
        case .ed25519(let key): await keys.add(eddsa: key)
        case .rsa(let key): await keys.add(rsa: key, digestAlgorithm: .sha256)
        }
        return await (try? keys.verify(compact, as: UnreadClaims.self)) != nil
    }
}

/// The claims were read strictly already (ClientAssertionClaims.swift); the library only checks the signature.
private struct UnreadClaims: JWTPayload {
    func verify(using algorithm: some JWTAlgorithm) {}
}
