// Agreements that end by themselves: until which instant they count, what the pages and the app say, renewing, and the chain of events.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import Consent

/// A clinic whose agreements last a month, and two residents. The clock stands.
private struct Town {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let care: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident

    static let start = Date(timeIntervalSince1970: 1_801_353_600)  // 31 January 2027
    static let end = start + 28 * day  // 28 February
    static let day: TimeInterval = 86_400

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        care = try await city.activity(clinic, "care", attributes: ["street", "postcode"], validMonths: 1)
        ada = try await city.resident()
        eve = try await city.resident()
        try await keepCredentials()
        try await city.stopClock(at: Self.start)
    }

    /// These stories last for months; sessions do not.
    func keepCredentials() async throws {
        try await city.owner.execute("UPDATE web.credential SET expires_at = '2900-01-01', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
    }

    var page: String { "/consents/\(care.id.uuidString.lowercased())" }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve({ site in
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            ConsentOrganisationRoutes(database: city.app, entries: AccessEntries(database: city.app, door: Door(database: city.app))).add(to: site)
            // The home page's tasks, without the rest of the home page.
            site.resident.get("/tasks") { _, context in
                let tasks = try await EndingConsents(consents: Consents(database: city.app)).tasks(of: context.resident, context.web)
                return .json(.array(tasks.map { .string("\($0.title) | \($0.detail) | \($0.path)") }))
            }
        }) { try await body(self, $0) }
    }

    func kinds() async throws -> [String] {
        try await city.owner.query(
            OneValue("SELECT kind FROM consent.event WHERE resident_id = \(ada.id) ORDER BY sequence", of: String.self))
    }
}

@Suite("Agreements that end by themselves")
struct EndingConsentTests {
    @Test("The page says for how long before it is switched on, then until when, and after the instant that it is over")
    func page() async throws {
        try await Town().serve { town, client in
            let browser = CityBrowser(client, session: town.ada.session)
            #expect(try await browser.get(town.page).text.contains("it ends by itself after 1 month."))
            #expect(try await browser.post(town.page, [("state", "given"), ("policy_version", "1")]).status == 303)
            #expect(try await browser.get(town.page).text.contains("It ends by itself on 28 February 2027"))
            try await town.city.stopClock(at: Town.end - 0.001)
            #expect(try await browser.get(town.page).text.contains("Stop sharing"))
            try await town.city.stopClock(at: Town.end)
            let over = try await browser.get(town.page).text
            #expect(over.contains("Your agreement ended on 28 February 2027"))
            #expect(!over.contains("Stop sharing"))
            #expect(over.contains(">Renew</button>"))
            #expect(try await town.kinds() == ["given"], "nothing waits for the housekeeping")
        }
    }

    @Test("The home page asks thirty days before the end, not earlier, and not when it was renewed or the text changed")
    func reminder() async throws {
        try await Town().serve { town, client in
            let two = try await town.city.activity(town.clinic, "research", attributes: ["phone"], validMonths: 2)
            _ = try await town.city.decide("given", two, by: town.ada)
            let browser = CityBrowser(client, session: town.ada.session)
            // It ends on 31 March.
            let end = Town.start + 59 * Town.day
            try await town.city.stopClock(at: end - 30 * Town.day - 0.001)
            #expect(try await browser.get("/tasks").text == "[]")
            try await town.city.stopClock(at: end - 30 * Town.day)
            let task = try await browser.get("/tasks").text
            #expect(task.contains("Your sharing with clinic (en) ends soon: research title 1"))
            #expect(task.contains("31 March 2027"))
            #expect(try await CityBrowser(client, session: town.eve.session).get("/tasks").text == "[]")
            _ = try await browser.get("/consents/\(two.id)")
            #expect(try await browser.post("/consents/\(two.id)", [("state", "renewed"), ("policy_version", "1")]).status == 303)
            #expect(try await browser.get("/tasks").text == "[]")
            // It was renewed until 1 May.
            try await town.city.stopClock(at: end + 5 * Town.day)
            #expect(try await browser.get("/tasks").text.contains("1 May 2027"))
            try await town.city.publish(two, version: 2, attributes: ["phone"], validMonths: 2)
            #expect(try await browser.get("/tasks").text == "[]", "a new text asks anew on its own page")
        }
    }

    @Test("Renewing on the page: twice is once; a text that changed is shown instead; what was stopped is not renewed")
    func renewing() async throws {
        try await Town().serve { town, client in
            let browser = CityBrowser(client, session: town.ada.session)
            _ = try await browser.get(town.page)
            let renew = [("state", "renewed"), ("policy_version", "1")]
            #expect(try await browser.post(town.page, renew).status == 409)
            _ = try await browser.post(town.page, [("state", "given"), ("policy_version", "1"), ("part", "1"), ("attribute", "street")])
            // Two days after the end, which nobody has written down yet.
            try await town.city.stopClock(at: Town.end + 2 * Town.day)
            for _ in 0..<2 { #expect(try await browser.post(town.page, renew).status == 303) }
            #expect(try await town.kinds() == ["given", "expired", "renewed"])
            let page = try await browser.get(town.page).text
            // On 2 March it was renewed for a month, and only what was shared before.
            #expect(page.contains("It ends by itself on 2 April 2027"))
            #expect(page.contains("but not: Postcode"))
            #expect(page.contains("Ended, because its time was over: Street"))
            try await town.city.publish(town.care, version: 2, attributes: ["street", "phone"], validMonths: 1)
            let changed = try await browser.post(town.page, renew)
            #expect(changed.status == 409)
            #expect(changed.text.contains("The text has changed"))
            #expect(try await browser.post(town.page, [("state", "renewed"), ("policy_version", "2")]).status == 409)
            #expect(try await browser.post(town.page, [("state", "withdrawn")]).status == 303)
            #expect(try await browser.post(town.page, [("state", "renewed"), ("policy_version", "2")]).status == 409)
            #expect(try await town.kinds() == ["given", "expired", "renewed", "withdrawn"])
        }
    }

    @Test("An app sees the end, renews, and is told what cannot be renewed")
    func app() async throws {
        try await Town().serve { town, client in
            let token = try await town.city.appToken(of: town.ada, scope: ["consents"])
            try await town.keepCredentials()
            let app = CityAPIClient(client, token: token)
            let path = "/api/v1/consents/\(town.care.id)"
            #expect(try await app.put(path, #"{"state": "renewed"}"#).problem == "not-renewable")
            #expect(try await app.put(path, #"{"state": "renewed", "attributes": ["street"]}"#).problem == "invalid-body")
            let given = try await app.put(path, #"{"state": "given"}"#).json
            #expect(given["valid_until"] == "2027-02-28T00:00:00.000Z")
            #expect(given["valid_months"] == 1)
            try await town.city.stopClock(at: Town.end)
            let all = try await app.get("/api/v1/consents").text
            #expect(all.contains(#""state":"expired""#))
            #expect(all.contains(#""granted_attributes":[]"#))
            #expect(all.contains(#""valid_until":null"#))
            for _ in 0..<2 {
                let renewed = try await app.put(path, #"{"state": "renewed", "policy_version": 1}"#).json
                #expect(renewed["state"] == "renewed")
                #expect(renewed["granted_attributes"] == ["street", "postcode"])
                #expect(renewed["valid_until"] == "2027-03-28T00:00:00.000Z")
            }
            #expect(try await app.put("/api/v1/consents/organisations/clinic", #"{"state": "renewed"}"#).status == 400)
            #expect(try await app.put("/api/v1/consents/organisations/clinic", #"{"state": "withdrawn"}"#).status == 200)
            #expect(try await town.kinds() == ["given", "expired", "renewed", "withdrawn"])
        }
    }

    @Test("Twenty renewals at once are one event")
    func race() async throws {
        let town = try await Town()
        _ = try await town.city.decide("given", town.care, by: town.ada)
        try await town.city.stopClock(at: Town.end)
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<20 { group.addTask { try await town.city.decide("renewed", town.care, by: town.ada) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == "recorded" }.count == 1)
        #expect(outcomes.filter { $0 == "unchanged" }.count == 19)
        #expect(try await town.kinds() == ["given", "expired", "renewed"])
    }

    @Test("The housekeeping writes down what is over, once, and only that")
    func housekeeping() async throws {
        let town = try await Town()
        let endless = try await town.city.activity(town.clinic, "newsletter", attributes: ["email"])
        for activity in [town.care, endless] { _ = try await town.city.decide("given", activity, by: town.ada) }
        let expire = OneValue("SELECT consent.record_expiries(100)", of: Int32.self)
        try await town.city.stopClock(at: Town.end - 0.001)
        #expect(try await town.city.app.one(expire) == 0)
        try await town.city.stopClock(at: Town.end + Town.day)
        #expect(try await town.city.app.one(expire) == 1)
        #expect(try await town.city.app.one(expire) == 0)
        let event = "consent.event WHERE kind = 'expired' AND capacity = 'system' AND attributes = '{street,postcode}'" as SQL
        #expect(try await town.city.owner.one(OneValue("SELECT valid_until FROM \(event)", of: Date.self)) == Town.end)
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM consent.event WHERE kind = 'expired'", of: Int64.self)) == 1)
    }
}

@Suite("The chain of consent events")
struct ConsentChainTests {
    /// An event as the auditor's own program would read and hash it.
    private struct ChainedEvent: Query {
        var sql: SQL {
            """
            SELECT id, resident_id, activity_id, policy_version, sequence, kind, attributes, at, account_id, staff_id, client_id, capacity, method,
                language, form_reference, valid_until, request_id, previous_hash, hash
            FROM consent.event ORDER BY resident_id, activity_id, sequence
            """
        }

        func decode(_ row: inout RowReader) throws -> (sequence: Int, encoded: [UInt8], previous: [UInt8]?, hash: [UInt8]) {
            var encoding = CanonicalEncoding()
            encoding.add(1, uuid: try row.next(UUID.self))
            encoding.add(2, uuid: try row.next(UUID.self))
            encoding.add(3, uuid: try row.next(UUID.self))
            encoding.add(4, integer: Int64(try row.next(Int32.self)))
            let sequence = try row.next(Int32.self)
            encoding.add(5, integer: Int64(sequence))
            encoding.add(6, string: try row.next(String.self))
            encoding.add(7, strings: try row.next([String].self))
            encoding.add(8, timestamp: try row.next(Date.self))
            encoding.add(9, uuid: try row.next(UUID?.self))
            encoding.add(10, uuid: try row.next(UUID?.self))
            for number in UInt8(11)...15 { encoding.add(number, string: try row.next(String?.self)) }
            encoding.add(16, timestamp: try row.next(Date?.self))
            encoding.add(17, uuid: try row.next(UUID?.self))
            let previous = try row.next([UInt8]?.self)
            encoding.add(18, bytes: previous)
            return (Int(sequence), encoding.bytes, previous, try row.next())
        }
    }

    /// Two chains with an app's, a paper's and the clock's events.
    private func chains() async throws -> Town {
        let town = try await Town()
        let clerk = try await town.city.staff(roles: [StaffRole.caseworker])
        for resident in [town.ada, town.eve] {
            _ = try await town.city.decide("given", town.care, by: resident)
            _ = try await town.city.decide("withdrawn", town.care, by: resident)
        }
        try await town.city.owner.execute(
            """
            SELECT consent.append(\(UUID()), \(town.ada.id), \(town.care.id), 'given', '{street}', 1, NULL, \(clerk.id), NULL,
                'paper', 'paper_form', 'ar', 'FÖRM-1')
            """)
        try await town.city.stopClock(at: Town.end)
        _ = try await town.city.decide("renewed", town.care, by: town.ada)
        return town
    }

    @Test("Every event carries the SHA-256 of the one before it, over bytes that another program makes as well")
    func encoding() async throws {
        let town = try await chains()
        let events = try await town.city.owner.query(ChainedEvent())
        #expect(events.map(\.sequence).sorted() == [1, 1, 2, 2, 3, 4, 5])
        var before: [UInt8]?
        for event in events {
            #expect(event.previous == (event.sequence == 1 ? nil : before))
            #expect(event.hash == Array(SHA256.hash(data: Array("stoa consent event v1\n".utf8) + event.encoded)))
            before = event.hash
        }
    }

    @Test("The auditor finds a flipped value, a removed event and a changed state, and nothing in what is whole",
        arguments: [
            ("UPDATE consent.event SET at = at + interval '1 microsecond' WHERE sequence = 3", ["hash_differs 3"]),
            ("UPDATE consent.event SET attributes = '{postcode}' WHERE sequence = 5", ["hash_differs 5", "state_differs 5"]),
            ("UPDATE consent.event SET language = 'fr' WHERE sequence = 3; UPDATE consent.event AS e SET hash = consent.hash_of(e) WHERE e.sequence = 3",
             ["link_differs 4"]),
            ("DELETE FROM consent.event WHERE sequence = 4", ["link_differs 5"]),
            ("UPDATE consent.state SET state = 'withdrawn' WHERE state = 'renewed'", ["state_differs 5"]),
            ("SELECT 1", []),
        ])
    func verification(_ tampering: String, _ findings: [String]) async throws {
        let town = try await chains()
        // Only who owns the database can do this: triggers off, then the change.
        try await town.city.test.psql("SET session_replication_role = replica; \(tampering)")
        let auditor = try Database(configuration: .init(url: town.city.test.auditorURL), logger: Logger(label: "test"))
        let found = try await auditor.query(OneValue("SELECT finding || ' ' || sequence FROM consent.verify_chains() ORDER BY 1", of: String.self))
        #expect(found == findings.sorted())
    }
}
