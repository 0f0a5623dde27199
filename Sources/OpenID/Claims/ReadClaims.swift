// Use case: a service asks who signed in (UserInfo, OpenID Connect Core §5.3), or gets claims with the ID token. They come through the door like any other
// read of personal data: consent or law decides, and each read is an entry that the resident sees.
import AccessLog
import Foundation
import Postgres
import Register
import Web

struct ReadClaims: Sendable {
    let database: Database
    let door: Door
    let vault: ResidentVault
    let keys: SigningKeys

    /// The body of UserInfo.
    /// - Parameter token: the characters of the access token.
    /// - Throws: `BearerContext.invalidToken` for a token that is not ours, has expired, was revoked, or whose sign-in has ended.
    func userInfo(_ token: String) async throws -> JSONValue {
        guard let jti = try await keys.claims(of: token, type: ServiceToken.type)?["jti"]?.text,
            let signIn = try await database.optional(FindSignIn(token: ServiceToken.hash(jti: jti)))
        else { throw BearerContext.invalidToken }
        let wanted = Claim.asked(by: signIn.scope).union(signIn.userInfoClaims.compactMap { Claim(rawValue: $0) })
        let claims = signIn.hasClaims ? try await claims(wanted, ServiceToken.hash(jti: jti), signIn: signIn.id) : []
        return .object([JSONMember("sub", .string(signIn.subject.uuidString.lowercased()))] + claims)
    }

    /// As many of some claims as the resident shares or a law allows, in the order of the standard's list.
    /// - Parameter token: that was issued to the service; the database derives from it who asks, and about whom.
    func claims(_ wanted: Set<Claim>, _ token: CredentialHash, signIn: UUID) async throws -> [JSONMember] {
        guard !wanted.isEmpty else { return [] }
        let request = AccessRequest(
            credential: token, operation: .claims, subject: .own, attributes: Claim.attributes(of: wanted).map(\.rawValue), purpose: "",
            caseReference: "sign-in " + signIn.uuidString.lowercased())
        let record: OpenedRecord
        do {
            record = try vault.open(await door.read(request))
        } catch let refused as RefusedAccess {
            switch refused.refusal {
            case .credentialInvalid: throw BearerContext.invalidToken
            case .volumeExceeded: throw Problem.busy(retryAfterSeconds: 60)
            // Claims are voluntary (§5.5.1): who signed in is told all the same.
            default: return []
            }
        }
        return Claim.allCases.filter(wanted.contains).compactMap { claim in claim.value(from: record).map { JSONMember(claim.rawValue, $0) } }
    }
}
