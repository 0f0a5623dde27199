// How often an organisation may read about one resident: as often as the policy says to which the resident agreed, exactly, also in a race.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import TestSupport
import Testing
import Web

@testable import AccessLog
@testable import Exchange

/// A clinic that reads about each resident so many times a day at most, at a moment that stands still.
private struct Ward {
    static let start = Date(timeIntervalSince1970: 1_800_000_000)

    let city: CityFixture
    let clinic: FixtureOrganisation
    let ada: FixtureResident
    let subject: UUID

    init(readsPerDay: Int) async throws {
        city = try await CityFixture.make()
        try await city.stopClock(at: Self.start)
        clinic = try await city.organisation("clinic")
        ada = try await city.resident()
        subject = try await city.pseudonym(of: ada, for: clinic)
        let care = try await city.activity(clinic, "care", attributes: ["family_name"], law: "Health Act § 1")
        _ = try await city.activity(clinic, "billing", attributes: ["family_name"], law: "Health Act § 2")
        let max = Int32(readsPerDay)
        try await city.test.psql("SET session_replication_role = replica; UPDATE consent.policy SET reads_per_day_max = \(max) WHERE activity_id = '\(care.id)'")
        try await city.owner.execute("UPDATE web.credential SET expires_at = public.stoa_now() + interval '30 days'")
    }

    func request(_ purpose: String = "care", _ attribute: String = "family_name", of subject: UUID? = nil, operation: AccessOperation = .disclose) -> AccessRequest {
        AccessRequest(
            credential: clinic.credential.hash, operation: operation, subject: .pseudonym(subject ?? self.subject), attributes: [attribute], purpose: purpose,
            caseReference: "K-1")
    }

    /// Nil where it was permitted.
    func refusal(of request: AccessRequest, at door: Door) async throws -> Refusal? {
        do {
            _ = try await door.read(request)
            return nil
        } catch let refused as RefusedAccess {
            return refused.refusal
        }
    }

    func doors(_ count: Int) throws -> [Door] { try (0..<count).map { _ in Door(database: try city.appPool(sharedConnections: 1)) } }
}

@Suite("Reads of one resident in a day")
struct FrequencyTests {
    @Test("What is over the limit is refused and stands in the log; another resident, another purpose and the next day are counted anew; a refusal does not count")
    func counts() async throws {
        let ward = try await Ward(readsPerDay: 2)
        let door = try ward.doors(1)[0]
        let eve = try await ward.city.resident()
        let other = try await ward.city.pseudonym(of: eve, for: ward.clinic)
        #expect(try await ward.refusal(of: ward.request("care", "phone"), at: door) == .attributesNotInPurpose)
        for expected in [nil, nil, Refusal.frequencyExceeded, .frequencyExceeded] {
            #expect(try await ward.refusal(of: ward.request(), at: door) == expected)
        }
        #expect(try await ward.refusal(of: ward.request(of: other), at: door) == nil)
        for _ in 0..<4 { #expect(try await ward.refusal(of: ward.request("billing"), at: door) == nil) }
        #expect(try await ward.city.entryCount(where: "e.refusal = 'frequency_exceeded' AND e.outcome = 'refused' AND e.subject_id = \(ward.ada.id) AND e.law IS NULL") == 2)
        try await ward.city.stopClock(at: Ward.start.addingTimeInterval(24 * 3600 - 1))
        #expect(try await ward.refusal(of: ward.request(), at: door) == .frequencyExceeded)
        let removed = OneValue("SELECT exchange.remove_past_frequency()", of: Int64.self)
        #expect(try await ward.city.app.exclusive { try await $0.one(removed) } == 0)
        try await ward.city.stopClock(at: Ward.start.addingTimeInterval(24 * 3600))
        for expected in [nil, nil, Refusal.frequencyExceeded] { #expect(try await ward.refusal(of: ward.request(), at: door) == expected) }
        try await ward.city.stopClock(at: Ward.start.addingTimeInterval(72 * 3600))
        #expect(try await ward.city.app.exclusive { try await $0.one(removed) } == 2)
        #expect(try await ward.refusal(of: ward.request(), at: door) == nil)
    }

    @Test("Exactly the limit is permitted, whatever races on three nodes and within a batch", arguments: [1, 7, 40])
    func race(limit: Int) async throws {
        let ward = try await Ward(readsPerDay: limit)
        let doors = try ward.doors(3)
        let permitted = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<64 {
                group.addTask {
                    let refusal = try await ward.refusal(of: ward.request(), at: doors[number % 3])
                    #expect(refusal == nil || refusal == .frequencyExceeded)
                    return refusal == nil
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(permitted == limit)
        #expect(try await ward.city.entryCount(where: "e.outcome = 'permitted'") == limit)
        #expect(try await ward.city.entryCount(where: "e.refusal = 'frequency_exceeded'") == 64 - limit)
    }

    @Test("A list counts each of its people, also one who is on it twice, and the answer says what to do")
    func lists() async throws {
        let ward = try await Ward(readsPerDay: 2)
        let door = try ward.doors(1)[0]
        let requests = (0..<3).map { _ in ward.request(operation: .list) }
        let refusals = try await door.read(requests).map { answer -> Refusal? in
            if case .failure(let error) = answer { return (error as? RefusedAccess)?.refusal }
            return nil
        }
        #expect(refusals.filter { $0 == nil }.count == 2 && refusals.filter { $0 == .frequencyExceeded }.count == 1)
        try await ward.city.serve({
            ExchangeRoutes(door: door, vault: ward.city.vault, database: ward.city.app, rules: utcRules, signer: citySigner, baseURL: cityAddress).add(to: $0)
        }) { client in
            let body = #"{"subject": "\#(ward.subject)", "purpose": "care", "attributes": ["family_name"], "case_reference": "K-1"}"#
            let answer = try await CityAPIClient(client, token: ward.clinic.credential).post("/api/v1/exchange/reads", body)
            #expect(answer.status == 403 && answer.problem == "frequency-exceeded" && answer.json["access_entry"]?.text != nil)
        }
    }
}
