// From the wallet to the bank and back: four eyes, races, duplicates, rejection and the one second issue. Refusals first.
import City
import Foundation
import Ledger
import Postgres
import Primitives
import Testing
import Web

@testable import Payouts

@Suite("Money out")
struct MoneyOutTests {
    @Test("Nothing goes out without an account, without money, or for a session that does not stand")
    func refusals() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(wallet: 500, withAccount: false)
        func take(_ credential: FixtureCredential, _ amount: Int64, currency: String = "EUR") async throws -> String {
            try await office.word("SELECT payouts.take_out(\(credential.hash.bytes), \(UUID()), \(currency), \(amount))")
        }
        #expect(try await take(ada.session, 100) == "account_missing")
        try await PayoutsAdministration(owner: office.city.owner).addAccount(
            try PayOffice.account("Ada Byron"), .new(), of: ada.id, vault: office.city.vault)
        #expect(try await take(ada.session, 501) == "insufficient_funds")
        #expect(try await take(ada.session, 100, currency: "USD") == "insufficient_funds")
        #expect(try await take(office.preparer.session, 100) == "credential_invalid")
        #expect(try await take(try await office.city.appToken(of: ada, scope: ["bills"]), 100) == "credential_invalid")
        try await office.city.revoke(ada.session)
        #expect(try await take(ada.session, 100) == "credential_invalid")
        #expect(try await office.count("payouts.instruction") == 0)
        #expect(try await office.addsUp())
    }

    @Test("One form, sent many times at once, sets money aside once; requests race for the last of the wallet")
    func requests() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(wallet: 10_000)
        let id = PayoutID.new()
        let same = try await inParallel(20) { _ in try await office.word("SELECT payouts.take_out(\(ada.session.hash.bytes), \(id), 'EUR', 4000)") }
        #expect(same.filter { $0 == "instructed" }.count == 1 && same.filter { $0 == "exists" }.count == 19)
        let others = try await inParallel(10) { _ in try await office.word("SELECT payouts.take_out(\(ada.session.hash.bytes), \(UUID()), 'EUR', 2500)") }
        #expect(others.filter { $0 == "instructed" }.count == 2 && others.filter { $0 == "insufficient_funds" }.count == 8)
        #expect(try await office.wallet(ada) == 1_000)
        #expect(try await office.money() == [9_000, 0])
        #expect(try await office.addsUp())
    }

    @Test("Whoever prepared a batch cannot decide about it: not through the function, and not by writing the row")
    func selfApproval() async throws {
        let office = try await PayOffice()
        try await office.takeOut(100, try await office.resident())
        let batch = try await office.prepare()
        #expect(try await office.approve(batch, by: office.preparer) == "self_approval")
        #expect(try await office.word("SELECT payouts.refuse(\(office.preparer.session.hash.bytes), \(batch), 'no reason')") == "self_approval")
        let transfer = try await office.city.owner.one(OneValue("SELECT id FROM ledger.transfer LIMIT 1", of: UUID.self))
        for claimed in [office.preparer.id, office.approver.id] {
            let error = await #expect(throws: DatabaseError.self) {
                try await office.city.owner.execute(
                    """
                    INSERT INTO payouts.decision (batch_id, prepared_by, kind, decided_by, transfer_id)
                    VALUES (\(batch), \(claimed), 'approved', \(office.preparer.id), \(transfer))
                    """)
            }
            // The true preparer is refused by the check; a false one by the key that ties the decision to its batch.
            #expect(claimed == office.preparer.id ? error?.constraint == "decided_by_another" : error?.isForeignKeyViolation == true)
        }
        let caseworker = try await office.city.staff(roles: [.caseworker, .auditor])
        #expect(try await office.approve(batch, by: caseworker) == "role_missing")
        #expect(try await office.word("SELECT outcome FROM payouts.prepare(\(caseworker.session.hash.bytes), \(UUID()), 'EUR', now()::date)") == "role_missing")
        #expect(try await office.money() == [100, 0])
    }

    @Test("Approved by many at once, many times over: one transfer, and what was approved cannot be refused")
    func approvalRace() async throws {
        let office = try await PayOffice()
        try await office.takeOut(700, try await office.resident())
        let batch = try await office.prepare()
        let second = try await office.city.staff(roles: [.approver])
        let before = try await office.count("ledger.transfer")
        let words = try await inParallel(30) { try await office.approve(batch, by: $0.isMultiple(of: 2) ? office.approver : second) }
        #expect(words.filter { $0 == "approved" }.count == 1 && words.filter { $0 == "already_approved" }.count == 29)
        #expect(try await office.count("ledger.transfer") == before + 1)
        #expect(try await office.money() == [0, 700])
        #expect(try await office.word("SELECT payouts.refuse(\(second.session.hash.bytes), \(batch), 'too late')") == "already_approved")
        #expect(try await office.addsUp())
    }

    @Test("Batches that are prepared at once share the payments out: each payment is in one batch")
    func preparationRace() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(wallet: 100_000)
        for amount in 1...40 { try await office.takeOut(Int64(amount), ada) }
        let words = try await inParallel(8) { _ in
            try await office.word("SELECT outcome FROM payouts.prepare(\(office.preparer.session.hash.bytes), \(UUID()), 'EUR', now()::date)")
        }
        #expect(words.allSatisfy { $0 == "prepared" || $0 == "nothing_ready" } && words.contains("prepared"))
        #expect(try await office.count("payouts.item") == 40)
        #expect(try await office.count("(SELECT DISTINCT instruction_id FROM payouts.item) AS i") == 40)
        #expect(try await office.city.owner.one(OneValue("SELECT sum(control_sum)::bigint FROM payouts.batch", of: Int64.self)) == 820)

        // Nor by somebody who writes rows: an event of a number that is taken, one that cannot follow, and an item of another's event.
        let item = "SELECT i.instruction_id FROM payouts.item AS i LIMIT 1" as SQL
        let refused: [(SQL, String)] = [
            ("INSERT INTO payouts.event (instruction_id, number, state, batch_id) SELECT x.id, 2, 'in_batch', (SELECT id FROM payouts.batch LIMIT 1) FROM (\(item)) AS x (id)", "event_pkey"),
            ("INSERT INTO payouts.event (instruction_id, number, state, batch_id) SELECT x.id, 3, 'in_batch', (SELECT id FROM payouts.batch LIMIT 1) FROM (\(item)) AS x (id)", "event_follows"),
            ("INSERT INTO payouts.event (instruction_id, number, state, batch_id) SELECT x.id, 3, 'settled', (SELECT id FROM payouts.batch LIMIT 1) FROM (\(item)) AS x (id)", "event_follows"),
            ("INSERT INTO payouts.item SELECT batch_id, position + 1000, instruction_id, event_number, destination_id, currency, amount FROM payouts.item LIMIT 1", "instruction_in_one_batch"),
            ("INSERT INTO payouts.instruction SELECT gen_random_uuid(), kind, pays, issue, resident_id, source, currency, amount, 'P0000000000000000', created_at FROM payouts.instruction LIMIT 1", "paid_once"),
            ("INSERT INTO payouts.instruction SELECT gen_random_uuid(), kind, gen_random_uuid(), issue, resident_id, source, currency, amount, end_to_end_id, created_at FROM payouts.instruction LIMIT 1", "end_to_end_id_once"),
            ("INSERT INTO payouts.instruction SELECT gen_random_uuid(), kind, pays, 2, resident_id, source, currency, amount, 'P0000000000000000', created_at FROM payouts.instruction LIMIT 1", "issued_again_after_failure"),
        ]
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self) { try await office.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(String(describing: error))")
        }
    }

    @Test("A batch without its payments, or of another sum than theirs, is refused to the owner too")
    func frozenSums() async throws {
        let office = try await PayOffice()
        let payout = try await office.takeOut(300, try await office.resident())
        for sum in [299, 300] {
            let batch = PayoutBatchID.new()
            let error = await #expect(throws: DatabaseError.self) {
                try await office.city.owner.transaction { transaction in
                    try await transaction.execute(
                        """
                        INSERT INTO payouts.batch (id, reference, currency, execute_on, count, control_sum, debtor_name, debtor_iban, debtor_town, debtor_country, clearing, prepared_by)
                        VALUES (\(batch), 'PAYOUT-FORGED', 'EUR', now()::date, 1, \(sum), 'City', 'FR1420041010050500013M02606', 'Porto', 'PT', \(office.funding), \(office.preparer.id))
                        """)
                    if sum == 300 { return }
                    try await transaction.execute(
                        "INSERT INTO payouts.event (instruction_id, number, state, batch_id) VALUES (\(payout), 2, 'in_batch', \(batch))")
                    try await transaction.execute(
                        """
                        INSERT INTO payouts.item SELECT \(batch), 1, \(payout), 2, (SELECT id FROM payouts.destination LIMIT 1), 'EUR', 300
                        """)
                }
            }
            #expect(error?.constraint == "batch_equals_items")
        }
    }

    @Test("A refused batch gives its payments back, and the next one takes them")
    func refusedBatch() async throws {
        let office = try await PayOffice()
        let payout = try await office.takeOut(250, try await office.resident())
        let first = try await office.prepare()
        #expect(try await office.word("SELECT payouts.refuse(\(office.approver.session.hash.bytes), \(first), 'Wrong day')") == "refused")
        #expect(try await office.state(payout) == "waiting")
        #expect(try await office.approve(first) == "already_refused")
        let second = try await office.approvedBatch()
        #expect(second.count == 1 && second.controlSum.minorUnits == 250)
        #expect(try await office.state(payout) == "sent")
        #expect(try await office.addsUp())
    }

    @Test("A new bank account waits: money goes to the old one until its time has come, and to none that was taken back")
    func cooling() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(withAccount: false)
        try await office.serve { office, client in
            let browser = CityBrowser(client, session: ada.session)
            _ = try await browser.get("/payout-account")
            let fields = [("id", PayoutAccountID.new().description), ("holder", "Ada Býron"), ("iban", "de89 3704 0044 0532 0130 00"), ("town", "Porto")]
            for _ in 0..<2 { #expect(try await browser.post("/payout-account", fields).status == 303) }
            #expect(try await office.count("payouts.destination") == 1)
            #expect(try await office.count("messages.message WHERE kind = 'payout_account_given'") == 1)
            let page = try await browser.get("/payout-account").text
            #expect(page.contains("Ada Byron") && page.contains("Is used from"))
            #expect(try await office.city.entryCount(where: "operation = 'own_view' AND purpose = 'payments' AND subject_id = \(ada.id)") == 1)
            // What is asked for now waits for the account, and the dry run says so.
            try await office.takeOut(100, ada)
            let plan = try #require(try await office.city.app.query(Plans(credential: office.preparer.session.hash)).first)
            #expect(plan.readyCount == 0 && plan.coolingCount == 1 && plan.missingCount == 0)
            #expect(try await office.word("SELECT outcome FROM payouts.prepare(\(office.preparer.session.hash.bytes), \(UUID()), 'EUR', now()::date)") == "nothing_ready")
            try await office.city.setClock(secondsAhead: 48 * 3600 + 60)
            let second = try await office.city.session(of: ada.accountID, secondsLeft: 200_000)
            let later = CityBrowser(client, session: second)
            #expect(try await later.get("/payout-account").text.contains("Money goes here"))
            let account = try await office.city.owner.one(OneValue("SELECT id FROM payouts.destination", of: UUID.self))
            // A stranger cannot take it back.
            let eve = try await office.resident(withAccount: false)
            let stranger = CityBrowser(client, session: try await office.city.session(of: eve.accountID, secondsLeft: 200_000))
            _ = try await stranger.get("/payout-account")
            _ = try await stranger.post("/payout-account/\(account.uuidString.lowercased())/end", [])
            #expect(try await office.count("payouts.destination_end") == 0)
            #expect(try await later.post("/payout-account/\(account.uuidString.lowercased())/end", []).status == 303)
            #expect(try await later.get("/payout-account").text.contains("You have given no bank account yet"))
            #expect(try await office.count("payouts.destination_end") == 1)
        }
    }

    @Test("Rejected, the money is in the wallet again and can be sent once more, once; a payment that was returned likewise")
    func rejectionAndReturn() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(wallet: 10_000)
        let (failing, good) = (try await office.takeOut(4_000, ada), try await office.takeOut(1_000, ada))
        let batch = try await office.approvedBatch()
        let (failingID, goodID) = (try await office.endToEndID(failing), try await office.endToEndID(good))
        let xml = statusReport(batch, payments: [(failingID, "RJCT", "AC04", "40.00"), (goodID, "ACSC", nil, "10.00")])
        let taken = try await office.report(xml)
        #expect(taken.settled == 1 && taken.rejected == 1 && !taken.isKnown)
        #expect(try await office.wallet(ada) == 9_000)
        #expect(try await office.money() == [0, 0])
        #expect(try await office.count("messages.message WHERE kind = 'payout_failed'") == 1)
        // The same file, and the same news in another one, change nothing.
        #expect(try await office.report(xml).isKnown)
        let again = try await office.report(statusReport(batch, message: "BANK-2", payments: [(failingID, "RJCT", "AC04", nil), (goodID, "ACCC", nil, nil)]))
        #expect(again.settled == 0 && again.rejected == 0 && !again.isKnown)
        #expect(try await office.wallet(ada) == 9_000)

        // Once more, whoever asks how often at once.
        let words = try await inParallel(10) { _ in try await office.word("SELECT payouts.issue_again(\(ada.session.hash.bytes), \(UUID()), \(failing))") }
        #expect(words.filter { $0 == "instructed" }.count == 1 && words.filter { $0 == "exists" }.count == 9)
        #expect(try await office.word("SELECT payouts.issue_again(\(ada.session.hash.bytes), \(UUID()), \(good))") == "not_failed")
        let eve = try await office.resident()
        #expect(try await office.word("SELECT payouts.issue_again(\(eve.session.hash.bytes), \(UUID()), \(failing))") == "payout_unknown")
        #expect(try await office.wallet(ada) == 5_000)
        let second = try await office.approvedBatch()
        let secondIssue = try await office.city.owner.one(OneValue("SELECT id FROM payouts.instruction WHERE issue = 2", of: UUID.self))
        let secondID = try await office.endToEndID(PayoutID(secondIssue))
        #expect(second.count == 1 && secondID != failingID)
        _ = try await office.report(statusReport(second, message: "BANK-3", group: "ACSC"))
        #expect(try await office.state(PayoutID(secondIssue)) == "settled")
        // Settled and then returned: the bank's account gives it back. There is no third issue.
        let returned = try await office.city.owner.exclusive {
            try await $0.one(
                OneValue(
                    """
                    SELECT outcome FROM payouts.apply_report(NULL, \(UUID()), sha256('return'), 'CAMT-1', \(second.reference), NULL, NULL, NULL, NULL, \([secondID]),
                                                             '{returned}', '{AC04}', '{0}')
                    """, of: String.self))
        }
        #expect(returned == "taken")
        #expect(try await office.wallet(ada) == 9_000)
        #expect(try await office.word("SELECT payouts.issue_again(\(ada.session.hash.bytes), \(UUID()), \(PayoutID(secondIssue)))") == "not_failed")
        let shown = try await office.batch(second.id)
        #expect(shown.settled == 0 && shown.returned == 1)
        #expect(try await office.addsUp())
    }

    @Test("A benefit that another slice owes is paid once from the treasury, and goes back there when it fails")
    func owed() async throws {
        let office = try await PayOffice()
        let ada = try await office.resident(wallet: 1)
        let treasury = LedgerAccountID.new()
        let ledger = LedgerAdministration(owner: office.city.owner)
        try await ledger.open(treasury, kind: .treasury, currency: .eur)
        try await ledger.post(
            [Transfer(id: .new(), debit: office.funding, credit: treasury, amount: Money(minorUnits: 900, currency: .eur), reference: "Budget")], occasion: "test")
        let disbursement = UUID()
        @Sendable func instruct(_ id: UUID) async throws -> String {
            try await office.city.owner.exclusive {
                try await $0.one(
                    OneValue(
                        "SELECT payouts.instruct(\(id), 'benefit', \(disbursement), 1, \(ada.id), \(treasury), 'EUR', 800, 'system', 'test')", of: String.self))
            }
        }
        let words = try await inParallel(6) { _ in try await instruct(UUID()) }
        #expect(words.filter { $0 == "instructed" }.count == 1 && words.filter { $0 == "exists" }.count == 5)
        let batch = try await office.approvedBatch()
        _ = try await office.report(statusReport(batch, group: "RJCT"))
        #expect(try await office.city.owner.one(OneValue("SELECT posted FROM ledger.account WHERE id = \(treasury)", of: Int64.self)) == 900)
        // A finance officer issues it again.
        let failed = try await office.city.owner.one(OneValue("SELECT id FROM payouts.instruction", of: UUID.self))
        #expect(try await office.word("SELECT payouts.issue_again(\(office.approver.session.hash.bytes), \(UUID()), \(failed))") == "instructed")
        #expect(try await office.addsUp())
    }

    @Test(
        "The role that serves is denied", arguments: [
            "SELECT * FROM payouts.destination", "SELECT * FROM payouts.instruction", "SELECT * FROM payouts.event", "SELECT * FROM payouts.state",
            "SELECT * FROM payouts.batch", "SELECT * FROM payouts.channel", "INSERT INTO payouts.decision SELECT * FROM payouts.decision",
            "UPDATE payouts.state SET state = 'waiting'", "DELETE FROM payouts.item", "TRUNCATE payouts.file", "UPDATE payouts.channel SET debtor_iban = ''",
            "SELECT payouts.instruct(gen_random_uuid(), 'benefit', gen_random_uuid(), 1, gen_random_uuid(), gen_random_uuid(), 'EUR', 1, 'system', 'x')",
            "SELECT payouts.apply_report(NULL, gen_random_uuid(), '', '', '', 1, 1, '', '', '{}', '{}', '{}', '{}')",
            "SELECT payouts.set_channel('EUR', '', '', '', '', '', gen_random_uuid())", "SELECT payouts.destination_for(gen_random_uuid())",
        ])
    func deniedToTheApp(statement: String) async throws {
        let office = try await shared.value
        let error = await #expect(throws: DatabaseError.self) { try await office.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement): \(String(describing: error))")
    }

    @Test("What was instructed, prepared, decided and reported never changes", arguments: [
        "destination", "destination_end", "instruction", "batch", "decision", "file", "report", "event", "item",
    ])
    func onlyGrows(table: String) async throws {
        let office = try await shared.value
        for statement in ["DELETE FROM payouts.\(table)", "TRUNCATE payouts.\(table) CASCADE"] {
            let error = await #expect(throws: DatabaseError.self) { try await office.city.owner.execute(SQL(unsafeRaw: statement)) }
            #expect(error?.sqlState == "23001", "\(statement)")
        }
    }

    @Test("No definer function of payouts belongs to a superuser, is open to all, or trusts a search path")
    func definers() async throws {
        let loose = try await shared.value.city.owner.query(
            OneValue(
                """
                SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
                WHERE p.pronamespace = 'payouts'::regnamespace
                  AND ((p.prosecdef AND (r.rolname <> 'stoa_door' OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)))
                       OR p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0))
                """, of: String.self))
        #expect(loose == [])
    }
}

private let shared = Task { try await PayOffice() }
