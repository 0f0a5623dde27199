// What an organisation was given already: counted out of the log, for its resident alone and only after that look is logged; with what may be
// kept of it. After a withdrawal the resident lands on this page.
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

/// A clinic with two purposes, a shop with one, and two residents who share everything.
private struct Town {
    let city: CityFixture
    let door: Door
    let clinic: FixtureOrganisation
    let shop: FixtureOrganisation
    let care: FixtureActivity
    let offers: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident

    static let page = "/consents/organisations/clinic"
    static let path = "/api/v1/consents/organisations/clinic"

    init() async throws {
        city = try await CityFixture.make()
        door = Door(database: city.app)
        clinic = try await city.organisation("clinic")
        shop = try await city.organisation("shop")
        care = try await city.activity(clinic, "care", attributes: ["given_names", "locality"])
        _ = try await city.activity(clinic, "registry", attributes: ["date_of_birth"], law: "GDPR Art. 9(2)")
        offers = try await city.activity(shop, "offers", attributes: ["given_names"])
        ada = try await city.resident()
        eve = try await city.resident()
        for resident in [ada, eve] { for activity in [care, offers] { try await city.decide("given", activity, by: resident) } }
    }

    var entries: AccessEntries { AccessEntries(database: city.app, door: door) }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve({ site in
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            ConsentOrganisationRoutes(database: city.app, entries: entries).add(to: site)
        }) { try await body(self, $0) }
    }

    /// One read through the door; what is refused is an entry too.
    func read(_ resident: FixtureResident, by organisation: FixtureOrganisation, _ purpose: String, _ attributes: [String]) async throws {
        let request = AccessRequest(
            credential: organisation.credential.hash, operation: .disclose, subject: .pseudonym(try await city.pseudonym(of: resident, for: organisation)),
            attributes: attributes, purpose: purpose, caseReference: "CASE-1")
        do { _ = try await door.read(request) } catch is RefusedAccess {}
    }
}

@Suite("What an organisation was given already")
struct GivenDataTests {
    @Test("Nobody learns it without signing in, without both scopes, or of somebody else; and not before the look is logged")
    func refusals() async throws {
        try await Town().serve { town, client in
            try await town.read(town.ada, by: town.clinic, "care", ["given_names"])
            #expect(try await CityBrowser(client).get(Town.page).status == 303)
            for (scope, status) in [(["consents"], 403), (["access_log"], 403), (["consents", "access_log"], 200)] {
                let token = try await town.city.appToken(of: town.eve, scope: scope)
                let answer = try await CityAPIClient(client, token: token).get(Town.path)
                #expect(answer.status == status, "\(scope)")
                if status == 200 { #expect(answer.json["given"] == [], "what Ada gave is none of Eve's business") }
            }
            #expect(try await CityAPIClient(client, token: nil).get(Town.path).status == 401)
            #expect(try await CityBrowser(client, session: town.ada.session).get("/consents/organisations/nobody").status == 404)

            let counted: SQL = "SELECT count(purpose) FROM access_log.given_to(\(town.ada.session.hash.bytes), 'clinic')"
            #expect(try await town.city.app.one(OneValue(counted, of: Int64.self)) == 0, "the look is not logged yet")
            try await town.city.app.transaction { transaction in
                try await transaction.execute(
                    """
                    SELECT * FROM access_log.authorise(ARRAY[\(UUID())]::uuid[], ARRAY[\(town.ada.session.hash.bytes)]::bytea[], '{own_view}', '{self}', '{""}', '{""}',
                        '{access_log}', '{""}')
                    """)
                #expect(try await transaction.one(OneValue(counted, of: Int64.self)) == 0, "the look is not committed yet")
            }
            #expect(try await town.city.app.one(OneValue(counted, of: Int64.self)) == 1)
            try await town.city.revoke(town.ada.session)
            #expect(try await town.city.app.one(OneValue(counted, of: Int64.self)) == 0)
        }
    }

    @Test("Each kind of data with how often, first and last; refused reads, other organisations and other residents do not count")
    func counts() async throws {
        try await Town().serve { town, client in
            try await town.read(town.ada, by: town.clinic, "care", ["given_names", "locality"])
            try await town.read(town.ada, by: town.clinic, "care", ["locality"])
            try await town.read(town.ada, by: town.clinic, "registry", ["date_of_birth"])
            try await town.read(town.ada, by: town.clinic, "care", ["date_of_birth"])
            try await town.read(town.ada, by: town.shop, "offers", ["given_names"])
            try await town.read(town.eve, by: town.clinic, "care", ["given_names"])

            let app = CityAPIClient(client, token: try await town.city.appToken(of: town.ada, scope: ["consents", "access_log"]))
            let answer = try await app.get(Town.path)
            guard case .array(let items)? = answer.json["given"] else { throw Unexpected() }
            let told = items.map { "\($0["purpose"]?.text ?? "") \($0["attribute"]?.text ?? "") \($0["times"] == 2 ? "twice" : "once")" }
            #expect(told == ["care given_names once", "care locality twice", "registry date_of_birth once"])
            #expect(answer.json["given_counted_since"] == .null && answer.json["organisation"] == "clinic")
            let times = try await town.city.owner.query(
                OneValue(
                    "SELECT at FROM access_log.entry WHERE outcome = 'permitted' AND 'locality' = ANY (attributes) AND operation = 'disclose' ORDER BY at",
                    of: Date.self))
            #expect(items[1]["first_at"]?.text == times.first.map(RFC3339.text) && items[1]["last_at"]?.text == times.last.map(RFC3339.text))

            let page = try await CityBrowser(client, session: town.ada.session).get(Town.page)
            for text in ["care title 1", "Town", "2 times", "once", "registry title 1", "The organisation has not told the city", "GDPR Art. 9(2)"] {
                #expect(page.text.contains(text), "\(text)")
            }
            #expect(!page.text.contains("offers title 1"))
            let french = try await town.city.resident(language: "fr")
            #expect(try await CityBrowser(client, session: french.session).get(Town.page).text.contains("RGPD, art. 9(2)"), "a law of Europe has a name in every language")
        }
    }

    @Test("Who stops lands on what was given before, and on what the organisation may keep and by which law")
    func afterStopping() async throws {
        try await Town().serve { town, client in
            try await town.city.owner.execute(
                """
                UPDATE consent.processing_activity SET retention = '{"en": "Ten years after the last treatment", "fr": "Dix ans après"}',
                    retention_law = 'Patient Records Act § 12' WHERE id = \(town.care.id)
                """)
            try await town.read(town.ada, by: town.clinic, "care", ["locality"])
            let browser = CityBrowser(client, session: town.ada.session)
            _ = try await browser.get("/consents")
            let done = try await browser.post("/consents/\(town.care.id)", [("state", "withdrawn")])
            #expect(done.status == 303 && done.headers[.location] == Town.page)
            let page = try await browser.get(Town.page)
            for text in ["Done. It is no longer shared", "once", "Ten years after the last treatment", "The law that says so: Patient Records Act § 12."] {
                #expect(page.text.contains(text), "\(text)")
            }
            let app = CityAPIClient(client, token: try await town.city.appToken(of: town.ada, scope: ["consents"]))
            guard case .array(let items)? = try await app.get("/api/v1/consents").json["items"] else { throw Unexpected() }
            let care = items.first { $0["purpose"] == "care" }
            #expect(care?["retention"] == "Ten years after the last treatment" && care?["retention_law"] == "Patient Records Act § 12")
        }
    }

    @Test("A law without words, and words without English, are refused")
    func retentionRules() async throws {
        let city = try await CityFixture.make()
        let care = try await city.activity(city.organisation("clinic"), "care", attributes: ["street"])
        for change: SQL in ["retention_law = 'Patient Records Act'", #"retention = '{"fr": "Dix ans"}'"#, "retention = '[]'"] {
            await #expect(throws: DatabaseError.self) {
                try await city.owner.execute("UPDATE consent.processing_activity SET \(change) WHERE id = \(care.id)")
            }
        }
    }

    @Test("A very long log is counted from its newest end, and the answer says from when on")
    func longLog() async throws {
        try await Town().serve { town, client in
            try await town.city.owner.execute(
                """
                INSERT INTO access_log.entry (id, at, subject_id, actor_kind, actor_id, actor_role, organisation_id, client_id, operation, attributes, purpose, legal_basis,
                                              law, case_reference, outcome)
                SELECT gen_random_uuid(), public.stoa_now() - n * interval '1 hour', \(town.ada.id), 'organisation', 'clinic', 'organisation', 'clinic', 'clinic', 'disclose',
                    '{date_of_birth}', 'registry', 'public_task', 'GDPR Art. 9(2)', 'CASE-1', 'permitted'
                FROM generate_series(1, 10050) AS n
                """)
            let app = CityAPIClient(client, token: try await town.city.appToken(of: town.ada, scope: ["consents", "access_log"]))
            let answer = try await app.get(Town.path)
            guard case .array(let items)? = answer.json["given"], case .integer(let times)? = items.first?["times"] else { throw Unexpected() }
            // The newest entries, of which the look itself is one.
            #expect((9_990...10_001).contains(times))
            #expect(answer.json["given_counted_since"] == items.first?["first_at"])
            let page = try await CityBrowser(client, session: town.ada.session).get(Town.page)
            #expect(page.text.contains("Your list of reads is very long."))
        }
    }

    private struct Unexpected: Error {}
}
