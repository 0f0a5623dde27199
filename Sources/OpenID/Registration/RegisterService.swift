// Use case: a service registers itself (RFC 7591, OpenID Connect Dynamic Client Registration) with an initial access token that the city gave its organisation.
// Nothing that it names is fetched: keys come in the request, and the sector of its subjects is its organisation.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

struct RegisterService: Sendable {
    /// Addresses of one kind; more are a mistake.
    private static let addressesMax = 20
    private static let nameCharactersMax = 100
    /// Its own metadata is some 2 KiB.
    static let bodyBytesMax = 32 * 1024

    let database: Database

    /// - Parameters:
    ///   - token: the initial access token.
    ///   - metadata: the body; members that are not known are passed over (RFC 7591 §2).
    /// - Returns: the answer with the client's id.
    /// - Throws: `OAuthError`.
    func register(_ metadata: JSONValue, token: String) async throws -> Response {
        guard OpaqueToken.isPossible(token) else { throw OAuthError.invalidToken }
        let service = try service(metadata)
        do {
            try ClientRegistration.check(service)
        } catch ClientRegistration.Refusal.badRedirectAddress(let address) {
            throw OAuthError(.invalidRedirectURI, "The address \(address) cannot be registered: write https://host/path, or http://127.0.0.1/path.")
        } catch let refusal as ClientRegistration.Refusal {
            throw OAuthError(.invalidClientMetadata, "\(refusal)")
        }
        // Two with the last use of one token wait for each other: not on a shared connection.
        let outcome = try await database.exclusive { try await $0.one(AddServiceByToken(token: CredentialHash(token: token), service: service)) }
        switch outcome {
        case "added": return Response.json(answer(service), status: .created, headers: OAuthError.neverStored)
        case "purpose_unknown": throw OAuthError(.invalidClientMetadata, "The purpose that the token was made for is gone.")
        default: throw OAuthError.invalidToken
        }
    }

    private func service(_ metadata: JSONValue) throws(OAuthError) -> ClientRegistration.Service {
        let method = metadata["token_endpoint_auth_method"]?.text ?? "private_key_jwt"
        guard ["private_key_jwt", "none"].contains(method) else {
            throw OAuthError(.invalidClientMetadata, "The token_endpoint_auth_method is private_key_jwt, or none for an app that can keep no key.")
        }
        guard metadata["jwks_uri"] == nil else { throw OAuthError(.invalidClientMetadata, "Send the keys themselves as jwks; a jwks_uri is not fetched.") }
        guard metadata["sector_identifier_uri"] == nil else {
            throw OAuthError(.invalidClientMetadata, "The sector of a service is its organisation; a sector_identifier_uri is not fetched.")
        }
        guard (metadata["subject_type"]?.text ?? "pairwise") == "pairwise" else { throw OAuthError(.invalidClientMetadata, "The subject_type is pairwise.") }
        let scope = (metadata["scope"]?.text ?? "openid").split(separator: " ").map(String.init)
        guard !scope.contains(ScopeToken.roles.rawValue) else { throw OAuthError(.invalidClientMetadata, "A service that staff sign in at is entered by the city.") }
        let keySet = metadata["jwks"].map { String(decoding: $0.serialised(), as: UTF8.self) }
        guard (keySet != nil) == (method == "private_key_jwt") else { throw OAuthError(.invalidClientMetadata, "A client of private_key_jwt sends jwks; one of none does not.") }
        guard metadata["jwks"] == nil || metadata["jwks"]?["keys"] != nil else { throw OAuthError(.invalidClientMetadata, "The jwks is a set: an object with a list called keys.") }
        guard let name = metadata["client_name"]?.text, name.isOneVisibleLine, name.count <= Self.nameCharactersMax else {
            throw OAuthError(.invalidClientMetadata, "The client_name is what residents read: 1 to \(Self.nameCharactersMax) characters.")
        }
        return ClientRegistration.Service(
            id: "c-" + Self.randomID(), organisation: "", name: LocalisedText([.english: name]), redirectAddresses: try Self.texts("redirect_uris", of: metadata),
            keySet: keySet, scope: scope, purpose: nil,
            // What OpenID Connect Dynamic Client Registration §2 says is the default.
            idTokenAlgorithm: metadata["id_token_signed_response_alg"]?.text ?? "RS256", isFAPI: false, resources: [],
            postLogoutAddresses: try Self.texts("post_logout_redirect_uris", of: metadata), logoutAddress: metadata["backchannel_logout_uri"]?.text)
    }

    private static func texts(_ name: String, of metadata: JSONValue) throws(OAuthError) -> [String] {
        switch metadata[name] {
        case nil: return []
        case .array(let values) where values.count <= addressesMax && values.allSatisfy({ $0.text != nil }): return values.compactMap(\.text)
        default: throw OAuthError(.invalidClientMetadata, "The member \(name) is a list of at most \(addressesMax) texts.")
        }
    }

    private static func randomID() -> String {
        let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789")
        return String((0..<20).map { _ in letters[Int.random(in: 0..<letters.count)] })
    }

    /// RFC 7591 §3.2.1: what was registered.
    private func answer(_ service: ClientRegistration.Service) -> JSONValue {
        let texts: ([String]) -> JSONValue = { .array($0.map { .string($0) }) }
        let isLasting = service.scope.contains(ScopeToken.offlineAccess.rawValue)
        let more = service.logoutAddress.map { [JSONMember("backchannel_logout_uri", .string($0)), JSONMember("backchannel_logout_session_required", true)] } ?? []
        return .object(
            [
                JSONMember("client_id", .string(service.id)), JSONMember("client_name", .string(service.name.text(.english))),
                JSONMember("redirect_uris", texts(service.redirectAddresses)), JSONMember("post_logout_redirect_uris", texts(service.postLogoutAddresses)),
                JSONMember("token_endpoint_auth_method", service.keySet == nil ? "none" : "private_key_jwt"),
                JSONMember("grant_types", texts(["authorization_code"] + (isLasting ? ["refresh_token"] : []))), JSONMember("response_types", ["code"]),
                JSONMember("scope", .string(service.scope.joined(separator: " "))), JSONMember("subject_type", "pairwise"),
                JSONMember("id_token_signed_response_alg", .string(service.idTokenAlgorithm)),
            ] + more)
    }
}

/// Initial access tokens, made with the owner's role.
public enum RegistrationTokens {
    /// Lets an organisation register services itself.
    /// - Parameters:
    ///   - purpose: under which these services read claims; nil: they learn only who is the same person.
    ///   - usesMax: how many services.
    ///   - days: for how long it counts.
    ///   - owner: a connection of the owner's role.
    /// - Returns: the token's characters, which are stored nowhere; nil where there is no such purpose.
    public static func make(organisation: String, purpose: String?, usesMax: Int, days: Int, with owner: some Executor) async throws -> String? {
        let token = OpaqueToken()
        let made = try await owner.execute(
            """
            INSERT INTO openid.registration_token (hash, organisation_id, purpose, uses_left, expires_at)
            SELECT \(token.hash.bytes), o.id, \(purpose as String?), \(Int32(usesMax)), public.stoa_now() + make_interval(days => \(Int32(days)))
            FROM consent.organisation AS o
            WHERE o.id = \(organisation) AND (\(purpose as String?)::text IS NULL OR EXISTS (
                SELECT FROM consent.processing_activity AS a WHERE a.organisation_id = o.id AND a.purpose = \(purpose as String?)))
            """)
        return made == 1 ? token.characters : nil
    }
}

/// `added`, `purpose_unknown`, or `token_invalid`.
private struct AddServiceByToken: Query {
    let token: CredentialHash
    let service: ClientRegistration.Service

    var sql: SQL {
        """
        SELECT openid.register_service(
            \(token.bytes), \(service.id), \(service.name.json), \(service.redirectAddresses), \(service.keySet.map { JSONText($0) } as JSONText?), \(service.scope),
            \(service.idTokenAlgorithm), \(service.postLogoutAddresses), \(service.logoutAddress as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

extension OAuthError {
    /// RFC 6750 §3.1.
    static let invalidToken = OAuthError(
        .invalidToken, "This initial access token is unknown, used up or expired. Ask the city for another.", status: .unauthorized,
        headers: [.wwwAuthenticate: "Bearer error=\"invalid_token\""])
}
