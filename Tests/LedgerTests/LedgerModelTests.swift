// Random transfers against a pure model: the database and the model must say the same about every one of them.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Ledger

/// The ledger as a person would explain it.
private struct Model {
    struct Account {
        var balance: Int64 = 0
        let raisedByDebit: Bool
        let mayGoNegative: Bool
    }

    var accounts: [LedgerAccountID: Account] = [:]
    var known: [TransferID: (transfer: Transfer, outcome: TransferOutcome)] = [:]

    mutating func post(_ transfer: Transfer) -> TransferOutcome {
        if let field = transfer.malformedField { return .invalid(field: field) }
        if let (first, outcome) = known[transfer.id] {
            if let field = difference(first, transfer) { return .idConflict(field: field) }
            return outcome == .created ? .exists : outcome
        }
        guard let debit = accounts[transfer.debitAccount] else { return .accountUnknown(field: "debit_account") }
        guard let credit = accounts[transfer.creditAccount] else { return .accountUnknown(field: "credit_account") }
        let amount = transfer.amount.minorUnits
        let debited = debit.balance + (debit.raisedByDebit ? amount : -amount)
        let credited = credit.balance + (credit.raisedByDebit ? -amount : amount)
        let outcome: TransferOutcome
        if isOverdrawn(debit, debited) || isOverdrawn(credit, credited) {
            outcome = .insufficientFunds
        } else if max(abs(debited), abs(credited)) > Transfer.minorUnitsMax {
            outcome = .balanceOverflow
        } else {
            accounts[transfer.debitAccount]?.balance = debited
            accounts[transfer.creditAccount]?.balance = credited
            outcome = .created
        }
        known[transfer.id] = (transfer, outcome)
        return outcome
    }

    private func isOverdrawn(_ account: Account, _ balance: Int64) -> Bool {
        balance < 0 && balance < account.balance && !account.mayGoNegative
    }

    private func difference(_ first: Transfer, _ second: Transfer) -> String? {
        if first.debitAccount != second.debitAccount { return "debit_account" }
        if first.creditAccount != second.creditAccount { return "credit_account" }
        if first.amount != second.amount { return "amount" }
        return first.reference == second.reference ? nil : "reference"
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed that is printed makes a failure happen again.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("The ledger and its model")
struct LedgerModelTests {
    @Test("Batches of random transfers have the outcomes and leave the balances that the model has", arguments: [1, 2, 3] as [UInt64])
    func randomBatches(seed: UInt64) async throws {
        let bank = try await Bank()
        var random = SeededGenerator(state: seed)
        var model = Model()
        model.accounts[bank.funding] = Model.Account(raisedByDebit: true, mayGoNegative: true)
        for _ in 0..<5 { model.accounts[try await bank.account()] = Model.Account(raisedByDebit: false, mayGoNegative: false) }
        var accounts = model.accounts.keys.sorted()
        accounts.append(.new())  // one that nobody opened
        var posted: [Transfer] = []

        for _ in 0..<60 {
            let batch = (0..<Int.random(in: 1...25, using: &random)).map { _ in
                let transfer = randomTransfer(bank, accounts, posted, &random)
                posted.append(transfer)
                return transfer
            }
            let expected = batch.map { model.post($0) }
            let outcomes = try await bank.post(batch)
            #expect(outcomes == expected, "seed \(seed)")
        }
        for (account, expected) in model.accounts { #expect(try await bank.balance(account) == expected.balance, "seed \(seed)") }
        #expect(try await bank.verify().findings.isEmpty)
    }

    @Test("Concurrent callers with retries leave a ledger that adds up, and no effect twice")
    func concurrentCallers() async throws {
        let bank = try await Bank()
        let accounts = try await bank.accounts(6, each: 500)
        let before = try await bank.count("ledger.transfer")
        let outcomes = try await inParallel(24) { caller in
            var random = SeededGenerator(state: UInt64(caller) + 100)
            var outcomes: [TransferOutcome] = []
            for _ in 0..<40 {
                let transfer = randomTransfer(bank, accounts, [], &random)
                let first = try await bank.post(transfer)
                let again = try await bank.post(transfer)
                #expect(again == (first == .created ? .exists : first))
                outcomes.append(first)
            }
            return outcomes
        }
        let created = outcomes.reduce(0) { $0 + $1.count(of: .created) }
        let refused = outcomes.reduce(0) { $0 + $1.count(of: .insufficientFunds) }
        #expect(created > 0 && refused > 0)
        #expect(try await bank.count("ledger.transfer") - before == created + refused)
        let report = try await bank.verify()
        #expect(report.findings.isEmpty)
        var total: Int64 = 0
        for account in accounts { total += try await bank.balance(account) }
        #expect(total == 3_000)
    }
}

/// Mostly small amounts, now and then a huge one, a repetition, or another body under a known id.
private func randomTransfer(
    _ bank: Bank, _ accounts: [LedgerAccountID], _ posted: [Transfer], _ random: inout SeededGenerator
) -> Transfer {
    if let earlier = posted.randomElement(using: &random), Int.random(in: 0..<8, using: &random) == 0 {
        guard Bool.random(using: &random) else { return earlier }
        return bank.transfer(earlier.debitAccount, earlier.creditAccount, earlier.amount.minorUnits &+ 1, id: earlier.id)
    }
    let debit = accounts[Int.random(in: 0..<accounts.count, using: &random)]
    var credit = accounts[Int.random(in: 0..<accounts.count, using: &random)]
    if credit == debit { credit = accounts[(accounts.firstIndex(of: debit).map { $0 + 1 } ?? 0) % accounts.count] }
    let amount = Int.random(in: 0..<40, using: &random) == 0 ? Transfer.minorUnitsMax - 10 : Int64.random(in: 1...200, using: &random)
    return bank.transfer(debit, credit, amount)
}
