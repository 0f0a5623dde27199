// Who may do what with a benefit payment, apart from everything that stores or shows it. The URL table and the pages go by it; the
// database decides by its own functions, with the last word (migrations/0011).
import Web

/// Where a payment stands.
enum DisbursementState: String, Sendable, CaseIterable {
    case prepared
    case approved
    case refused
}

/// What a page offers to the member of staff who looks at it.
enum DecisionOffer: Sendable, Hashable {
    /// Approve or refuse.
    case decide
    /// Prepared by the same person: somebody else decides.
    case waitForAnother
    /// No approver: somebody else decides.
    case waitForApprover
    /// It is decided.
    case nothing
}

enum BenefitsRules {
    static let mayLook: Set<StaffRole> = [.caseworker, .financeOfficer, .approver, .auditor]
    /// To prepare is to look a resident up, which is a caseworker's (migrations/0008).
    static let mayPrepare: Set<StaffRole> = [.caseworker]

    static func offer(to roles: Set<StaffRole>, preparedByThem: Bool, state: DisbursementState) -> DecisionOffer {
        guard state == .prepared else { return .nothing }
        if preparedByThem { return .waitForAnother }
        return roles.contains(.approver) ? .decide : .waitForApprover
    }
}
