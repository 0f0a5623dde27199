// The rules of benefits alone: no database, no pages.
import Testing
import Web

@testable import Benefits

@Suite("Rules of benefits")
struct BenefitsRulesTests {
    @Test("Nobody is offered a decision about what they prepared, whatever their roles", arguments: StaffRole.allCases)
    func ownWork(role: StaffRole) {
        #expect(BenefitsRules.offer(to: [role, .approver], preparedByThem: true, state: .prepared) == .waitForAnother)
    }

    @Test("Only an approver is offered a decision, and only once")
    func approvers() {
        #expect(BenefitsRules.offer(to: [.approver], preparedByThem: false, state: .prepared) == .decide)
        #expect(BenefitsRules.offer(to: [.caseworker, .financeOfficer, .auditor], preparedByThem: false, state: .prepared) == .waitForApprover)
        for state in [DisbursementState.approved, .refused] {
            #expect(BenefitsRules.offer(to: [.approver], preparedByThem: false, state: state) == .nothing)
        }
    }
}
