// Pure rules of PKCE (RFC 7636): the app that began a sign-in proves at the token endpoint that it is the one. Verifier and
// challenge are compared in the statement that uses up the code: web.redeem_authorization_code in migrations/0006_web.sql.
import Crypto
import Primitives
import Web

enum PKCE {
    /// The one method that is accepted: `plain` would show the verifier to whoever reads the address bar.
    static let method = "S256"

    /// Whether this can be a challenge: 32 bytes as base64url, 43 characters.
    static func isChallenge(_ text: String) -> Bool {
        text.utf8.count == 43 && Base64URL.decode(text)?.count == 32
    }

    /// Whether this can be a verifier: 43 to 128 unreserved characters (§4.1).
    static func isVerifier(_ text: String) -> Bool {
        (43...128).contains(text.utf8.count) && text.utf8.allSatisfy(isUnreserved)
    }

    /// BASE64URL(SHA256(ASCII(verifier))) (§4.6).
    static func challenge(of verifier: String) -> String {
        Base64URL.encode(Array(SHA256.hash(data: Array(verifier.utf8))))
    }
}
