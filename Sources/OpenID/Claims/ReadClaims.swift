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
    let issuer: String

    /// The body of UserInfo.
    /// - Parameters:
    ///   - token: the characters of the access token, and whether they came as a DPoP token.
    ///   - prove: finds the thumbprint of the key that the request was proven with, at the moment that it is given.
    /// - Throws: `BearerContext.invalidToken` for a token that is not ours, is for another interface, has expired, was revoked, whose sign-in has ended, or that is
    ///   bound to a key and comes without its proof (RFC 9449 §7.1).
    func userInfo(_ token: (characters: String, isProven: Bool), prove: (Date) async throws -> String?) async throws -> JSONValue {
        guard let claims = try await keys.claims(of: token.characters, type: ServiceToken.type), claims["aud"]?.text == issuer,
            let jti = claims["jti"]?.text, let signIn = try await database.optional(FindSignIn(token: ServiceToken.hash(jti: jti)))
        else { throw BearerContext.invalidToken }
        let bound = claims["cnf"]?["jkt"]?.text
        guard (bound != nil) == token.isProven else { throw BearerContext.invalidToken }
        if let bound { guard try await prove(signIn.now) == bound else { throw BearerContext.invalidToken } }
        let wanted = Claim.asked(by: signIn.scope).union(signIn.userInfoClaims.compactMap { Claim(rawValue: $0) })
        let told: [JSONMember] =
            if let staff = signIn.staff {
                Self.staffClaims(staff, scope: signIn.scope)
            } else {
                signIn.hasClaims ? try await self.claims(wanted, ServiceToken.hash(jti: jti), signIn: signIn.id) : []
            }
        return .object([JSONMember("sub", .string(signIn.subject.uuidString.lowercased()))] + told)
    }

    /// What a service learns of a member of staff: their work, which is no resident's data, and so comes through no door.
    private static func staffClaims(_ staff: (name: String, roles: [String]), scope: [String]) -> [JSONMember] {
        let name = scope.contains(ScopeToken.profile.rawValue) ? [JSONMember(Claim.name.rawValue, .string(staff.name))] : []
        return name + [JSONMember("roles", .array(staff.roles.map { .string($0) }))]
    }

    /// The same for the ID token.
    func staffClaims(_ token: CredentialHash) async throws -> [JSONMember] {
        guard let signIn = try await database.optional(FindSignIn(token: token)), let staff = signIn.staff else { return [] }
        return Self.staffClaims(staff, scope: signIn.scope)
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
