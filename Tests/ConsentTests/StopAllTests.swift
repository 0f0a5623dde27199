// Stopping everything that one organisation reads by consent, on the page and from an app: what ends, what a law lets go on, and what
// other organisations and other residents share is left alone.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Consent

/// A clinic with two purposes that ask for consent and one that a law allows, a shop with one, and two residents.
private struct Town {
    let city: CityFixture
    let care: FixtureActivity
    let study: FixtureActivity
    let offers: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident

    static let page = "/consents/organisations/clinic"
    static let path = "/api/v1/consents/organisations/clinic"

    init() async throws {
        city = try await CityFixture.make()
        let clinic = try await city.organisation("clinic")
        care = try await city.activity(clinic, "care", attributes: ["street", "postcode"])
        study = try await city.activity(clinic, "study", attributes: ["date_of_birth"])
        _ = try await city.activity(clinic, "epidemics", attributes: ["phone"], law: "Epidemics Act § 3")
        offers = try await city.activity(city.organisation("shop"), "offers", attributes: ["street"])
        ada = try await city.resident()
        eve = try await city.resident()
    }

    var switches: [FixtureActivity] { [care, study, offers] }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve({ site in
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            ConsentOrganisationRoutes(database: city.app, entries: AccessEntries(database: city.app, door: Door(database: city.app))).add(to: site)
        }) { try await body(self, $0) }
    }

    func give(_ activities: [FixtureActivity], by resident: FixtureResident) async throws {
        let consents = Consents(database: city.app)
        for activity in activities {
            let sharing = try #require(try await consents.one(ActivityID(activity.id), of: resident.session.hash))
            let decision = ConsentDecision(activity: ActivityID(activity.id), kind: .given)
            #expect(try await consents.decide(decision, on: sharing, credential: resident.session.hash, language: .english) == .recorded)
        }
    }

    /// The purposes that a resident shares by consent.
    func shared(by resident: FixtureResident) async throws -> Set<String> {
        Set(
            try await city.owner.query(
                OneValue(
                    """
                    SELECT a.purpose FROM consent.state AS s JOIN consent.processing_activity AS a ON a.id = s.activity_id
                    WHERE s.resident_id = \(resident.id) AND s.state = 'given'
                    """, of: String.self)))
    }

    func events(of resident: FixtureResident) async throws -> [String] {
        try await city.owner.query(
            OneValue(
                """
                SELECT concat_ws(' ', e.kind, a.purpose, e.capacity, e.method, e.language)
                FROM consent.event AS e JOIN consent.processing_activity AS a ON a.id = e.activity_id
                WHERE e.resident_id = \(resident.id) AND e.kind = 'withdrawn' ORDER BY a.purpose
                """, of: String.self))
    }
}

@Suite("Stopping everything of one organisation")
struct StopAllTests {
    @Test("Nobody stops anything without signing in, without the scope, or without the form's token")
    func strangers() async throws {
        try await Town().serve { town, client in
            try await town.give(town.switches, by: town.ada)
            let stranger = try await CityBrowser(client).get(Town.page)
            #expect(stranger.status == 303 && stranger.headers[.location]?.hasPrefix("/sign-in") == true)
            let clerk = try await town.city.staff(roles: [StaffRole.caseworker])
            #expect(try await CityBrowser(client, session: clerk.session).get(Town.page).status == 403)
            #expect(try await CityBrowser(client, session: town.ada.session).post(Town.page, []).status == 403)
            let wrongScope = try await town.city.appToken(of: town.ada, scope: ["profile"])
            for (token, status) in [(nil, 401), (town.ada.session, 401), (wrongScope, 403), (try await town.city.clientToken("clinic"), 403)] {
                #expect(try await CityAPIClient(client, token: token).put(Town.path, #"{"state": "withdrawn"}"#).status == status)
            }
            #expect(try await town.shared(by: town.ada) == ["care", "study", "offers"])
        }
    }

    @Test("The page says what ends and what goes on; one button ends it, here and nowhere else; again changes nothing")
    func page() async throws {
        try await Town().serve { town, client in
            let browser = CityBrowser(client, session: town.ada.session)
            #expect(try await browser.get("/consents").text.contains("href=\"\(Town.page)\""))
            let nothing = try await browser.get(Town.page)
            #expect(nothing.status == 200 && nothing.text.contains("there is nothing to stop") && !nothing.text.contains("<button>Stop all"))

            try await town.give(town.switches, by: town.ada)
            try await town.give(town.switches, by: town.eve)
            let asked = try await browser.get(Town.page).text
            for text in ["care title 1", "study title 1", "Epidemics Act § 3", "<button>Stop all sharing with"] { #expect(asked.contains(text), "\(text)") }
            #expect(!asked.contains("offers title 1"))

            for _ in 0..<2 {
                let done = try await browser.post(Town.page, [])
                #expect(done.status == 303 && done.headers[.location] == Town.page)
            }
            #expect(try await browser.get(Town.page).text.contains("Nothing is shared with that organisation by your consent any more."))
            #expect(try await town.shared(by: town.ada) == ["offers"])
            #expect(try await town.events(of: town.ada) == ["withdrawn care self page en", "withdrawn study self page en"])
            #expect(try await town.shared(by: town.eve) == ["care", "study", "offers"])
            for path in ["/consents/organisations/nobody", "/consents/organisations/city", "/consents/organisations/%3Cb%3E"] {
                #expect(try await browser.get(path).status == 404, "\(path)")
                #expect(try await browser.post(path, []).status == 404, "\(path)")
            }
        }
    }

    @Test("An app stops it with one call and is answered with the purposes as they stand")
    func app() async throws {
        try await Town().serve { town, client in
            try await town.give(town.switches, by: town.ada)
            let app = CityAPIClient(client, token: try await town.city.appToken(of: town.ada, scope: ["consents"]))
            for (body, problem) in [
                (#"{"state": "given"}"#, "invalid-body"), (#"{}"#, "invalid-body"), (#"{"state": "withdrawn", "attributes": []}"#, "invalid-body"),
            ] {
                let refused = try await app.put(Town.path, body)
                #expect(refused.status == 400 && refused.problem == problem, "\(body): \(refused.text)")
            }
            #expect(try await app.put("/api/v1/consents/organisations/nobody", #"{"state": "withdrawn"}"#).status == 404)
            #expect(try await town.shared(by: town.ada) == ["care", "study", "offers"])
            for _ in 0..<2 {
                let answer = try await app.put(Town.path, #"{"state": "withdrawn"}"#)
                #expect(answer.status == 200)
                guard case .array(let items)? = answer.json["items"] else { throw Unexpected() }
                #expect(items.count == 3 && items.allSatisfy { $0["organisation"] == "clinic" && $0["granted_attributes"] == [] })
                #expect(items.first { $0["purpose"] == "care" }?["state"] == "withdrawn")
                #expect(items.first { $0["purpose"] == "epidemics" }?["state"] == .null)
            }
            #expect(try await town.events(of: town.ada) == ["withdrawn care self app en", "withdrawn study self app en"])
        }
    }

    @Test("While other tabs switch on and off, stopping all waits for no lock in a circle and leaves histories without gaps")
    func race() async throws {
        let town = try await Town()
        let consents = Consents(database: town.city.app)
        let credential = town.ada.session.hash
        let care = try #require(try await consents.one(ActivityID(town.care.id), of: credential))
        let study = try #require(try await consents.one(ActivityID(town.study.id), of: credential))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<60 {
                group.addTask {
                    switch number % 3 {
                    case 0: #expect(try await consents.withdrawAll(from: "clinic", credential: credential, language: .english) != nil)
                    case 1: _ = try await consents.decide(.init(activity: care.activity.id, kind: .given), on: care, credential: credential, language: .english)
                    default: _ = try await consents.decide(.init(activity: study.activity.id, kind: .given), on: study, credential: credential, language: .english)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await consents.withdrawAll(from: "clinic", credential: credential, language: .english) != nil)
        #expect(try await town.shared(by: town.ada) == [])
        for activity in [town.care, town.study] {
            let kinds = try await town.city.owner.query(
                OneValue(
                    "SELECT e.kind FROM consent.event AS e WHERE e.resident_id = \(town.ada.id) AND e.activity_id = \(activity.id) ORDER BY e.sequence",
                    of: String.self))
            #expect(!kinds.isEmpty && kinds.enumerated().allSatisfy { $1 == ($0.isMultiple(of: 2) ? "given" : "withdrawn") })
        }
    }

    private struct Unexpected: Error {}
}
