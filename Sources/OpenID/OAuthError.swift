// What clients are told when a request fails at the token or revocation endpoint: the JSON of RFC 6749 §5.2, not
// problem+json, because OAuth clients read `error` and nothing else.
import HTTPTypes
import Hummingbird
import Web

/// A refusal by RFC 6749 §5.2 (token and revocation endpoint) or §4.1.2.1 (authorization endpoint).
struct OAuthError: Error {
    /// The words that clients branch on.
    enum Code: String, Sendable {
        case invalidRequest = "invalid_request"
        case invalidClient = "invalid_client"
        case invalidGrant = "invalid_grant"
        case invalidScope = "invalid_scope"
        case unauthorizedClient = "unauthorized_client"
        case unsupportedGrantType = "unsupported_grant_type"
        case unsupportedResponseType = "unsupported_response_type"
        case accessDenied = "access_denied"
        case temporarilyUnavailable = "temporarily_unavailable"
        /// RFC 7591 §3.2.2.
        case invalidRedirectURI = "invalid_redirect_uri"
        case invalidClientMetadata = "invalid_client_metadata"
        case invalidToken = "invalid_token"
        /// RFC 8628 §3.5.
        case authorizationPending = "authorization_pending"
        case slowDown = "slow_down"
        case expiredToken = "expired_token"
        /// RFC 9449 §5, §8.
        case invalidProof = "invalid_dpop_proof"
        case useNonce = "use_dpop_nonce"
        /// RFC 8707 §2.
        case invalidTarget = "invalid_target"
        /// OpenID Connect Core §3.1.2.6: the prompt was none, and somebody would have to be asked.
        case loginRequired = "login_required"
        case consentRequired = "consent_required"
        /// OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
        case unmetAuthenticationRequirements = "unmet_authentication_requirements"
    }

    var code: Code
    /// What to do, for the client's developer. ASCII without quotation marks and backslashes (RFC 6749 §5.2).
    var description: String
    /// 400 unless RFC 6749 or HTTP itself says otherwise.
    var status: HTTPResponse.Status
    var headers: HTTPFields

    init(_ code: Code, _ description: String, status: HTTPResponse.Status = .badRequest, headers: HTTPFields = [:]) {
        self.code = code
        self.description = description
        self.status = status
        self.headers = headers
    }

    /// 401 with a challenge, as RFC 9110 §15.5.2 wants. A client that tried the Authorization header is answered in its
    /// scheme (RFC 6749 §5.2); others learn the method that would have worked.
    static func invalidClient(_ description: String, scheme: String = "private_key_jwt") -> OAuthError {
        OAuthError(.invalidClient, description, status: .unauthorized, headers: [.wwwAuthenticate: "\(scheme) realm=\"stoa\""])
    }

    /// What the web layer found wrong with the body, in OAuth's words: too large and too slow keep their status, because
    /// the connection closes with them.
    init(_ problem: Problem) {
        let keepsStatus = problem.status == .contentTooLarge || problem.status == .requestTimeout
        var headers = problem.headers
        headers[.accept] = nil
        self.init(.invalidRequest, problem.detail, status: keepsStatus ? problem.status : .badRequest, headers: headers)
    }

    /// The answer to a program.
    var response: Response {
        var headers = self.headers
        for field in OAuthError.neverStored { headers[field.name] = field.value }
        return Response.json(
            ["error": .string(code.rawValue), "error_description": .string(Self.printable(description))], status: status, headers: headers)
    }

    /// The answer where a token was to open something (RFC 9449 §7.1).
    var challenge: Response {
        var answer = response
        answer.status = .unauthorized
        let algorithms = DPoPProof.algorithms.map(\.rawValue).joined(separator: " ")
        answer.headers[.wwwAuthenticate] = "DPoP error=\"\(code.rawValue)\", error_description=\"\(Self.printable(description))\", algs=\"\(algorithms)\""
        return answer
    }

    /// RFC 6749 §5.1 asks for both, also on errors.
    static let neverStored: HTTPFields = [.cacheControl: "no-store", .pragma: "no-cache"]

    /// Only the characters that RFC 6749 §5.2 allows: a client may put them into a header or a log line.
    static func printable(_ text: String) -> String {
        String(decoding: text.utf8.map { byte in
            switch byte {
            case 0x20...0x21, 0x23...0x5B, 0x5D...0x7E: byte
            default: UInt8(ascii: "'")
            }
        }, as: UTF8.self)
    }
}

extension HTTPField.Name {
    // A literal of this file; were it no header name, the answer would carry `Via` and the tests would see it.
    fileprivate static let pragma = HTTPField.Name("Pragma") ?? .via
}
