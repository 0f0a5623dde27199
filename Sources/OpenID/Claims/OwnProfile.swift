// Use case: a resident's app asks who the resident is. The attributes come through the door like any other read of
// personal data, as a view of one's own, logged once an access token.
import AccessLog
import Postgres
import Register
import Web

struct OwnProfile: Sendable {
    let door: Door
    let vault: ResidentVault

    /// The body of `GET /api/v1/me`. Attributes that the city does not hold are left out.
    func body(of resident: ResidentCaller) async throws -> JSONValue {
        let released = try await door.ownView(ScopeToken.profile.rawValue, of: resident.credential, attributes: Attribute.all.map(\.rawValue))
        let record = try vault.open(released)
        let attributes = record.attributes.map { JSONMember($0.attribute.rawValue, .string($0.value)) }
        return [
            "public_code": .string(record.publicCode),
            "identity_assurance": .integer(Int64(record.identityAssurance)),
            "authenticator_assurance": .integer(Int64(resident.authenticatorAssurance)),
            "language": resident.language.map { .string($0.tag) } ?? .null,
            "client_id": resident.clientID.map { .string($0) } ?? .null,
            "scope": .string(ScopeToken.ofApps.map(\.rawValue).filter(resident.scope.contains).joined(separator: " ")),
            "attributes": .object(attributes),
        ]
    }
}
