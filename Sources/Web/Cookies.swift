// The site's cookies: which names they have, which attributes, and how a request's cookie header is read. Sign-in and
// sign-out use `SessionCookie`; the other cookies are read by the middleware and set by contexts (notice) and `POST /language`.
import Foundation
import HTTPTypes
public import Hummingbird
import Primitives

/// Names and attributes of every cookie, decided by whether the site is reached over https.
///
/// Over https the prefix `__Host-` makes browsers refuse the cookie from another host, path or plain http (RFC 6265bis §4.1.3.2).
public struct CookieNames: Sendable, Hashable {
    public let session: String
    /// Of a sign-in that is under way: the password was right, and something else is missing.
    public let signIn: String
    public let csrf: String
    public let language: String
    public let notice: String
    /// Ties requests of services and apps to the browser that began them.
    let login: String
    private let attributes: String

    public init(baseURL: BaseURL) {
        let prefix = baseURL.isSecure ? "__Host-" : ""
        session = prefix + "stoa_session"
        signIn = prefix + "stoa_sign_in"
        csrf = prefix + "stoa_csrf"
        language = "stoa_language"
        notice = prefix + "stoa_notice"
        login = prefix + "stoa_login"
        // Lax, not Strict: a link in a letter or an e-mail must arrive signed in.
        attributes = "; Path=/; HttpOnly; SameSite=Lax" + (baseURL.isSecure ? "; Secure" : "")
    }

    /// A `Set-Cookie` value.
    /// - Parameters:
    ///   - value: base64url or another text of RFC 6265 cookie octets.
    ///   - maxAgeSeconds: how long the browser keeps it; nil until the browser closes.
    func setCookie(_ name: String, _ value: String, maxAgeSeconds: Int? = nil) -> String {
        "\(name)=\(value)" + attributes + (maxAgeSeconds.map { "; Max-Age=\($0)" } ?? "")
    }

    /// A `Set-Cookie` value that makes the browser forget the cookie.
    func clearCookie(_ name: String) -> String {
        "\(name)=" + attributes + "; Max-Age=0"
    }
}

extension HTTPFields {
    /// The value of a cookie of this request, nil when it is absent or sent twice with different values (someone planted one).
    func cookie(_ name: String) -> String? {
        var found: Substring?
        for header in self[values: .cookie] {
            for pair in header.split(separator: ";") {
                guard let equals = pair.firstIndex(of: "=") else { continue }
                guard pair[..<equals].drop(while: { $0 == " " }) == name else { continue }
                let value = pair[pair.index(after: equals)...]
                if let found, found != value { return nil }
                found = value
            }
        }
        return found.map { $0.trimmingCharacters(in: .whitespaces) }
    }
}

/// The cookie of a web session. Identity opens the session in the database and hands its raw token here.
public enum SessionCookie {
    /// A fresh session token: 32 random bytes, base64url. Store only `CredentialHash(token:)`.
    public static func newToken() -> String { Base64URL.encode(Base64URL.randomBytes()) }

    /// Signs this browser in: the response carries the token, and the CSRF secret is renewed with it.
    /// - Parameters:
    ///   - token: what `newToken` made; its hash is in the database already.
    ///   - context: the context of the request that is answered.
    public static func issue(_ token: String, in context: some PageContext) {
        let web = context.web
        // A session cookie without a lifetime ends with the browser: a shared computer must not stay signed in.
        web.state.setCookie(web.services.cookies.setCookie(web.services.cookies.session, token), named: web.services.cookies.session)
        web.state.nextSessionToken = token
        web.state.forgetCSRF(web.services.cookies)
    }

    /// Signs this browser out. The caller ends the session in the database.
    public static func clear(in context: some PageContext) {
        let web = context.web
        web.state.setCookie(web.services.cookies.clearCookie(web.services.cookies.session), named: web.services.cookies.session)
        web.state.nextSessionToken = nil
        web.state.forgetCSRF(web.services.cookies)
    }
}

/// The cookie of a browser in which somebody is on the way through a sign-in for a service or an app. It names no person and opens nothing: without it
/// an address of such a sign-in could be prepared by one and finished by another.
public enum LoginCookie {
    /// What the browser sent, as it is stored; nil without a cookie that can be one of ours.
    public static func read(_ request: Request, in context: some PageContext) -> CredentialHash? {
        guard let value = request.headers.cookie(context.web.services.cookies.login), value.utf8.count == 43, Base64URL.decode(value) != nil else { return nil }
        return CredentialHash(token: value)
    }

    /// The browser's cookie, or a new one that goes out with the answer.
    public static func readOrIssue(_ request: Request, in context: some PageContext) -> CredentialHash {
        if let hash = read(request, in: context) { return hash }
        let value = SessionCookie.newToken()
        let web = context.web
        web.state.setCookie(web.services.cookies.setCookie(web.services.cookies.login, value), named: web.services.cookies.login)
        return CredentialHash(token: value)
    }
}

/// The cookie of a sign-in that is under way. It opens nothing: the token behind it is no session, and only Identity's own pages look at it.
public enum SignInCookie {
    /// - Parameter token: what `SessionCookie.newToken` made; its hash is in the database already.
    public static func issue(_ token: String, in context: some PageContext) {
        let web = context.web
        let cookies = web.services.cookies
        web.state.setCookie(cookies.setCookie(cookies.signIn, token), named: cookies.signIn)
    }

    public static func clear(in context: some PageContext) {
        let web = context.web
        web.state.setCookie(web.services.cookies.clearCookie(web.services.cookies.signIn), named: web.services.cookies.signIn)
    }

    /// What the browser sent, hashed; nil without such a cookie.
    public static func read(_ request: Request, in context: some PageContext) -> CredentialHash? {
        guard let token = request.headers.cookie(context.web.services.cookies.signIn), token.utf8.count <= tokenCharactersMax,
            token.utf8.allSatisfy(isTokenCharacter)
        else { return nil }
        return CredentialHash(token: token)
    }
}
