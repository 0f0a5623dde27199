// What a service is given when a resident signs in: an ID token (OpenID Connect Core §2) and an access token (RFC 9068), both signed by the provider.
import Crypto
import Foundation
import Primitives
import Web

/// The access token of a service. It is a JWT, so that the service's own interfaces can check it; what is stored is the hash of its `jti`, so that here a
/// revocation counts at once. It is found under no hash of its own characters: no interface of the city takes it but UserInfo.
struct ServiceToken: Sendable {
    static let type = "at+jwt"
    /// As long as an organisation's own: services that need the data longer ask again.
    static let lifetimeSeconds = 600

    let jti = OpaqueToken()
    var hash: CredentialHash { Self.hash(jti: jti.characters) }

    /// - Parameter jti: the colon keeps it from being a bearer token by itself (RFC 6750 §2.1).
    static func hash(jti: String) -> CredentialHash { CredentialHash(token: "jti:" + jti) }

    /// RFC 9068 §2.2.
    /// - Parameter keyThumbprint: of the key that it is bound to (RFC 9449 §6.1).
    func characters(
        _ signIn: SignIn, client: RegisteredClient, scope: [String], keyThumbprint: String?, issuer: String, key: SigningKey
    ) throws -> String {
        let binding = keyThumbprint.map { [JSONMember("cnf", ["jkt": .string($0)])] } ?? []
        let members: [JSONMember] = [
            JSONMember("iss", .string(issuer)), JSONMember("aud", .string(signIn.resource ?? issuer)),
            JSONMember("sub", .string(signIn.subject.uuidString.lowercased())), JSONMember("client_id", .string(client.id)),
            JSONMember("iat", .integer(signIn.issuedAt.seconds)), JSONMember("exp", .integer(signIn.issuedAt.seconds + Int64(Self.lifetimeSeconds))),
            JSONMember("jti", .string(jti.characters)), JSONMember("auth_time", .integer(signIn.signedInAt.seconds)), JSONMember("acr", .string(signIn.context.acr)),
            JSONMember("amr", .array(signIn.context.amr.map { .string($0) })), JSONMember("scope", .string(scope.joined(separator: " "))),
        ]
        return try key.sign(.object(members + binding), type: Self.type)
    }
}

/// The proof for a service of who signed in, when and how.
struct IDToken: Sendable {
    static let type = "JWT"
    /// A service reads it at once; ten minutes leave room for clocks that differ.
    static let lifetimeSeconds = 600

    let signIn: SignIn
    let claims: [JSONMember]

    func characters(client: RegisteredClient, accessToken: String, issuer: String, key: SigningKey) throws -> String {
        var members: [JSONMember] = [
            JSONMember("iss", .string(issuer)), JSONMember("sub", .string(signIn.subject.uuidString.lowercased())), JSONMember("aud", .string(client.id)),
            JSONMember("exp", .integer(signIn.issuedAt.seconds + Int64(Self.lifetimeSeconds))), JSONMember("iat", .integer(signIn.issuedAt.seconds)),
            JSONMember("auth_time", .integer(signIn.signedInAt.seconds)), JSONMember("acr", .string(signIn.context.acr)),
            JSONMember("amr", .array(signIn.context.amr.map { .string($0) })), JSONMember("at_hash", .string(key.algorithm.halfHash(of: accessToken))),
            JSONMember("sid", .string(signIn.id.uuidString.lowercased())),
        ]
        if let nonce = signIn.nonce { members.append(JSONMember("nonce", .string(nonce))) }
        return try key.sign(.object(members + claims), type: Self.type)
    }
}

extension SigningAlgorithm {
    /// The left half of the hash of a token, by the hash of the signature's algorithm (Core §3.1.3.6); of Ed25519 that is SHA-512 (RFC 8032 §5.1).
    func halfHash(of token: String) -> String {
        let bytes = Array(token.utf8)
        switch self {
        case .es256, .rs256: return Base64URL.encode(Array(SHA256.hash(data: bytes)).prefix(16))
        case .edDSA: return Base64URL.encode(Array(SHA512.hash(data: bytes)).prefix(32))
        }
    }
}

extension Date {
    /// A NumericDate (RFC 7519 §2).
    var seconds: Int64 { Int64(timeIntervalSince1970.rounded(.down)) }
}
