// How much an organisation may ask in a minute: counted once for all its clients and all nodes, exactly, also in a race.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web

@testable import AccessLog
@testable import Exchange

private let reads = "/api/v1/exchange/reads"
private let lists = "/api/v1/exchange/lists"

/// A shop that a law lets read the names of everybody whom it knows, at a moment that stands still.
private struct Shop {
    let city: CityFixture
    let shop: FixtureOrganisation
    let ada: FixtureResident
    let subject: UUID

    init(requests: Int = 30_000, subjects: Int = 60_000) async throws {
        city = try await CityFixture.make()
        try await city.stopClock(at: Date("2026-05-17T12:30:15Z", strategy: .iso8601))
        shop = try await Self.organisation("shop", in: city)
        ada = try await city.resident()
        subject = try await city.pseudonym(of: ada, for: shop)
        try await city.owner.execute(
            """
            UPDATE consent.organisation SET requests_per_minute_max = \(Int32(requests)), subjects_per_minute_max = \(Int32(subjects)) WHERE id = 'shop'
            """)
    }

    static func organisation(_ id: String, in city: CityFixture) async throws -> FixtureOrganisation {
        let organisation = try await city.organisation(id)
        _ = try await city.activity(organisation, "delivery", attributes: ["family_name"], law: "Trade Act § 1")
        return organisation
    }

    func serve(_ body: @Sendable (CityAPIClient) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        try await city.serve({ ExchangeRoutes(door: door, vault: city.vault, database: city.app, rules: utcRules, signer: citySigner, baseURL: cityAddress).add(to: $0) }) {
            try await body(CityAPIClient($0, token: shop.credential))
        }
    }

    var read: String { #"{"subject": "\#(subject)", "purpose": "delivery", "attributes": ["family_name"], "case_reference": "V-1"}"# }

    /// Ada and strangers.
    func list(_ count: Int) -> String {
        let subjects = ([subject] + (1..<count).map { _ in UUID() }).map { "\"\($0)\"" }.joined(separator: ", ")
        return #"{"subjects": [\#(subjects)], "purpose": "delivery", "attributes": ["family_name"], "case_reference": "V-1"}"#
    }

    func request(_ operation: AccessOperation = .disclose, credential: FixtureCredential? = nil, to subject: UUID? = nil) -> AccessRequest {
        AccessRequest(
            credential: (credential ?? shop.credential).hash, operation: operation, subject: .pseudonym(subject ?? self.subject),
            attributes: ["family_name"], purpose: "delivery", caseReference: "V-1")
    }

    /// The doors of several nodes.
    func doors(_ count: Int) throws -> [Door] {
        try (0..<count).map { _ in Door(database: try city.appPool(sharedConnections: 1)) }
    }
}

extension CityAnswer {
    fileprivate func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
}

@Suite("Volume of an organisation")
struct VolumeTests {
    @Test("The request after the last one of the minute is refused and logged, and the next minute begins anew")
    func requests() async throws {
        let shop = try await Shop(requests: 3)
        try await shop.serve { client in
            for _ in 0..<3 { #expect(try await client.post(reads, shop.read).status == 200) }
            let refused = try await client.post(reads, shop.read)
            #expect(refused.status == 429 && refused.problem == "quota-exceeded")
            #expect(!refused.text.contains("Byron"))
            #expect(refused.json["violated-policies"] == ["requests"])
            #expect(refused.header("Retry-After") == "45")
            #expect(refused.header("RateLimit-Policy") == #""requests";q=3;w=60, "subjects";q=60000;w=60"#)
            #expect(refused.header("RateLimit") == #""requests";r=0;t=45, "subjects";r=60000;t=45"#)
            let entry = try #require(refused.json["access_entry"]?.text)
            #expect(
                try await shop.city.entryCount(
                    where: "e.id = \(entry)::uuid AND e.refusal = 'volume_exceeded' AND e.outcome = 'refused' AND e.subject_id = \(shop.ada.id)") == 1)
            #expect(try await shop.city.entryCount() == 4)
            try await shop.city.stopClock(at: Date("2026-05-17T12:31:00Z", strategy: .iso8601))
            #expect(try await client.post(reads, shop.read).status == 200)
        }
    }

    @Test("A list is counted by its people and refused as a whole, with one entry about nobody")
    func subjects() async throws {
        let shop = try await Shop(subjects: 10)
        try await shop.serve { client in
            #expect(try await client.post(lists, shop.list(6)).status == 200)
            let refused = try await client.post(lists, shop.list(6))
            #expect(refused.status == 429 && refused.json["violated-policies"] == ["subjects"])
            // What was refused counts as well: the minute of lists is over for this organisation.
            #expect(refused.header("RateLimit") == #""requests";r=30000;t=45, "subjects";r=0;t=45"#)
            #expect(!refused.text.contains("Byron"))
            let entry = try #require(refused.json["access_entry"]?.text)
            #expect(
                try await shop.city.entryCount(
                    where: "e.id = \(entry)::uuid AND e.refusal = 'volume_exceeded' AND e.subject_id IS NULL AND e.operation = 'list' AND e.count = 6") == 1)
            #expect(try await shop.city.entryCount() == 7)
            #expect(try await client.post(lists, shop.list(1)).status == 429)
            #expect(try await shop.city.entryCount(where: "e.outcome = 'permitted'") == 1)
            // Its single reads are counted apart.
            #expect(try await client.post(reads, shop.read).status == 200)
            try await shop.city.stopClock(at: Date("2026-05-17T12:31:00Z", strategy: .iso8601))
            #expect(try await client.post(lists, shop.list(10)).status == 200)
        }
    }

    @Test("What is refused for another reason counts too: whoever tries out names does so slowly")
    func refusals() async throws {
        let shop = try await Shop(requests: 2)
        let door = try shop.doors(1)[0]
        for expected in [Refusal.subjectUnknown, .subjectUnknown, .volumeExceeded] {
            await #expect(throws: RefusedAccess(refusal: expected, missing: [])) { _ = try await door.read(shop.request(to: UUID())) }
        }
    }

    @Test("Exactly the limit is answered, whatever races on three nodes with two tokens", arguments: [1, 20, 64])
    func race(limit: Int) async throws {
        let shop = try await Shop(requests: limit)
        let tokens = [shop.shop.credential, try await shop.city.clientToken("shop")]
        let doors = try shop.doors(3)
        let permitted = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<96 {
                group.addTask {
                    do {
                        _ = try await doors[number % 3].read(shop.request(credential: tokens[number % 2]))
                        return true
                    } catch let refused as RefusedAccess where refused.refusal == .volumeExceeded {
                        return false
                    }
                }
            }
            var permitted = 0
            for try await isPermitted in group where isPermitted { permitted += 1 }
            return permitted
        }
        #expect(permitted == limit)
        #expect(try await shop.city.entryCount(where: "e.outcome = 'permitted'") == limit)
        #expect(try await shop.city.entryCount(where: "e.refusal = 'volume_exceeded'") == 96 - limit)
    }

    @Test("Lists that race are answered whole or not at all, as long as they fit")
    func raceOfLists() async throws {
        let shop = try await Shop(subjects: 100)
        let doors = try shop.doors(3)
        let answered = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<30 {
                group.addTask {
                    let answers = try await doors[number % 3].read((0..<7).map { _ in shop.request(.list) })
                    return answers.count { (try? $0.get()) != nil }
                }
            }
            var answered: [Int] = []
            for try await count in group { answered.append(count) }
            return answered
        }
        #expect(answered.count { $0 == 7 } == 14 && answered.count { $0 == 0 } == 16)
        #expect(try await shop.city.entryCount(where: "e.outcome = 'permitted'") == 98)
        #expect(try await shop.city.entryCount(where: "e.refusal = 'volume_exceeded'") == 16)
    }

    @Test("Many organisations on two nodes wait for one another in one order, and nobody's requests count for another")
    func manyOrganisations() async throws {
        let shop = try await Shop()
        var asking: [(credential: FixtureCredential, subject: UUID)] = []
        for number in 0..<8 {
            let organisation = try await Shop.organisation("shop-\(number)", in: shop.city)
            asking.append((organisation.credential, try await shop.city.pseudonym(of: shop.ada, for: organisation)))
        }
        try await shop.city.owner.execute("UPDATE consent.organisation SET requests_per_minute_max = 40 WHERE id LIKE 'shop-%'")
        let doors = try shop.doors(2)
        // Each node hears of them in the opposite order; every one asks exactly as often as it may.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for round in 0..<40 {
                let isFirst = round.isMultiple(of: 2)
                for organisation in isFirst ? asking : asking.reversed() {
                    group.addTask { _ = try await doors[isFirst ? 0 : 1].read(shop.request(credential: organisation.credential, to: organisation.subject)) }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await shop.city.entryCount(where: "e.outcome = 'permitted'") == 320)
        for organisation in asking {
            await #expect(throws: RefusedAccess(refusal: .volumeExceeded, missing: [])) {
                _ = try await doors[0].read(shop.request(credential: organisation.credential, to: organisation.subject))
            }
        }
        _ = try await doors[0].read(shop.request())
    }

    @Test("Only organisations are told what is left, and past minutes are removed")
    func housekeeping() async throws {
        let shop = try await Shop()
        _ = try await shop.doors(1)[0].read(shop.request())
        for credential in [FixtureCredential(), shop.ada.session] {
            #expect(try await shop.city.app.query(VolumeOf(credential: credential.hash)).isEmpty)
        }
        #expect(try await shop.city.app.query(VolumeOf(credential: shop.shop.credential.hash)).map(\.requestsLeft) == [29_999])
        func rows() async throws -> Int64 { try await shop.city.owner.one(OneValue("SELECT count(*) FROM exchange.volume", of: Int64.self)) }
        try await shop.city.app.execute("SELECT exchange.remove_past_volume()")
        #expect(try await rows() == 1)
        // The search for unusual accesses counts the hour before this one.
        try await shop.city.stopClock(at: Date("2026-05-17T13:59:59Z", strategy: .iso8601))
        try await shop.city.app.execute("SELECT exchange.remove_past_volume()")
        #expect(try await rows() == 1)
        try await shop.city.stopClock(at: Date("2026-05-17T15:00:00Z", strategy: .iso8601))
        try await shop.city.app.execute("SELECT exchange.remove_past_volume()")
        #expect(try await rows() == 0)
    }
}
