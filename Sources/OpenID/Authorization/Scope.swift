// Pure rules of scope (RFC 6749 §3.3): what exists, who may register what, and what a request gets.

/// One thing that an access token lets its holder do.
enum ScopeToken: String, CaseIterable, Sendable {
    case profile
    case consents
    case accessLog = "access_log"
    case bills
    case payments
    case messages
    /// All of it in one file; only together with the scopes of what is in it.
    case export
    case exchangeRead = "exchange.read"
    /// For the portal that shows residents who looked at their data (DataTracker).
    case usageRead = "usage.read"
    /// For accounts of the organisation in the ledger (Ledger/LedgerRoutes).
    case ledgerPost = "ledger.post"
    /// Signing residents in at the organisation's service, and claims about them (OpenID Connect Core §5.4); `profile` is one of these too.
    case openID = "openid"
    case email
    case phone
    case address
    /// The service goes on when the resident has left: refresh tokens (OpenID Connect Core §11).
    case offlineAccess = "offline_access"
    /// The city's staff sign in there too, with two factors, and it learns their roles. Entered by the city alone.
    case roles

    /// What an app that acts for a resident may hold.
    static let ofApps: [ScopeToken] = [.profile, .consents, .accessLog, .bills, .payments, .messages, .export]
    /// What an organisation's client may hold.
    static let ofOrganisations: [ScopeToken] = [.exchangeRead, .usageRead, .ledgerPost]
    /// What an organisation's client may hold besides, when residents sign in there. Never part of a token of the organisation itself.
    static let ofServices: [ScopeToken] = [.openID, .profile, .email, .phone, .address, .offlineAccess, .roles]

    /// Key of the plain words for the page on which residents allow an app; the dot of `exchange.read` would open a group in the catalogue.
    var textKey: String { "openid.scope." + rawValue.replacing(".", with: "_") }
}

enum ScopeRules {
    /// What a request gets.
    /// - Parameters:
    ///   - requested: the parameter as it was sent: names with single spaces between, in any order; nil when omitted.
    ///   - registered: what the client holds, in the order in which the answer lists it.
    /// - Returns: everything registered when nothing was asked for.
    /// - Throws: `invalid_scope` when anything is asked for that the client does not hold.
    static func granted(requested: String?, registered: [String]) throws(OAuthError) -> [String] {
        guard let requested else { return registered }
        let names = Set(requested.split(separator: " ").map(String.init))
        guard !names.isEmpty else { return registered }
        guard names.isSubset(of: registered) else {
            throw OAuthError(.invalidScope, "This client may ask for: " + registered.joined(separator: " ") + ". Omit scope to get all of it.")
        }
        return registered.filter(names.contains)
    }
}
