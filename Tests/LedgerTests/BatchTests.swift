// The chain of batches: every transfer is in one, whoever posts while it is made and however late they commit; and what is changed, removed or slipped in
// afterwards is found.
import City
import Foundation
import Postgres
import Primitives
import TestSupport
import Testing
import Web

@testable import Ledger

@Suite("Batches of the ledger")
struct BatchTests {
    @Test("The chain is the database's: the role that serves cannot read or write it, and the owner cannot fork, change or cut it")
    func rights() async throws {
        let bank = try await Bank()
        for statement: SQL in [
            "SELECT * FROM ledger.batch", "SELECT * FROM ledger.batch_queue", "DELETE FROM ledger.batch_queue", "SELECT ledger.batch_findings(1)",
            "INSERT INTO ledger.batch_queue (transfer_ids, transfer_count) VALUES (ARRAY[gen_random_uuid()], 1)",
            "INSERT INTO ledger.batch (number, transfer_ids, hash) VALUES (1, ARRAY[gen_random_uuid()], sha256(''))",
        ] {
            let error = await #expect(throws: DatabaseError.self) { try await bank.city.app.execute(statement) }
            #expect(error?.isPermissionDenied == true, "\(statement)")
        }
        _ = try await bank.account(100)
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 1)
        _ = try await bank.account(100)
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 1)
        let columns: SQL = "INSERT INTO ledger.batch (number, previous_hash, transfer_ids, hash)"
        let ids: SQL = "ARRAY[gen_random_uuid()], sha256('')"
        let refused: [(SQL, String?)] = [
            ("\(columns) SELECT 4, b.hash, \(ids) FROM ledger.batch AS b WHERE b.number = 2", "batch_follows"),
            ("\(columns) SELECT 3, b.hash, \(ids) FROM ledger.batch AS b WHERE b.number = 1", "batch_follows"),
            ("\(columns) VALUES (1, NULL, \(ids))", "batch_follows"),
            ("UPDATE ledger.batch SET hash = sha256('')", nil), ("DELETE FROM ledger.batch", nil), ("TRUNCATE ledger.batch", nil),
        ]
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self) { try await bank.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(statement): \(String(describing: error))")
        }
        #expect(try await bank.verify().findings == [])
    }

    @Test("Transfers of every kind, done and refused, are told alike by both encoders, and each batch is a record of the log")
    func twins() async throws {
        let bank = try await Bank()
        let (from, to) = (try await bank.account(1_000), try await bank.account())
        let before = try await bank.verify()
        #expect(before.waiting == 1 && before.batches == 0 && before.isSound)
        let (hold, other) = (bank.hold(from, to, 40, expiresAt: Date(timeIntervalSinceNow: 600)), bank.hold(from, to, 7))
        let paid = bank.transfer(from, to, 5, reference: "Ünïcode ‮ \u{0301}\n")
        let dated = Transfer(
            id: .new(), debit: from, credit: to, amount: Money(minorUnits: 1, currency: .eur), reference: "",
            effectiveAt: Date(timeIntervalSince1970: 951_782_400.654_321))
        let outcomes = try await bank.post([hold, other, paid, dated, bank.transfer(from, to, 9_000)])
        #expect(outcomes == [.created, .created, .created, .created, .insufficientFunds])
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 6)
        #expect(try await bank.post([bank.posting(hold, 39), bank.voiding(other), bank.reversal(of: paid)]) == [.created, .created, .created])
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 3)
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 0)
        let after = try await bank.verify()
        #expect(after.findings == [] && after.batches == 2 && after.waiting == 0 && after.transfers == 9)
        let inLog = try await bank.count("access_log.record AS r JOIN ledger.batch AS b ON b.id = r.source_id WHERE r.kind = 'ledger_batch' AND r.content_hash = b.hash")
        #expect(inLog == 2)
        #expect(try await bank.count("access_log.record_queue") == 2)
    }

    @Test("What is committed late, behind later transfers that have their batch, is in the next one; what is rolled back is in none")
    func lateCommits() async throws {
        struct Undone: Error {}
        let bank = try await Bank()
        let account = try await bank.account(100)
        let (late, undone, early) = (bank.transfer(bank.funding, account, 1), bank.transfer(bank.funding, account, 2), TransferID.new())
        let other = try await bank.account()
        let third = LedgerAccountID.new()
        try await bank.administration.open(third, kind: .funding, currency: .eur, organisationID: "bank")
        try await bank.city.owner.transaction { transaction in
            _ = try await transaction.query(PostAsSystem(transfers: [late], occasion: "test"))
            #expect(try await bank.post(bank.transfer(third, other, 3, id: early)) == .created)
            #expect(try await TransferChain.makeBatch(in: bank.city.app) == 2)
        }
        await #expect(throws: Undone.self) {
            try await bank.city.owner.transaction { transaction in
                _ = try await transaction.query(PostAsSystem(transfers: [undone], occasion: "test"))
                throw Undone()
            }
        }
        #expect(try await bank.verify().waiting == 1)
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 1)
        #expect(try await bank.count("ledger.batch AS b WHERE \(late.id) = ANY (b.transfer_ids) AND b.number = 2") == 1)
        #expect(try await bank.verify().findings == [])
    }

    @Test("Many that make batches while many post leave one chain with every transfer in it once")
    func race() async throws {
        let bank = try await Bank()
        let accounts = try await bank.accounts(4, each: 10_000)
        let made = try await inParallel(16) { caller in
            var count = 0
            for round in 0..<8 {
                if caller < 4 {
                    count += try await TransferChain.makeBatch(in: bank.city.app)
                } else {
                    _ = try await bank.post(bank.transfer(accounts[caller % 4], accounts[(caller + round % 3 + 1) % 4], 1))
                }
            }
            return count
        }
        let rest = try await TransferChain.makeBatch(in: bank.city.app)
        #expect(made.reduce(rest, +) == 4 + 12 * 8)
        let report = try await bank.verify()
        #expect(report.findings == [] && report.waiting == 0 && report.batches > 1)
    }

    @Test("A batch takes the oldest that wait, whole statements, up to its limit")
    func limit() async throws {
        let bank = try await Bank()
        let account = try await bank.account(100)
        for count in [3, 1, 1] { _ = try await bank.post((0..<count).map { _ in bank.transfer(bank.funding, account, 1) }) }
        let taken = OneValue("SELECT ledger.chain_transfers(2)", of: Int32.self)
        var counts: [Int32] = []
        for _ in 0..<4 { counts.append(try await bank.city.app.exclusive { try await $0.one(taken) }) }
        #expect(counts == [4, 2, 0, 0])
        #expect(try await bank.verify().findings == [])
    }

    @Test("What somebody with the data files does to the books is found", arguments: [
        ("UPDATE ledger.transfer SET reference = 'another' WHERE reference = 'test'", ["batch_hash"]),
        ("UPDATE ledger.transfer SET recorded_at = recorded_at - interval '1 microsecond' WHERE reference = 'test'", ["batch_hash"]),
        ("UPDATE ledger.transfer SET actor_id = 'somebody' WHERE outcome = 'insufficient_funds'", ["batch_hash"]),
        ("DELETE FROM ledger.transfer WHERE outcome = 'insufficient_funds'", ["batch_hash", "batch_transfer"]),
        (
            """
            INSERT INTO ledger.transfer (id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome, actor_kind, actor_id)
            SELECT gen_random_uuid(), t.kind, t.debit_account, t.credit_account, t.amount, t.currency, t.reference, t.effective_at, t.outcome, 'system', 'slip'
            FROM ledger.transfer AS t WHERE t.outcome = 'insufficient_funds'
            """, ["batch_missing"]
        ),
        ("DELETE FROM ledger.batch WHERE number = 2", ["batch_in_log", "batch_missing"]),
        ("DELETE FROM ledger.batch WHERE number = 1", ["batch_chain", "batch_in_log", "batch_missing"]),
        ("UPDATE ledger.batch SET hash = sha256('') WHERE number = 2", ["batch_hash", "batch_in_log"]),
        ("UPDATE ledger.batch SET hash = sha256('') WHERE number = 1", ["batch_chain", "batch_hash", "batch_in_log"]),
        ("UPDATE ledger.batch SET transfer_ids = transfer_ids || transfer_ids WHERE number = 2", ["batch_hash", "batch_twice"]),
        ("DELETE FROM access_log.record WHERE kind = 'ledger_batch'", ["batch_in_log"]),
        ("INSERT INTO ledger.batch_queue (transfer_ids, transfer_count) VALUES (ARRAY[gen_random_uuid()], 1)", ["batch_queue"]),
    ])
    func tampering(statement: String, kinds: [String]) async throws {
        let bank = try await Bank()
        let account = try await bank.account(100)
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 1)
        #expect(try await bank.post(bank.transfer(account, bank.funding, 101, reference: "too much")) == .insufficientFunds)
        #expect(try await TransferChain.makeBatch(in: bank.city.app) == 1)
        #expect(try await bank.verify().findings == [])
        try await bank.city.test.psql("SET session_replication_role = replica; \(statement)")
        #expect(try await Set(bank.verify().findings.map(\.kind)) == Set(kinds))
    }
}
