// What two messages of the bank tell of one payout: its status (pain.002) and the movements on the account (camt.053, camt.054), in any order. Each
// movement of money counts once.
import City
import Foundation
import Ledger
import struct Payments.BankAdministration
import Postgres
import Primitives
import TestSupport
import Testing
import Web

@testable import Payouts

@Suite("Payouts on the bank's statements")
struct PayoutsAtBankTests {
    @Test("Settled and seen to leave, in either order, is one payment out of the bank", arguments: [true, false], [true, false])
    func leavesOnce(statusFirst: Bool, asOneSum: Bool) async throws {
        let office = try await PayOffice(withStatements: true)
        let ada = try await office.resident(wallet: 10_000)
        let payouts = [try await office.takeOut(4_000, ada), try await office.takeOut(1_000, ada)]
        let batch = try await office.approvedBatch()
        let left = asOneSum
            ? [Movement(minorUnits: 5_000, direction: "DBIT", order: batch.reference)]
            : [
                Movement(minorUnits: 4_000, direction: "DBIT", payout: try await office.endToEndID(payouts[0])),
                Movement(minorUnits: 1_000, direction: "DBIT", payout: try await office.endToEndID(payouts[1])),
            ]
        if statusFirst {
            _ = try await office.report(statusReport(batch, group: "ACSC"))
            #expect(try await office.bank() == Bank(money: 0, suspense: 5_000))
            #expect(try await office.dayAgrees())
        }
        try await office.take(left)
        #expect(try await office.bank() == Bank(money: -5_000, suspense: 0))
        for payout in payouts { #expect(try await office.state(payout) == "settled") }
        if !statusFirst {
            let late = try await office.report(statusReport(batch, group: "ACSC"))
            #expect(late.settled == 0)
        }
        // The statement after the notification tells of the same movements.
        try await office.take(left, id: "again")
        #expect(try await office.bank() == Bank(money: -5_000, suspense: 0))
        #expect(try await office.batch(batch.id).settled == 2)
        #expect(try await office.money() == [0, 0])
        #expect(try await office.addsUp())
    }

    /// What arrives about one payout of 40.00 that comes back, one after the other.
    enum News: String, Sendable, CaseIterable {
        case settled, rejected, left, back, leftAndBack
    }

    @Test("A payout that comes back is in the wallet once, whichever messages tell of it, and may be sent once more", arguments: [
        [.settled, .back, .left], [.settled, .left, .back], [.left, .back, .settled], [.leftAndBack], [.back, .left], [.back, .settled, .left], [.left, .rejected, .back],
        [.settled, .leftAndBack, .rejected],
    ] as [[News]])
    func returnsOnce(news: [News]) async throws {
        let office = try await PayOffice(withStatements: true)
        let ada = try await office.resident(wallet: 10_000)
        let payout = try await office.takeOut(4_000, ada)
        let batch = try await office.approvedBatch()
        let id = try await office.endToEndID(payout)
        let (left, back) = (Movement(minorUnits: 4_000, direction: "DBIT", payout: id), Movement(minorUnits: 4_000, payout: id, returned: "AC04"))
        for (position, one) in news.enumerated() {
            switch one {
            case .settled: _ = try await office.report(statusReport(batch, message: "P\(position)", payments: [(id, "ACSC", nil, nil)]))
            case .rejected: _ = try await office.report(statusReport(batch, message: "P\(position)", payments: [(id, "RJCT", "AC04", nil)]))
            case .left: try await office.take([left], id: "C\(position)")
            case .back: try await office.take([back], id: "C\(position)")
            case .leftAndBack: try await office.take([back, left], id: "C\(position)")
            }
            #expect(try await office.dayAgrees(), "after \(one)")
        }
        #expect(try await office.state(payout) == "returned")
        #expect(try await office.wallet(ada) == 10_000)
        #expect(try await office.bank() == Bank(money: 0, suspense: 0))
        #expect(try await office.count("payments.bank_item_waiting") == 0)
        #expect(try await office.count("messages.message WHERE kind = 'payout_failed'") == 1)
        // Nobody gives the same money out a second time.
        let item = try await office.city.owner.one(
            OneValue("SELECT i.id FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id WHERE m.direction = 'credit'", of: UUID.self))
        #expect(try await office.word("SELECT payments.propose_return(\(office.preparer.session.hash.bytes), \(item), \(UUID()), 'Not for us')") == "nothing_left")
        let words = try await inParallel(6) { _ in try await office.word("SELECT payouts.issue_again(\(ada.session.hash.bytes), \(UUID()), \(payout))") }
        #expect(words.filter { $0 == "instructed" }.count == 1 && words.filter { $0 == "exists" }.count == 5)
        #expect(try await office.wallet(ada) == 6_000)
        #expect(try await office.addsUp())
    }

    @Test("A return of less than was sent waits for a finance officer; counted once, the resident has all of it and the city bears the rest")
    func returnOfLess() async throws {
        let office = try await PayOffice(withStatements: true)
        let ada = try await office.resident(wallet: 10_000)
        let payout = try await office.takeOut(4_000, ada)
        let batch = try await office.approvedBatch()
        let id = try await office.endToEndID(payout)
        _ = try await office.report(statusReport(batch, group: "ACSC"))
        try await office.take([Movement(minorUnits: 4_000, direction: "DBIT", payout: id), Movement(minorUnits: 3_950, payout: id, returned: "AC01")])
        #expect(try await office.state(payout) == "settled")
        #expect(try await office.dayAgrees())
        let item = try await office.city.owner.one(OneValue("SELECT item_id FROM payments.bank_item_waiting", of: UUID.self))
        let officer = office.preparer.session.hash.bytes
        #expect(try await office.word("SELECT payments.assign_item(\(officer), \(item), 'X-1', 'ABC-DEF-GH0') ->> 'outcome'") == "is_payout")
        #expect(try await office.word("SELECT payments.propose_return(\(officer), \(item), \(UUID()), 'Not for us')") == "is_payout")
        let approver = try await office.city.staff(roles: [.approver, .caseworker, .auditor])
        #expect(try await office.word("SELECT payouts.count_return(\(approver.session.hash.bytes), \(item))") == "role_missing")
        #expect(try await office.word("SELECT payouts.count_return(\(officer), \(UUID()))") == "item_unknown")
        let words = try await inParallel(6) { _ in try await office.word("SELECT payouts.count_return(\(officer), \(item))") }
        #expect(words.filter { $0 == "counted" }.count == 1 && words.filter { $0 == "not_payout" }.count == 5)
        #expect(try await office.state(payout) == "returned")
        #expect(try await office.wallet(ada) == 10_000)
        #expect(try await office.bank() == Bank(money: -50, suspense: 0))
        #expect(try await office.dayAgrees())
        #expect(try await office.count("payments.bank_item_waiting") == 0)
        #expect(try await office.addsUp())
    }

    @Test("A cent under the reference of a payout that arrived is not that payout come back, whoever counts it")
    func centUnderReference() async throws {
        let office = try await PayOffice(withStatements: true)
        let ada = try await office.resident(wallet: 10_000)
        let payout = try await office.takeOut(4_000, ada)
        let batch = try await office.approvedBatch()
        let id = try await office.endToEndID(payout)
        _ = try await office.report(statusReport(batch, payments: [(id, "ACSC", nil, nil)]))
        try await office.take([Movement(minorUnits: 4_000, direction: "DBIT", payout: id), Movement(minorUnits: 1, payout: id)])
        let item = try await office.city.owner.one(OneValue("SELECT item_id FROM payments.bank_item_waiting", of: UUID.self))
        #expect(try await office.word("SELECT payouts.count_return(\(office.preparer.session.hash.bytes), \(item))") == "not_payout")
        #expect(try await office.state(payout) == "settled")
        #expect(try await office.wallet(ada) == 6_000)
        #expect(try await office.addsUp())
    }

    @Test("Who writes a payout's reference on money of their own takes nothing: before the payout left, and after it came back, it is money like any other")
    func borrowedReference() async throws {
        let office = try await PayOffice(withStatements: true)
        let ada = try await office.resident(wallet: 10_000)
        let payout = try await office.takeOut(4_000, ada)
        let id = try await office.endToEndID(payout)
        try await office.take([Movement(minorUnits: 4_000, payout: id, reference: "R1")], id: "early")
        let batch = try await office.approvedBatch()
        try await office.take([Movement(minorUnits: 4_000, payout: id, text: "second", reference: "R2")], id: "sent")
        #expect(try await office.state(payout) == "sent")
        #expect(try await office.count("payments.bank_payout") == 0)
        _ = try await office.report(statusReport(batch, payments: [(id, "ACSC", nil, nil)]))
        try await office.take([Movement(minorUnits: 4_000, payout: id, returned: "AC04", reference: "R3")], id: "back")
        #expect(try await office.state(payout) == "returned")
        try await office.take([Movement(minorUnits: 4_000, payout: id, returned: "AC06", reference: "R4")], id: "once more")
        #expect(try await office.wallet(ada) == 10_000)
        #expect(try await office.count("payments.bank_item_waiting") == 3)
        for item in try await office.city.owner.query(OneValue("SELECT item_id FROM payments.bank_item_waiting", of: UUID.self)) {
            #expect(try await office.word("SELECT payouts.count_return(\(office.preparer.session.hash.bytes), \(item))") == "not_payout")
            #expect(try await office.word("SELECT payments.propose_return(\(office.preparer.session.hash.bytes), \(item), \(UUID()), 'Not for us')") == "proposed")
        }
        #expect(try await office.addsUp())
    }

    @Test("A resident whose record was joined with another while the money was under way finds it in the other's wallet, and the report is taken")
    func joinedMeanwhile() async throws {
        let office = try await PayOffice()
        let (ada, heir) = (try await office.resident(wallet: 5_000), try await office.resident(wallet: 700))
        let (first, second) = (try await office.takeOut(2_000, ada), try await office.takeOut(1_000, ada))
        let batch = try await office.approvedBatch()
        try await office.city.owner.execute("UPDATE register.resident SET superseded_by = \(heir.id) WHERE id = \(ada.id)")
        #expect(try await office.wallet(heir) == 2_700)
        let (firstID, secondID) = (try await office.endToEndID(first), try await office.endToEndID(second))
        let taken = try await office.report(statusReport(batch, payments: [(firstID, "RJCT", "AC04", nil), (secondID, "ACSC", nil, nil)]))
        #expect(taken.rejected == 1 && taken.settled == 1)
        #expect(try await office.wallet(heir) == 4_700)
        #expect(try await office.word("SELECT payouts.issue_again(\(heir.session.hash.bytes), \(UUID()), \(first))") == "instructed")
        #expect(try await office.wallet(heir) == 2_700)
        #expect(try await office.addsUp())
    }

    @Test("A bank account that was taken back is not paid: a batch that holds it cannot be approved, nor while the resident takes it back")
    func accountTakenBack() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident()
        let payout = try await office.takeOut(100, ada)
        let first = try await office.prepare()
        let destination = try await office.city.owner.one(OneValue("SELECT id FROM payouts.destination", of: UUID.self))
        // The approval waits for the end of the transaction in which the account is taken back.
        let approval = try await office.city.app.transaction { transaction in
            #expect(try await transaction.one(OneValue("SELECT payouts.end_account(\(ada.session.hash.bytes), \(destination))", of: Bool.self)))
            let approval = Task { try await office.approve(first) }
            while try await office.count("pg_locks WHERE locktype = 'advisory' AND NOT granted") == 0 { await Task.yield() }
            return approval
        }
        #expect(try await approval.value == "account_ended")
        #expect(try await office.word("SELECT payouts.refuse(\(office.approver.session.hash.bytes), \(first), 'An account ended')") == "refused")
        #expect(try await office.state(payout) == "waiting")
        #expect(try await office.word("SELECT outcome FROM payouts.prepare(\(office.preparer.session.hash.bytes), \(UUID()), 'EUR', now()::date)") == "nothing_ready")
        #expect(try await office.addsUp())
    }
}

/// One movement on the account that the city pays from.
private struct Movement: Sendable {
    var minorUnits: Int64
    var direction = "CRDT"
    /// An end-to-end id.
    var payout: String?
    /// A return, and why.
    var returned: String?
    /// The order that it is the sum of.
    var order: String?
    var text: String?
    /// The bank's own, where it tells one.
    var reference: String?

    var xml: String {
        let remittance = text.map { "<RmtInf><Ustrd>\($0)</Ustrd></RmtInf>" } ?? ""
        let details = payout.map { payout in
            """
            <TxDtls><Refs><EndToEndId>\(payout)</EndToEndId></Refs>\(remittance)
            \(returned.map { "<RtrInf><Rsn><Cd>\($0)</Cd></Rsn></RtrInf>" } ?? "")</TxDtls>
            """
        }
        return """
            <Ntry><Amt Ccy="EUR">\(Money(minorUnits: minorUnits, currency: .eur).decimal)</Amt><CdtDbtInd>\(direction)</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
            <BookgDt><Dt>2026-11-20</Dt></BookgDt>\(reference.map { "<AcctSvcrRef>\($0)</AcctSvcrRef>" } ?? "")<NtryDtls>\(order.map { "<Btch><PmtInfId>\($0)</PmtInfId></Btch>" } ?? "")\(details ?? "")</NtryDtls></Ntry>
            """
    }
}

/// The bank account's money in the ledger, and its suspense.
private struct Bank: Equatable {
    let money: Int64
    let suspense: Int64
}

extension PayOffice {
    fileprivate func take(_ movements: [Movement], id: String = "N1") async throws {
        let file = """
            <Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>\(id)</MsgId></GrpHdr><Ntfctn><Id>\(id)</Id>
            <Acct><Id><IBAN>\(Self.cityIBAN)</IBAN></Id></Acct>\(movements.map(\.xml).joined(separator: "\n"))</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>
            """
        _ = try await BankAdministration(owner: city.owner).importFile(Array(file.utf8))
    }

    /// What suspense holds is what waits and what passes.
    fileprivate func dayAgrees() async throws -> Bool {
        try await count("jsonb_array_elements(payments.day_figures()) AS f WHERE f.value ->> 'kind' = 'suspense' AND (f.value ->> 'difference')::bigint <> 0") == 0
    }

    fileprivate func bank() async throws -> Bank {
        let posted = try await city.owner.query(
            OneValue(
                """
                SELECT a.posted FROM payments.bank_account AS b CROSS JOIN LATERAL unnest(ARRAY[b.ledger_account, b.suspense_account]) WITH ORDINALITY AS w (id, position)
                JOIN ledger.account AS a ON a.id = w.id ORDER BY w.position
                """, of: Int64.self))
        return Bank(money: posted[0], suspense: posted[1])
    }
}
