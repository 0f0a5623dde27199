// A service sends its resident here to sign out of the city too (OpenID Connect RP-Initiated Logout). The resident is asked: no address signs anybody out by
// being opened. The URL table first.
import Hummingbird
public import Postgres
import Primitives
public import Web

public struct EndSessionRoutes: Sendable {
    let database: Database
    let keys: SigningKeys
    let issuer: String

    public init(database: Database, keys: SigningKeys, baseURL: BaseURL) {
        self.database = database
        self.keys = keys
        issuer = baseURL.origin
    }

    public func add(to site: Site) {
        site.declare(pages: [EndSessionPage.self])
        site.everyone.get(ServerMetadata.endSessionPath, use: show)
        site.everyone.post(ServerMetadata.endSessionPath, use: signOut)
        site.everyone.post(ServerMetadata.endSessionPath + "/stay", use: stay)
    }

    @Sendable func show(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let query = try? context.query(request) else { throw Problem.notFound }
        let parameters = OAuthParameters(query)
        if let language = parameters.preferredLanguage { context.suggest(language, for: request) }
        let wish = try await wish(parameters)
        // Whoever acts for another is asked too, about the session of their own: it stands still, and would go on.
        if case .helper = context.caller { return context.redirect(to: Representing.path) }
        guard let person = context.person else { return context.redirect(to: wish.location ?? "/") }
        if let address = wish.address { context.allowFormAction(RedirectAddress.formActionSource(of: address)) }
        return try context.page(EndSessionPage(wish, account: person.account, context), title: "openid.end_session.title")
    }

    /// Ends the session, and with it every sign-in at a service (openid.end_sign_ins_of_session).
    @Sendable func signOut(_ request: Request, _ context: WebContext) async throws -> Response {
        let wish = try await wish(OAuthParameters(context.form))
        if let person = context.person {
            // As the city's own button does it: on a shared computer everything ends.
            try await database.execute("SELECT identity.sign_out(\(person.credential.bytes))")
            SessionCookie.clear(in: context)
            SignInCookie.clear(in: context)
        }
        if wish.location == nil { context.notice("identity.signed_out") }
        return context.redirect(to: wish.location ?? "/")
    }

    @Sendable func stay(_ request: Request, _ context: WebContext) async throws -> Response {
        context.redirect(to: try await wish(OAuthParameters(context.form)).location ?? "/")
    }

    /// What a service wants: parameters that it sent, or that the page's form brings back, each judged anew. What is not in order leads nowhere outside.
    private func wish(_ parameters: OAuthParameters) async throws -> LogoutWish {
        var clientID = parameters["client_id"]
        if let hint = parameters["id_token_hint"] {
            // An old one serves: the service may have kept it for as long as its own session (§2).
            guard let claims = try await keys.claims(of: hint, type: IDToken.type), let audience = claims["aud"]?.text, clientID ?? audience == audience else {
                return LogoutWish()
            }
            clientID = audience
        }
        guard let clientID, clientID.utf8.count <= AuthenticateClient.clientIDCharactersMax, parameters.duplicates.isEmpty,
            let client = try await database.optional(FindLogoutClient(id: clientID))
        else { return LogoutWish() }
        var wish = LogoutWish(clientID: clientID, clientName: client.name)
        if let address = parameters["post_logout_redirect_uri"], RedirectAddress.isRegistered(address, among: client.addresses) {
            wish.address = address
            wish.state = AuthorizationParameters.state(of: parameters)
        }
        return wish
    }
}

extension WebContext {
    /// Who is signed in, and how they know their account.
    fileprivate var person: (credential: CredentialHash, account: String)? {
        switch caller {
        case .resident(let resident): (resident.credential, resident.publicCode)
        case .staff(let staff): (staff.credential, staff.name)
        case .anonymous, .organisation, .helper: nil
        }
    }
}

/// Which service wants a log-out, and where the browser goes after it.
struct LogoutWish: Sendable {
    var clientID: String?
    var clientName: LocalisedText?
    /// Registered; nil: the browser stays here.
    var address: String?
    var state: String?

    var location: String? {
        address.map { address in state.map { RedirectAddress.adding([(name: "state", value: $0)], to: address) } ?? address }
    }
}

private struct FindLogoutClient: Query {
    let id: String

    var sql: SQL { "SELECT c.name, c.post_logout_redirect_uris FROM openid.client AS c WHERE c.id = \(id) AND c.closed_at IS NULL" }

    func decode(_ row: inout RowReader) throws -> (name: LocalisedText, addresses: [String]) { (try LocalisedText(row.next(JSONText.self)), try row.next()) }
}

/// The page `openid/end-session`.
struct EndSessionPage: PageModel {
    static let template = "openid/end-session"

    var client: String?
    var publicCode: String
    var clientID: String
    var address: String
    var state: String

    static let fields: Fields<Self> = [
        "client": .optionalText(\.client), "public_code": .text(\.publicCode), "client_id": .text(\.clientID), "address": .text(\.address), "state": .text(\.state),
    ]

    init(_ wish: LogoutWish, account: String, _ context: some PageContext) {
        client = wish.clientName?.text(context.language)
        publicCode = account
        clientID = wish.clientID ?? ""
        address = wish.address ?? ""
        state = wish.state ?? ""
    }
}
