// Files of the bank: each movement once, whatever files tell of it, and what does not add up waits.
import City
import Foundation
import ISO20022
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Importing files of the bank")
struct BankImportTests {
    @Test("The same file again changes nothing, also at the same moment")
    func twice() async throws {
        let home = try await Household.withBank()
        let file = Household.statement([Told(), Told(amount: "7.00", direction: "DBIT")])
        let answers = try await inParallel(8) { _ in try await home.take(file) }
        #expect(answers.filter { $0 == .exists }.count == 7)
        #expect(try await home.take(file) == .exists)
        #expect(try await home.count("payments.bank_movement") == 2)
        #expect(try await home.ledgerBalances() == (4_250 - 700, 4_250 - 700))
        try await home.expectSound()
    }

    @Test("Overlapping statements tell of each movement once, also at the same moment, and two equal payments stay two")
    func overlapping() async throws {
        let home = try await Household.withBank()
        let (first, second, third) = (Told(day: "2026-11-18"), Told(day: "2026-11-19"), Told(day: "2026-11-20"))
        let files = [
            Household.statement([first, second, second], id: "A", from: "2026-11-17", to: "2026-11-19"),
            Household.statement([second, second, third], id: "B", opening: 104_250, from: "2026-11-18", to: "2026-11-20"),
            Household.statement([first, second, second, third], id: "C", from: "2026-11-17", to: "2026-11-20"),
        ]
        _ = try await inParallel(3) { try await home.take(files[$0]) }
        #expect(try await home.count("payments.bank_movement") == 4)
        #expect(try await home.count("payments.bank_sighting") == 10)
        try await home.expectSound()
    }

    @Test("Statements of one day that follow each other have equal payments of their own", arguments: [true, false])
    func following(statePeriods: Bool) async throws {
        let home = try await Household.withBank()
        let morning = statePeriods ? ("2026-11-20T00:00:00Z", "2026-11-20T12:00:00Z") : nil
        let evening = statePeriods ? ("2026-11-20T12:00:00Z", "2026-11-21T00:00:00Z") : nil
        #expect(try await home.counts(Household.statement([Told()], id: "A", period: morning)) == (1, 0, 0))
        #expect(try await home.counts(Household.statement([Told()], id: "B", opening: 104_250, period: evening)) == (1, 0, 0))
        // The whole day once more: both are known.
        #expect(try await home.counts(Household.statement([Told(), Told()], id: "C")) == (0, 2, 0))
        #expect(try await home.count("payments.bank_movement") == 2)
    }

    @Test("A notification before its statement is the same movement, whatever the bank's reference becomes", arguments: [
        ("R1", "R1"), ("R1", "R2"), ("R1", nil), (nil, "R1"), (nil, nil),
    ] as [(String?, String?)])
    func notificationFirst(early: String?, late: String?) async throws {
        let home = try await Household.withBank()
        #expect(try await home.counts(Household.notification([Told(reference: early, text: "Rent")])) == (1, 0, 0))
        #expect(try await home.counts(Household.statement([Told(reference: late, text: "Rent")])) == (0, 1, 0))
        #expect(try await home.count("payments.bank_movement") == 1)
        try await home.expectSound()
    }

    @Test("A notification after its statement, and a statement that tells less, are the same movement too")
    func otherOrders() async throws {
        let home = try await Household.withBank()
        #expect(try await home.counts(Household.statement([Told(hasDetails: false)], id: "A")) == (1, 0, 0))
        #expect(try await home.counts(Household.notification([Told(reference: "R1", text: "Rent")])) == (0, 1, 0))
        #expect(try await home.counts(Household.statement([Told(reference: "R1")], id: "B")) == (0, 1, 0))
    }

    @Test("Two equal payments are two: in one file, in two notifications under two references, and where only one was notified")
    func equalPayments() async throws {
        for notified in [[["R1", "R2"]], [["R1"], ["R2"]], [["R1"]], [[nil]]] as [[[String?]]] {
            let home = try await Household.withBank()
            for (number, references) in notified.enumerated() { try await home.take(Household.notification(references.map { Told(reference: $0) }, id: "N\(number)")) }
            #expect(try await home.count("payments.bank_movement") == notified.flatMap { $0 }.count, "\(notified)")
            for references in [["R2", "R1"], ["X", "Y"], [nil, nil]] as [[String?]] {
                try await home.take(Household.statement(references.map { Told(reference: $0) }, id: "S\(references)"))
                #expect(try await home.count("payments.bank_movement") == 2, "\(notified) \(references)")
            }
            try await home.expectSound()
        }
    }

    @Test("Payments that differ in anything but the reference are two", arguments: [
        Told(amount: "42.51"), Told(direction: "DBIT"), Told(day: "2026-11-19"), Told(text: "Other"), Told(payer: "DE02120300000000202051"), Told(isReversal: true),
    ])
    func different(other: Told) async throws {
        let home = try await Household.withBank()
        try await home.take(Household.notification([Told(text: "Rent")], id: "N1"))
        try await home.take(Household.notification([other], id: "N2"))
        #expect(try await home.count("payments.bank_movement") == 2)
    }

    @Test("Only what is booked has happened")
    func pending() async throws {
        let home = try await Household.withBank()
        #expect(try await home.counts(Household.notification([Told(status: "PDNG"), Told(status: "INFO")])) == (0, 0, 0))
        #expect(try await home.counts(Household.statement([Told()])) == (1, 0, 0))
    }

    @Test("Random notifications, under the bank's references or others, never add to what a statement has told")
    func random() async throws {
        var generator = SplitMix64(state: 11)
        for _ in 0..<3 {
            let home = try await Household.withBank()
            let all = (0..<12).map { Told(amount: ["10.00", "20.00"].randomElement(using: &generator) ?? "10.00", day: "2026-11-\(17 + $0 / 4)", reference: "R\($0)") }
            var files: [String] = []
            for number in 0..<4 {
                let some = all.filter { _ in Bool.random(using: &generator) }
                files.append(Household.notification(some.map { entry in
                    var told = entry
                    if Bool.random(using: &generator) { told.reference = "N" + (entry.reference ?? "") }
                    return told
                }, id: "N\(number)"))
            }
            try await home.take(Household.statement(all, id: "whole", from: "2026-11-16", to: "2026-11-19"))
            let before = try await home.count("payments.bank_movement")
            for file in files { try await home.take(file) }
            #expect(before == 12)
            #expect(try await home.count("payments.bank_movement") == 12)
            try await home.expectSound()
        }
    }

    @Test("A statement whose balances do not add up books nothing until a finance officer decides, once")
    func exceptions() async throws {
        let home = try await Household.withBank()
        let officer = try await home.city.staff(roles: [.financeOfficer])
        let clerk = try await home.city.staff(roles: [.caseworker, .approver, .auditor])
        guard case .imported(let reports) = try await home.take(Household.statement([Told()], closing: 1)), let report = reports.first else { return #expect(Bool(false)) }
        #expect(report.problems == ["balances_differ"] && report.booked == 0)
        #expect(try await home.count("payments.bank_movement") == 0)
        let decide = { @Sendable (staff: FixtureStaff, decision: String) in
            try await home.word("SELECT payments.decide_report(\(staff.session.hash.bytes), \(report.id), \(decision), 'Asked the bank') ->> 'outcome'")
        }
        #expect(try await decide(clerk, "booked") == "role_missing")
        let answers = try await inParallel(6) { _ in try await decide(officer, "booked") }
        #expect(answers.sorted() == Array(repeating: "already_decided", count: 5) + ["booked"])
        #expect(try await home.count("payments.bank_movement") == 1)
        #expect(try await decide(officer, "discarded") == "already_decided")
        // The corrected statement tells of the same movement.
        #expect(try await home.counts(Household.statement([Told()])) == (0, 1, 0))
        try await home.expectSound()
    }

    @Test("The samples of a bank are read and wait: their balances are of several currencies", arguments: ["camt053.v2.minimal", "camt053.v4", "camt053.v8", "camt054.v4"])
    func samples(name: String) async throws {
        let home = try await Household.withBank()
        let officer = try await home.city.staff(roles: [.financeOfficer])
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../ISO20022Tests/Samples/\(name).xml")
        let text = try String(contentsOf: path, encoding: .utf8)
        let own = name == "camt054.v4" ? "CH2801234000123456789" : "NL26VAYB8060476890"
        try await BankAdministration(owner: home.city.owner).open(NewBankAccount(identification: own, holder: "City", currency: .eur, collects: false))
        guard case .imported(let reports) = try await home.take(text), let report = reports.first else { return #expect(Bool(false)) }
        #expect(report.problems == ["currency"])
        #expect(try await home.word("SELECT payments.decide_report(\(officer.session.hash.bytes), \(report.id), 'booked', 'Why not') ->> 'outcome'") == "not_bookable")
        #expect(try await home.word("SELECT payments.decide_report(\(officer.session.hash.bytes), \(report.id), 'discarded', 'A sample') ->> 'outcome'") == "discarded")
        #expect(try await home.count("payments.bank_movement") == 0)
    }

    @Test("A file about somebody else's account, and one that is not whole, keep nothing")
    func refused() async throws {
        let home = try await Household.withBank()
        let file = Household.statement([Told()], account: "NL26VAYB8060476890")
        await #expect(throws: BankImportRefusal.self) { try await home.take(file) }
        await #expect(throws: BankFileFault.self) { try await home.take(String(Household.statement([Told()]).dropLast(9))) }
        for table in ["bank_file", "bank_report", "bank_entry", "bank_movement"] { #expect(try await home.count("payments.\(table)") == 0) }
    }
}

@Suite("Bank transfers and bills")
struct BankMatchingTests {
    @Test("A transfer finds its bill by the reference, structured or in the payer's words; exact, in part, and too much")
    func matching() async throws {
        let home = try await Household.withBank()
        let bill = try await home.bill(home.ada, "M-1")
        let reference = try await home.creditorReference(of: bill)
        #expect(try await home.counts(Household.notification([Told(amount: "30.00", creditorReference: reference)], id: "1")) == (1, 0, 1))
        #expect(try await home.outstanding(of: bill) == 1_250)
        let spaced = reference.prefix(4) + " " + reference.dropFirst(4)
        #expect(try await home.counts(Household.notification([Told(amount: "20.00", text: "for my bill \(spaced.lowercased()) thanks")], id: "2")) == (1, 0, 1))
        #expect(try await home.outstanding(of: bill) == 0)
        #expect(try await home.balance(home.ada) == 750)
        // Paid once more: all of it is the resident's.
        #expect(try await home.counts(Household.notification([Told(amount: "5.00", creditorReference: reference)], id: "3")) == (1, 0, 1))
        #expect(try await home.balance(home.ada) == 1_250)
        #expect(try await home.ledgerBalances() == (5_500, 0))
        let kinds = try await home.city.owner.query(OneValue("SELECT kind FROM messages.message WHERE resident_id = \(home.ada.id) ORDER BY kind", of: String.self))
        #expect(kinds == ["bill_overpaid", "bill_overpaid", "transfer_received", "transfer_received"])
        try await home.expectSound()
    }

    @Test("Several transfers for one bill in one file, and one file for many bills, pay each bill once")
    func several() async throws {
        let home = try await Household.withBank()
        var told: [Told] = []
        var bills: [BillID] = []
        for number in 0..<5 {
            let bill = try await home.bill(home.ada, "SV-\(number)")
            bills.append(bill)
            let reference = try await home.creditorReference(of: bill)
            told += [Told(amount: "40.00", creditorReference: reference), Told(amount: "10.00", creditorReference: reference)]
        }
        #expect(try await home.counts(Household.statement(told)) == (10, 0, 10))
        for bill in bills { #expect(try await home.outstanding(of: bill) == 0) }
        #expect(try await home.balance(home.ada) == 5 * 750)
        try await home.expectSound()
    }

    @Test("A transfer and the wallet race for one bill: it is paid once, and nothing is lost")
    func race() async throws {
        let home = try await Household.withBank(wallet: 10_000)
        var files: [String] = []
        var bills: [BillID] = []
        for number in 0..<6 {
            let bill = try await home.bill(home.ada, "RC-\(number)")
            bills.append(bill)
            files.append(Household.notification([Told(creditorReference: try await home.creditorReference(of: bill))], id: "N\(number)"))
        }
        _ = try await inParallel(12) { [bills, files] index in
            if index < 6 {
                try await home.take(files[index])
            } else {
                _ = try? await PayBill(database: home.city.app).perform(bills[index - 6], by: home.ada.session.hash, key: nil, language: .english)
            }
        }
        for bill in bills { #expect(try await home.outstanding(of: bill) == 0) }
        // Six transfers and a wallet of 100 came in; six bills went out.
        #expect(try await home.balance(home.ada) == 10_000 + 6 * 4_250 - 6 * 4_250)
        try await home.expectSound()
    }

    @Test("What names no bill, two bills, or a bill by a reference with a slip, waits", arguments: 0..<4)
    func waits(variant: Int) async throws {
        let home = try await Household.withBank()
        let one = try await home.creditorReference(of: try await home.bill(home.ada, "W-1"))
        let two = try await home.creditorReference(of: try await home.bill(home.ada, "W-2"))
        let told = [
            Told(text: "rent"), Told(text: "\(one) \(two)"), Told(creditorReference: String(one.dropLast()) + (one.hasSuffix("1") ? "2" : "1")),
            Told(creditorReference: one, isReversal: true),
        ]
        #expect(try await home.counts(Household.notification([told[variant]])) == (1, 0, 0))
        #expect(try await home.ledgerBalances().suspense == 4_250)
        #expect(try await home.count("payments.bank_item_waiting") == 1)
    }

    @Test("A finance officer assigns what waits; many at once do it once")
    func assign() async throws {
        let home = try await Household.withBank()
        let officer = try await home.city.staff(roles: [.financeOfficer])
        let clerk = try await home.city.staff(roles: [.caseworker, .approver, .auditor])
        let bill = try await home.bill(home.ada, "AS-1", 3_000)
        try await home.take(Household.notification([Told(text: "rent")]))
        let item = try await home.city.owner.one(OneValue("SELECT id FROM payments.bank_item", of: UUID.self))
        let assign = { @Sendable (staff: FixtureStaff, reference: String) in
            try await home.word("SELECT payments.assign_item(\(staff.session.hash.bytes), \(item), \(reference), \(PublicCode.random().description)) ->> 'outcome'")
        }
        #expect(try await assign(clerk, "AS-1") == "role_missing")
        #expect(try await assign(officer, "AS-2") == "bill_unknown")
        let answers = try await inParallel(10) { _ in try await assign(officer, "AS-1") }
        #expect(answers.sorted() == ["assigned"] + Array(repeating: "nothing_left", count: 9))
        #expect(try await home.outstanding(of: bill) == 0)
        #expect(try await home.balance(home.ada) == 1_250)
        #expect(try await home.count("payments.bank_item_waiting") == 0)
        try await home.expectSound()
    }

    @Test("Money goes back only when another agrees; what is proposed is not assigned meanwhile")
    func returns() async throws {
        let home = try await Household.withBank()
        let officer = try await home.city.staff(roles: [.financeOfficer, .approver])
        let approver = try await home.city.staff(roles: [.approver])
        _ = try await home.bill(home.ada, "RT-1")
        try await home.take(Household.notification([Told(text: "rent")]))
        let item = try await home.city.owner.one(OneValue("SELECT id FROM payments.bank_item", of: UUID.self))
        let propose = { (id: UUID) in try await home.word("SELECT payments.propose_return(\(officer.session.hash.bytes), \(item), \(id), 'Not for us')") }
        let decide = { @Sendable (staff: FixtureStaff, id: UUID, decision: String) in
            try await home.word("SELECT payments.decide_return(\(staff.session.hash.bytes), \(id), \(decision))")
        }
        let (first, second) = (UUID(), UUID())
        #expect(try await home.word("SELECT payments.propose_return(\(approver.session.hash.bytes), \(item), \(first), 'Not for us')") == "role_missing")
        #expect(try await propose(first) == "proposed")
        #expect(try await propose(first) == "exists")
        #expect(try await propose(second) == "nothing_left")
        #expect(try await home.word("SELECT payments.assign_item(\(officer.session.hash.bytes), \(item), 'RT-1', 'ABC-DEF-GH0') ->> 'outcome'") == "nothing_left")
        #expect(try await decide(officer, first, "approved") == "self_approval")
        #expect(try await decide(approver, first, "refused") == "refused")
        #expect(try await propose(second) == "proposed")
        let answers = try await inParallel(6) { _ in try await decide(approver, second, "approved") }
        #expect(answers.sorted() == Array(repeating: "already_decided", count: 5) + ["approved"])
        #expect(try await home.count("payments.bank_item_waiting") == 0)
        let error = await #expect(throws: DatabaseError.self) {
            try await home.city.owner.execute(
                "INSERT INTO payments.bank_return_decision (return_id, proposed_by, kind, decided_by) VALUES (\(first), \(officer.id), 'approved', \(officer.id))")
        }
        #expect(error?.constraint != nil)
    }
}

@Suite("Rights and rules of the bank")
struct BankRightsTests {
    @Test("The role that serves is denied", arguments: [
        "SELECT * FROM payments.bank_account", "SELECT * FROM payments.bank_entry", "SELECT * FROM payments.bank_item", "INSERT INTO payments.bank_file SELECT * FROM payments.bank_file",
        "UPDATE payments.bank_movement SET amount = 1", "DELETE FROM payments.bank_allocation", "DELETE FROM payments.bank_item_waiting",
        "SELECT payments.take_bank_file('\\x00', '{}', NULL)", "SELECT payments.book_report(gen_random_uuid(), 'system', 'x')",
        "SELECT payments.open_bank_account('ABCD', 'x', 'EUR', true)", "SELECT payments.post_from_suspense('EUR', '{}', '{}', '{}', '{}', '{}', '[]', NULL, NULL, 'system', 'x')",
    ])
    func deniedToTheApp(statement: String) async throws {
        let home = try await sharedBank.value
        let error = await #expect(throws: DatabaseError.self) { try await home.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement): \(String(describing: error))")
    }

    @Test("Nobody gives out more than came in, pays more than a bill asks, or changes what the bank told")
    func ownerIsBound() async throws {
        let home = try await Household.withBank(wallet: 10_000)
        let bill = try await home.bill(home.ada, "B-1")
        try await home.take(Household.notification([Told(creditorReference: try await home.creditorReference(of: bill))]))
        let refused: [(SQL, String?)] = [
            ("UPDATE payments.bank_entry SET amount = 1", nil), ("DELETE FROM payments.bank_sighting", nil), ("TRUNCATE payments.bank_return_decision", nil),
            ("INSERT INTO payments.bank_return (id, item_id, amount, reason, proposed_by) SELECT gen_random_uuid(), i.id, 1, 'why', s.id FROM payments.bank_item AS i, identity.staff AS s", "allocated_within_item"),
            (
                """
                INSERT INTO payments.payment (id, bill_id, currency, gross, fee, net, method, transfer_id, receipt_code)
                SELECT gen_random_uuid(), \(bill), 'EUR', 1, 0, 1, 'bank_transfer', t.id, 'ABC-DEF-GH0' FROM ledger.transfer AS t
                WHERE NOT EXISTS (SELECT FROM payments.payment AS p WHERE p.transfer_id = t.id) LIMIT 1
                """, "payment_within_bill"
            ),
            ("INSERT INTO payments.bank_item (id, movement_id, number, amount, currency) SELECT gen_random_uuid(), m.id, 2, 1, 'EUR' FROM payments.bank_movement AS m", "movement_equals_items"),
            ("INSERT INTO payments.bank_account (id, identification, holder, currency, ledger_account, suspense_account, collects) SELECT gen_random_uuid(), 'ABCD', 'x', 'USD', a.ledger_account, a.suspense_account, false FROM payments.bank_account AS a", "bank_account_in_ledger"),
        ]
        _ = try await home.city.staff(roles: [.financeOfficer])
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self, "\(statement)") { try await home.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(statement)")
        }
    }

    @Test("References of bills are sound in the database's own arithmetic, as in Swift")
    func references() async throws {
        let home = try await sharedBank.value
        let made = try await home.city.owner.query(OneValue("SELECT payments.next_creditor_reference() FROM generate_series(1, 300)", of: String.self))
        #expect(Set(made).count == 300 && made.allSatisfy { CreditorReference($0)?.description == $0 })
        for (text, isSound) in [("RF18539007547034", true), ("RF18539007547035", false), ("RF712348231", true), ("rf712348231", false), ("RF", false), ("", false)] {
            #expect(try await home.city.owner.one(OneValue("SELECT payments.is_creditor_reference(\(text))", of: Bool.self)) == isSound)
        }
    }
}

private let sharedBank = Task { try await Household.withBank() }

extension Household {
    /// One text that a statement of the role that serves answers.
    func word(_ sql: SQL) async throws -> String {
        try await city.app.transaction { try await $0.one(OneValue(sql, of: String.self)) }
    }
}

/// The same numbers in each run.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
