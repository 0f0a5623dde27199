// From committed entries to signed heads: nothing is left out, and nothing gets two places.
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
        let town = try await LogTown.make()
        return (town.city, town.resident, town.door, town.sequencer, town.verifier)
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

    @Test("While somebody holds the sequencer's lock, entries wait, which is told, and none is lost")
    func lockIsHeld() async throws {
        let (city, resident, door, sequencer, verifier) = try await town()
        try await sequencer.signEmptyTree()
        #expect(try await city.app.one(LogState()).longestWaitSeconds == nil)
        try await look(2, at: resident, by: city.staff(roles: [.caseworker]), through: door)
        // The server's own role can do this: it is what somebody could who took the server over.
        try await city.app.transaction { transaction in
            _ = try await transaction.query(OneValue("SELECT pg_try_advisory_xact_lock(7308895158)", of: Bool.self))
            #expect(try await sequencer.sequenceOnce() == 0)
            #expect(try #require(try await city.app.one(LogState()).longestWaitSeconds) >= 0)
        }
        #expect(try await sequencer.sequenceOnce() == 2)
        #expect(try await city.app.one(LogState()).longestWaitSeconds == nil)
        #expect(try await verifier.verify().findings == [])
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
        try await city.owner.execute("UPDATE register.resident SET is_protected = true WHERE id = \(resident.id)")
        let clerk = try await city.staff(roles: [.caseworker])
        _ = try await door.read(
            AccessRequest(
                credential: clerk.session.hash, operation: .breakGlass, subject: .publicCode(resident.publicCode), attributes: [], purpose: "assistance",
                caseReference: "FLOOD-3"))
        // With the consent.
        #expect(try await sequencer.sequenceOnce() == 6)
        #expect(try await verifier.verify().findings == [])
    }
}
