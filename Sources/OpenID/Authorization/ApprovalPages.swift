// What residents see on the way into an app or a service: the page to decide on, the one that goes on by itself, and one
// that says why nothing can be decided.
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

    init(_ id: AuthorizationRequestID, _ asked: Standing, _ context: SignedInContext) {
        client = asked.clientName.text(context.language)
        publicCode = context.accountName
        scopes = asked.scope.compactMap { ScopeToken(rawValue: $0) }.map { context.text($0.textKey) }
        host = RedirectAddress.host(of: asked.redirectAddress)
        isOnThisDevice = host == nil
        until = context.format.dateTime(asked.expiresAt)
        allow = "/oauth/requests/\(id.description)/allow"
        refuse = "/oauth/requests/\(id.description)/refuse"
    }
}

/// The page `openid/service`: which service asks the resident to sign in there, which data it wants for what, and the ways to answer.
struct ServicePage: PageModel {
    static let template = "openid/service"

    var client: String
    var organisation: String
    var host: String?
    /// Whether a device waits that shows a code.
    var isForDevice: Bool
    var since: String
    var publicCode: String
    /// What it wants to know beyond that this is the same person as last time.
    var wish: Wish?
    var isNothingAsked: Bool
    /// Whether it goes on when the resident has left.
    var isLasting: Bool
    var until: String
    var allow: Link
    var refuse: Link

    static let fields: Fields<Self> = [
        "client": .text(\.client), "organisation": .text(\.organisation), "host": .optionalText(\.host), "is_for_device": .flag(\.isForDevice), "since": .text(\.since),
        "public_code": .text(\.publicCode), "wish": .optional(\.wish), "is_nothing_asked": .flag(\.isNothingAsked), "is_lasting": .flag(\.isLasting), "until": .text(\.until),
        "allow": .link(\.allow), "refuse": .link(\.refuse),
    ]

    /// The data, what it is for, and what the sharing rests on.
    struct Wish: ViewModel {
        var purpose: String
        var explanation: String
        var attributes: [String]
        var shared: [String]
        var isShared: Bool
        /// Nil where the resident decides.
        var law: String?
        var isVoluntary: Bool
        var policyVersion: String
        var allow: Link
        var allowWithoutSharing: Link

        static let fields: Fields<Self> = [
            "purpose": .text(\.purpose), "explanation": .text(\.explanation), "attributes": .texts(\.attributes), "shared": .texts(\.shared),
            "is_shared": .flag(\.isShared), "law": .optionalText(\.law), "is_voluntary": .flag(\.isVoluntary), "policy_version": .text(\.policyVersion),
            "allow": .link(\.allow), "allow_without_sharing": .link(\.allowWithoutSharing),
        ]
    }

    init(_ id: AuthorizationRequestID, _ standing: Standing, _ context: SignedInContext) {
        let path = "/oauth/requests/\(id.description)"
        client = standing.clientName.text(context.language)
        organisation = standing.organisationName?.text(context.language) ?? client
        isForDevice = standing.isForDevice
        host = isForDevice ? nil : RedirectAddress.host(of: standing.redirectAddress)
        since = context.format.day(standing.registeredAt)
        publicCode = context.accountName
        until = context.format.dateTime(standing.expiresAt)
        allow = Link(path + "/allow")
        refuse = Link(path + "/refuse")
        wish = standing.attributes.isEmpty ? nil : Wish(path, standing, context)
        isNothingAsked = wish == nil
        isLasting = standing.scope.contains(ScopeToken.offlineAccess.rawValue)
    }
}

extension ServicePage.Wish {
    fileprivate init(_ path: String, _ standing: Standing, _ context: some PageContext) {
        purpose = standing.purpose?.text(context.language) ?? ""
        explanation = standing.explanation?.text(context.language) ?? ""
        let isLawful = standing.legalBasis != "consent"
        attributes = standing.attributes.filter { isLawful || !standing.shared.contains($0) }.map { context.text("attributes.\($0)") }
        shared = isLawful ? [] : standing.attributes.filter(standing.shared.contains).map { context.text("attributes.\($0)") }
        isShared = !shared.isEmpty
        law = isLawful ? standing.law : nil
        isVoluntary = !isLawful && !attributes.isEmpty
        policyVersion = standing.policyVersion.map { String($0) } ?? ""
        allow = Link(path + "/allow")
        allowWithoutSharing = Link(path + "/allow-without-sharing")
    }
}

/// The page `openid/go-on`: nothing is left to ask, and the browser goes on to the service by itself.
struct GoOnPage: PageModel {
    static let template = "openid/go-on"

    var client: String
    var location: Link

    static let fields: Fields<Self> = ["client": .text(\.client), "location": .link(\.location)]

    /// - Parameter location: a registered redirect address with the answer.
    init(_ location: String, _ standing: Standing, _ context: some PageContext) {
        client = standing.clientName.text(context.language)
        self.location = Link(location)
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
