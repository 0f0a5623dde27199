// How clients come to be: by the CLI and the demo city, with the owner's role. `stoa_app` has no right to write them.
public import Postgres
public import Web
import Foundation

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

        public var description: String {
            switch self {
            case .badID(let id): "client id \"\(id)\": write 2 to 63 small letters, digits and dashes, a letter first"
            case .badRedirectAddress(let address):
                "redirect address \"\(address)\": write https://host/path, or http://127.0.0.1/path without a port for an app on one's own device"
            case .badScope(let scope): "scope \"\(scope)\" cannot be registered for this kind of client"
            case .badKeys(let reason): "keys: \(reason)"
            case .idTaken(let id): "there is a client \"\(id)\" already"
            case .unknownOrganisation(let id): "there is no organisation \"\(id)\""
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
        guard !redirectAddresses.isEmpty else { throw Refusal.badRedirectAddress("") }
        for address in redirectAddresses where RedirectAddress(registered: address) == nil { throw Refusal.badRedirectAddress(address) }
        try await insert(id) {
            try await owner.execute(
                """
                INSERT INTO openid.client (id, kind, name, redirect_uris, scope)
                VALUES (\(id), 'public', \(name.json), \(redirectAddresses), \(scope))
                """)
        }
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
    private static func checkedKeySet(_ text: String) throws -> JSONText {
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

    private static func insert(_ id: String, organisation: String = "", _ statement: () async throws -> Int) async throws {
        do {
            _ = try await statement()
        } catch let error as DatabaseError where error.isUniqueViolation {
            throw Refusal.idTaken(id)
        } catch let error as DatabaseError where error.isForeignKeyViolation {
            throw Refusal.unknownOrganisation(organisation)
        }
    }
}
