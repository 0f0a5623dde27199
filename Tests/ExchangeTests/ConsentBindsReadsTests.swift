// What a consent permits, and when it stops: nothing but its own (organisation, purpose, attribute), and not one read longer.
@testable import AccessLog
import City
import Foundation
import Postgres
import Primitives
import Synchronization
import Testing
import Web

@Suite("Consent binds reads")
struct ConsentBindsReadsTests {
    @Test("Consent for one organisation, purpose and attribute permits nothing else", arguments: 0..<6)
    func matrix(_ round: Int) async throws {
        let city = try await CityFixture.make()
        // Two of them are answers that two others are the values behind.
        let attributes = ["family_name", "date_of_birth", "locality", "is_over_18", "lives_in_city"]
        let bases = ["is_over_18": "date_of_birth", "lives_in_city": "locality"]
        let residents = [try await city.resident(), try await city.resident()]
        var cells: [Cell] = []
        var given: Set<Grant> = []
        // The same purpose names in every organisation, so that only the organisation tells them apart.
        for name in ["clinic", "bank", "school"] {
            let organisation = try await city.organisation(name)
            for purpose in ["care", "billing", "contact"] {
                let activity = try await city.activity(organisation, purpose, attributes: attributes)
                for (position, resident) in residents.enumerated() {
                    let pseudonym = try await city.pseudonym(of: resident, for: organisation)
                    cells.append(Cell(organisation: organisation, activity: activity, resident: position, pseudonym: pseudonym))
                    let chosen = attributes.filter { _ in Int.random(in: 0..<4) == 0 }
                    guard !chosen.isEmpty else { continue }
                    #expect(try await city.decide("given", activity, by: resident, attributes: chosen) == "recorded")
                    // Some take it back, and some change their mind about which.
                    if Int.random(in: 0..<4) == 0 {
                        #expect(try await city.decide("withdrawn", activity, by: resident) == "recorded")
                    } else {
                        for attribute in chosen { given.insert(Grant(organisation: name, purpose: purpose, attribute: attribute, resident: position)) }
                    }
                }
            }
        }
        let door = Door(database: try city.appPool(sharedConnections: 1))
        for cell in cells {
            // Every set of attributes of one or two.
            for first in attributes.indices {
                for second in first..<attributes.count {
                    let asked = Array(Set([attributes[first], attributes[second]])).sorted()
                    let missing = asked.filter { !given.contains(cell.grant($0)) }
                    do {
                        let record = try await door.read(cell.request(asked))
                        #expect(missing.isEmpty, "\(cell.activity) permitted \(asked) for resident \(cell.resident)")
                        #expect(record.residentID == residents[cell.resident].id)
                        #expect(record.holdings.flatMap(\.attributes).map(\.attribute).sorted() == asked.filter { bases[$0] == nil })
                        #expect(Set(record.holdings.flatMap(\.bases).map(\.attribute)) == Set(asked.compactMap { bases[$0] }).subtracting(asked))
                    } catch let refused as RefusedAccess {
                        #expect(refused.refusal == .consentMissing)
                        #expect(refused.missing.sorted() == missing)
                    }
                }
            }
            // The right pseudonym and purpose with another organisation's token.
            for other in cells where other.organisation.id != cell.organisation.id {
                await #expect(throws: RefusedAccess(refusal: .subjectUnknown, missing: [])) {
                    _ = try await door.read(cell.request(["locality"], credential: other.organisation.credential))
                }
            }
        }
    }

    @Test("After a withdrawal has committed no read that starts is permitted, with sixteen readers in flight", .timeLimit(.minutes(2)))
    func withdrawal() async throws {
        let open = try await OpenDoor()
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        for round in 0..<8 {
            if round > 0 { #expect(try await open.city.decide("given", open.care, by: open.ada) == "recorded") }
            let race = Race()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        var refusedAfter = 0
                        while refusedAfter < 10 {
                            let startedAfter = race.withdrawn.load(ordering: .sequentiallyConsistent)
                            do {
                                _ = try await door.read(open.request())
                                #expect(!startedAfter, "a read that started after the withdrawal was permitted")
                                race.permitted.add(1, ordering: .relaxed)
                            } catch let refused as RefusedAccess {
                                #expect(refused.refusal == .consentMissing)
                                if startedAfter { refusedAfter += 1 }
                            }
                        }
                    }
                }
                group.addTask {
                    // Until everybody is reading.
                    while race.permitted.load(ordering: .relaxed) < 50 { await Task.yield() }
                    let outcome = try await open.city.decide("withdrawn", open.care, by: open.ada)
                    #expect(outcome == "recorded")
                    race.withdrawn.store(true, ordering: .sequentiallyConsistent)
                }
                try await group.waitForAll()
            }
            #expect(race.permitted.load(ordering: .relaxed) >= 50)
        }
        // Entries that were permitted name the consent that stood; none was written after its withdrawal.
        let late = try await open.city.entryCount(
            where: """
                e.outcome = 'permitted' AND EXISTS (SELECT FROM consent.event AS given JOIN consent.event AS ended
                    ON ended.resident_id = given.resident_id AND ended.activity_id = given.activity_id AND ended.sequence = given.sequence + 1
                    WHERE given.id = e.consent_event_id AND ended.kind = 'withdrawn' AND e.at > ended.at + interval '1 second')
                """)
        #expect(late == 0)
    }

    @Test("What ends by itself permits until the instant and not a millisecond longer, before anybody has written it down")
    func ending() async throws {
        let open = try await OpenDoor()
        let brief = try await open.city.activity(open.clinic, "brief-care", attributes: ["family_name"], validMonths: 1)
        try await open.city.owner.execute("UPDATE web.credential SET expires_at = 'infinity', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
        let start = Date(timeIntervalSince1970: 1_801_353_600)  // 31 January 2027
        try await open.city.stopClock(at: start)
        #expect(try await open.city.decide("given", brief, by: open.ada) == "recorded")
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        let read = {
            AccessRequest(
                credential: open.clinic.credential.hash, operation: .disclose, subject: .pseudonym(open.pseudonym), attributes: ["family_name"],
                purpose: "brief-care", caseReference: "K-1")
        }
        let end = start + 28 * 86_400
        try await open.city.stopClock(at: end - 0.001)
        #expect(try await door.read(read()).residentID == open.ada.id)
        try await open.city.stopClock(at: end)
        await #expect(throws: RefusedAccess(refusal: .consentMissing, missing: ["family_name"])) { _ = try await door.read(read()) }
        // What has no end goes on beside it, and a renewal permits at once.
        #expect(try await door.read(open.request()).residentID == open.ada.id)
        #expect(try await open.city.decide("renewed", brief, by: open.ada) == "recorded")
        #expect(try await door.read(read()).residentID == open.ada.id)
    }

    @Test("A revoked token's next read is refused")
    func revocation() async throws {
        let open = try await OpenDoor()
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        _ = try await door.read(open.request())
        try await open.city.revoke(open.clinic.credential)
        await #expect(throws: RefusedAccess(refusal: .credentialInvalid, missing: [])) { _ = try await door.read(open.request()) }
    }

    @Test("A closed client's tokens end with it")
    func closedClient() async throws {
        let open = try await OpenDoor()
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        _ = try await door.read(open.request())
        try await open.city.owner.execute("UPDATE openid.client SET closed_at = public.stoa_now() WHERE id = 'clinic'")
        await #expect(throws: RefusedAccess(refusal: .credentialInvalid, missing: [])) { _ = try await door.read(open.request()) }
    }

    @Test("A thousand concurrent reads are a thousand entries, and far fewer transactions")
    func thousand() async throws {
        let open = try await OpenDoor()
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        try await withThrowingTaskGroup(of: AccessEntryID.self) { group in
            for number in 0..<1000 {
                group.addTask { try await door.read(open.request(caseReference: "K-\(number)")).entryID }
            }
            var entries: Set<AccessEntryID> = []
            for try await entry in group { entries.insert(entry) }
            #expect(entries.count == 1000)
        }
        #expect(try await open.city.entryCount(where: "e.outcome = 'permitted'") == 1000)
        let counts = try await open.city.owner.one(
            OneValue("SELECT ARRAY[count(DISTINCT case_reference), count(DISTINCT written_by)] FROM access_log.entry", of: [Int64].self))
        #expect(counts[0] == 1000)
        #expect(counts[1] < 500)
        let queued = try await open.city.owner.one(OneValue("SELECT count(*) FROM access_log.queue", of: Int64.self))
        #expect(queued == 1000)
    }

    @Test("One reader's refusal is nobody else's: permitted and refused reads share transactions")
    func mixed() async throws {
        let open = try await OpenDoor()
        let stranger = FixtureCredential()
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<300 {
                group.addTask {
                    let isStranger = number.isMultiple(of: 3)
                    do {
                        _ = try await door.read(open.request(credential: isStranger ? stranger : nil))
                        return !isStranger
                    } catch let refused as RefusedAccess {
                        return isStranger && refused.refusal == .credentialInvalid
                    }
                }
            }
            for try await isAsExpected in group { #expect(isAsExpected) }
        }
        #expect(try await open.city.entryCount() == 200)
    }
}

/// What the readers and the withdrawing resident tell each other.
private final class Race: Sendable {
    let withdrawn = Atomic(false)
    let permitted = Atomic(0)
}

private struct Grant: Hashable {
    let organisation: String
    let purpose: String
    let attribute: String
    let resident: Int
}

private struct Cell {
    let organisation: FixtureOrganisation
    let activity: FixtureActivity
    let resident: Int
    let pseudonym: UUID

    func grant(_ attribute: String) -> Grant {
        Grant(organisation: organisation.id, purpose: activity.purpose, attribute: attribute, resident: resident)
    }

    func request(_ attributes: [String], credential: FixtureCredential? = nil) -> AccessRequest {
        AccessRequest(
            credential: (credential ?? organisation.credential).hash, operation: .disclose, subject: .pseudonym(pseudonym),
            attributes: attributes, purpose: activity.purpose, caseReference: "K-1")
    }
}
