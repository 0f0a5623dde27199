// Two-phase transfers: what a hold reserves, how it ends, and that it ends once.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Ledger

@Suite("Holds")
struct HoldTests {
    @Test("What follows up no hold, another's, or does not fit it, is refused; the id stays free")
    func refused() async throws {
        let bank = try await Bank()
        let (from, to, third) = (try await bank.account(100), try await bank.account(), try await bank.account(100))
        let hold = bank.hold(from, to, 40)
        let paid = bank.transfer(third, to, 5)
        #expect(try await bank.post([hold, paid]) == [.created, .created])
        let other = bank.hold(third, to, 40, id: hold.id)
        let turned = bank.hold(from, third, 40, id: hold.id)
        let id = TransferID.new()
        let outcomes = try await bank.post([
            bank.posting(bank.hold(from, to, 40)), bank.posting(other), bank.posting(turned), bank.posting(hold, 41, id: id),
            bank.voiding(bank.hold(from, to, 39, id: hold.id)), bank.voiding(paid), bank.posting(paid),
        ])
        #expect(
            outcomes == [
                .holdUnknown, .holdMismatch(field: "debit_account"), .holdMismatch(field: "credit_account"), .holdMismatch(field: "amount"),
                .holdMismatch(field: "amount"), .holdUnknown, .holdUnknown,
            ])
        #expect(try await bank.held(from) == 40)
        #expect(try await bank.post(bank.posting(hold, 40, id: id)) == .created)
        let poor = bank.hold(to, from, 1_000)
        #expect(try await bank.post([poor, bank.posting(poor), poor]) == [.insufficientFunds, .holdUnknown, .insufficientFunds])
        #expect(try await bank.verify().findings == [])
    }

    @Test("A field of another kind, or one that is missing, is malformed")
    func malformed() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        let euro = Money(minorUnits: 1, currency: .eur)
        func made(_ kind: TransferKind, hold: Bool = false, original: Bool = false, expires: Bool = false) -> Transfer {
            Transfer(
                id: .new(), kind: kind, debit: from, credit: to, amount: euro, reference: "x", expiresAt: expires ? Date(timeIntervalSinceNow: 60) : nil,
                holdID: hold ? .new() : nil, reversalOf: original ? .new() : nil)
        }
        let cases: [(Transfer, String)] = [
            (made(.post, hold: true), "hold_id"), (made(.hold, hold: true), "hold_id"), (made(.postHold), "hold_id"), (made(.voidHold), "hold_id"),
            (made(.reversal), "reversal_of"), (made(.post, original: true), "reversal_of"), (made(.post, expires: true), "expires_at"),
            (made(.reversal, original: true, expires: true), "expires_at"),
        ]
        #expect(try await bank.post(cases.map(\.0)) == cases.map { .invalid(field: $0.1) })
        // The database says the same to whoever does not ask it through the ledger's Swift.
        for (transfer, field) in cases {
            let row = try await bank.city.app.exclusive {
                try await $0.one(PostTransfers(items: [CredentialedTransfer(transfer: transfer, credential: bank.client.credential.hash)]))
            }
            #expect(row.outcome == .invalid(field: field))
        }
    }

    @Test("A hold reserves on the debit account only; posting a part moves it and releases the rest")
    func postsAPart() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        let hold = bank.hold(from, to, 80)
        #expect(try await bank.post(hold) == .created)
        #expect(try await [bank.balance(from), bank.held(from), bank.balance(to), bank.held(to)] == [100, 80, 0, 0])
        #expect(try await bank.post(bank.transfer(from, to, 21)) == .insufficientFunds)
        #expect(try await bank.post(bank.hold(from, to, 21)) == .insufficientFunds)
        #expect(try await bank.post(bank.transfer(from, to, 20)) == .created)
        let part = bank.posting(hold, 50)
        #expect(try await bank.post(part) == .created)
        #expect(try await [bank.balance(from), bank.held(from), bank.balance(to)] == [30, 0, 70])
        #expect(try await bank.post([part, hold]) == [.exists, .exists])
        #expect(try await bank.post([bank.posting(hold, 1), bank.voiding(hold)]) == [.holdPosted, .holdPosted])
        #expect(try await bank.verify().findings == [])
    }

    @Test("A voided hold is free again and cannot be posted; a hold of money that comes from outside reserves nothing")
    func voids() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        let hold = bank.hold(from, to, 100)
        #expect(try await bank.post([hold, bank.voiding(hold), bank.transfer(from, to, 100)]) == [.created, .created, .created])
        #expect(try await bank.post([bank.posting(hold), bank.voiding(hold)]) == [.holdVoided, .holdVoided])
        let incoming = bank.hold(bank.funding, from, 70)
        #expect(try await bank.post(incoming) == .created)
        #expect(try await [bank.held(bank.funding), bank.held(from), bank.balance(from)] == [0, 0, 0])
        #expect(try await bank.post(bank.posting(incoming)) == .created)
        #expect(try await bank.balance(from) == 70)
        #expect(try await bank.verify().findings == [])
    }

    @Test("One batch decides in its order: a hold, its post and what the rest pays for")
    func oneBatch() async throws {
        let bank = try await Bank()
        let (a, b) = (try await bank.account(10), try await bank.account())
        let hold = bank.hold(a, b, 10)
        let outcomes = try await bank.post([
            bank.posting(hold), hold, bank.transfer(a, b, 1), bank.posting(hold, 6), bank.transfer(a, b, 5), bank.transfer(a, b, 4),
            bank.voiding(hold), hold,
        ])
        #expect(
            outcomes == [.holdUnknown, .created, .insufficientFunds, .created, .insufficientFunds, .created, .holdPosted, .exists])
        #expect(try await [bank.balance(a), bank.held(a), bank.balance(b)] == [0, 0, 10])
        #expect(try await bank.verify().findings == [])
    }

    @Test("The same again exists, whatever became of the hold; another body names the first difference")
    func idempotency() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        let later = Date(timeIntervalSince1970: 4_000_000_000.25)
        let hold = bank.hold(from, to, 10, expiresAt: later)
        let open = bank.hold(from, to, 10)
        #expect(try await bank.post([hold, open]) == [.created, .created])
        #expect(try await bank.post(bank.hold(from, to, 10, id: hold.id)) == .idConflict(field: "expires_at"))
        #expect(try await bank.post(bank.hold(from, to, 10, id: open.id, expiresAt: later)) == .idConflict(field: "expires_at"))
        #expect(try await bank.post(bank.transfer(from, to, 10, id: open.id, reference: "hold")) == .idConflict(field: "kind"))
        let end = bank.voiding(hold)
        #expect(try await bank.post([end, bank.voiding(open, id: end.id)]) == [.created, .idConflict(field: "hold_id")])
        #expect(try await bank.post(bank.voiding(open, id: end.id)) == .idConflict(field: "hold_id"))
        #expect(try await bank.post([end, hold, bank.voiding(open)]) == [.exists, .exists, .created])
    }

    @Test("What has expired reserves nothing, at once and for everybody; it is ended once, and a clock that goes back does not bring it back")
    func expires() async throws {
        let bank = try await Bank()
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        try await bank.city.stopClock(at: start)
        // The stopped clock is that of the token's expiry too.
        let bankOfThen = try await bank.city.clientToken("bank", scope: ["ledger.post"]).hash
        func post(_ transfers: Transfer...) async throws -> [TransferOutcome] { try await bank.ledger.post(transfers, by: bankOfThen) }
        func held(_ account: LedgerAccountID) async throws -> Int64 { try await bank.ledger.account(account, by: bankOfThen).held.minorUnits }
        let (from, to) = (try await bank.account(100), try await bank.account())
        let hold = bank.hold(from, to, 60, expiresAt: start + 10)
        let lasting = bank.hold(from, to, 30)
        #expect(try await post(hold, lasting) == [.created, .created])
        #expect(try await post(bank.hold(from, to, 1, expiresAt: start)) == [.holdExpired(field: "expires_at")])

        try await bank.city.stopClock(at: start + 9.999_999)
        #expect(try await held(from) == 90)
        #expect(try await post(bank.transfer(from, to, 11)) == [.insufficientFunds])
        try await bank.city.stopClock(at: start + 10)
        #expect(try await held(from) == 30)
        #expect(try await post(hold) == [.exists])
        #expect(try await post(bank.posting(hold), bank.voiding(hold)) == [.holdExpired(field: "hold_id"), .holdExpired(field: "hold_id")])
        try await bank.city.stopClock(at: start + 5)
        #expect(try await held(from) == 30)
        #expect(try await post(bank.posting(hold)) == [.holdExpired(field: "hold_id")])
        #expect(try await post(bank.transfer(from, to, 70)) == [.created])
        #expect(try await LedgerJanitor.expireHolds(in: bank.city.app) == 0)
        #expect(try await bank.verify().findings == [])

        let second = bank.hold(to, from, 5, expiresAt: start + 20)
        #expect(try await post(second) == [.created])
        try await bank.city.stopClock(at: start + 20)
        #expect(try await LedgerJanitor.expireHolds(in: bank.city.app) == 1)
        #expect(try await LedgerJanitor.expireHolds(in: bank.city.app) == 0)
        #expect(try await post(bank.voiding(second)) == [.holdExpired(field: "hold_id")])
        #expect(try await bank.verify().findings == [])
    }

    @Test("When residents' records are joined, what was held of the wallet that empties itself is free")
    func joinedWallets() async throws {
        let bank = try await Bank()
        let (record, other) = (try await bank.city.resident(), try await bank.city.resident())
        let (kept, emptied) = (
            try await bank.administration.openWallet(of: record.id, in: .eur), try await bank.administration.openWallet(of: other.id, in: .eur)
        )
        try await bank.administration.post([bank.transfer(bank.funding, emptied, 50)], occasion: "test")
        let hold = TransferID.new()
        let held = try await bank.city.owner.one(
            OneValue(
                """
                SELECT outcome FROM ledger.post_transfers(ARRAY[\(hold)], '{hold}', ARRAY[\(emptied)], ARRAY[\(bank.funding)], '{30}', '{EUR}', '{x}',
                    '{NULL}', '{system}', '{test}')
                """, of: String.self))
        #expect(held == "created")
        try await bank.city.owner.execute("UPDATE register.resident SET superseded_by = \(record.id) WHERE id = \(other.id)")
        #expect(try await bank.balance(kept) == 50)
        let late = try await bank.city.owner.one(
            OneValue("SELECT ledger.follow_up(\(TransferID.new()), 'post_hold', \(hold), NULL, 'late', 'system', 'test')", of: String.self))
        #expect(late == "account_closed")
        #expect(try await bank.verify().findings == [])
    }

    @Test("For functions of the database: follow_up posts, voids and reverses what they know by its id")
    func followUp() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        let (first, second) = (bank.hold(from, to, 60), bank.hold(from, to, 40))
        #expect(try await bank.post([first, second]) == [.created, .created])
        let posted = TransferID.new()
        func followUp(_ id: TransferID, _ kind: String, _ target: TransferID, _ amount: Int64? = nil) async throws -> String {
            try await bank.city.owner.one(OneValue("SELECT ledger.follow_up(\(id), \(kind), \(target), \(amount), 'x', 'system', 'test')"))
        }
        #expect(try await followUp(.new(), "post_hold", .new()) == "hold_unknown")
        #expect(try await followUp(.new(), "reversal", .new()) == "original_unknown")
        #expect(try await followUp(posted, "post_hold", first.id, 25) == "created")
        #expect(try await followUp(posted, "post_hold", first.id, 25) == "exists")
        #expect(try await followUp(.new(), "void_hold", second.id) == "created")
        #expect(try await followUp(.new(), "reversal", posted) == "created")
        #expect(try await followUp(.new(), "reversal", posted) == "already_reversed")
        #expect(try await [bank.balance(from), bank.balance(to), bank.held(from)] == [100, 0, 0])
    }
}

@Suite("Reversals")
struct ReversalTests {
    @Test("A reversal is the opposite of what moved money, once; it is not reversed itself")
    func once() async throws {
        let bank = try await Bank()
        let (a, b, c) = (try await bank.account(100), try await bank.account(), try await bank.account(100))
        let (paid, hold) = (bank.transfer(a, b, 30), bank.hold(a, b, 20))
        let part = bank.posting(hold, 15)
        #expect(try await bank.post([paid, hold, part]) == [.created, .created, .created])
        let back = bank.reversal(of: paid)
        let outcomes = try await bank.post([
            bank.reversal(of: bank.transfer(a, b, 1)), bank.reversal(of: hold), bank.reversal(of: bank.transfer(c, b, 30, id: paid.id)),
            bank.reversal(of: bank.transfer(a, c, 30, id: paid.id)), bank.reversal(of: bank.transfer(a, b, 29, id: paid.id)), back,
            bank.reversal(of: paid), back, bank.reversal(of: back), bank.reversal(of: part),
        ])
        #expect(
            outcomes == [
                .originalUnknown, .originalUnknown, .reversalMismatch(field: "credit_account"), .reversalMismatch(field: "debit_account"),
                .reversalMismatch(field: "amount"), .created, .alreadyReversed, .exists, .originalUnknown, .created,
            ])
        #expect(try await bank.post([back, bank.reversal(of: paid)]) == [.exists, .alreadyReversed])
        #expect(try await [bank.balance(a), bank.balance(b)] == [100, 0])
        #expect(try await bank.verify().findings == [])
    }

    @Test("A reversal may be refused for lack of funds, and stays so under its id; under another it succeeds when there is money")
    func lackOfFunds() async throws {
        let bank = try await Bank()
        let (a, b) = (try await bank.account(30), try await bank.account())
        let paid = bank.transfer(a, b, 30)
        #expect(try await bank.post([paid, bank.transfer(b, a, 1)]) == [.created, .created])
        let back = bank.reversal(of: paid)
        #expect(try await bank.post(back) == .insufficientFunds)
        #expect(try await bank.post(bank.transfer(a, b, 1)) == .created)
        #expect(try await bank.post([back, bank.reversal(of: paid)]) == [.insufficientFunds, .created])
        #expect(try await [bank.balance(a), bank.balance(b)] == [30, 0])
        #expect(try await bank.verify().findings == [])
    }
}

@Suite("Linked transfers")
struct LinkedTransferTests {
    @Test("A chain inside a batch is done all or none, and what stands beside it for itself")
    func chains() async throws {
        let bank = try await Bank()
        let (a, b) = (try await bank.account(10), try await bank.account())
        let (hold, later) = (bank.hold(a, b, 4), bank.hold(a, b, 1))
        let poor = bank.transfer(b, a, 10)
        let batch = [
            hold, bank.transfer(a, b, 5), bank.posting(hold), later, poor, bank.transfer(b, a, 1), bank.transfer(a, b, 3),
        ]
        // hold | transfer – post – hold – too much – transfer | transfer
        let links = TransferLinks.toNext([false, true, true, true, true, false, false])
        #expect(
            try await bank.post(batch, links: links) == [
                .created, .batchRefused, .batchRefused, .batchRefused, .insufficientFunds, .batchRefused, .created,
            ])
        #expect(try await [bank.balance(a), bank.held(a), bank.balance(b)] == [7, 4, 3])
        #expect(try await bank.post(bank.posting(later)) == .holdUnknown)
        let good = [bank.transfer(a, b, 3), bank.posting(hold), bank.transfer(b, a, 10)]
        #expect(try await bank.post(good, links: .toNext([true, true, false])) == [.created, .created, .created])
        #expect(try await bank.post(good, links: .toNext([true, true, false])) == [.exists, .exists, .exists])
        #expect(try await bank.post([good[0], bank.transfer(a, b, 1), poor], links: .all) == [.exists, .batchRefused, .insufficientFunds])
        #expect(try await bank.post([bank.transfer(a, a, 1), bank.transfer(a, b, 1)], links: .all) == [.invalid(field: "credit_account"), .batchRefused])
        #expect(try await [bank.balance(a), bank.balance(b)] == [10, 0])
        #expect(try await bank.verify().findings == [])
    }

    @Test("A conversion is two linked transfers through the accounts of a position: both, or neither")
    func conversion() async throws {
        let bank = try await Bank()
        let dollar = Currency.usd
        let (euros, dollars) = (try await bank.account(1_000), try await bank.account(0, dollar))
        let (euroPosition, dollarPosition) = (try await bank.account(), try await bank.account(0, dollar))
        let fundingInDollars = LedgerAccountID.new()
        try await bank.administration.open(fundingInDollars, kind: .funding, currency: dollar, organisationID: "bank")
        func legs(_ euro: Int64, _ cents: Int64) -> [Transfer] {
            [bank.transfer(euros, euroPosition, euro), bank.transfer(dollarPosition, dollars, cents, currency: dollar)]
        }
        #expect(try await bank.post(legs(500, 540), links: .all) == [.batchRefused, .insufficientFunds])
        #expect(try await bank.balance(euros) == 1_000)
        #expect(try await bank.post(bank.transfer(fundingInDollars, dollarPosition, 600, currency: dollar)) == .created)
        #expect(try await bank.post(legs(500, 540), links: .all) == [.created, .created])
        #expect(try await [bank.balance(euros), bank.balance(euroPosition), bank.balance(dollars), bank.balance(dollarPosition)] == [500, 500, 540, 60])
        #expect(try await bank.verify().findings == [])
    }

    @Test("No balance passes the limits that an account was given")
    func limits() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        try await bank.city.owner.execute("UPDATE ledger.account SET balance_max = 50 WHERE id = \(to)")
        try await bank.city.owner.execute("UPDATE ledger.account SET balance_min = 20 WHERE id = \(from)")
        let tooMuch = bank.transfer(from, to, 51)
        #expect(try await bank.post([tooMuch, bank.transfer(from, to, 50), bank.transfer(from, to, 1)]) == [.limitExceeded, .created, .limitExceeded])
        #expect(try await bank.post([tooMuch, bank.transfer(to, from, 10), bank.transfer(from, to, 41)]) == [.limitExceeded, .created, .insufficientFunds])
        let error = await #expect(throws: DatabaseError.self) {
            try await bank.city.owner.execute("UPDATE ledger.account SET balance_max = 39 WHERE id = \(to)")
        }
        #expect(error?.constraint == "account_within_limits")
        #expect(try await bank.verify().findings == [])
    }
}

@Suite("Races of holds and reversals")
struct HoldRaceTests {
    @Test("A hold that is posted and expires at once has one outcome")
    func postedAndExpired() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(40), try await bank.account())
        let expiry = Date(timeIntervalSinceNow: 3_600)
        let holds = (0..<40).map { _ in bank.hold(from, to, 1, expiresAt: expiry) }
        #expect(try await bank.post(holds).allSatisfy { $0 == .created })
        let credential = try await bank.city.clientToken("bank", scope: ["ledger.post"], secondsLeft: 20_000).hash
        let ledgers = (0..<4).map { _ in Ledger(database: bank.city.app) }
        let outcomes = try await inParallel(60) { index -> TransferOutcome? in
            if index == 20 {
                try await bank.city.setClock(secondsAhead: 7_200)
                return nil
            }
            guard index < holds.count else {
                try await LedgerJanitor.expireHolds(in: bank.city.app)
                return nil
            }
            return try await ledgers[index % 4].post(bank.posting(holds[index]), by: credential)
        }.compactMap(\.self)
        let posted = outcomes.count(of: .created)
        #expect(posted + outcomes.count(of: .holdExpired(field: "hold_id")) == 39)
        try await LedgerJanitor.expireHolds(in: bank.city.app)
        #expect(try await [bank.balance(from), bank.balance(to)] == [40 - Int64(posted), Int64(posted)])
        #expect(try await bank.count("ledger.open_hold") == 0)
        #expect(try await bank.count("ledger.hold_entry WHERE step <> 'held'") == 40)
        #expect(try await bank.verify().findings == [])
    }

    @Test("One hold posted and voided by many at once ends once, and one transfer is reversed once")
    func endsOnce() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(100), try await bank.account())
        let hold = bank.hold(from, to, 50)
        let paid = bank.transfer(from, to, 20)
        #expect(try await bank.post([hold, paid]) == [.created, .created])
        let credential = bank.client.credential.hash
        let ledgers = (0..<4).map { _ in Ledger(database: bank.city.app) }
        let outcomes = try await inParallel(60) { index in
            let transfer = index % 3 == 0 ? bank.posting(hold) : index % 3 == 1 ? bank.voiding(hold) : bank.reversal(of: paid)
            return try await ledgers[index % 4].post(transfer, by: credential)
        }
        #expect(outcomes.count(of: .created) == 2)
        #expect(outcomes.count(of: .alreadyReversed) == 19)
        #expect(outcomes.count(of: .holdPosted) + outcomes.count(of: .holdVoided) == 39)
        #expect(try await bank.held(from) == 0)
        #expect(try await bank.verify().findings == [])
    }
}
