// The public catalogue: what anybody finds, what stewards write, what programs get, and counts that tell of nobody.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Catalogue

/// A clinic with a service on consent and one on a law, and staff.
private struct Town {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let care: FixtureActivity
    let epidemics: FixtureActivity
    let steward: FixtureStaff

    static let street = "/staff/catalogue/attribute/street"

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        care = try await city.activity(clinic, "care", attributes: ["street", "phone"])
        epidemics = try await city.activity(clinic, "epidemics", attributes: ["phone"], law: "Epidemics Act § 3")
        steward = try await city.staff(roles: [.organisationAdministrator])
    }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        let address = try BaseURL("https://city.example")
        try await city.serve({ CatalogueRoutes(database: city.app, baseURL: address, city: "Porto").add(to: $0) }) { try await body(self, $0) }
    }

    /// What the form sends.
    func form(version: Int = 0, steward: String = "Address office", classification: String = "internal") -> [(String, String)] {
        [
            ("owner", "city"), ("steward", steward), ("classification", classification), ("schema", "text"), ("retention", "Until the resident moves away"),
            ("version", String(version)),
        ]
    }

    func path(_ activity: FixtureActivity) -> String { "/catalogue/service/\(activity.id.uuidString.lowercased())" }

    func versions() async throws -> Int64 { try await city.owner.one(OneValue("SELECT count(*) FROM catalogue.description", of: Int64.self)) }
}

@Suite("Catalogue")
struct CatalogueTests {
    @Test("Anybody finds data and services by the words of their own language, and sees who reads what on which ground")
    func everybody() async throws {
        try await Town().serve { town, client in
            let browser = CityBrowser(client)
            let all = try await browser.get("/catalogue").text
            for text in ["Street", "Phone", "care title 1", "epidemics title 1", "clinic (en)", "Confidential"] { #expect(all.contains(text), "\(text)") }
            let found = try await browser.get("/catalogue?q=EPIDEMICS+act").text
            #expect(found.contains("epidemics title 1") && !found.contains("care title 1"))
            #expect(try await browser.get("/catalogue?q=nothing+of+the+kind").text.contains("Nothing here has all of these words."))
            let quoted = try await browser.get("/catalogue?q=%3Cb%3E%22").text
            #expect(quoted.contains("&lt;b&gt;&quot;") || quoted.contains("&lt;b&gt;&#34;"))
            let phone = try await browser.get("/catalogue/attribute/phone").text
            for text in ["care title 1", "Only with the resident’s consent", "By law: Epidemics Act § 3", "No steward has described this yet."] {
                #expect(phone.contains(text), "\(text)")
            }
            #expect(try await browser.get("/catalogue/attribute/is_over_18").text.contains("/catalogue/attribute/date_of_birth"))
            #expect(try await browser.get(town.path(town.care)).text.contains("care explanation 1"))
            for path in ["/catalogue/attribute/shoe_size", "/catalogue/service/phone", "/catalogue/person/phone", "/catalogue/service/\(UUID())"] {
                #expect(try await browser.get(path).status == 404, "\(path)")
            }
            browser.acceptLanguage = "fr"
            #expect(try await browser.get("/catalogue?q=t%C3%A9l%C3%A9phone").text.contains("/catalogue/attribute/phone"))
        }
    }

    @Test("Only staff who look after organisations describe; the form comes back with its errors, and who comes second is told")
    func describing() async throws {
        try await Town().serve { town, client in
            let others = try await town.city.staff(roles: [.caseworker, .approver, .auditor, .financeOfficer])
            let resident = try await town.city.resident()
            #expect(try await CityBrowser(client).get(Town.street).status == 303)
            for session in [others.session, resident.session] {
                let browser = CityBrowser(client, session: session)
                #expect(try await browser.get("/staff/catalogue").status == 403)
                #expect(try await browser.get(Town.street).status == 403)
            }
            let browser = CityBrowser(client, session: town.steward.session)
            #expect(try await browser.get("/staff/catalogue").text.contains("Not described"))
            #expect(try await browser.get(Town.street).status == 200)
            let bad = try await browser.post(Town.street, [("owner", "nobody"), ("steward", ""), ("schema", "text"), ("version", "0")])
            #expect(bad.status == 422 && bad.text.contains("error-summary") && bad.text.contains("value=\"text\""))
            #expect(try await town.versions() == 0)
            for _ in 0..<2 { #expect(try await browser.post(Town.street, town.form()).status == 303) }
            #expect(try await town.versions() == 1)
            let stale = try await browser.post(Town.street, town.form(steward: "Another office"))
            #expect(stale.status == 409 && stale.text.contains("Somebody else described this meanwhile"))
            #expect(try await browser.post(Town.street, town.form(version: 1, steward: "Another office")).status == 303)
            #expect(try await town.versions() == 2)
            let page = try await browser.get(Town.street).text
            #expect(page.contains("Address office") && page.contains("Another office") && page.contains(town.steward.username))
            let seen = try await CityBrowser(client).get("/catalogue/attribute/street").text
            #expect(seen.contains("Another office") && seen.contains("Internal") && seen.contains("Until the resident moves away"))
            #expect(!seen.contains("Address office") && !seen.contains(town.steward.username), "history and authors are for staff")
            #expect(try await browser.get("/staff/catalogue/attribute/shoe_size").status == 404)
        }
    }

    @Test("Twenty descriptions over the same version: one is recorded")
    func race() async throws {
        let town = try await Town()
        let outcomes = try await withThrowingTaskGroup(of: DescribeOutcome.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let new = NewDescription(
                        kind: .service, subject: town.care.id.uuidString.lowercased(), readVersion: 0, ownerID: "clinic", steward: "Office \(number)", classification: .open,
                        schema: "JSON", retention: "Ten years")
                    return try await town.city.app.exclusive { try await $0.one(Describe(credential: town.steward.session.hash, new: new)) }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .recorded }.count == 1 && outcomes.filter { $0 == .stale }.count == 19)
    }

    @Test("The database refuses the app's own statements, changes, and loose functions")
    func rights() async throws {
        let town = try await Town()
        for statement in [
            "SELECT * FROM catalogue.description", "INSERT INTO catalogue.description SELECT * FROM catalogue.description", "SELECT * FROM catalogue.volume_of_month",
            "UPDATE catalogue.volume_of_month SET count = 1",
        ] {
            let error = await #expect(throws: DatabaseError.self) { try await town.city.app.execute(SQL(unsafeRaw: statement)) }
            #expect(error?.isPermissionDenied == true, "\(statement)")
        }
        for statement in ["UPDATE catalogue.description SET steward = 'x'", "DELETE FROM catalogue.description", "TRUNCATE catalogue.description"] {
            let error = await #expect(throws: DatabaseError.self) { try await town.city.owner.execute(SQL(unsafeRaw: statement)) }
            #expect(error?.sqlState == "23001", "\(statement)")
        }
        let new = NewDescription(
            kind: .attribute, subject: "shoe_size", readVersion: 0, ownerID: "city", steward: "Office", classification: .open, schema: "text", retention: "Ten years")
        let auditor = try await town.city.staff(roles: [.auditor])
        for (session, outcome) in [(auditor.session, DescribeOutcome.notAllowed), (FixtureCredential(), .notAllowed), (town.steward.session, .subjectUnknown)] {
            #expect(try await town.city.app.exclusive { try await $0.one(Describe(credential: session.hash, new: new)) } == outcome)
        }
        let loose = try await town.city.owner.query(
            OneValue(
                """
                SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
                WHERE p.pronamespace::regnamespace::text = 'catalogue'
                  AND ((p.prosecdef AND (r.rolname <> 'stoa_door' OR NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)))
                       OR p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0))
                """, of: String.self))
        #expect(loose == [])
    }

    @Test("Programs get what is open, as DCAT, and nothing else")
    func document() async throws {
        try await Town().serve { town, client in
            let browser = CityBrowser(client, session: town.steward.session)
            let get = { try await CityAPIClient(client, token: nil).get("/catalogue.jsonld") }
            let before = try await get()
            #expect(before.headers[.contentType] == "application/ld+json")
            #expect(before.json["@type"] == "dcat:Catalog" && before.json["dcat:service"] == [])
            let service = "/staff" + town.path(town.epidemics)
            _ = try await browser.get(service)
            #expect(try await browser.post(service, town.form(steward: "Health desk", classification: "open")).status == 303)
            #expect(try await browser.post(Town.street, town.form(classification: "confidential")).status == 303)
            let after = try await get()
            guard case .array(let services)? = after.json["dcat:service"] else { return }
            #expect(services.map { $0["dct:identifier"] } == ["clinic/epidemics"])
            #expect(services.first?["dcat:contactPoint"]?["vcard:fn"] == "Health desk")
            #expect(services.first?["@id"] == .string("https://city.example" + town.path(town.epidemics)))
            #expect(!after.text.contains("care title 1") && !after.text.contains("Address office"))
        }
    }

    @Test("Counts are of months that are over, in tens, and small ones are not told")
    func statistics() async throws {
        try await Town().serve { town, client in
            _ = try await town.city.organisation("shop")
            for (organisation, minute, count) in [
                ("clinic", "2027-01-31 23:59:00+00", 230), ("clinic", "2027-01-31 23:58:00+00", 7), ("clinic", "2027-02-01 00:00:00+00", 100),
                ("shop", "2027-01-05 12:00:00+00", 19), ("shop", "2027-02-02 12:00:00+00", 500),
            ] {
                try await town.city.owner.execute(
                    "INSERT INTO exchange.volume (organisation_id, is_of_lists, minute, count) VALUES (\(organisation), false, \(minute)::text::timestamptz, \(Int32(count)))")
            }
            let page = { try await CityBrowser(client).get("/catalogue/statistics").text }
            try await town.city.stopClock(at: Date("2027-02-01T23:59:00Z", strategy: .iso8601))
            for _ in 0..<2 { try await town.city.app.execute("SELECT exchange.remove_past_volume()") }
            #expect(try await page().contains("No month is over yet."))
            try await town.city.stopClock(at: Date("2027-02-02T00:01:00Z", strategy: .iso8601))
            let january = try await page()
            #expect(january.contains("January 2027") && january.contains(">230<") && january.contains("fewer than 20"))
            #expect(!january.contains("237") && !january.contains(">19<") && !january.contains("February"))
            try await town.city.stopClock(at: Date("2027-03-05T00:00:00Z", strategy: .iso8601))
            try await town.city.app.execute("SELECT exchange.remove_past_volume()")
            let february = try await page()
            #expect(february.contains(">100<") && february.contains(">500<") && february.contains("February 2027"))
            #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM exchange.volume", of: Int64.self)) == 0)
        }
    }
}
