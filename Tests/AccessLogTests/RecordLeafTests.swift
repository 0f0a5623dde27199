// What is in the log besides access entries: it comes there with the row, whoever writes it and whatever else happens at that moment; and what is changed
// or left out afterwards is found.
import City
import Foundation
import Logging
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import AccessLog

@Suite("Consent events and decisions in the log")
struct RecordLeafTests {
    private struct RecordTown {
        let log: LogTown
        let care: FixtureActivity
        let clerk: FixtureStaff
        let auditor: FixtureStaff
        let question = UUID()

        init() async throws {
            log = try await LogTown.make()
            care = try await log.city.activity(log.city.organisation("clinic"), "care", attributes: ["street", "postcode"], validMonths: 12)
            clerk = try await log.city.staff(roles: [.caseworker])
            auditor = try await log.city.staff(roles: [.auditor])
            try await log.sequencer.signEmptyTree()
        }

        /// Two consent events.
        func consent() async throws {
            try await log.city.decide("given", care, by: log.resident, attributes: ["street"])
            try await log.city.decide("withdrawn", care, by: log.resident)
        }

        /// Three decisions of staff, one of each kind that needs nothing of other slices.
        func decide() async throws {
            let (sealed, ada) = ([UInt8](repeating: 1, count: 60), log.resident.id)
            let (correction, emergency, clerkID, auditorID) = (UUID(), UUID(), clerk.id.uuid, auditor.id.uuid)
            try await log.city.owner.transaction { transaction in
                try await transaction.execute(
                    """
                    INSERT INTO register.correction_request (id, reference, resident_id, attribute, sealed_statement)
                    VALUES (\(correction), 'AAA-AAA-AAA', \(ada), 'street', \(sealed))
                    """)
                try await transaction.execute(
                    "INSERT INTO register.correction_answer (request_id, decision, answered_by) VALUES (\(correction), 'accepted', \(clerkID))")
                try await transaction.execute(
                    """
                    INSERT INTO questions.question (id, reference, entry_id, resident_id, sealed_question)
                    VALUES (\(question), 'BBB-BBB-BBB', \(UUID()), \(ada), \(sealed))
                    """)
                try await transaction.execute(
                    """
                    INSERT INTO questions.answer (question_id, finding, sealed_answer, answered_by)
                    VALUES (\(question), 'lawful', \(sealed), \(auditorID))
                    """)
                try await transaction.execute(
                    """
                    INSERT INTO casework.break_glass (entry_id, reference, staff_id, resident_id, sealed_reason)
                    VALUES (\(emergency), 'CCC-CCC-CCC', \(clerkID), \(ada), \(sealed))
                    """)
                try await transaction.execute(
                    """
                    INSERT INTO casework.break_glass_review (entry_id, finding, sealed_words, reviewed_by)
                    VALUES (\(emergency), 'justified', \(sealed), \(auditorID))
                    """)
            }
        }

        func kinds() async throws -> [String] {
            try await log.city.owner.query(OneValue("SELECT kind FROM access_log.leaf ORDER BY kind", of: String.self))
        }

        func findings() async throws -> [String] { try await log.verifier.verify().findings }
    }

    @Test("Each gets one leaf of its kind, among those of entries, and what the verifier computes is what the database did")
    func kinds() async throws {
        let town = try await RecordTown()
        try await look(2, at: town.log.resident, by: town.clerk, through: town.log.door)
        try await town.consent()
        try await town.decide()
        let before = try await town.log.verifier.verify()
        #expect(before.isWhole && before.waitingCount == 7)
        #expect(try #require(try await town.log.city.app.one(LogState()).longestWaitSeconds) >= 0)
        #expect(try await town.log.sequencer.sequenceOnce() == 7)
        #expect(try await town.log.sequencer.sequenceOnce() == 0)
        #expect(try await town.kinds() == ["access_entry", "access_entry", "consent_event", "consent_event", "decision", "decision", "decision"])
        // Records alone are reason enough for a head.
        try await town.log.city.decide("given", town.care, by: town.log.resident)
        #expect(try await town.log.sequencer.sequenceOnce() == 1)
        let after = try await town.log.verifier.verify()
        #expect(after.findings == [] && after.leafCount == 8 && after.waitingCount == 0 && after.checkpointCount == 3)
        #expect(try await town.log.city.app.one(LogState()).longestWaitSeconds == nil)
    }

    @Test("Every field of an event is told by both encoders, absent and present")
    func twins() async throws {
        let town = try await RecordTown()
        let (ada, care, clerk) = (town.log.resident.id.uuid, town.care.id, town.clerk.id.uuid)
        func append(_ kind: String, _ attributes: [String]?, client: String?, staff: UUID?, _ capacity: String, _ method: String, form: String?) async throws {
            let outcome = OneValue(
                """
                SELECT consent.append(\(UUID()), \(ada), \(care), \(kind), \(attributes as [String]?), NULL, NULL, \(staff as UUID?), \(client as String?),
                    \(capacity), \(method), 'ar', \(form as String?))
                """, of: String.self)
            #expect(try await town.log.city.owner.one(outcome) == "recorded")
        }
        try await append("requested", ["postcode"], client: "clinic", staff: nil, "organisation", "exchange", form: nil)
        try await append("given", ["street", "postcode"], client: nil, staff: clerk, "paper", "paper_form", form: "Ü-7")
        try await town.log.city.decide("withdrawn", town.care, by: town.log.resident)
        #expect(try await town.log.sequencer.sequenceOnce() == 3)
        #expect(try await town.findings() == [])
    }

    @Test("What is rolled back leaves no leaf, and nobody but the slices' own functions queues one")
    func rollback() async throws {
        struct Undone: Error {}
        let town = try await RecordTown()
        let (session, care) = (town.log.resident.session.hash.bytes, town.care.id)
        await #expect(throws: Undone.self) {
            try await town.log.city.app.transaction { transaction in
                let outcome = OneValue("SELECT consent.decide(\(session), \(UUID()), \(care), 'given', NULL, NULL, 'en')", of: String.self)
                #expect(try await transaction.query(outcome) == ["recorded"])
                throw Undone()
            }
        }
        #expect(try await town.log.sequencer.sequenceOnce() == 0)
        for statement: SQL in [
            "SELECT access_log.queue_leaf('decision', gen_random_uuid(), sha256(''))", "SELECT salt FROM access_log.record",
            "INSERT INTO access_log.record (kind, source_id, content_hash) VALUES ('decision', gen_random_uuid(), sha256(''))",
            "DELETE FROM access_log.record_queue", "SELECT * FROM access_log.decision", "SELECT * FROM access_log.consent_event",
        ] {
            let error = await #expect(throws: DatabaseError.self) { try await town.log.city.app.execute(statement) }
            #expect(error?.sqlState == "42501", "\(statement)")
        }
        await #expect(throws: DatabaseError.self) {
            try await town.log.city.owner.execute("SELECT access_log.queue_leaf('something_else', gen_random_uuid(), sha256(''))")
        }
    }

    @Test("A changed row, one that is gone, one that was never brought in, and a leaf of another kind are found", arguments: [
        ("UPDATE consent.event SET language = 'fr' WHERE sequence = 1", "is not what the log holds."),
        ("UPDATE questions.answer SET finding = 'unlawful'", "is not what the log holds."),
        ("UPDATE casework.break_glass_review SET sealed_words = sealed_words || '\\x01'", "is not what the log holds."),
        ("DELETE FROM questions.answer", "is gone, and the log holds that there was one."),
        ("DELETE FROM consent.event WHERE sequence = 2", "is gone, and the log holds that there was one."),
        ("UPDATE access_log.record SET content_hash = sha256(content_hash) WHERE kind = 'decision'", "is not what was committed to."),
        ("UPDATE access_log.record SET salt = sha256(salt) WHERE kind = 'consent_event'", "is not what was committed to."),
        ("UPDATE access_log.record SET salt = NULL, content_hash = NULL WHERE kind = 'consent_event'", "is gone without a recorded erasure."),
        ("UPDATE access_log.leaf SET kind = 'consent_event' WHERE kind = 'decision'", "is not what was committed to."),
        ("DELETE FROM access_log.record WHERE kind = 'consent_event'", "2 consent events were never brought into the log."),
        ("UPDATE access_log.record SET source_id = gen_random_uuid() WHERE kind = 'decision'", "3 decisions were never brought into the log."),
        (
            "INSERT INTO access_log.record (kind, source_id, content_hash) VALUES ('ledger_batch', gen_random_uuid(), sha256(''))",
            "1 records have no leaf and do not wait for one."
        ),
        (
            "INSERT INTO access_log.record_queue (record_id) VALUES (gen_random_uuid())",
            "1 records are gone that waited for their leaf."
        ),
    ])
    func tampering(statement: String, finding: String) async throws {
        let town = try await RecordTown()
        try await town.consent()
        try await town.decide()
        try await town.log.sequencer.sequenceOnce()
        #expect(try await town.findings() == [])
        try await town.log.tamper(["\(unsafeRaw: statement)"])
        let findings = try await town.findings()
        #expect(findings.contains { $0.hasSuffix(finding) }, "\(findings)")
    }

    @Test("A record that is passed over is found")
    func passedOver() async throws {
        let town = try await RecordTown()
        try await town.consent()
        #expect(try await town.log.verifier.verify().isWhole)
        try await town.log.tamper(["UPDATE access_log.record_queue SET queued_at = queued_at - interval '1 hour'"])
        #expect(try await town.findings() == ["2 records still wait for a leaf, although heads were signed since."])
    }

    @Test("The salt of a record goes on somebody's authority, once it has its leaf, and the tree holds; nothing else of it ever changes")
    func erasure() async throws {
        let town = try await RecordTown()
        try await town.consent()
        let owner = town.log.city.owner
        let record = try await owner.one(OneValue("SELECT id FROM access_log.record LIMIT 1", of: UUID.self))
        let erase = OneValue("SELECT access_log.erase_entry(\(record), 'Court order 12/2026')", of: Bool.self)
        await #expect(throws: DatabaseError.self, "it waits for its leaf") { try await owner.one(erase) }
        try await town.log.sequencer.sequenceOnce()
        for statement: SQL in [
            "UPDATE access_log.record SET salt = NULL, content_hash = NULL", "UPDATE access_log.record SET salt = sha256(salt)",
            "UPDATE access_log.record SET kind = 'decision'", "DELETE FROM access_log.record", "TRUNCATE access_log.record CASCADE",
        ] {
            await #expect(throws: DatabaseError.self, "\(statement)") { try await owner.execute(statement) }
        }
        #expect(try await owner.one(erase))
        await #expect(throws: DatabaseError.self, "once") { try await owner.one(erase) }
        let result = try await town.log.verifier.verify()
        #expect(result.findings == [] && result.erasedCount == 1)
        #expect(try await owner.one(OneValue("SELECT count(*) FROM access_log.record WHERE salt IS NULL AND content_hash IS NULL", of: Int64.self)) == 1)
    }

    @Test("Many who decide while two sequencers work: each event gets one leaf, and the head verifies")
    func race() async throws {
        let town = try await RecordTown()
        let residents = try await withThrowingTaskGroup(of: FixtureResident.self) { group in
            for _ in 0..<12 { group.addTask { try await town.log.city.resident() } }
            return try await group.reduce(into: [FixtureResident]()) { $0.append($1) }
        }
        let other = Sequencer(database: try town.log.city.appPool(sharedConnections: 1), signer: town.log.signer, logger: Logger(label: "test"))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for resident in residents {
                group.addTask { for kind in ["given", "withdrawn", "given"] { try await town.log.city.decide(kind, town.care, by: resident) } }
            }
            for sequencer in [town.log.sequencer, other] {
                group.addTask { for _ in 0..<8 { _ = try? await sequencer.sequenceOnce() } }
            }
            try await group.waitForAll()
        }
        while try await town.log.sequencer.sequenceOnce() > 0 {}
        let result = try await town.log.verifier.verify()
        #expect(result.findings == [] && result.leafCount == 36 && result.waitingCount == 0)
        #expect(try await town.kinds() == Array(repeating: "consent_event", count: 36))
    }
}
