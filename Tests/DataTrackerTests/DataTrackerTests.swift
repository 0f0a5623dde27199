// The national portal asks about people by their number. What it may not learn comes first.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import DataTracker

@Suite("The data tracker's interface")
struct DataTrackerTests {
    /// A portal, a clinic with a law behind it, and two residents of the register.
    private struct Country {
        let city: CityFixture
        let portal: FixtureOrganisation
        let clinic: FixtureOrganisation
        let ada: FixtureResident
        let door: Door

        static let number = "570504368210"

        init() async throws {
            city = try await CityFixture.make()
            portal = try await city.organisation("portal", scope: ["usage.read"])
            clinic = try await city.organisation("clinic")
            _ = try await city.activity(clinic, "care", attributes: ["given_names"], law: "Health Act § 1")
            ada = try await city.resident(["given_names": "Ada", "national_number": Self.number])
            door = Door(database: city.app)
        }

        func serve(_ body: @Sendable (CityClient, any TestClientProtocol) async throws -> Void) async throws {
            let (door, city, portal) = (door, city, portal)
            try await city.serve {
                DataTrackerRoutes(database: city.app, door: door, lookup: city.lookup).add(to: $0)
            } _: { client in try await body(CityClient(client, portal.credential), client) }
        }

        /// The clinic reads by law.
        func read(_ count: Int = 1) async throws {
            let subject = try await city.pseudonym(of: ada, for: clinic)
            for number in 0..<count {
                _ = try await door.read(
                    AccessRequest(
                        credential: clinic.credential.hash, operation: .disclose, subject: .pseudonym(subject), attributes: ["given_names"], purpose: "care",
                        caseReference: "K-\(number)"))
            }
        }
    }

    /// Asks as the portal does.
    private struct CityClient {
        let client: any TestClientProtocol
        let credential: FixtureCredential

        init(_ client: any TestClientProtocol, _ credential: FixtureCredential) {
            self.client = client
            self.credential = credential
        }

        func get(_ path: String, userID: String? = "EE" + Country.number, token: String? = nil) async throws -> (status: Int, json: JSONValue) {
            var headers: HTTPFields = [.authorization: "Bearer \(token ?? credential.token)", .acceptLanguage: "en"]
            if let userID, let name = HTTPField.Name("X-Road-UserId") { headers[name] = userID }
            if let name = HTTPField.Name("X-Road-Id") { headers[name] = "message-1" }
            return try await client.execute(uri: path, method: .get, headers: headers) { response in
                (response.status.code, (try? JSONScanner.scan(Array(response.body.readableBytesView))) ?? .null)
            }
        }
    }

    private static func usages(_ answer: (status: Int, json: JSONValue)) -> [JSONValue] {
        guard case .array(let usages)? = answer.json["usages"] else { return [] }
        return usages
    }

    private static let path = "/v2/findUsage?userCode=EE" + Country.number

    @Test("Nobody without the portal's scope learns anything, and each attempt by a live credential is in the log")
    func wrongCaller() async throws {
        let country = try await Country()
        try await country.read()
        let caseworker = try await country.city.staff(roles: [.caseworker, .auditor])
        try await country.serve { portal, _ in
            for token in [country.clinic.credential.token, country.ada.session.token, caseworker.session.token] {
                let status = try await portal.get(Self.path, token: token).status
                #expect(status == 403)
            }
            let status = try await portal.get(Self.path, token: "nobody").status
            #expect(status == 401)
        }
        #expect(try await country.city.entryCount(where: "operation = 'usage' AND outcome = 'refused' AND refusal = 'scope_missing'") == 3)
    }

    @Test("The portal gets what others were permitted, newest first, in pages; the question is in the log, with who it was for")
    func finds() async throws {
        let country = try await Country()
        try await country.read(3)
        try await country.serve { portal, _ in
            let first = try await portal.get(Self.path)
            #expect(first.status == 200 && first.json["totalUsages"] == .integer(3))
            let usages = Self.usages(first)
            #expect(usages.count == 3)
            #expect(usages[0]["receiverCode"] == .string("clinic") && usages[0]["receiverSystem"] == .string("clinic"))
            #expect(usages[0]["action"]?.text?.hasSuffix("Given names") == true)
            let times = usages.compactMap { $0["logtime"]?.text }
            #expect(times == times.sorted(by: >))
            // Asked again, the portal's own question is not among the usages.
            #expect(try await portal.get(Self.path).json["totalUsages"] == .integer(3))
            // By somebody who represents the person, or has the same digits in another country: their log here says so.
            #expect(try await portal.get(Self.path, userID: "FI" + Country.number).json["totalUsages"] == .integer(3))
            #expect(try await portal.get(Self.path).json["totalUsages"] == .integer(3))

            let page = try await portal.get(Self.path + "&offset=1&limit=2")
            let rest = Self.usages(page)
            #expect(page.json["totalUsages"] == .integer(3) && rest.count == 2)
            #expect(try await portal.get(Self.path + "&periodEnd=2020-01-01T00:00:00Z").json["totalUsages"] == .integer(0))
            #expect(try await portal.get(Self.path + "&periodStart=2020-01-01T00:00:00.5Z").json["totalUsages"] == .integer(3))
        }
        let logged = try await country.city.owner.query(
            OneValue(
                """
                SELECT purpose || ' ' || case_reference || ' ' || law FROM access_log.entry
                WHERE operation = 'usage' AND subject_id = \(country.ada.id.uuid) ORDER BY at LIMIT 3
                """, of: String.self))
        #expect(logged == ["data_tracker message-1 GDPR Art. 15", "data_tracker message-1 GDPR Art. 15", "data_tracker_representative message-1 GDPR Art. 15"])
    }

    @Test("A number that nobody has is no error, and is an entry about nobody")
    func unknownNumber() async throws {
        let country = try await Country()
        try await country.serve { portal, _ in
            let answer = try await portal.get("/v2/findUsage?userCode=EE580603210106")
            #expect(answer.status == 200 && answer.json["totalUsages"] == .integer(0) && answer.json["usages"] == .array([]))
        }
        #expect(try await country.city.entryCount(where: "operation = 'usage' AND subject_id IS NULL AND refusal = 'subject_unknown'") == 1)
    }

    @Test("Numbers cannot be tried out beyond what the organisation may ask in a minute")
    func volume() async throws {
        let country = try await Country()
        try await country.city.owner.execute("UPDATE consent.organisation SET requests_per_minute_max = 5 WHERE id = 'portal'")
        try await country.city.stopClock(at: Date("2026-05-17T12:30:15Z", strategy: .iso8601))
        try await country.serve { portal, _ in
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<12 { group.addTask { try await portal.get(Self.path).status } }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 200 } <= 5 && statuses.count { $0 == 429 } >= 7 && statuses.allSatisfy { [200, 429].contains($0) })
        }
        #expect(try await country.city.entryCount(where: "operation = 'usage'") == 12)
    }

    @Test("What cannot be read is named", arguments: [
        "/v2/findUsage", "/v2/findUsage?userCode=570504368210", "/v2/findUsage?userCode=EE12&limit=1", "/v2/findUsage?userCode=EE570504368210&limit=1001",
        "/v2/findUsage?userCode=EE570504368210&limit=-1", "/v2/findUsage?userCode=EE570504368210&offset=x",
        "/v2/findUsage?userCode=EE570504368210&periodStart=yesterday", "/v2/findUsage?userCode=EE570504368210&periodEnd=300000-01-01T00:00:00Z", "/v2/findUsage?userCode=EE570504368210&userCode=EE570504368210",
    ])
    func badQuery(path: String) async throws {
        let country = try await Country()
        try await country.serve { portal, _ in
            let statuses = [
                try await portal.get(path).status, try await portal.get(Self.path, userID: nil).status, try await portal.get(Self.path, userID: "me").status,
            ]
            #expect(statuses == [400, 400, 400])
        }
        #expect(try await country.city.entryCount(where: "operation = 'usage'") == 0)
    }

    @Test("Heartbeat and period; an entry that is not the portal's own, or is five seconds old, opens nothing")
    func smallOnes() async throws {
        let country = try await Country()
        try await country.read()
        try await country.serve { portal, _ in
            #expect(try await portal.get("/v2/heartbeat", token: "").json["status"] == .string("OK"))
            let period = try await portal.get("/v2/usagePeriod")
            #expect(period.status == 200 && period.json["periodStart"]?.text?.hasPrefix("20") == true)
            _ = try await portal.get(Self.path)
        }
        let view = AccessEntryID(try await country.city.owner.one(OneValue("SELECT id FROM access_log.entry WHERE operation = 'usage'", of: UUID.self)))
        let other = try await country.city.organisation("other-portal", scope: ["usage.read"])
        func count(_ credential: FixtureCredential, _ entry: AccessEntryID) async throws -> Int {
            try await country.city.app.one(UsageCount(credential: credential.hash, viewEntry: entry, period: (nil, nil)))
        }
        let counts = [
            try await count(country.portal.credential, view), try await count(other.credential, view), try await count(country.portal.credential, .new()),
        ]
        #expect(counts == [1, 0, 0])
        try await country.city.setClock(secondsAhead: 6)
        #expect(try await count(country.portal.credential, view) == 0)
    }
}
