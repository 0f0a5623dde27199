// What `stoa verify log` finds: each promise of the log is broken by somebody who owns the machine, and the finding names it.
import City
import Foundation
import Logging
import Postgres
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import AccessLog

@Suite("Verification of the log")
struct LogVerificationTests {
    /// Five entries about one resident, each with its leaf, under a signed head; and the signed head of the empty tree.
    private func town() async throws -> LogTown {
        let town = try await LogTown.make()
        try await town.sequencer.signEmptyTree()
        try await look(5, at: town.resident, by: town.city.staff(roles: [.caseworker]), through: town.door)
        try await town.sequencer.sequenceOnce()
        #expect(try await town.verifier.verify().findings == [])
        return town
    }

    private static let entryNumber3 = "(SELECT entry_id FROM access_log.leaf WHERE subject_number = 3)"

    @Test("A changed entry, a missing leaf and a foreign head are found", arguments: [
        "UPDATE access_log.entry SET case_reference = 'CASE-9' WHERE id = \(entryNumber3)",
        "UPDATE access_log.leaf SET commitment = sha256(commitment) WHERE index = 2",
        "DELETE FROM access_log.leaf WHERE index = 0",
        "UPDATE access_log.checkpoint SET root = sha256(root)",
        "DELETE FROM access_log.entry WHERE id = \(entryNumber3)",
    ])
    func tampering(statement: String) async throws {
        let town = try await town()
        // The triggers refuse it even to the owner; somebody with the machine could switch them off.
        await #expect(throws: DatabaseError.self) { try await town.city.owner.execute("\(unsafeRaw: statement)") }
        try await town.tamper(["\(unsafeRaw: statement)"])
        #expect(try await !town.verifier.verify().isWhole)
    }

    @Test("Leaves that no signed head covers are found")
    func unsignedLeaves() async throws {
        let town = try await town()
        try await town.tamper(["DELETE FROM access_log.checkpoint WHERE tree_size > 0"])
        #expect(try await town.verifier.verify().findings == ["The newest signed head covers 0 leaves, and there are 5."])
    }

    @Test("An entry that was taken out leaves a hole, even under a new signed head")
    func hole() async throws {
        let town = try await town()
        try await town.tamper([
            "DELETE FROM access_log.entry WHERE id = \(unsafeRaw: Self.entryNumber3)",
            "DELETE FROM access_log.leaf WHERE subject_number = 3",
        ])
        try await town.signAnew()
        let findings = try await town.verifier.verify().findings
        #expect(findings.count == 1 && findings[0].contains("number 4 of one subject does not follow number 3"), "\(findings)")
    }

    @Test("A chain whose end was cut off is found, even under a new signed head")
    func cutOff() async throws {
        let town = try await town()
        try await town.tamper([
            "DELETE FROM access_log.entry WHERE id = (SELECT entry_id FROM access_log.leaf WHERE subject_number = 5)",
            "DELETE FROM access_log.leaf WHERE subject_number = 5",
        ])
        try await town.signAnew()
        let findings = try await town.verifier.verify().findings
        #expect(findings == ["The chain of one subject does not end with its number 5, as it should."])
    }

    @Test("Two entries of one number are found")
    func duplicate() async throws {
        let town = try await town()
        try await town.tamper(["UPDATE access_log.leaf SET subject_number = 2 WHERE subject_number = 3"])
        let findings = try await town.verifier.verify().findings
        #expect(findings.contains("2 entries about one subject have the number 2."), "\(findings)")
    }

    @Test("Entries about somebody without a number are found")
    func unnumbered() async throws {
        let town = try await town()
        try await town.tamper(["UPDATE access_log.leaf SET subject_number = NULL, previous_commitment = NULL WHERE subject_number = 5"])
        let findings = try await town.verifier.verify().findings
        #expect(findings.contains { $0.contains("is about a subject and has no number") }, "\(findings)")
    }

    @Test("Where so much is wrong that reading stops, nothing is said of the leaves and heads behind")
    func stopsEarly() async throws {
        let town = try await town()
        try await look(LogVerifier.findingsMax + 10, at: town.resident, by: town.city.staff(roles: [.caseworker]), through: town.door)
        try await town.sequencer.sequenceOnce()
        try await town.tamper(["UPDATE access_log.entry SET case_reference = 'CASE-9'"])
        let findings = try await town.verifier.verify().findings
        #expect(findings.count == LogVerifier.findingsMax)
        #expect(findings.allSatisfy { $0.hasSuffix("is not what was committed to.") }, "\(findings)")
    }

    @Test("An entry that was passed over, and one that vanished while it waited, are found")
    func waiting() async throws {
        let town = try await town()
        try await look(2, at: town.resident, by: town.city.staff(roles: [.caseworker]), through: town.door)
        let result = try await town.verifier.verify()
        #expect(result.isWhole && result.waitingCount == 2)
        let oldest: SQL = "(SELECT min(q.entry_id::text)::uuid FROM access_log.queue AS q)"
        try await town.tamper(["UPDATE access_log.entry SET at = at - interval '1 hour' WHERE id = " + oldest])
        #expect(try await town.verifier.verify().findings == ["1 entries still wait for a leaf, although later ones have theirs."])
        try await town.tamper(["DELETE FROM access_log.entry WHERE id = " + oldest])
        #expect(try await town.verifier.verify().findings == ["1 entries are gone that waited for their leaf."])
        // The others still get their leaves, and the place of the one that is gone stays to be found.
        #expect(try await town.sequencer.sequenceOnce() == 1)
        #expect(try await town.sequencer.sequenceOnce() == 0)
        #expect(try await town.verifier.verify().findings == ["1 entries are gone that waited for their leaf."])
    }

    @Test("An erased entry leaves its commitment, and the chain still holds", arguments: [[3], [5], [1, 2, 3, 4, 5]])
    func erasure(numbers: [Int64]) async throws {
        let town = try await town()
        for number in numbers {
            let erased = OneValue(
                "SELECT access_log.erase_entry((SELECT l.entry_id FROM access_log.leaf AS l WHERE l.subject_number = \(number)), 'Court order 12/2026')",
                of: Bool.self)
            #expect(try await town.city.owner.one(erased))
        }
        let result = try await town.verifier.verify()
        #expect(result.findings == [])
        #expect(result.erasedCount == numbers.count)
        await #expect(throws: DatabaseError.self) {
            try await town.city.app.execute("SELECT access_log.erase_entry(gen_random_uuid(), 'because I want to')")
        }
    }
}
