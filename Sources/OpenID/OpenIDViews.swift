// What residents see when an app asks to act for them: one page to decide on, and one that says why nothing can be decided.
import Primitives
import Web

/// The page `openid/approval`: who asks, for what, what happens, and two buttons of equal weight.
struct ApprovalPage: PageModel {
    static let template = "openid/approval"

    var client: String
    var publicCode: String
    var scopes: [String]
    var isOnThisDevice: Bool
    var host: String?
    var until: String
    var allow: Link
    var refuse: Link

    static let fields: Fields<Self> = [
        "client": .text(\.client), "public_code": .text(\.publicCode), "scopes": .texts(\.scopes), "is_on_this_device": .flag(\.isOnThisDevice),
        "host": .optionalText(\.host), "until": .text(\.until), "allow": .link(\.allow), "refuse": .link(\.refuse),
    ]

    init(_ id: AuthorizationRequestID, _ asked: FindAuthorizationRequest.Row, resident: ResidentCaller, context: some PageContext) {
        client = asked.clientName.text(context.language)
        publicCode = resident.publicCode
        scopes = asked.scope.compactMap { ScopeToken(rawValue: $0) }.map { context.text($0.textKey) }
        let isLoopback = asked.redirectAddress.hasPrefix("http:")
        isOnThisDevice = isLoopback
        host = isLoopback ? nil : String(RedirectAddress.formActionSource(of: asked.redirectAddress).dropFirst("https://".count))
        until = context.format.dateTime(asked.expiresAt)
        allow = "/oauth/requests/\(id.description)/allow"
        refuse = "/oauth/requests/\(id.description)/refuse"
    }
}

/// The page `openid/refusal`: what happened, and what to do next.
struct RefusalPage: PageModel {
    static let template = "openid/refusal"

    var heading: String
    var happened: String
    var next: String

    static let fields: Fields<Self> = ["heading": .text(\.heading), "happened": .text(\.happened), "next": .text(\.next)]

    init(_ refusal: AuthorizationRefusal, context: some PageContext) {
        let key = "openid.refusal.\(refusal.rawValue)"
        heading = context.text(key + ".title")
        happened = context.text(key + ".happened")
        next = context.text(key + ".next")
    }
}
