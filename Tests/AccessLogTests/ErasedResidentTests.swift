// Somebody is erased: nothing about them opens or is found afterwards, through any door, and the log of who looked is still whole.
import City
import Foundation
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import AccessLog

@Suite("Erasing a resident")
struct ErasedResidentTests {
    private func view(_ resident: FixtureResident, by staff: FixtureStaff, in town: LogTown) async throws -> OpenedRecord {
        try town.city.vault.open(
            try await town.door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: .view, subject: .publicCode(resident.publicCode), attributes: ["given_names", "family_name"],
                    purpose: "assistance", caseReference: "CASE-1")))
    }

    @Test("Nothing opens, nothing is found, and the log verifies")
    func erasure() async throws {
        let town = try await LogTown.make()
        let (city, resident) = (town.city, town.resident)
        let staff = try await city.staff(roles: [.caseworker])
        let clinic = try await city.organisation("clinic")
        let activity = try await city.activity(clinic, "treatment", attributes: ["given_names"])
        try await city.decide("given", activity, by: resident)
        let pseudonym = try await city.pseudonym(of: resident, for: clinic)
        // Every request is an entry with an id of its own.
        func read() async throws -> ReleasedRecord {
            try await town.door.read(
                AccessRequest(
                    credential: clinic.credential.hash, operation: .disclose, subject: .pseudonym(pseudonym), attributes: ["given_names"],
                    purpose: "treatment", caseReference: "A-1"))
        }
        #expect(try await view(resident, by: staff, in: town).name != nil)
        #expect(try await city.vault.open(read()).value(.givenNames) != nil)

        await #expect(throws: DatabaseError.self) {
            try await city.app.execute("SELECT register.erase_resident(\(resident.publicCode.description), 'because I want to')")
        }
        let erasure = ResidentErasure(owner: city.owner)
        #expect(try await erasure.erase(resident.publicCode, authority: "Court order 12/2026"))
        #expect(try await !erasure.erase(resident.publicCode, authority: "Court order 12/2026"))

        #expect(try await view(resident, by: staff, in: town).attributes.isEmpty)
        await #expect(throws: RefusedAccess(refusal: .subjectUnknown, missing: [])) { _ = try await read() }
        for kept in ["data_key", "sealed_attribute", "lookup"] {
            let count = OneValue(
                "SELECT count(*) FROM register.\(unsafeRaw: kept) WHERE resident_id = \(resident.id.uuid)", of: Int64.self)
            #expect(try await city.owner.one(count) == 0, "\(kept)")
        }
        // The session that was open is over, and so is the account.
        await #expect(throws: (any Error).self) {
            _ = try await town.door.read(
                AccessRequest(
                    credential: resident.session.hash, operation: .ownView, subject: .own, attributes: ["given_names"], purpose: "profile",
                    caseReference: ""))
        }

        try await town.sequencer.sequenceOnce()
        let result = try await town.verifier.verify()
        #expect(result.findings == [])
        #expect(result.leafCount >= 4)
    }
}
