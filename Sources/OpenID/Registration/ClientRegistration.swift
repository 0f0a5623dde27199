// How clients come to be: by the CLI and the demo city, with the owner's role. `stoa_app` has no right to write them.
public import Postgres
public import Web
import Foundation
import Outgoing

/// Registers OAuth clients.
public enum ClientRegistration {
    /// Why a client cannot be registered; the description says what to change.
    public enum Refusal: Error, Equatable, CustomStringConvertible {
        case badID(String)
        case badRedirectAddress(String)
        case badScope(String)
        case badKeys(String)
        case idTaken(String)
        case unknownOrganisation(String)
        case unknownPurpose(String)
        case badProfile(String)
        case badLogoutAddress(String)

        public var description: String {
            switch self {
            case .badID(let id): "client id \"\(id)\": write 2 to 63 small letters, digits and dashes, a letter first"
            case .badRedirectAddress(let address):
                "redirect address \"\(address)\": write https://host/path, or http://127.0.0.1/path without a port for an app on one's own device"
            case .badScope(let scope): "scope \"\(scope)\" cannot be registered for this kind of client"
            case .badKeys(let reason): "keys: \(reason)"
            case .idTaken(let id): "there is a client \"\(id)\" already"
            case .unknownOrganisation(let id): "there is no organisation \"\(id)\""
            case .badLogoutAddress(let address): "log-out address \"\(address)\": write https://host/path; plain http only for a receiver on this machine"
            case .badProfile(let reason): "profile: \(reason)"
            case .unknownPurpose(let id): "the organisation has no purpose \"\(id)\""
            }
        }
    }

    /// A confidential client of an organisation, which authenticates with `private_key_jwt`.
    /// - Parameters:
    ///   - id: the `client_id`: `^[a-z][a-z0-9-]{1,62}$`.
    ///   - keySet: a JWK set with public keys only, as JSON text; one key may also be given alone.
    ///   - scope: what it may ask for; `exchange.read` when nil.
    ///   - owner: a connection of the owner's role.
    /// - Throws: `Refusal`, `DatabaseError`.
    public static func registerOrganisationClient(
        id: String, organisation: String, name: LocalisedText, keySet: String, scope: [String]? = nil,
        with owner: some Executor
    ) async throws {
        let keys = try checkedKeySet(keySet)
        let scope = scope ?? [ScopeToken.exchangeRead.rawValue]
        try check(id: id, scope: scope, allowed: ScopeToken.ofOrganisations)
        try await insert(id, organisation: organisation) {
            try await owner.execute(
                """
                INSERT INTO openid.client (id, kind, organisation_id, name, jwks, scope)
                VALUES (\(id), 'confidential', \(organisation), \(name.json), \(keys), \(scope))
                """)
        }
    }

    /// A public client: an app that acts for residents, with PKCE and no secret.
    /// - Parameters:
    ///   - redirectAddresses: `https://…` exactly, or `http://127.0.0.1/path`, which stands for any port (RFC 8252 §7.3).
    ///   - scope: everything that an app can hold when nil.
    ///   - owner: a connection of the owner's role.
    /// - Throws: `Refusal`, `DatabaseError`.
    public static func registerApp(
        id: String, name: LocalisedText, redirectAddresses: [String], scope: [String]? = nil, with owner: some Executor
    ) async throws {
        let scope = scope ?? ScopeToken.ofApps.map(\.rawValue)
        try check(id: id, scope: scope, allowed: ScopeToken.ofApps)
        try check(redirectAddresses: redirectAddresses)
        try await insert(id) {
            try await owner.execute(
                """
                INSERT INTO openid.client (id, kind, name, redirect_uris, scope)
                VALUES (\(id), 'public', \(name.json), \(redirectAddresses), \(scope))
                """)
        }
    }

    /// A service of an organisation that residents sign in at.
    public struct Service: Sendable {
        public var id: String
        public var organisation: String
        public var name: LocalisedText
        public var redirectAddresses: [String]
        /// Public keys for `private_key_jwt`; nil for an app that can keep none.
        public var keySet: String?
        /// `openid`, and what claims it may ask for.
        public var scope: [String]
        /// The organisation's purpose whose policy says which data it may ask for; nil: only who somebody is to it.
        public var purpose: String?
        /// `ES256`, `EdDSA` or `RS256`.
        public var idTokenAlgorithm: String
        /// Whether it keeps the FAPI 2.0 Security Profile.
        public var isFAPI: Bool
        /// The organisation's interfaces that it may ask tokens for (RFC 8707): absolute addresses.
        public var resources: [String]
        /// Where a browser may go when it has signed out; written as redirect addresses are.
        public var postLogoutAddresses: [String]
        /// Where the service is told of a log-out: `https://…`, or loopback by plain http; nil: it is not told.
        public var logoutAddress: String?
        /// Whether devices without a browser sign residents in for it (RFC 8628). Such a service needs no redirect address.
        public var hasDevices: Bool

        public init(
            id: String, organisation: String, name: LocalisedText, redirectAddresses: [String], keySet: String?, scope: [String] = ["openid"],
            purpose: String? = nil, idTokenAlgorithm: String = "ES256", isFAPI: Bool = false, resources: [String] = [],
            postLogoutAddresses: [String] = [], logoutAddress: String? = nil, hasDevices: Bool = false
        ) {
            self.id = id
            self.organisation = organisation
            self.name = name
            self.redirectAddresses = redirectAddresses
            self.keySet = keySet
            self.scope = scope
            self.purpose = purpose
            self.idTokenAlgorithm = idTokenAlgorithm
            self.isFAPI = isFAPI
            self.resources = resources
            self.postLogoutAddresses = postLogoutAddresses
            self.logoutAddress = logoutAddress
            self.hasDevices = hasDevices
        }
    }

    /// Registers a service.
    /// - Parameter owner: a connection of the owner's role.
    /// - Throws: `Refusal`, `DatabaseError`.
    public static func register(_ service: Service, with owner: some Executor) async throws {
        try check(service)
        try await insert(service) { keys in try await owner.one(AddService(service: service, keys: keys, credential: nil)) }
    }

    /// The same, by an organisation administrator; what it was entered by is kept.
    /// - Throws: `Refusal`, `DatabaseError`.
    static func register(_ service: Service, by staff: CredentialHash, in database: Database) async throws {
        try await insert(service) { keys in
            try await database.exclusive { try await $0.one(AddService(service: service, keys: keys, credential: staff)) }
        }
    }

    private static func insert(_ service: Service, _ statement: (JSONText?) async throws -> String) async throws {
        let keys = try service.keySet.map { try checkedKeySet($0) }
        let outcome = try await insert(service.id, organisation: service.organisation) { try await statement(keys) }
        switch outcome {
        case "added": return
        case "purpose_unknown": throw Refusal.unknownPurpose(service.purpose ?? "")
        default: throw Problem.forbidden
        }
    }

    /// Everything about a service that can be told without the database.
    static func check(_ service: Service) throws {
        if let keySet = service.keySet { _ = try checkedKeySet(keySet) }
        try check(id: service.id, scope: service.scope, allowed: ScopeToken.ofServices)
        guard service.scope.contains(ScopeToken.openID.rawValue) else { throw Refusal.badScope(service.scope.joined(separator: " ")) }
        if !service.hasDevices || !service.redirectAddresses.isEmpty { try check(redirectAddresses: service.redirectAddresses) }
        try check(profileOf: service)
        for address in service.postLogoutAddresses where RedirectAddress(registered: address) == nil { throw Refusal.badRedirectAddress(address) }
        if let address = service.logoutAddress, WebhookAddress(address) == nil { throw Refusal.badLogoutAddress(address) }
    }

    private static func check(profileOf service: Service) throws {
        guard SigningAlgorithm(rawValue: service.idTokenAlgorithm) != nil else { throw Refusal.badProfile("ID tokens are signed with ES256, EdDSA or RS256") }
        if service.isFAPI, service.keySet == nil || service.idTokenAlgorithm == SigningAlgorithm.rs256.rawValue {
            throw Refusal.badProfile("fapi2 wants a key of the client, and ES256 or EdDSA")
        }
        for resource in service.resources where !resource.hasPrefix("https://") || RedirectAddress(registered: resource) == nil {
            throw Refusal.badProfile("the resource \"\(resource)\" is no address https://host/path")
        }
    }

    private static func check(redirectAddresses: [String]) throws {
        guard !redirectAddresses.isEmpty else { throw Refusal.badRedirectAddress("") }
        for address in redirectAddresses where RedirectAddress(registered: address) == nil { throw Refusal.badRedirectAddress(address) }
    }

    /// Puts other keys in place of a client's: the next assertion must be signed with one of them.
    /// - Throws: `Refusal`, `DatabaseError`.
    public static func replaceKeys(of id: String, keySet: String, with owner: some Executor) async throws {
        let keys = try checkedKeySet(keySet)
        let changed = try await owner.execute("UPDATE openid.client SET jwks = \(keys) WHERE id = \(id) AND kind = 'confidential'")
        guard changed == 1 else { throw Refusal.badID(id) }
    }

    private static func check(id: String, scope: [String], allowed: [ScopeToken]) throws {
        guard (2...63).contains(id.utf8.count), id.utf8.allSatisfy(isIDByte), let first = id.utf8.first, first >= UInt8(ascii: "a") else {
            throw Refusal.badID(id)
        }
        guard !scope.isEmpty, Set(scope).count == scope.count else { throw Refusal.badScope(scope.joined(separator: " ")) }
        for name in scope where !allowed.contains(where: { $0.rawValue == name }) { throw Refusal.badScope(name) }
    }

    private static func isIDByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }

    /// A set as it is stored; a key alone becomes a set of one.
    static func checkedKeySet(_ text: String) throws -> JSONText {
        guard let value = try? JSONScanner.scan(Array(text.utf8)) else { throw Refusal.badKeys("The text is not JSON.") }
        let set: JSONValue = value["keys"] == nil ? ["keys": [value]] : value
        let json = String(decoding: set.serialised(), as: UTF8.self)
        do {
            _ = try ClientKeys(json)
        } catch {
            throw Refusal.badKeys(error.description)
        }
        return JSONText(json)
    }

    @discardableResult
    private static func insert<Answer>(_ id: String, organisation: String = "", _ statement: () async throws -> Answer) async throws -> Answer {
        do {
            return try await statement()
        } catch let error as DatabaseError where error.isUniqueViolation {
            throw Refusal.idTaken(id)
        } catch let error as DatabaseError where error.isForeignKeyViolation {
            throw Refusal.unknownOrganisation(organisation)
        }
    }
}

/// `added`, `purpose_unknown`, or `role_missing`.
private struct AddService: Query {
    let service: ClientRegistration.Service
    let keys: JSONText?
    /// Of the administrator; nil with the owner's role.
    let credential: CredentialHash?

    var sql: SQL {
        let what: SQL = """
            \(service.id), \(service.organisation), \(service.name.json), \(service.redirectAddresses), \(keys as JSONText?), \(service.scope),
            \(service.purpose as String?), \(service.idTokenAlgorithm), \(service.isFAPI ? "fapi2" : "baseline"), \(service.resources),
            \(service.postLogoutAddresses), \(service.logoutAddress as String?), \(service.hasDevices)
            """
        guard let credential else { return "SELECT openid.add_service(\(what))" }
        return "SELECT openid.add_service_by_staff(\(credential.bytes), \(what))"
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
