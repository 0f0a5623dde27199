// What the database refuses: to the role that serves, and to everybody. And what verification finds when somebody went round it all the same.
import City
import Foundation
import Postgres
import Primitives
import TestSupport
import Testing
import Web

@testable import Ledger

@Suite("Rights and rules of the ledger")
struct LedgerRightsTests {
    @Test(
        "The role that serves is denied", arguments: [
            "SELECT * FROM ledger.account", "SELECT * FROM ledger.transfer", "SELECT * FROM ledger.entry",
            "SELECT * FROM ledger.hold_entry", "SELECT * FROM ledger.open_hold", "DELETE FROM ledger.open_hold", "DELETE FROM ledger.hold_entry",
            "INSERT INTO ledger.hold_entry SELECT * FROM ledger.hold_entry", "INSERT INTO ledger.open_hold SELECT * FROM ledger.open_hold",
            "SELECT ledger.follow_up(gen_random_uuid(), 'void_hold', gen_random_uuid(), NULL, '', 'system', '')",
            "SELECT ledger.release_expired('{}', 1)", "SELECT ledger.held_now(gen_random_uuid(), 0)",
            "INSERT INTO ledger.account (id, kind, currency, organisation_id, normal_side) VALUES (gen_random_uuid(), 'treasury', 'EUR', 'city', 'credit')",
            "INSERT INTO ledger.transfer SELECT * FROM ledger.transfer", "INSERT INTO ledger.entry SELECT * FROM ledger.entry",
            "UPDATE ledger.account SET posted = posted + 1", "UPDATE ledger.transfer SET amount = 1", "UPDATE ledger.entry SET amount = 1",
            "DELETE FROM ledger.account", "DELETE FROM ledger.transfer", "DELETE FROM ledger.entry",
            "TRUNCATE ledger.account", "TRUNCATE ledger.transfer", "TRUNCATE ledger.entry",
            "ALTER TABLE ledger.entry DISABLE TRIGGER ALL", "DROP TRIGGER entry_only_grows ON ledger.entry",
            "SELECT ledger.post_transfers('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}')",
            "SELECT ledger.open_account(gen_random_uuid(), 'funding', 'EUR', NULL, 'city', 'debit', true)",
            "SELECT ledger.open_wallet(gen_random_uuid(), 'EUR')", "SELECT ledger.findings(1)",
            "SELECT ledger.holder('\\x00', '{payments}')",
        ])
    func deniedToTheApp(statement: String) async throws {
        let bank = try await shared.value
        let error = await #expect(throws: DatabaseError.self) { try await bank.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement): \(String(describing: error))")
    }

    @Test("No definer function of the ledger, payments or benefits belongs to a superuser, is open to all, or trusts a search path")
    func definers() async throws {
        let bank = try await shared.value
        let loose = try await bank.city.owner.query(
            OneValue(
                """
                SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
                WHERE p.pronamespace::regnamespace::text IN ('ledger', 'payments', 'benefits')
                  AND ((p.prosecdef AND (r.rolname <> 'stoa_door' OR (p.prosqlbody IS NULL AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false))))
                       OR p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0))
                """, of: String.self))
        #expect(loose == [])
    }

    @Test("A transfer without its entries, with one, or with a wrong one is refused to the owner too")
    func unbalanced() async throws {
        let bank = try await Bank()
        let a = try await bank.account(100)
        let b = try await bank.account(100)
        let transfer: SQL = """
            INSERT INTO ledger.transfer (id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome, actor_kind, actor_id)
            VALUES (gen_random_uuid(), 'post', \(a), \(b), 5, 'EUR', '', now(), 'posted', 'system', 'test')
            """
        let sides: [(SQL, String)] = [
            (transfer, "transfer_balanced"),
            (entries(of: transfer, "(\(a), 2, 'debit', 5, 'EUR', 95)"), "transfer_balanced"),
            (entries(of: transfer, "(\(a), 2, 'debit', 5, 'EUR', 95), (\(b), 2, 'credit', 4, 'EUR', 104)"), "transfer_balanced"),
            (entries(of: transfer, "(\(a), 2, 'debit', 5, 'EUR', 95), (\(b), 2, 'credit', 5, 'USD', 105)"), "transfer_balanced"),
            (entries(of: transfer, "(\(a), 2, 'debit', 5, 'EUR', 95), (\(b), 2, 'credit', 5, 'EUR', 105)"), "entry_matches_transfer"),
        ]
        for (statement, constraint) in sides {
            let error = await #expect(throws: DatabaseError.self) { try await bank.city.owner.execute(statement) }
            // Statement triggers fire in the order of the tables that the statement wrote; either refusal is right.
            #expect(["transfer_balanced", "entry_matches_transfer"].contains(error?.constraint), "\(constraint): \(String(describing: error))")
        }
        #expect(try await bank.count("ledger.transfer") == 2)
        #expect(try await bank.verify().isSound)
    }

    @Test("A balance cannot be set, an account not be made over to another kind, and nothing be deleted, by the owner either")
    func ownerIsBound() async throws {
        let bank = try await Bank()
        let account = try await bank.account(100)
        let refused: [(SQL, String?)] = [
            ("UPDATE ledger.account SET posted = posted + 1 WHERE id = \(account)", "account_equals_entries"),
            ("UPDATE ledger.account SET entry_count = 0 WHERE id = \(account)", "account_equals_entries"),
            ("UPDATE ledger.account SET currency = 'USD' WHERE id = \(account)", "account_equals_entries"),
            ("UPDATE ledger.account SET may_go_negative = true WHERE id = \(account)", "account_equals_entries"),
            ("UPDATE ledger.account SET normal_side = 'debit' WHERE id = \(account)", "account_equals_entries"),
            (
                """
                INSERT INTO ledger.account (id, kind, currency, organisation_id, normal_side, posted)
                VALUES (gen_random_uuid(), 'treasury', 'EUR', 'city', 'credit', 5)
                """, "account_equals_entries"
            ),
            ("DELETE FROM ledger.account WHERE id = \(account)", nil), ("DELETE FROM ledger.entry", nil), ("DELETE FROM ledger.transfer", nil),
            ("UPDATE ledger.transfer SET amount = 1", nil), ("UPDATE ledger.entry SET amount = 1", nil), ("TRUNCATE ledger.entry", nil),
        ]
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self) { try await bank.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(statement)")
        }
        #expect(try await bank.balance(account) == 100)
    }

    @Test("A hold cannot be made, ended or forgotten beside its transfers, nor a reversal be anything but the opposite, by the owner either")
    func holdsAreBound() async throws {
        let bank = try await Bank()
        let (a, b) = (try await bank.account(100), try await bank.account(100))
        let (hold, paid) = (bank.hold(a, b, 40), bank.transfer(a, b, 10))
        #expect(try await bank.post([hold, paid]) == [.created, .created])
        let columns: SQL = "id, kind, debit_account, credit_account, amount, currency, reference, effective_at, outcome, actor_kind, actor_id"
        let refused: [(SQL, String?)] = [
            ("UPDATE ledger.account SET held = 0 WHERE id = \(a)", "account_equals_entries"),
            ("UPDATE ledger.account SET held = 30, hold_entry_count = 2 WHERE id = \(a)", "account_equals_entries"),
            ("DELETE FROM ledger.open_hold", "hold_entry_matches_transfer"), ("UPDATE ledger.open_hold SET expires_at = now()", nil),
            ("INSERT INTO ledger.open_hold VALUES (\(paid.id), \(a), 10)", "hold_entry_matches_transfer"),
            ("DELETE FROM ledger.hold_entry", nil), ("UPDATE ledger.hold_entry SET amount = 1", nil), ("TRUNCATE ledger.hold_entry", nil),
            (
                "INSERT INTO ledger.hold_entry VALUES (\(a), 2, \(hold.id), 'expired', NULL, 40, 0)", "hold_entry_matches_transfer"
            ),
            (
                "INSERT INTO ledger.hold_entry VALUES (\(a), 2, \(hold.id), 'voided', \(paid.id), 40, 0)", "hold_entry_matches_transfer"
            ),
            (
                """
                INSERT INTO ledger.transfer (\(columns))
                VALUES (gen_random_uuid(), 'hold', \(a), \(b), 5, 'EUR', '', now(), 'held', 'system', 'test')
                """, "transfer_follows"
            ),
            (
                """
                INSERT INTO ledger.transfer (\(columns), hold_id)
                VALUES (gen_random_uuid(), 'void_hold', \(a), \(b), 40, 'EUR', '', now(), 'voided', 'system', 'test', \(hold.id))
                """, "transfer_follows"
            ),
            (
                """
                WITH t AS (
                    INSERT INTO ledger.transfer (\(columns), reversal_of)
                    VALUES (gen_random_uuid(), 'reversal', \(b), \(a), 9, 'EUR', '', now(), 'posted', 'system', 'test', \(paid.id)) RETURNING id
                ), e AS (
                    INSERT INTO ledger.entry SELECT \(b), 3, t.id, 'debit', 9, 'EUR', 101, now(), now() FROM t
                    UNION ALL SELECT \(a), 3, t.id, 'credit', 9, 'EUR', 99, now(), now() FROM t
                )
                UPDATE ledger.account
                SET posted = posted + CASE id WHEN \(a) THEN 9 ELSE -9 END, entry_count = entry_count + 1, newest_at = now()
                WHERE id IN (\(a), \(b))
                """, "transfer_follows"
            ),
        ]
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self) { try await bank.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(statement): \(String(describing: error))")
        }
        #expect(try await bank.held(a) == 40)
        #expect(try await bank.verify().findings == [])

        // A superuser who switches the triggers off.
        try await bank.city.test.psql(
            """
            SET session_replication_role = replica;
            DELETE FROM ledger.open_hold;
            UPDATE ledger.account SET held = 39 WHERE id = '\(a)';
            """)
        #expect(try await Set(bank.verify().findings.map(\.kind)) == ["held", "open_hold"])
    }

    @Test("Verification finds a changed balance, a missing entry and a changed amount, and nothing in a sound ledger")
    func verification() async throws {
        let bank = try await Bank()
        let a = try await bank.account(100)
        let b = try await bank.account(50)
        let sound = try await bank.verify()
        #expect(sound.isSound && sound.accounts == 3 && sound.transfers == 2 && sound.entries == 4)

        // A superuser who switches the triggers off, as somebody with the data files could.
        try await bank.city.test.psql(
            """
            SET session_replication_role = replica;
            UPDATE ledger.account SET posted = posted + 1 WHERE id = '\(a)';
            UPDATE ledger.entry SET amount = 49 WHERE account_id = '\(b)';
            DELETE FROM ledger.entry WHERE account_id = '\(a)';
            """)
        let findings = try await bank.verify().findings
        #expect(Set(findings.map(\.kind)).isSuperset(of: ["account_balance", "entry_numbers", "currency_sum", "transfer_entries", "running_balance"]))
        #expect(findings.contains { $0.kind == "account_balance" && $0.subject == a.description && $0.expected == "0" && $0.found == "101" })
    }

    /// The transfer with entries in one statement, as the ledger itself writes them.
    private func entries(of transfer: SQL, _ rows: SQL) -> SQL {
        """
        WITH t AS (\(transfer) RETURNING id, effective_at)
        INSERT INTO ledger.entry (account_id, number, transfer_id, side, amount, currency, balance_after, recorded_at, effective_at)
        SELECT r.account_id, r.number, t.id, r.side, r.amount, r.currency, r.balance_after, t.effective_at, t.effective_at
        FROM t, (VALUES \(rows)) AS r (account_id, number, side, amount, currency, balance_after)
        """
    }
}

/// One bank for all statements that change nothing.
private let shared = Task { try await Bank() }
