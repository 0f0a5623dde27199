// The switch as a resident moves it: on the pages without scripts, and from an app. Refusals first, then do, do again, undo.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Consent

/// A clinic that asks for consent, a tax office that a law lets read, and two residents.
private struct Story {
    let city: CityFixture
    let care: FixtureActivity
    let tax: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident

    init() async throws {
        city = try await CityFixture.make()
        care = try await city.activity(city.organisation("clinic"), "care", attributes: ["street", "postcode", "locality"])
        tax = try await city.activity(city.organisation("tax-office"), "assessment", attributes: ["date_of_birth"], law: "Tax Act § 7")
        ada = try await city.resident()
        eve = try await city.resident()
    }

    func serve(_ body: @Sendable (Story, any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve({ ConsentRoutes(database: city.app, vault: city.vault).add(to: $0) }) { try await body(self, $0) }
    }

    func eventCount(_ resident: FixtureResident) async throws -> Int {
        Int(try await city.owner.one(OneValue("SELECT count(*) FROM consent.event WHERE resident_id = \(resident.id)", of: Int64.self)))
    }
}

@Suite("Consent pages")
struct ConsentPageTests {
    @Test("Nobody sees or moves a switch without signing in")
    func strangers() async throws {
        try await Story().serve { story, client in
            let stranger = CityBrowser(client)
            for path in ["/consents", "/consents/\(story.care.id)"] {
                let answer = try await stranger.get(path)
                #expect(answer.status == 303)
                #expect(answer.headers[.location]?.hasPrefix("/sign-in") == true)
            }
            let clerk = try await story.city.staff(roles: [StaffRole.caseworker])
            #expect(try await CityBrowser(client, session: clerk.session).get("/consents").status == 403)
            let noToken = try await CityBrowser(client, session: story.ada.session).post("/consents/\(story.care.id)", [("state", "given")])
            #expect(noToken.status == 403)
            #expect(try await story.eventCount(story.ada) == 0)
        }
    }

    @Test("The dashboard shows every organisation with its purposes; what a law allows has no switch and names the law")
    func dashboard() async throws {
        try await Story().serve { story, client in
            let page = try await CityBrowser(client, session: story.ada.session).get("/consents")
            #expect(page.status == 200)
            for text in ["clinic (en)", "care title 1", "care explanation 1", "Street", "Postcode", "tax-office (en)", "Tax Act § 7", "Not shared."] {
                #expect(page.text.contains(text), "\(text)")
            }
            // One purpose has a switch, the other none.
            #expect(page.text.contains("action=\"/consents/\(story.care.id.uuidString.lowercased())\""))
            #expect(!page.text.contains("action=\"/consents/\(story.tax.id.uuidString.lowercased())\""))
            #expect(!page.text.contains(" checked"))
            #expect(!page.text.contains("‹"))
            let lawful = try await CityBrowser(client, session: story.ada.session).get("/consents/\(story.tax.id)")
            #expect(lawful.text.contains("A law decides about this"))
            #expect(!lawful.text.contains("never shared"))
        }
    }

    @Test("On, on again, off, off again: two events, and the page says when")
    func onAndOff() async throws {
        try await Story().serve { story, client in
            let browser = CityBrowser(client, session: story.ada.session)
            let path = "/consents/\(story.care.id)"
            for _ in 0..<2 {
                _ = try await browser.get("/consents")
                let done = try await browser.post(path, [("state", "given"), ("policy_version", "1")])
                #expect(done.status == 303)
                #expect(done.headers[.location] == "/consents")
                let page = try await browser.get("/consents")
                #expect(page.text.contains("Shared since"))
                #expect(page.text.contains("It is shared from now on."))
                #expect(page.text.contains("Stop sharing"))
            }
            #expect(try await story.eventCount(story.ada) == 1)
            for _ in 0..<2 {
                #expect(try await browser.post(path, [("state", "withdrawn")]).status == 303)
                #expect(try await browser.get("/consents").text.contains("You stopped it on"))
            }
            #expect(try await story.eventCount(story.ada) == 2)
            let history = try await browser.get(path)
            #expect(history.text.contains("Shared: Street, Postcode and Town"))
            #expect(history.text.contains("By you, on this site"))
            #expect(history.text.contains("The text that was shown (version 1)"))
            #expect(try await story.eventCount(story.eve) == 0)
            #expect(!(try await CityBrowser(client, session: story.eve.session).get(path)).text.contains("By you, on this site"))
        }
    }

    @Test("The history shows each text in the language in which it was shown, and says which that is")
    func shownLanguage() async throws {
        try await Story().serve { story, client in
            let path = "/consents/\(story.care.id)"
            try await story.city.owner.execute("UPDATE identity.account SET language = 'fr' WHERE id = \(story.ada.accountID)")
            let browser = CityBrowser(client, session: story.ada.session)
            _ = try await browser.get(path)
            #expect(try await browser.post(path, [("state", "given"), ("policy_version", "1")]).status == 303)
            try await story.city.owner.execute("UPDATE identity.account SET language = 'ar' WHERE id = \(story.ada.accountID)")
            let page = try await browser.get(path).text
            #expect(page.contains("<p lang=\"fr\" dir=\"ltr\"><strong>care titre 1</strong>"))
            // There was no French explanation: English was shown.
            #expect(page.contains("<p lang=\"en\" dir=\"ltr\">care explanation 1"))
        }
    }

    @Test("Ticking shares a part; ticking nothing comes back with the reason")
    func part() async throws {
        try await Story().serve { story, client in
            let browser = CityBrowser(client, session: story.ada.session)
            let path = "/consents/\(story.care.id)"
            _ = try await browser.get(path)
            let form = [("state", "given"), ("policy_version", "1"), ("part", "1")]
            let nothing = try await browser.post(path, form)
            #expect(nothing.status == 422)
            #expect(nothing.text.contains("Tick at least one kind of data"))
            let unknown = try await browser.post(path, form + [("attribute", "national_number"), ("attribute", "street")])
            #expect(unknown.status == 422)
            // What was ticked is still ticked.
            #expect(unknown.text.components(separatedBy: " checked").count == 2)
            #expect(try await browser.post(path, form + [("attribute", "street"), ("attribute", "street")]).status == 422)
            #expect(try await story.eventCount(story.ada) == 0)
            #expect(try await browser.post(path, form + [("attribute", "locality"), ("attribute", "street")]).status == 303)
            #expect(try await browser.get("/consents").text.contains("but not: Postcode"))
            #expect(try await browser.get(path).text.components(separatedBy: " checked").count == 3)
        }
    }

    @Test("A text that changed while it was read is shown again with the difference, and nothing is recorded")
    func stale() async throws {
        try await Story().serve { story, client in
            let browser = CityBrowser(client, session: story.ada.session)
            _ = try await browser.get("/consents")
            try await story.city.publish(story.care, version: 2, attributes: ["street", "phone"])
            let path = "/consents/\(story.care.id)"
            let answer = try await browser.post(path, [("state", "given"), ("policy_version", "1")])
            #expect(answer.status == 409)
            for text in ["The text has changed", "Phone (register)", "Postcode and Town", "care title 1", "care title 2", "value=\"2\""] {
                #expect(answer.text.contains(text), "\(text)")
            }
            #expect(try await story.eventCount(story.ada) == 0)
            #expect(try await browser.post(path, [("state", "given"), ("policy_version", "99")]).status == 409)
            #expect(try await browser.post(path, [("state", "given"), ("policy_version", "2")]).status == 303)
            // Stopping works from any old page.
            try await story.city.publish(story.care, version: 3, attributes: ["street"])
            let outdated = try await browser.get("/consents")
            #expect(outdated.text.contains("The text has changed since you agreed"))
            #expect(outdated.text.contains("Agree to the new text"))
            #expect(try await browser.post(path, [("state", "given"), ("policy_version", "3")]).status == 303)
            #expect(!(try await browser.get("/consents")).text.contains("Agree to the new text"))
            #expect(try await browser.post(path, [("state", "withdrawn"), ("policy_version", "1")]).status == 303)
            #expect(try await story.eventCount(story.ada) == 3)
        }
    }

    @Test("Bad addresses and bad forms get a page that says so")
    func badInput() async throws {
        try await Story().serve { story, client in
            let browser = CityBrowser(client, session: story.ada.session)
            _ = try await browser.get("/consents")
            for path in ["/consents/nonsense", "/consents/\(UUID())"] {
                #expect(try await browser.get(path).status == 404)
                #expect(try await browser.post(path, [("state", "given"), ("policy_version", "1")]).status == 404)
            }
            let path = "/consents/\(story.care.id)"
            #expect(try await browser.post(path, [("state", "maybe"), ("policy_version", "1")]).status == 422)
            #expect(try await browser.post(path, [("state", "given")]).status == 422)
            #expect(try await browser.post(path, [("state", "given"), ("state", "withdrawn"), ("policy_version", "1")]).status == 422)
            #expect(try await browser.post("/consents/\(story.tax.id)", [("state", "given"), ("policy_version", "1")]).status == 409)
            #expect(try await story.eventCount(story.ada) == 0)
        }
    }

    @Test("In three languages, Arabic from right to left", arguments: [("en", "ltr", "Share"), ("fr", "ltr", "Partager"), ("ar", "rtl", "مشاركة")])
    func languages(_ code: String, _ direction: String, _ button: String) async throws {
        try await Story().serve { story, client in
            let reader = try await story.city.resident(language: code)
            let browser = CityBrowser(client, session: reader.session)
            _ = try await browser.get("/consents")
            _ = try await browser.post("/consents/\(story.care.id)", [("state", "given"), ("policy_version", "1")])
            for path in ["/consents", "/consents/\(story.care.id)", "/consents/\(story.tax.id)"] {
                let page = try await browser.get(path)
                #expect(page.status == 200)
                #expect(page.text.contains("lang=\"\(code)\""))
                #expect(page.text.contains("dir=\"\(direction)\""))
                #expect(!page.text.contains("‹"))
            }
            _ = try await browser.post("/consents/\(story.care.id)", [("state", "withdrawn")])
            #expect(try await browser.get("/consents").text.contains(">\(button)</button>"))
        }
    }

    @Test("A form on paper shows its reference; a name with markup is shown as text")
    func paperAndMarkup() async throws {
        try await Story().serve { story, client in
            let clerk = try await story.city.staff(roles: [StaffRole.caseworker])
            try await story.city.owner.execute(
                """
                SELECT consent.append(\(UUID()), \(story.ada.id), \(story.care.id), 'given', '{street}', 1, NULL, \(clerk.id), NULL,
                    'paper', 'paper_form', 'en', '<F>&17"')
                """)
            let page = try await CityBrowser(client, session: story.ada.session).get("/consents/\(story.care.id)")
            #expect(page.text.contains("By you on paper, form &lt;F&gt;&amp;17&quot;"))
        }
    }
}

@Suite("Consent API")
struct ConsentAPITests {
    @Test("Only a resident's token with the scope sees or moves a switch; a cookie never does")
    func strangers() async throws {
        try await Story().serve { story, client in
            let path = "/api/v1/consents/\(story.care.id)"
            let wrongScope = try await story.city.appToken(of: story.ada, scope: ["profile"])
            let expired = try await story.city.appToken(of: story.ada, scope: ["consents"], secondsLeft: -1)
            let clinic = try await story.city.clientToken("clinic")
            for (token, status) in [(nil, 401), (expired, 401), (story.ada.session, 401), (FixtureCredential(), 401), (wrongScope, 403), (clinic, 403)] {
                let app = CityAPIClient(client, token: token)
                #expect(try await app.get("/api/v1/consents").status == status)
                #expect(try await app.put(path, #"{"state": "given"}"#).status == status)
            }
            #expect(try await CityBrowser(client, session: story.ada.session).get("/api/v1/consents").status == 401)
            #expect(try await story.eventCount(story.ada) == 0)
        }
    }

    @Test("Given, given again, part, withdrawn, withdrawn again: each answer is the item as it stands")
    func story() async throws {
        try await Story().serve { story, client in
            let app = CityAPIClient(client, token: try await story.city.appToken(of: story.ada, scope: ["consents"]))
            let path = "/api/v1/consents/\(story.care.id.uuidString.lowercased())"
            let list = try await app.get("/api/v1/consents")
            #expect(list.status == 200)
            let items = list.json["items"].flatMap { value -> [JSONValue]? in if case .array(let items) = value { items } else { nil } } ?? []
            #expect(items.count == 2)
            let care = try #require(items.first { $0["purpose"] == "care" })
            #expect(care["organisation"] == "clinic")
            #expect(care["state"] == "not_given")
            #expect(care["legal_basis"] == "consent")
            #expect(care["attributes"] == ["street", "postcode", "locality"])
            #expect(care["granted_attributes"] == [])
            #expect(care["policy_version"] == 1)
            let tax = try #require(items.first { $0["purpose"] == "assessment" })
            #expect(tax["state"] == .null)
            #expect(tax["law"] == "Tax Act § 7")
            for _ in 0..<2 {
                let given = try await app.put(path, #"{"state": "given", "policy_version": 1}"#)
                #expect(given.status == 200)
                #expect(given.json["state"] == "given")
                #expect(given.json["granted_attributes"] == ["street", "postcode", "locality"])
            }
            let part = try await app.put(path, #"{"state": "given", "attributes": ["locality", "street"]}"#)
            #expect(part.json["granted_attributes"] == ["street", "locality"])
            for _ in 0..<2 {
                let withdrawn = try await app.put(path, #"{"state": "withdrawn"}"#)
                #expect(withdrawn.json["state"] == "withdrawn")
                #expect(withdrawn.json["granted_attributes"] == [])
            }
            #expect(try await story.eventCount(story.ada) == 3)
            #expect(try await app.get("/api/v1/consents", acceptLanguage: "fr").text.contains("care titre 1"))
            #expect(try await story.eventCount(story.eve) == 0)
        }
    }

    @Test("Each mistake has its own answer and changes nothing")
    func mistakes() async throws {
        try await Story().serve { story, client in
            let app = CityAPIClient(client, token: try await story.city.appToken(of: story.ada, scope: ["consents"]))
            let path = "/api/v1/consents/\(story.care.id)"
            func expect(_ json: String, at address: String? = nil, _ status: Int, _ slug: String, naming: String = "") async throws {
                let answer = try await app.put(address ?? path, json)
                #expect(answer.status == status, "\(json): \(answer.text)")
                #expect(answer.problem == slug, "\(json): \(answer.text)")
                #expect(naming.isEmpty || answer.text.contains(naming), "\(json): \(answer.text)")
            }
            try await expect(#"{"state": "given", "policy_version": 2}"#, 409, "policy-changed", naming: "\"policy_version\":1")
            try await expect(#"{"state": "withdrawn", "policy_version": 2}"#, 409, "policy-changed")
            try await expect(#"{"state": "given", "attributes": ["street", "shoe_size"]}"#, 422, "attributes-not-offered", naming: "shoe_size")
            try await expect(#"{"state": "given", "attributes": []}"#, 400, "invalid-body", naming: "attributes")
            try await expect(#"{"state": "invalidated"}"#, 400, "invalid-body", naming: "state")
            try await expect(#"{"state": "given", "colour": "red"}"#, 400, "invalid-body", naming: "colour")
            try await expect(#"{"state": "given", "policy_version": 1.0}"#, 400, "invalid-body", naming: "policy_version")
            try await expect(#"{"state": "given", "state": "given"}"#, 400, "malformed-json")
            try await expect(#"{"state": "given"}"#, at: "/api/v1/consents/\(story.tax.id)", 409, "no-switch", naming: "Tax Act § 7")
            try await expect(#"{"state": "given"}"#, at: "/api/v1/consents/\(UUID())", 404, "not-found")
            try await expect(#"{"state": "given"}"#, at: "/api/v1/consents/care", 404, "not-found")
            #expect(try await story.eventCount(story.ada) == 0)
            _ = try await app.put(path, #"{"state": "given"}"#)
            try await expect(#"{"state": "withdrawn", "attributes": ["street"]}"#, 422, "withdrawal-of-part")
            #expect(try await story.eventCount(story.ada) == 1)
        }
    }

    @Test("Two hundred switches thrown at once are a history without gaps, and every one got its answer")
    func race() async throws {
        let story = try await Story()
        let consents = Consents(database: story.city.app)
        let sharing = try #require(try await consents.one(ActivityID(story.care.id), of: story.ada.session.hash))
        try await withThrowingTaskGroup(of: DecisionOutcome.self) { group in
            for number in 0..<200 {
                group.addTask {
                    try await consents.decide(
                        ConsentDecision(activity: ActivityID(story.care.id), kind: number.isMultiple(of: 2) ? .given : .withdrawn), on: sharing,
                        credential: story.ada.session.hash, language: .english)
                }
            }
            for try await outcome in group { #expect(outcome == .recorded || outcome == .unchanged) }
        }
        let events = try await story.city.owner.query(
            OneValue("SELECT e.kind FROM consent.event AS e WHERE e.resident_id = \(story.ada.id) ORDER BY e.sequence", of: String.self))
        #expect(events.enumerated().allSatisfy { $1 == ($0.isMultiple(of: 2) ? "given" : "withdrawn") })
        let state = try await story.city.owner.one(OneValue("SELECT s.state FROM consent.state AS s WHERE s.resident_id = \(story.ada.id)", of: String.self))
        #expect(state == events.last)
    }
}
