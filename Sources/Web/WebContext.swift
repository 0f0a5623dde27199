// The context that every request carries from the middleware to its handler, and what handlers can ask of it: texts,
// forms, pages, redirects. Handlers of signed-in people get a narrower one (Callers/Contexts.swift).
import Foundation
public import HTTPTypes
public import Hummingbird
public import Logging
import NIOCore

/// The root context: anybody's request.
public struct WebContext: RequestContext, PageContext {
    public typealias Source = WebContextSource

    public var coreContext: CoreRequestContextStorage
    let services: WebServices
    let state: RequestState
    /// Who is asking. Anonymous until the session or token was looked up.
    public internal(set) var caller: Caller = .anonymous
    /// The posted form, checked; empty for a GET.
    public internal(set) var form: Form = .empty
    /// The hash of the access token of a route that resolves it in its own statement.
    var bearer: CredentialHash?

    public init(source: WebContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        services = source.services
        state = source.state
    }

    public var web: WebContext { self }
}

/// What a context is made from.
public struct WebContextSource: RequestContextSource {
    public let logger: Logger
    let services: WebServices
    let state: RequestState
}

/// Any context that can show pages and read what was sent: the root one and those that prove who is asking.
public protocol PageContext: RequestContext {
    /// The root context that this one grew from.
    var web: WebContext { get }
}

extension PageContext {
    /// The posted form of an HTML route: size, encoding and form token are checked already.
    public var form: Form { web.form }

    /// The language of the answer.
    public var language: Language { web.state.language }

    /// The id that the request log and the error page show.
    public var requestID: String { id }

    /// Whom a limit on guessing counts this request to: the client's network address, of IPv6 its first 64 bits; empty where there is
    /// none. Never written to a log.
    public var clientAddress: String {
        guard let peer = web.state.peer?.ipAddress.flatMap({ NetworkAddress($0) }) else { return "" }
        return web.services.configuration.trustedProxies.client(peer: peer, forwardedFor: web.state.forwardedFor).countedAs
    }

    // MARK: Texts

    /// A text of the catalogue with its placeholders filled in.
    public func text(_ key: String, _ parameters: [String: String] = [:]) -> String {
        web.services.catalogue(language).text(key, parameters)
    }

    /// A text that counts something, in the right plural: `key.one`, `key.other`, …
    public func text(_ key: String, count: Int, _ parameters: [String: String] = [:]) -> String {
        web.services.catalogue(language).text(key, count: count, parameters)
    }

    /// Writes dates, times and numbers in the language of the answer.
    public var format: PageFormat { web.services.formatter(language) }

    /// The same in another language, for what somebody else will read.
    public func format(in language: Language) -> PageFormat { web.services.formatter(language) }

    // MARK: Answers

    /// 303 See Other: after a post, go and get this page.
    /// - Parameter location: a path of this site; an address elsewhere must have been checked against a registered one.
    public func redirect(to location: String) -> Response {
        Response(status: .seeOther, headers: [.location: location])
    }

    /// 303 to a site that says nothing about this one (setting `identity.leave_to`).
    public func redirectToNeutralSite() -> Response {
        Response(status: .seeOther, headers: [.location: web.services.configuration.neutralSite.origin + "/"])
    }

    /// Leaves a one-time notice for the next page that this browser sees.
    /// - Parameter key: of a text without placeholders in the catalogue.
    public func notice(_ key: String) {
        let cookies = web.services.cookies
        // Long enough for a slow redirect, short enough not to surprise anybody tomorrow.
        web.state.setCookie(cookies.setCookie(cookies.notice, key, maxAgeSeconds: 60), named: cookies.notice)
    }

    /// Lets a form of this page lead to another origin (a redirect after the post counts, in Chromium).
    /// - Parameter origin: exact, like `https://clinic.example`, or `http://127.0.0.1:*` for loopback clients.
    public func allowFormAction(_ origin: String) {
        web.state.allowFormAction(origin)
    }

    /// Speaks a language from this answer on, where nobody has chosen one here: whoever sends people to this site may know it. It lasts until the browser closes.
    public func suggest(_ language: Language, for request: Request) {
        let cookies = web.services.cookies
        guard request.headers.cookie(cookies.language) == nil, web.caller.language == nil else { return }
        web.state.language = language
        web.state.setCookie(cookies.setCookie(cookies.language, language.tag), named: cookies.language)
    }

    /// A page inside the layout.
    /// - Parameters:
    ///   - model: what it shows; its type was declared with `Site.declare(pages:)`.
    ///   - title: key of the page's title; a page with errors says so in front of it.
    ///   - parameters: for the title's placeholders.
    ///   - status: 200 unless given; 422 when a form comes back.
    ///   - script: a file of assets/, for a page that cannot do without. It runs after the page is there, and the policy allows it here alone.
    public func page(
        _ model: some PageModel, title: String, _ parameters: [String: String] = [:], status: HTTPResponse.Status = .ok, script: String? = nil
    ) throws -> Response {
        try web.render(model, title: text(title, parameters), status: status, script: script)
    }

    /// The way to the sign-in page, and from there back to what was asked for. A form that was posted is not kept: the sign-in page
    /// says so, and leads back to the page that the form stands on.
    public func signInFirst() -> Redirection {
        let state = web.state
        var target: String? = state.target
        if !state.isReturnable {
            notice("web.not_saved")
            target = web.services.routes.page(ofForm: state.path)
        }
        guard let path = Link.localPath(target) else { return Redirection(to: "/sign-in") }
        let allowed = CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~/"))
        return Redirection(to: "/sign-in?next=" + (path.addingPercentEncoding(withAllowedCharacters: allowed) ?? "/"))
    }

    // MARK: Reading

    /// The value of a `{name}` in the route's path; 404 when it is not of the form that the type wants.
    public func parameter<Value: LosslessStringConvertible>(_ name: String, as type: Value.Type = Value.self) throws -> Value {
        guard let text = parameters.get(name), let decoded = text.removingPercentEncoding, let value = Value(decoded) else {
            throw Problem.notFound
        }
        return value
    }

    /// The parameters of the query string, read as strictly as a form.
    public func query(_ request: Request) throws -> Form {
        try Form(bytes: (request.uri.query ?? "").utf8, fieldsMax: web.services.configuration.limits.formFieldsMax)
    }

    /// A JSON body, ready to be read field by field.
    /// - Parameter bytesMax: the route's limit; the site's (64 KiB) unless given.
    /// - Throws: `Problem` 413, 415, 408 or 400.
    public func json(_ request: Request, bytesMax: Int? = nil) async throws -> JSONReader {
        try JSONReader(await jsonValue(request, bytesMax: bytesMax).value)
    }

    /// A JSON body as a value tree together with its bytes, for routes that remember a hash of what was sent.
    public func jsonValue(_ request: Request, bytesMax: Int? = nil) async throws -> (value: JSONValue, bytes: [UInt8]) {
        guard isJSON(request.headers[.contentType]) else { throw Problem.wrongContentType(expected: "application/json") }
        let bytes = try await web.body(of: request, bytesMax: bytesMax)
        do {
            return (try JSONScanner.scan(bytes, depthMax: web.services.configuration.limits.jsonDepthMax), bytes)
        } catch {
            throw Problem.malformedJSON(error.reason)
        }
    }

    /// A body of another kind than JSON and forms, whatever its media type.
    /// - Parameter bytesMax: the route's limit.
    /// - Throws: `Problem` 413 or 408.
    public func bytes(_ request: Request, bytesMax: Int) async throws -> [UInt8] {
        try await web.body(of: request, bytesMax: bytesMax)
    }

    /// A form body of a route that needs no form token, such as the token endpoint.
    /// - Throws: `Problem` 413, 415, 408 or 400.
    public func form(_ request: Request, bytesMax: Int? = nil) async throws -> Form {
        guard isForm(request.headers[.contentType]) else { throw Problem.wrongContentType(expected: formContentType) }
        return try Form(bytes: await web.body(of: request, bytesMax: bytesMax), fieldsMax: web.services.configuration.limits.formFieldsMax)
    }
}

let formContentType = "application/x-www-form-urlencoded"

/// Media types compare without case and parameters (RFC 9110 §8.3.1). JSON is UTF-8 whatever a charset says.
private func mediaType(_ header: String?) -> String? {
    header?.split(separator: ";", maxSplits: 1, omittingEmptySubsequences: false).first.map {
        $0.trimmingCharacters(in: .whitespaces).lowercased()
    }
}

func isForm(_ header: String?) -> Bool { header == formContentType || mediaType(header) == formContentType }
func isJSON(_ header: String?) -> Bool { header == "application/json" || mediaType(header) == "application/json" }

extension WebContext {
    /// The whole body, within its limit. How long it may take is watched on the connection (Server/SlowClients.swift).
    func body(of request: Request, bytesMax: Int? = nil) async throws -> [UInt8] {
        let limit = bytesMax ?? services.configuration.limits.bodyBytesMax
        // A client that announces too much is told before it sends it.
        if let announced = request.headers[.contentLength].flatMap(Int.init), announced > limit {
            throw Problem.bodyTooLarge(bytesMax: limit)
        }
        do {
            let buffer = try await request.body.collect(upTo: limit)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Problem.bodyTooLarge(bytesMax: limit)
        } catch is SlowBody {
            throw Problem.bodyTooSlow
        }
    }

    /// Renders a page. Pages that show a person's data, or hold this browser's form token, are never kept by a cache.
    func render(_ model: some PageModel, title: String, status: HTTPResponse.Status, script: String? = nil) throws -> Response {
        guard services.pageTypes.contains(ObjectIdentifier(type(of: model))) else { throw UndeclaredPage(type: "\(type(of: model))") }
        // The way out leads to another site, and browsers hold a redirect after a form against form-action too.
        if !caller.isAnonymous { state.allowFormAction(services.configuration.neutralSite.origin) }
        let heading = status == .unprocessableContent ? text("web.error_title", ["title": title]) : title
        let root = PageRoot(page: model, web: self)
        let layout = PageRoot(page: layout(title: heading), web: self)
        guard var html = services.templates.render(type(of: model).template, root, layout: layout, language: language) else {
            throw UndeclaredPage(type: "\(type(of: model))")
        }
        if let script, let head = html.range(of: "</head>") {
            // Templates cannot hold a script element; this is the one place that writes one, and its address is our own.
            html.insert(contentsOf: "<script src=\"\(services.assets.path(script))\" defer></script>\n", at: head.lowerBound)
            state.hasScript = true
        }
        var headers: HTTPFields = [.contentType: "text/html; charset=utf-8", .contentLanguage: language.tag]
        let isPublic = caller.isAnonymous && !state.hasFormToken && state.noticeKey == nil && status == .ok
        headers[.cacheControl] = isPublic ? "no-cache" : "no-store"
        return Response(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(string: html)))
    }

    private func layout(title: String) -> LayoutModel {
        let offered = services.navigation.filter { $0.isOffered(to: caller) }
        // One entry is current: of those that hold the page, the nearest.
        let current = offered.filter { $0.holds(state.path) }.max { $0.path.count < $1.path.count }?.path
        let navigation = offered.map { NavigationLink(link: Link($0.path), text: text($0.textKey), isCurrent: $0.path == current) }
        return LayoutModel(
            language: language.tag, direction: language.direction, title: title, city: services.configuration.cityName, home: "/",
            stylesheet: Link(services.assets.path("stoa.css")), navigation: navigation, hasNavigation: !navigation.isEmpty,
            account: accountBox, acting: actingBar, signIn: state.caller?.isAnonymous == true ? "/sign-in" : nil,
            notice: takeNotice(),
            languages: Language.allCases.map { LanguageChoice(code: $0.tag, name: $0.ownName, isCurrent: $0 == language) },
            returnTo: returnPath)
    }

    /// Where the language switch leads back to: this page, unless it was posted to and cannot be got.
    private var returnPath: String {
        guard state.isReturnable || services.routes.methods(ofPath: state.path).contains("GET") else { return "/" }
        return Link.localPath(state.target) ?? "/"
    }

    /// The notice left by the last page, shown once: its cookie is cleared with this answer.
    private func takeNotice() -> String? {
        guard let key = state.noticeKey, services.catalogue(language).raw(key) != nil else { return nil }
        state.setCookie(services.cookies.clearCookie(services.cookies.notice), named: services.cookies.notice)
        return text(key)
    }
}

/// A page whose model was not declared: every test of its route finds it.
struct UndeclaredPage: Error, CustomStringConvertible {
    let type: String
    var description: String { "page model \(type) was not declared with Site.declare(pages:)" }
}

extension WebContext {
    /// Every page of a helper says for whom they act.
    fileprivate var actingBar: ActingBar? {
        guard case .helper(let helper) = caller else { return nil }
        return ActingBar(
            text: text("web.acting.text", ["name": (helper.name ?? helper.publicCode).isolated, "code": helper.publicCode]), where: Link(Representing.path),
            stop: Link(Representing.path + "/stop"))
    }

    fileprivate var accountBox: AccountBox? {
        let (name, authentication): (String, Authentication)
        switch caller {
        case .anonymous, .organisation: return nil
        case .resident(let resident): (name, authentication) = (resident.publicCode, resident.authentication)
        case .helper(let helper): (name, authentication) = (text("web.acting.short", ["code": helper.publicCode]), helper.authentication)
        case .staff(let staff): (name, authentication) = (staff.name, staff.authentication)
        }
        return AccountBox(name: name, signOut: "/sign-out", until: text("web.signed_in_until", ["time": format.time(authentication.endsAt)]))
    }
}
