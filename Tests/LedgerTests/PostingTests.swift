// Posting as organisations do it: what is refused, what happens once, and what races.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Ledger

@Suite("Posting")
struct PostingTests {
    @Test("Only a live token with the scope posts, and only between its organisation's own accounts")
    func strangers() async throws {
        let bank = try await Bank()
        let account = try await bank.account(100)
        let other = try await bank.account()
        let reader = try await bank.city.clientToken("bank", scope: ["exchange.read"])
        let revoked = try await bank.city.clientToken("bank", scope: ["ledger.post"])
        try await bank.city.revoke(revoked)
        let resident = try await bank.city.resident()
        #expect(try await bank.ledger.post(bank.transfer(account, other, 1), by: reader.hash) == .scopeMissing)
        for credential in [revoked, resident.session, FixtureCredential()] {
            #expect(try await bank.ledger.post(bank.transfer(account, other, 1), by: credential.hash) == .credentialInvalid)
        }
        let rival = try await bank.city.organisation("rival", scope: ["ledger.post"])
        let stolen = try await bank.ledger.post(bank.transfer(account, other, 1), by: rival.credential.hash)
        #expect(stolen == .accountUnknown(field: "debit_account"))
        #expect(try await bank.balance(account) == 100)
        #expect(try await bank.count("ledger.transfer") == 1)
    }

    @Test("A malformed transfer is refused, reserves no id, and spoils none beside it")
    func malformed() async throws {
        let bank = try await Bank()
        let from = try await bank.account(100)
        let to = try await bank.account()
        let id = TransferID.new()
        let outcomes = try await bank.post([
            bank.transfer(from, from, 1), bank.transfer(from, to, 0), bank.transfer(from, to, -5), bank.transfer(from, to, .max),
            bank.transfer(from, to, 1, reference: "a\0b"), bank.transfer(from, to, 1, id: id, reference: String(repeating: "é", count: 141)),
            bank.transfer(from, .new(), 1), bank.transfer(from, to, 1, currency: .usd), bank.transfer(from, to, 7),
        ])
        #expect(
            outcomes == [
                .invalid(field: "credit_account"), .invalid(field: "amount"), .invalid(field: "amount"), .invalid(field: "amount"),
                .invalid(field: "reference"), .invalid(field: "reference"), .accountUnknown(field: "credit_account"), .currencyMismatch, .created,
            ])
        #expect(try await bank.post(bank.transfer(from, to, 1, id: id)) == .created)
        #expect(try await bank.balance(to) == 8)
    }

    @Test("The same transfer again exists; another under its id is a conflict that names the first difference")
    func idempotency() async throws {
        let bank = try await Bank()
        let from = try await bank.account(100)
        let to = try await bank.account()
        let third = try await bank.account()
        let first = bank.transfer(from, to, 10)
        #expect(try await bank.post(first) == .created)
        #expect(try await bank.post(first) == .exists)
        #expect(try await bank.post([first, first]) == [.exists, .exists])
        #expect(try await bank.post(bank.transfer(third, to, 10, id: first.id)) == .idConflict(field: "debit_account"))
        #expect(try await bank.post(bank.transfer(from, third, 10, id: first.id)) == .idConflict(field: "credit_account"))
        #expect(try await bank.post(bank.transfer(from, to, 11, id: first.id)) == .idConflict(field: "amount"))
        #expect(try await bank.post(bank.transfer(from, to, 10, id: first.id, reference: "other")) == .idConflict(field: "reference"))
        let twin = bank.transfer(from, to, 5)
        #expect(try await bank.post([twin, twin, bank.transfer(from, to, 6, id: twin.id)]) == [.created, .exists, .idConflict(field: "amount")])
        #expect(try await bank.balance(to) == 15)
    }

    @Test("A transfer that failed for lack of funds stays failed after funding; a new id succeeds")
    func rememberedRefusal() async throws {
        let bank = try await Bank()
        let from = try await bank.account(10)
        let to = try await bank.account()
        let tooMuch = bank.transfer(from, to, 11)
        #expect(try await bank.post(tooMuch) == .insufficientFunds)
        #expect(try await bank.post(bank.transfer(bank.funding, from, 50)) == .created)
        #expect(try await bank.post(tooMuch) == .insufficientFunds)
        #expect(try await bank.post(bank.transfer(from, to, 12, id: tooMuch.id)) == .idConflict(field: "amount"))
        #expect(try await bank.post(bank.transfer(from, to, 11)) == .created)
        #expect(try await bank.verify().isSound)
    }

    @Test("Overdrafts are decided in the order of the batch: money that comes in first may go out")
    func exactOrder() async throws {
        let bank = try await Bank()
        let a = try await bank.account()
        let b = try await bank.account()
        let outcomes = try await bank.post([
            bank.transfer(a, b, 5), bank.transfer(bank.funding, a, 5), bank.transfer(a, b, 5), bank.transfer(a, b, 1), bank.transfer(b, a, 5),
        ])
        #expect(outcomes == [.insufficientFunds, .created, .created, .insufficientFunds, .created])
        #expect(try await bank.balance(a) == 5)
        #expect(try await bank.balance(b) == 0)
    }

    @Test("No balance passes 2⁵³ − 1")
    func overflow() async throws {
        let bank = try await Bank()
        let a = try await bank.account()
        let b = try await bank.account()
        let most = Transfer.minorUnitsMax
        let outcomes = try await bank.post([
            bank.transfer(bank.funding, a, most), bank.transfer(bank.funding, a, 1), bank.transfer(a, b, most), bank.transfer(bank.funding, b, 1),
        ])
        #expect(outcomes == [.created, .balanceOverflow, .created, .balanceOverflow])
        #expect(try await bank.balance(b) == most)
    }

    @Test("A closed account takes and gives nothing")
    func closed() async throws {
        let bank = try await Bank()
        let open = try await bank.account(10)
        let closed = try await bank.account()
        try await bank.city.owner.execute("UPDATE ledger.account SET closed_at = public.stoa_now() WHERE id = \(closed)")
        #expect(try await bank.post([bank.transfer(open, closed, 1), bank.transfer(closed, open, 1)]) == [.accountClosed, .accountClosed])
    }
}

@Suite("Posting races")
struct PostingRaceTests {
    @Test("The same transfer 1,000 times at once is posted once")
    func sameTransfer() async throws {
        let bank = try await Bank()
        let transfer = bank.transfer(try await bank.account(5_000), try await bank.account(), 3)
        let outcomes = try await inParallel(1_000) { _ in try await bank.post(transfer) }
        #expect(outcomes.count(of: .created) == 1)
        #expect(outcomes.count(of: .exists) == 999)
        #expect(try await bank.balance(transfer.creditAccount) == 3)
    }

    @Test("Different transfers under one id at once, through servers of their own: one is posted, the others conflict")
    func sameIDOtherBody() async throws {
        let bank = try await Bank()
        let accounts = try await bank.accounts(16, each: 100)
        let id = TransferID.new()
        let credential = bank.client.credential.hash
        // A ledger each, as on many nodes: no group commit brings them together, and no two share an account.
        let outcomes = try await inParallel(8) { index in
            try await Ledger(database: bank.city.app).post(
                bank.transfer(accounts[2 * index], accounts[2 * index + 1], 7, id: id), by: credential)
        }
        #expect(outcomes.count(of: .created) == 1)
        #expect(outcomes.count(of: .idConflict(field: "debit_account")) == 7)
        #expect(try await bank.verify().isSound)
    }

    @Test("100 parallel withdrawals of the last unit: one wins")
    func lastUnit() async throws {
        let bank = try await Bank()
        let from = try await bank.account(1)
        let to = try await bank.account()
        let credential = bank.client.credential.hash
        let ledgers = (0..<4).map { _ in Ledger(database: bank.city.app) }
        let outcomes = try await inParallel(100) { index in
            try await ledgers[index % ledgers.count].post(bank.transfer(from, to, 1), by: credential)
        }
        #expect(outcomes.count(of: .created) == 1)
        #expect(outcomes.count(of: .insufficientFunds) == 99)
        #expect(try await bank.balance(from) == 0)
    }

    @Test("Batches that name the same accounts in opposite orders wait for each other and never deadlock")
    func oppositeOrders() async throws {
        let bank = try await Bank()
        let accounts = try await bank.accounts(10, each: 1_000)
        let outcomes = try await inParallel(40) { index in
            let order = index.isMultiple(of: 2) ? accounts : accounts.reversed()
            return try await bank.post(zip(order, order.dropFirst()).map { bank.transfer($0, $1, 1) })
        }
        #expect(outcomes.allSatisfy { $0.allSatisfy { $0 == .created } })
        #expect(try await bank.verify().isSound)
    }
}
