// Who is asking: the answer of one statement to one credential. Contexts turn it into types that handlers can rely on.
public import Foundation
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

/// How and when the person behind a credential proved who they are (NIST SP 800-63B-4): what a service may ask for, and a page may ask to be raised.
public struct Authentication: Sendable, Hashable {
    /// Names the session where its secret must not be told, such as to services that are told of a sign-out. It opens nothing.
    public let sessionID: UUID
    /// Authenticator assurance level 1–3.
    public let level: Int
    /// When the password, or what stands in its place, was last right.
    public let at: Date
    /// What raised the level: `totp`, `code_sheet`, `recovery_codes` or `passkey`.
    public let secondFactor: String?
    public let secondFactorAt: Date?
    /// When it ends if nobody uses it until then.
    public let endsAt: Date
    /// On a computer that others use too.
    public let isShared: Bool

    public init(sessionID: UUID, level: Int, at: Date, secondFactor: String?, secondFactorAt: Date?, endsAt: Date, isShared: Bool) {
        self.sessionID = sessionID
        self.level = level
        self.at = at
        self.secondFactor = secondFactor
        self.secondFactorAt = secondFactorAt
        self.endsAt = endsAt
        self.isShared = isShared
    }
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
    /// How and when they signed in.
    public let authentication: Authentication
    /// The language chosen for the account, if one was.
    public let language: Language?
    /// The OAuth scope of an access token; empty for a web session, which is not limited by scope.
    public let scope: Set<String>
    /// The OAuth client that acts, for an access token.
    public let clientID: String?
    public let credential: CredentialHash

    /// Authenticator assurance level 1–3 of this sign-in (NIST SP 800-63B-4).
    public var authenticatorAssurance: Int { authentication.level }
}

/// A member of staff, signed in.
public struct StaffCaller: Sendable {
    public let staffID: StaffID
    public let name: String
    public let roles: Set<StaffRole>
    public let language: Language?
    /// How and when they signed in.
    public let authentication: Authentication
    public let credential: CredentialHash
}

/// A resident who acts for another under a mandate. Their own session stands still meanwhile: pages that were not made for helpers do not know this caller.
public struct HelperCaller: Sendable {
    /// The helper's own account.
    public let accountID: AccountID
    /// The resident for whom they act, and that one's code.
    public let residentID: ResidentID
    public let publicCode: String
    /// What the helper calls that resident; nil where nobody opened it.
    public internal(set) var name: String?
    /// The matters that the mandate covers; none when it has ended.
    public let themes: Set<String>
    public let language: Language?
    /// How and when the helper signed in.
    public let authentication: Authentication
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
    case helper(HelperCaller)
    case staff(StaffCaller)
    case organisation(OrganisationCaller)

    /// The language of the caller's account.
    var language: Language? {
        switch self {
        case .resident(let resident): resident.language
        case .helper(let helper): helper.language
        case .staff(let staff): staff.language
        case .anonymous, .organisation: nil
        }
    }

    var isAnonymous: Bool {
        if case .anonymous = self { return true }
        return false
    }
}
