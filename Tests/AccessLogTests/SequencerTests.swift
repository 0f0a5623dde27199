// From committed entries to signed heads: nothing is left out, nothing gets two places, and what was changed is found.
import City
import Foundation
import Logging
import Postgres
import Primitives
import Testing
import TestSupport
import TransparencyLog
import Web

@testable import AccessLog

@Suite("The log of who looked")
struct SequencerTests {
    private func town() async throws -> (CityFixture, FixtureResident, Door, Sequencer, LogVerifier) {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let signer = try Ed25519NoteSigner.generate(name: "log.example/test")
        let sequencer = Sequencer(database: city.app, signer: signer, logger: Logger(label: "test"))
        let auditor = try Database(configuration: .init(url: city.test.auditorURL), logger: Logger(label: "test"))
        return (city, resident, Door(database: city.app), sequencer, LogVerifier(database: auditor, verifier: signer.verifier))
    }

    /// A caseworker looks the resident up `count` times.
    private func look(_ count: Int, at resident: FixtureResident, by staff: FixtureStaff, through door: Door) async throws {
        for _ in 0..<count {
            _ = try await door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [],
                    purpose: "assistance", caseReference: "CASE-1"))
        }
    }

    @Test("Every entry gets one leaf, and the head verifies from the rows")
    func sequencing() async throws {
        let (city, resident, door, sequencer, verifier) = try await town()
        let staff = try await city.staff(roles: [.caseworker])
        try await sequencer.signEmptyTree()
        try await look(7, at: resident, by: staff, through: door)
        #expect(try await sequencer.sequenceOnce() == 7)
        try await look(3, at: resident, by: staff, through: door)
        #expect(try await sequencer.sequenceOnce() == 3)
        #expect(try await sequencer.sequenceOnce() == 0)
        let result = try await verifier.verify()
        #expect(result.findings == [])
        #expect(result.leafCount == 10)
        #expect(result.checkpointCount == 3)
        let numbers = try await city.owner.query(OneValue("SELECT subject_number FROM access_log.leaf ORDER BY subject_number", of: Int64.self))
        #expect(numbers == Array(1...10))
    }

    @Test("A search that finds nobody is in the log without a subject")
    func nobodyFound() async throws {
        let (city, _, door, sequencer, verifier) = try await town()
        let staff = try await city.staff(roles: [.caseworker])
        await #expect(throws: RefusedAccess(refusal: .subjectUnknown, missing: [])) {
            _ = try await door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: .search, subject: .nationalNumber([UInt8](repeating: 1, count: 32)),
                    attributes: [], purpose: "assistance", caseReference: "CASE-2"))
        }
        #expect(try await city.entryCount(where: "e.subject_id IS NULL AND e.outcome = 'refused'") == 1)
        try await sequencer.sequenceOnce()
        #expect(try await verifier.verify().findings == [])
    }

    @Test("Two sequencers at once never give one place twice")
    func twoSequencers() async throws {
        let (city, resident, door, sequencer, verifier) = try await town()
        let staff = try await city.staff(roles: [.caseworker])
        try await look(40, at: resident, by: staff, through: door)
        let second = Sequencer(
            database: try city.appPool(sharedConnections: 1), signer: try Ed25519NoteSigner.generate(name: "log.example/other"),
            logger: Logger(label: "test"))
        // The second one signs with another key: had it worked on the same leaves, its head would not verify.
        let counts = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 { group.addTask { (try? await sequencer.sequenceOnce()) ?? 0 } }
            return try await group.reduce(0, +)
        }
        #expect(counts == 40)
        #expect(try await second.sequenceOnce() == 0)
        #expect(try await city.owner.one(OneValue("SELECT count(*) FROM access_log.leaf", of: Int64.self)) == 40)
        #expect(try await verifier.verify().findings == [])
    }

    @Test("A changed entry, a missing leaf and a foreign head are found", arguments: [
        "UPDATE access_log.entry SET case_reference = 'CASE-9' WHERE id = (SELECT entry_id FROM access_log.leaf WHERE index = 1)",
        "UPDATE access_log.leaf SET commitment = sha256(commitment) WHERE index = 2",
        "DELETE FROM access_log.leaf WHERE index = 0",
        "UPDATE access_log.checkpoint SET root = sha256(root)",
        "DELETE FROM access_log.entry WHERE id = (SELECT entry_id FROM access_log.leaf WHERE index = 3)",
    ])
    func tampering(statement: String) async throws {
        let (city, resident, door, sequencer, verifier) = try await town()
        let staff = try await city.staff(roles: [.caseworker])
        try await look(5, at: resident, by: staff, through: door)
        try await sequencer.sequenceOnce()
        #expect(try await verifier.verify().isWhole)
        // The triggers refuse it even to the owner; somebody with the machine could switch them off.
        await #expect(throws: DatabaseError.self) { try await city.owner.execute("\(unsafeRaw: statement)") }
        let superuser = try Database(configuration: .init(url: city.test.superuserURL), logger: Logger(label: "test"))
        try await superuser.transaction { transaction in
            try await transaction.execute("SET LOCAL session_replication_role = replica")
            #expect(try await transaction.execute("\(unsafeRaw: statement)") >= 1)
        }
        #expect(try await !verifier.verify().isWhole)
    }

    @Test("An erased entry leaves its commitment, and the tree still verifies")
    func erasure() async throws {
        let (city, resident, door, sequencer, verifier) = try await town()
        let staff = try await city.staff(roles: [.caseworker])
        try await look(3, at: resident, by: staff, through: door)
        try await sequencer.sequenceOnce()
        let entry = try await city.owner.one(OneValue("SELECT entry_id FROM access_log.leaf WHERE index = 1", of: UUID.self))
        #expect(try await city.owner.one(OneValue("SELECT access_log.erase_entry(\(entry), 'Court order 12/2026')", of: Bool.self)))
        let result = try await verifier.verify()
        #expect(result.findings == [])
        #expect(result.erasedCount == 1)
        await #expect(throws: DatabaseError.self) {
            try await city.app.execute("SELECT access_log.erase_entry(\(entry), 'because I want to')")
        }
    }

    @Test("The database's encoding and the verifier's agree on every field, present and absent")
    func canonicalTwins() async throws {
        let (city, resident, door, sequencer, verifier) = try await town()
        let clinic = try await city.organisation("clinic")
        let activity = try await city.activity(clinic, "treatment", attributes: ["given_names", "locality"])
        let lawful = try await city.activity(clinic, "billing", attributes: ["family_name"], law: "Health Act § 3 — é ✓")
        let pseudonym = try await city.pseudonym(of: resident, for: clinic)
        try await city.decide("given", activity, by: resident)
        for (purpose, attributes) in [("treatment", ["given_names", "locality"]), (lawful.purpose, ["family_name"]), ("nothing", ["email"])] {
            _ = try? await door.read(
                AccessRequest(
                    credential: clinic.credential.hash, operation: .disclose, subject: .pseudonym(pseudonym), attributes: attributes,
                    purpose: purpose, caseReference: "Ärzte/7"))
        }
        _ = try await door.read(
            AccessRequest(
                credential: resident.session.hash, operation: .ownView, subject: .own, attributes: [], purpose: "access_log", caseReference: ""))
        #expect(try await sequencer.sequenceOnce() == 4)
        #expect(try await verifier.verify().findings == [])
    }
}
