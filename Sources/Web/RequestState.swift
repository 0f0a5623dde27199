// What the middleware and a handler tell each other during one request. Contexts are values and are copied on their way
// in; what must be seen on the way out (cookies to set, a widened form-action, the language of an error page) is here.
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Primitives
import Synchronization

/// Which face an answer has: a page for people or JSON for programs.
enum Face: Sendable {
    case page
    case json
}

/// The shared state of one request.
final class RequestState: Sendable {
    private struct Values {
        var language: Language
        var face: Face
        var cookies: [(name: String, header: String)] = []
        var formActions: [String] = []
        var hasScript = false
        var sessionToken: String?
        var nextSessionToken: String?
        var csrfSecret: [UInt8]?
        var formToken: String?
        var formTokenUsed = false
        var noticeKey: String?
        var caller: Caller?
    }

    /// Path and query as they were requested, for the way back after signing in.
    let target: String
    /// The path alone.
    let path: String
    /// Whether the target can be gone back to: only what was asked for by GET.
    let isReturnable: Bool
    /// The other end of the connection; nil in tests without a socket.
    let peer: SocketAddress?
    /// What proxies say about who asks (`X-Forwarded-For`). To be believed only as far as `TrustedProxies` says.
    let forwardedFor: [String]
    private let values: Mutex<Values>

    init(_ request: Request, peer: SocketAddress?, language: Language, face: Face) {
        self.peer = peer
        forwardedFor = request.headers[values: .xForwardedFor]
        target = request.uri.string
        path = request.uri.path
        isReturnable = request.method == .get || request.method == .head
        values = Mutex(Values(language: language, face: face))
    }

    var language: Language {
        get { values.withLock { $0.language } }
        set { values.withLock { $0.language = newValue } }
    }

    var face: Face {
        get { values.withLock { $0.face } }
        set { values.withLock { $0.face = newValue } }
    }

    /// What the browser's session cookie says, whether or not it is still good: the posted form was made for it.
    var sessionToken: String? {
        get { values.withLock { $0.sessionToken } }
        set { values.withLock { $0.sessionToken = newValue } }
    }

    /// What the browser's session cookie will say after this answer: the forms of this page are made for it.
    var nextSessionToken: String? {
        get { values.withLock { $0.nextSessionToken } }
        set { values.withLock { $0.nextSessionToken = newValue } }
    }

    /// The `Set-Cookie` headers of the answer.
    var cookieHeaders: [String] { values.withLock { $0.cookies.map(\.header) } }

    /// Sets a cookie with the answer; a later one of the same name replaces it.
    func setCookie(_ header: String, named name: String) {
        values.withLock { values in
            values.cookies.removeAll { $0.name == name }
            values.cookies.append((name, header))
        }
    }

    /// Who is asking, nil until it was looked up: error pages are made outside of where that happens.
    var caller: Caller? {
        get { values.withLock { $0.caller } }
        set { values.withLock { $0.caller = newValue } }
    }

    // MARK: Content-Security-Policy

    /// Origins beside our own that a form of this page may lead to.
    var formActions: [String] { values.withLock { $0.formActions } }

    func allowFormAction(_ origin: String) {
        values.withLock { $0.formActions.append(origin) }
    }

    /// Whether the page runs a script of our own (`PageContext.page(…, script:)`).
    var hasScript: Bool {
        get { values.withLock { $0.hasScript } }
        set { values.withLock { $0.hasScript = newValue } }
    }

    // MARK: Form token

    /// Notes the secret that the browser sent.
    func setCSRFSecret(_ secret: [UInt8]) {
        values.withLock { $0.csrfSecret = secret }
    }

    var csrfSecret: [UInt8]? { values.withLock { $0.csrfSecret } }

    /// The masked token for this page's forms. A browser without a secret gets one with this answer.
    func formToken(_ cookies: CookieNames) -> String {
        let (token, newSecret) = values.withLock { values -> (String, [UInt8]?) in
            values.formTokenUsed = true
            if let token = values.formToken { return (token, nil) }
            let secret = values.csrfSecret ?? Base64URL.randomBytes(count: CSRF.secretBytes)
            let isNew = values.csrfSecret == nil
            values.csrfSecret = secret
            let token = CSRF.token(secret: secret, sessionToken: values.nextSessionToken)
            values.formToken = token
            return (token, isNew ? secret : nil)
        }
        if let newSecret { setCookie(cookies.setCookie(cookies.csrf, Base64URL.encode(newSecret)), named: cookies.csrf) }
        return token
    }

    /// Whether the page holds a token, which makes it this browser's alone.
    var hasFormToken: Bool { values.withLock { $0.formTokenUsed } }

    /// Renews the secret at sign-in and sign-out, so that a token from before does not serve after.
    func forgetCSRF(_ cookies: CookieNames) {
        values.withLock { values in
            values.csrfSecret = nil
            values.formToken = nil
        }
        setCookie(cookies.clearCookie(cookies.csrf), named: cookies.csrf)
    }

    // MARK: Notice

    /// The one-time notice that the last page left for this one, as a catalogue key.
    var noticeKey: String? {
        get { values.withLock { $0.noticeKey } }
        set { values.withLock { $0.noticeKey = newValue } }
    }
}
