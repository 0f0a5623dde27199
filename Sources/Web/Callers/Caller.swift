// Who is asking: the answer of one statement to one credential. Contexts turn it into types that handlers can rely on.
import Foundation
public import Primitives

/// What `ID` names: an account, a resident's register record, a staff account.
public enum AccountTag {}
public enum ResidentTag {}
public enum StaffTag {}
public typealias AccountID = ID<AccountTag>
public typealias ResidentID = ID<ResidentTag>
public typealias StaffID = ID<StaffTag>

/// What staff may do; the database derives them from the staff account's row.
public enum StaffRole: String, Sendable, CaseIterable, Hashable {
    case caseworker
    case approver
    case financeOfficer = "finance_officer"
    case auditor
    case organisationAdministrator = "organisation_administrator"
}

/// A resident's account, signed in or acting through an app.
public struct ResidentCaller: Sendable {
    public let accountID: AccountID
    /// The resident behind the account: one of its own until the counter links a register record. Names are sealed; pages show the code.
    public let residentID: ResidentID
    /// The resident's public code, `XXX-XXX-XXX`.
    public let publicCode: String
    /// Identity assurance level 0–3 (NIST SP 800-63A-4).
    public let identityAssurance: Int
    /// Authenticator assurance level 1–3 of this sign-in (NIST SP 800-63B-4).
    public let authenticatorAssurance: Int
    /// The language chosen for the account, if one was.
    public let language: Language?
    /// The OAuth scope of an access token; empty for a web session, which is not limited by scope.
    public let scope: Set<String>
    /// The OAuth client that acts, for an access token.
    public let clientID: String?
    public let credential: CredentialHash
}

/// A member of staff, signed in.
public struct StaffCaller: Sendable {
    public let staffID: StaffID
    public let name: String
    public let roles: Set<StaffRole>
    public let language: Language?
    public let credential: CredentialHash
}

/// An organisation's client with an access token of its own.
public struct OrganisationCaller: Sendable {
    public let organisationID: String
    public let clientID: String
    public let scope: Set<String>
    public let credential: CredentialHash
}

/// Who is asking.
public enum Caller: Sendable {
    case anonymous
    case resident(ResidentCaller)
    case staff(StaffCaller)
    case organisation(OrganisationCaller)

    /// The language of the caller's account.
    var language: Language? {
        switch self {
        case .resident(let resident): resident.language
        case .staff(let staff): staff.language
        case .anonymous, .organisation: nil
        }
    }

    var isAnonymous: Bool {
        if case .anonymous = self { return true }
        return false
    }
}
