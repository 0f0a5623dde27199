// Whether a form was sent from a page of ours: the page carries a token that only somebody who was shown the page for
// this browser's secret and this session can know. Origin and Fetch headers are not consulted: old browsers lack them.
import Crypto
import Foundation
import Primitives

/// Masked form tokens: `mask || (mask XOR HMAC-SHA256(secret, session token or nothing))`, base64url.
///
/// The mask differs each time, so compressed pages reveal nothing about the token (BREACH, Gluck, Harris and Prado 2013).
public enum CSRF {
    /// The name of the hidden field. Templates write `[[csrf]]` and never spell it.
    public static let fieldName = "form_token"
    static let secretBytes = 32

    /// A token for one page.
    /// - Parameters:
    ///   - secret: the random content of this browser's own CSRF cookie.
    ///   - sessionToken: the session cookie's value, so that a token from before signing in does not serve after; nil when signed out.
    static func token(secret: [UInt8], sessionToken: String?, mask: [UInt8] = Base64URL.randomBytes(count: 32)) -> String {
        let code = Array(HMAC<SHA256>.authenticationCode(for: message(sessionToken), using: SymmetricKey(data: secret)))
        return Base64URL.encode(mask + zip(mask, code).map { $0 ^ $1 })
    }

    /// Whether a token was made for this secret and session. The comparison takes the same time wherever it differs.
    static func isValid(_ token: String, secret: [UInt8], sessionToken: String?) -> Bool {
        guard let bytes = Base64URL.decode(token), bytes.count == 64 else { return false }
        let code = zip(bytes[..<32], bytes[32...]).map { $0 ^ $1 }
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: message(sessionToken), using: SymmetricKey(data: secret))
    }

    private static func message(_ sessionToken: String?) -> [UInt8] { Array((sessionToken ?? "").utf8) }
}
