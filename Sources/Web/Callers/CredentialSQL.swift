// The one statement that says who holds a credential. Roles, links and revocation come from its row, so the
// application cannot claim that somebody else is asking.
import Foundation
public import Postgres
import Primitives

/// One row for a live credential, none for a dead or unknown one.
struct ResolveCredential: Query {
    let hash: CredentialHash

    struct Row: Sendable {
        var kind: String
        var actorKind: String
        var accountID: UUID?
        var residentID: UUID?
        var staffID: UUID?
        var displayName: String?
        var roles: [String]
        var organisationID: String?
        var clientID: String?
        var scope: [String]
        var language: String?
        var identityAssurance: Int
        var publicCode: String?
        var authentication: Authentication
    }

    var sql: SQL {
        """
        SELECT kind, actor_kind, account_id, resident_id, staff_id, display_name, coalesce(roles, '{}'), organisation_id, client_id,
               coalesce(scope, '{}'), language, coalesce(identity_assurance, 0)::bigint, public_code,
               id, authenticator_assurance, authenticated_at, second_factor, second_factor_at, ends_at, is_shared
          FROM web.resolve_credential(\(hash.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        try Row(
            kind: row.next(), actorKind: row.next(), accountID: row.next(), residentID: row.next(), staffID: row.next(),
            displayName: row.next(), roles: row.next(), organisationID: row.next(), clientID: row.next(), scope: row.next(),
            language: row.next(), identityAssurance: row.next(), publicCode: row.next(),
            authentication: Authentication(
                sessionID: row.next(), level: row.next(), at: row.next(), secondFactor: row.next(), secondFactorAt: row.next(), endsAt: row.next(),
                isShared: row.next()))
    }
}

extension ResolveCredential.Row {
    /// The caller that the row describes, nil when the credential is of the other kind or the row lacks what its kind needs.
    func caller(_ wanted: CredentialKind, credential: CredentialHash) -> Caller? {
        guard kind == wanted.rawValue else { return nil }
        switch actorKind {
        case "resident":
            guard let accountID, let residentID else { return nil }
            return .resident(
                ResidentCaller(
                    accountID: AccountID(accountID), residentID: ResidentID(residentID),
                    publicCode: publicCode ?? "", identityAssurance: identityAssurance, authentication: authentication,
                    language: language.flatMap { Language(rawValue: $0) }, scope: Set(scope), clientID: clientID, credential: credential))
        case "helper":
            guard let accountID, let residentID else { return nil }
            return .helper(
                HelperCaller(
                    accountID: AccountID(accountID), residentID: ResidentID(residentID), publicCode: publicCode ?? "", themes: Set(scope),
                    language: language.flatMap { Language(rawValue: $0) }, authentication: authentication, credential: credential))
        case "staff":
            guard let staffID else { return nil }
            return .staff(
                StaffCaller(
                    staffID: StaffID(staffID), name: displayName ?? "", roles: Set(roles.compactMap { StaffRole(rawValue: $0) }),
                    language: language.flatMap { Language(rawValue: $0) }, authentication: authentication, credential: credential))
        case "organisation":
            guard let organisationID, let clientID else { return nil }
            return .organisation(
                OrganisationCaller(organisationID: organisationID, clientID: clientID, scope: Set(scope), credential: credential))
        default:
            return nil
        }
    }
}

extension Site {
    /// The resolver that asks the database, one statement a credential.
    public static func resolver(using database: some Executor) -> CredentialResolver {
        { hash, kind in
            try await database.optional(ResolveCredential(hash: hash))?.caller(kind, credential: hash)
        }
    }
}
