// What finance officers decide about money of the bank: whom it is for, whether it goes back, and whether a statement that does not add up is booked.
// Decided in `payments.assign_item`, `propose_return`, `decide_return`, `decide_report` (0029_bank.sql) and `payouts.count_return`
// (0044_payouts_at_bank.sql); residents are told in the same transaction.
import Foundation
import Postgres
import Primitives
import Web

/// Why a decision was not taken, in the words of migrations/0029.
struct BankWorkRefusal: Error, Sendable, Hashable {
    let outcome: String
}

struct BankWork: Sendable {
    let database: Database

    /// Gives what is left of a part to the bill of a reference; what is too much goes to the wallet of its resident.
    /// - Throws: ``BankWorkRefusal``; `DatabaseError`
    func assign(_ item: UUID, to reference: String, by credential: CredentialHash) async throws {
        // A creditor reference is typed with spaces and in either case; the other one in capitals.
        let written = CreditorReference(reference)?.description ?? reference.uppercased()
        let query = AssignItem(credential: credential, item: item, reference: written, receiptCode: PublicCode.random().description)
        try await perform(query, expecting: "assigned")
    }

    func decide(_ report: UUID, _ decision: BankReportDecision, reason: String, by credential: CredentialHash) async throws {
        try await perform(DecideReport(credential: credential, report: report, decision: decision, reason: reason), expecting: decision.rawValue)
    }

    func proposeReturn(_ item: UUID, id: UUID, reason: String, by credential: CredentialHash) async throws {
        let outcome = try await database.transaction { try await $0.one(ProposeReturn(credential: credential, item: item, id: id, reason: reason)) }
        guard outcome == "proposed" || outcome == "exists" else { throw BankWorkRefusal(outcome: outcome) }
    }

    func decideReturn(_ id: UUID, _ decision: BankReturnDecision, by credential: CredentialHash) async throws {
        let outcome = try await database.transaction { try await $0.one(DecideReturn(credential: credential, id: id, decision: decision)) }
        guard outcome == decision.rawValue else { throw BankWorkRefusal(outcome: outcome) }
    }

    /// Counts a part as the return of the payout that it names.
    /// - Throws: ``BankWorkRefusal``; `DatabaseError`
    func countReturn(_ item: UUID, by credential: CredentialHash) async throws {
        let outcome = try await database.transaction { try await $0.one(CountReturn(credential: credential, item: item)) }
        guard outcome == "counted" else { throw BankWorkRefusal(outcome: outcome) }
    }

    private func perform(_ query: some Query<JSONText>, expecting expected: String) async throws {
        try await database.transaction { transaction in
            let answer = try BankAnswer(await transaction.one(query))
            guard answer.outcome == expected else { throw BankWorkRefusal(outcome: answer.outcome) }
            try await BankNotices.send(answer.notices, on: transaction)
        }
    }
}
