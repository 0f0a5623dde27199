// What somebody tries who has taken the server over and holds its database role and a credential of the own: none of it opens a record,
// dates an entry back, or breaks the log for those who come after.
import City
import Foundation
import Logging
import Postgres
import Primitives
import Testing
import TransparencyLog
import Web

@testable import AccessLog

private func one(_ sql: SQL) -> OneValue<String> { OneValue(sql, of: String.self) }

extension OpenDoor {
    /// The refusal of one request, with any operation and way of naming the subject; `permitted` when there is none.
    func decision(
        by credential: FixtureCredential, _ operation: String, _ kind: String, _ key: String, purpose: String, entry: UUID = UUID()
    ) async throws -> String? {
        try await city.app.query(
            one("""
                SELECT coalesce(refusal, 'permitted') FROM access_log.authorise(\([entry]), \([credential.hash.bytes]), \([operation]), \([kind]),
                    \([key]), \(["family_name"]), \([purpose]), \(["K-1"]))
                """)).first
    }
}

@Suite("A taken-over server")
struct TakenOverServerTests {
    @Test("An own view is of the own record, however the subject is named")
    func ownViewOfAnother() async throws {
        let open = try await OpenDoor()
        let eve = try await open.city.resident()
        for (kind, key) in [("public_code", open.ada.publicCode.description), ("resident", open.ada.id.uuid.uuidString), ("pseudonym", open.pseudonym.uuidString)] {
            let entry = UUID()
            #expect(try await open.decision(by: eve.session, "own_view", kind, key, purpose: "profile", entry: entry) == "subject_unknown")
            #expect(try await open.city.app.query(open.release(entry)).isEmpty)
        }
        #expect(try await open.decision(by: eve.session, "own_view", "self", "", purpose: "profile") == "permitted")
        #expect(try await open.city.entryCount(where: "e.outcome = 'permitted'") == 1)
    }

    @Test("An organisation names its subjects by pseudonym and in no other way")
    func disclosureByCode() async throws {
        let open = try await OpenDoor()
        for (kind, key) in [("public_code", open.ada.publicCode.description), ("resident", open.ada.id.uuid.uuidString), ("self", "")] {
            #expect(try await open.decision(by: open.clinic.credential, "disclose", kind, key, purpose: "care") == "subject_unknown")
        }
        #expect(try await open.decision(by: open.clinic.credential, "disclose", "pseudonym", open.pseudonym.uuidString, purpose: "care") == "permitted")
    }

    @Test("A statement that began long ago neither logs nor releases: its entries would be dated back")
    func oldStatement() async throws {
        let open = try await OpenDoor()
        let entry = UUID()
        await #expect(throws: DatabaseError.self) {
            try await open.city.app.query(
                OneValue("WITH waited AS MATERIALIZED (SELECT pg_sleep(2.1)) SELECT (\(open.authorise(entry))) FROM waited", of: Int64.self))
        }
        #expect(try await open.city.entryCount() == 0)
    }

    @Test("An old snapshot does not see a withdrawal, so the door does not open in one")
    func oldSnapshot() async throws {
        let open = try await OpenDoor()
        await #expect(throws: DatabaseError.self) {
            try await open.city.app.transaction { transaction in
                try await transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                _ = try await transaction.query(one("SELECT 'the snapshot is taken'"))
                _ = try await open.city.decide("withdrawn", open.care, by: open.ada)
                _ = try await transaction.query(OneValue(open.authorise(UUID()), of: Int64.self))
            }
        }
        #expect(try await open.city.entryCount() == 0)
    }

    @Test("An entry is never so long that the sequencer chokes on it")
    func hugeEntry() async throws {
        let open = try await OpenDoor()
        for (attributes, purpose, reference) in [("x,", "care", "K-1"), ("", "c", "K-1"), ("", "care", "K")] {
            let entry: SQL = """
                SELECT count(*) FROM access_log.authorise(\([UUID()]), \([open.ada.session.hash.bytes]), \(["own_view"]), \(["self"]), \([""]),
                    ARRAY[repeat(\(attributes), 3000)], ARRAY[repeat(\(purpose), 30)], ARRAY[repeat(\(reference), 70)])
                """
            await #expect(throws: DatabaseError.self) { try await open.city.app.query(OneValue(entry, of: Int64.self)) }
        }
        #expect(try await open.city.entryCount() == 0)
    }

    @Test("Leaves do not commit without a head of their size")
    func leavesWithoutHead() async throws {
        let (open, sequencer) = try await logged()
        let error = await #expect(throws: DatabaseError.self) {
            try await open.city.app.query(OneValue("SELECT count(*) FROM access_log.sequence(1)", of: Int64.self))
        }
        #expect(error?.constraint == "batch_tree_size_fkey")
        #expect(try await sequencer.sequenceOnce() == 1)
    }

    @Test("A false head is passed over: nothing is built on it, and the true root is signed")
    func falseHead() async throws {
        let (open, sequencer) = try await logged()
        try await open.city.app.transaction { transaction in
            _ = try await transaction.query(OneValue("SELECT count(*) FROM access_log.sequence(1)", of: Int64.self))
            try await transaction.execute(
                """
                INSERT INTO access_log.checkpoint (tree_size, root, frontier, note)
                VALUES (2, sha256('false'), ARRAY[sha256('false')], 'unsigned')
                """)
        }
        _ = try await open.city.app.query(OneValue(open.authorise(UUID()), of: Int64.self))
        #expect(try await sequencer.sequenceOnce() == 1)
        let shown = try #require(try await SignedHead.newest(verifier: signer.verifier, query: open.city.app.query))
        var tree = CompactRange()
        for leaf in try await open.city.app.query(Leaves(indexes: 0..<3)) { tree.append(.leaf(leaf)) }
        #expect(shown.tree == tree && tree.size == 3)
    }

    @Test("How a session reads literals does not change what is committed to")
    func literals() async throws {
        let (open, _) = try await logged()
        func commitments(_ setting: SQL) async throws -> [[UInt8]] {
            struct Undone: Error { let commitments: [[UInt8]] }
            do {
                return try await open.city.appPool(sharedConnections: 1).transaction { transaction -> [[UInt8]] in
                    try await transaction.execute(setting)
                    throw Undone(commitments: try await transaction.query(OneValue("SELECT data FROM access_log.sequence(1)", of: [UInt8].self)))
                }
            } catch let undone as Undone {
                return undone.commitments
            }
        }
        let usual = try await commitments("SET LOCAL standard_conforming_strings = on")
        #expect(usual.count == 1)
        #expect(try await commitments("SET LOCAL standard_conforming_strings = off") == usual)
    }

    private let signer: Ed25519NoteSigner

    init() throws {
        signer = try Ed25519NoteSigner.generate(name: "log.example/city")
    }

    /// A log that has begun with the consent's leaf, with one entry that waits for its own.
    private func logged() async throws -> (OpenDoor, Sequencer) {
        let open = try await OpenDoor()
        let sequencer = Sequencer(database: open.city.app, signer: signer, logger: Logger(label: "test"))
        try await sequencer.signEmptyTree()
        try await sequencer.sequenceOnce()
        _ = try await open.city.app.query(OneValue(open.authorise(UUID()), of: Int64.self))
        return (open, sequencer)
    }
}
