// Requests from both ends: an organisation asks over its API, a resident answers on one screen or in an app. Refusals first, then the
// story, then the races.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Consent

/// A clinic and a shop that ask, and two residents whom both know. The clock stands.
private struct Town {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let shop: FixtureOrganisation
    let care: FixtureActivity
    let offers: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident
    let adaAtClinic: UUID

    static let start = Date(timeIntervalSince1970: 1_801_353_600)  // 31 January 2027
    static let day: TimeInterval = 86_400
    static let path = "/api/v1/exchange/consent-requests"

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        shop = try await city.organisation("shop")
        care = try await city.activity(clinic, "care", attributes: ["street", "postcode", "locality"])
        _ = try await city.activity(clinic, "epidemics", attributes: ["phone"], law: "Epidemics Act § 3")
        offers = try await city.activity(shop, "offers", attributes: ["email"])
        ada = try await city.resident()
        eve = try await city.resident()
        adaAtClinic = try await city.pseudonym(of: ada, for: clinic)
        try await keepCredentials()
        try await city.stopClock(at: Self.start)
    }

    /// These stories last for months; sessions do not.
    func keepCredentials() async throws {
        try await city.owner.execute("UPDATE web.credential SET expires_at = '2900-01-01', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
    }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        try await city.serve({ site in
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            ConsentRequestRoutes(database: city.app).add(to: site)
            site.resident.get("/tasks") { _, context in
                let tasks = try await WaitingRequests(received: ReceivedRequests(database: city.app)).tasks(of: context.resident, context.web)
                return .json(.array(tasks.map { .string("\($0.title) | \($0.detail) | \($0.path)") }))
            }
        }) { try await body(self, $0) }
    }

    /// The body of the clinic's request for two of three kinds of data.
    func body(_ changes: String = "") -> String {
        #"{"subject": "\#(adaAtClinic)", "purpose": "care", "attributes": ["postcode", "street"]\#(changes)}"#
    }

    /// Makes the clinic's request.
    /// - Returns: its id.
    func ask(_ client: any TestClientProtocol, key: String = UUID().uuidString) async throws -> String {
        let answer = try await CityAPIClient(client, token: clinic.credential).post(Self.path, body(), idempotencyKey: key)
        guard answer.status == 201, case .string(let id)? = answer.json["id"] else {
            Issue.record("\(answer.status) \(answer.text)")
            return ""
        }
        return id
    }

    func kinds() async throws -> [String] {
        try await city.owner.query(OneValue("SELECT kind FROM consent.event WHERE resident_id = \(ada.id) ORDER BY sequence", of: String.self))
    }
}

@Suite("Requests by organisations")
struct ConsentRequestAPITests {
    @Test("Only an organisation's live token with the scope asks; whom it does not know, whoever else does, it cannot ask")
    func refusals() async throws {
        try await Town().serve { town, client in
            let noScope = try await town.city.clientToken("clinic", scope: ["other"])
            let app = try await town.city.appToken(of: town.ada, scope: ["consents"])
            for (token, status) in [(nil, 401), (FixtureCredential(), 401), (town.ada.session, 401), (noScope, 403), (app, 403)] {
                #expect(try await CityAPIClient(client, token: token).post(Town.path, town.body(), idempotencyKey: "k").status == status)
            }
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            #expect(try await clinic.post(Town.path, town.body()).problem == "idempotency-key-missing")
            let adaAtShop = try await town.city.pseudonym(of: town.ada, for: town.shop)
            var answers: Set<String> = []
            for subject in [UUID(), adaAtShop] {
                let answer = try await clinic.post(
                    Town.path, #"{"subject": "\#(subject)", "purpose": "care", "attributes": ["street"]}"#, idempotencyKey: "k")
                #expect(answer.status == 404)
                answers.insert(answer.text.replacing(/"(request_id|instance)":"[^"]*"/, with: ""))
            }
            #expect(answers.count == 1, "unknown and foreign are one answer")
            for (changes, slug) in [
                (#"{"subject": "\#(town.adaAtClinic)", "purpose": "offers", "attributes": ["email"]}"#, "purpose-unknown"),
                (#"{"subject": "\#(town.adaAtClinic)", "purpose": "epidemics", "attributes": ["phone"]}"#, "consent-not-needed"),
                (#"{"subject": "\#(town.adaAtClinic)", "purpose": "care", "attributes": ["phone"]}"#, "attributes-not-offered"),
                (#"{"subject": "\#(town.adaAtClinic)", "purpose": "care", "attributes": []}"#, "invalid-body"),
                (town.body(#", "message": "two\nlines", "message_language": "en""#), "invalid-body"),
                (town.body(#", "message": "which language?""#), "invalid-body"),
                (town.body(#", "message_language": "en""#), "invalid-body"),
                (town.body(#", "message": "\#(String(repeating: "m", count: 301))", "message_language": "en""#), "invalid-body"),
            ] {
                #expect(try await clinic.post(Town.path, changes, idempotencyKey: "k").problem == slug, "\(changes)")
            }
            #expect(try await town.kinds().isEmpty)
        }
    }

    @Test("The same key is the same request; another body under it is refused; a second request beside it is refused")
    func once() async throws {
        try await Town().serve { town, client in
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let first = try await clinic.post(Town.path, town.body(), idempotencyKey: "k-1")
            #expect(first.status == 201)
            #expect(first.json["state"] == "requested")
            // In the policy's order.
            #expect(first.json["attributes"] == ["street", "postcode"])
            #expect(first.json["expires_at"] == "2027-03-02T00:00:00.000Z")
            #expect(try await clinic.post(Town.path, town.body(), idempotencyKey: "k-1").json == first.json)
            #expect(try await clinic.post(Town.path, town.body(" "), idempotencyKey: "k-1").problem == "idempotency-key-reused")
            #expect(try await clinic.post(Town.path, town.body(), idempotencyKey: "k-2").problem == "request-open")
            #expect(try await town.kinds() == ["requested"])
            guard case .string(let id)? = first.json["id"] else { return }
            #expect(try await clinic.get("\(Town.path)/\(id)").json == first.json)
            // Another organisation's requests are nobody's.
            let shop = CityAPIClient(client, token: town.shop.credential)
            #expect(try await shop.get("\(Town.path)/\(id)").status == 404)
            #expect(try await shop.delete("\(Town.path)/\(id)").status == 404)
            #expect(try await clinic.get("\(Town.path)/\(UUID())").status == 404)
            #expect(try await town.city.entryCount() == 0, "asking reads nothing")
        }
    }

    @Test("Taken back it is gone from the resident's page; again changes nothing; what was answered cannot be taken back")
    func retracting() async throws {
        try await Town().serve { town, client in
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let browser = CityBrowser(client, session: town.ada.session)
            let id = try await town.ask(client)
            for _ in 0..<2 { #expect(try await clinic.delete("\(Town.path)/\(id)").json["state"] == "withdrawn") }
            #expect(try await browser.get("/tasks").text == "[]")
            #expect(try await browser.get("/consent-requests/\(id)").text.contains("The organisation took this request back on 31 January 2027"))
            #expect(try await browser.get("/consents/\(town.care.id)").text.contains("The organisation took its request back"))
            // Taking back and asking again is no way round the ninety days.
            let again = try await clinic.post(Town.path, town.body(), idempotencyKey: "again")
            #expect(again.problem == "refused-recently")
            #expect(again.json["not_before"] == "2027-05-01T00:00:00.000Z")
            try await town.city.stopClock(at: Town.start + 90 * Town.day)
            let next = try await town.ask(client)
            _ = try await browser.get("/consent-requests/\(next)")
            #expect(try await browser.post("/consent-requests/\(next)", [("decision", "given"), ("policy_version", "1")]).status == 303)
            #expect(try await clinic.delete("\(Town.path)/\(next)").problem == "request-closed")
            #expect(try await town.kinds() == ["requested", "withdrawn", "requested", "given"])
        }
    }

    @Test("After a no the same cannot return for ninety days, to the millisecond; while it is shared it need not be asked")
    func quiet() async throws {
        try await Town().serve { town, client in
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let browser = CityBrowser(client, session: town.ada.session)
            let id = try await town.ask(client)
            _ = try await browser.get("/consent-requests/\(id)")
            _ = try await browser.post("/consent-requests/\(id)", [("decision", "refused")])
            #expect(try await clinic.get("\(Town.path)/\(id)").json["state"] == "refused")
            try await town.city.stopClock(at: Town.start + 90 * Town.day - 0.001)
            let early = try await clinic.post(Town.path, town.body(), idempotencyKey: "k")
            #expect(early.problem == "refused-recently")
            #expect(early.json["not_before"] == "2027-05-01T00:00:00.000Z")
            try await town.city.stopClock(at: Town.start + 90 * Town.day)
            // A refused attempt made nothing, so its key is free.
            #expect(try await clinic.post(Town.path, town.body(), idempotencyKey: "k").status == 201)
            _ = try await town.city.decide("given", town.care, by: town.ada)
            #expect(try await clinic.post(Town.path, town.body(), idempotencyKey: "k-3").problem == "consent-in-force")
        }
    }

    @Test("Twenty requests at once are one")
    func race() async throws {
        try await Town().serve { town, client in
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let answers = try await withThrowingTaskGroup(of: CityAnswer.self) { group in
                for number in 0..<20 { group.addTask { try await clinic.post(Town.path, town.body(), idempotencyKey: "k-\(number / 2)") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            // One key won; both requests with it have the one answer.
            let made = answers.filter { $0.status == 201 }
            #expect(made.count == 2)
            #expect(Set(made.map(\.text)).count == 1)
            #expect(answers.filter { $0.problem == "request-open" }.count == 18)
            #expect(try await town.kinds() == ["requested"])
        }
    }
}

@Suite("Answering requests")
struct AnswerRequestTests {
    @Test("Nobody answers without signing in, and nobody else's request")
    func strangers() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let page = "/consent-requests/\(id)"
            for path in ["/consent-requests", page, page + "/part"] {
                #expect(try await CityBrowser(client).get(path).status == 303)
            }
            let eve = CityBrowser(client, session: town.eve.session)
            #expect(try await eve.get("/consent-requests").text.contains("No request waits"))
            #expect(try await eve.get("/tasks").text == "[]")
            for path in [page, page + "/part", "/consent-requests/\(UUID())", "/consent-requests/x"] { #expect(try await eve.get(path).status == 404) }
            #expect(try await eve.post(page, [("decision", "given"), ("policy_version", "1")]).status == 404)
            _ = try await eve.get("/consent-requests")
            #expect(try await eve.post("/consent-requests", []).status == 303)
            let noToken = try await CityBrowser(client, session: town.ada.session).post(page, [("decision", "given"), ("policy_version", "1")])
            #expect(noToken.status == 403)
            let eveApp = CityAPIClient(client, token: try await town.city.appToken(of: town.eve, scope: ["consents"]))
            #expect(try await eveApp.put("/api/v1/consent-requests/\(id)", #"{"decision": "given"}"#).status == 404)
            #expect(try await town.kinds() == ["requested"])
        }
    }

    @Test("One screen says who, why and what; agreeing and refusing are one press each and look alike; nothing is ticked")
    func screen() async throws {
        try await Town().serve { town, client in
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let body = town.body(#", "message": "Nous vous attendons <mardi>.", "message_language": "fr""#)
            guard case .string(let id)? = try await clinic.post(Town.path, body, idempotencyKey: "k").json["id"] else {
                Issue.record("not asked")
                return
            }
            let browser = CityBrowser(client, session: town.ada.session)
            let task = try await browser.get("/tasks").text
            #expect(task.contains("clinic (en) asks for your data: care title 1"))
            #expect(task.contains("/consent-requests/\(id)"))
            let page = try await browser.get("/consent-requests/\(id)").text
            for text in ["clinic (en)", "care title 1", "care explanation 1", "<li>Street</li>", "<li>Postcode</li>", "2 March 2027"] { #expect(page.contains(text), "\(text)") }
            #expect(!page.contains("<li>Town</li>"), "what was not asked for is not shared")
            #expect(page.contains(#"<dd><bdi lang="fr" dir="ltr">Nous vous attendons &lt;mardi&gt;.</bdi></dd>"#))
            // The same bare button twice, each in a form of its own with nothing else to fill in.
            let buttons = page.matches(of: /<form method="post" action="\/consent-requests[^>]*>(.*?)<\/form>/).map { String($0.1) }
            #expect(buttons.count == 3)
            #expect(buttons[0].hasSuffix("<button>Agree</button>"))
            #expect(buttons[1].hasSuffix("<button>Refuse</button>"))
            #expect(!page.contains("checkbox"))
            let part = try await browser.get("/consent-requests/\(id)/part").text
            #expect(part.components(separatedBy: "type=\"checkbox\"").count == 3)
            #expect(!part.contains(" checked"))
            #expect(part.contains("<button>Refuse</button>"))
        }
    }

    @Test("Agreeing shares what was asked and no more; again changes nothing; refusing afterwards says that it is closed")
    func agreeing() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let browser = CityBrowser(client, session: town.ada.session)
            let page = "/consent-requests/\(id)"
            _ = try await browser.get(page)
            #expect(try await browser.post(page, [("decision", "given")]).status == 422)
            #expect(try await browser.post(page, [("decision", "maybe")]).status == 422)
            for _ in 0..<2 { #expect(try await browser.post(page, [("decision", "given"), ("policy_version", "1")]).status == 303) }
            #expect(try await town.kinds() == ["requested", "given"])
            let closed = try await browser.post(page, [("decision", "refused")])
            #expect(closed.status == 409)
            #expect(closed.text.contains("You agreed on 31 January 2027"))
            #expect(!closed.text.contains("<button>Agree</button>"))
            #expect(try await browser.get("/consents").text.contains("but not: Town."))
            let seen = try await CityAPIClient(client, token: town.clinic.credential).get("\(Town.path)/\(id)").json
            #expect(seen["state"] == "given")
            #expect(seen["granted_attributes"] == ["street", "postcode"])
            // What happens to the agreement later is no answer to the request.
            _ = try await town.city.decide("withdrawn", town.care, by: town.ada)
            #expect(try await CityAPIClient(client, token: town.clinic.credential).get("\(Town.path)/\(id)").json == seen)
        }
    }

    @Test("A part by ticking; nothing ticked or something that was not asked comes back with the reason")
    func part() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let browser = CityBrowser(client, session: town.ada.session)
            let page = "/consent-requests/\(id)"
            _ = try await browser.get(page + "/part")
            let form = [("decision", "given"), ("policy_version", "1"), ("part", "1")]
            let nothing = try await browser.post(page, form)
            #expect(nothing.status == 422)
            #expect(nothing.text.contains("Tick at least one kind of data"))
            let wrong = try await browser.post(page, form + [("attribute", "street"), ("attribute", "locality")])
            #expect(wrong.status == 422)
            #expect(wrong.text.components(separatedBy: " checked").count == 2)
            #expect(try await town.kinds() == ["requested"])
            #expect(try await browser.post(page, form + [("attribute", "postcode")]).status == 303)
            #expect(try await browser.get("/consents").text.contains("but not: Street and Town."))
        }
    }

    @Test("Put off, it leaves the home page for seven days and stays on the list; the organisation learns nothing of it")
    func deferring() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let browser = CityBrowser(client, session: town.ada.session)
            _ = try await browser.get("/consent-requests/\(id)")
            for _ in 0..<2 { #expect(try await browser.post("/consent-requests/\(id)", [("decision", "deferred")]).status == 303) }
            #expect(try await browser.get("/tasks").text == "[]")
            #expect(try await browser.get("/consent-requests").text.contains("care title 1"))
            #expect(try await CityAPIClient(client, token: town.clinic.credential).get("\(Town.path)/\(id)").json["state"] == "requested")
            try await town.city.stopClock(at: Town.start + 7 * Town.day - 0.001)
            #expect(try await browser.get("/tasks").text == "[]")
            try await town.city.stopClock(at: Town.start + 7 * Town.day)
            #expect(try await browser.get("/tasks").text.contains("care title 1"))
            #expect(try await town.kinds() == ["requested", "deferred"])
        }
    }

    @Test("Nobody answers for thirty days and it is over: nothing is shared, the page says so, and it can be asked again")
    func lapsing() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let browser = CityBrowser(client, session: town.ada.session)
            let page = "/consent-requests/\(id)"
            _ = try await browser.get(page)
            try await town.city.stopClock(at: Town.start + 30 * Town.day)
            #expect(try await browser.get("/tasks").text == "[]")
            let late = try await browser.post(page, [("decision", "given"), ("policy_version", "1")])
            #expect(late.status == 409)
            #expect(late.text.contains("This request ended on 2 March 2027"))
            #expect(try await CityAPIClient(client, token: town.clinic.credential).get("\(Town.path)/\(id)").json["state"] == "expired")
            #expect(try await browser.get("/consents/\(town.care.id)").text.contains("Not shared."))
            let again = try await town.ask(client)
            #expect(again != id)
            #expect(try await town.kinds() == ["requested", "expired", "requested"])
            // The old page answers the old request, not the new one.
            #expect(try await browser.post(page, [("decision", "given"), ("policy_version", "1")]).status == 409)
            #expect(try await browser.get("/consents/\(town.care.id)").text.contains("The request ended, because nobody answered it"))
        }
    }

    @Test("A text that changed while it was read is shown anew and nothing is shared; refusing needs no version")
    func newText() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let browser = CityBrowser(client, session: town.ada.session)
            let page = "/consent-requests/\(id)"
            _ = try await browser.get(page)
            try await town.city.publish(town.care, version: 2, attributes: ["postcode", "phone"])
            let changed = try await browser.post(page, [("decision", "given"), ("policy_version", "1")])
            #expect(changed.status == 409)
            for text in ["A new version was published", "care title 2", "Postcode", "value=\"2\""] { #expect(changed.text.contains(text), "\(text)") }
            #expect(!changed.text.contains("<li>Phone (register)</li>"), "what was not asked for is not added")
            #expect(try await town.kinds() == ["requested"])
            try await town.city.publish(town.care, version: 3, attributes: ["phone"])
            #expect(try await browser.get(page).text.contains("nothing of this request is left"))
            #expect(try await browser.get("/tasks").text == "[]")
            #expect(try await browser.post(page, [("decision", "refused")]).status == 303)
            #expect(try await town.kinds() == ["requested", "refused"])
        }
    }

    @Test("Refuse all ends what waits, of every organisation, and nobody else's")
    func refusingAll() async throws {
        try await Town().serve { town, client in
            _ = try await town.ask(client)
            let shop = CityAPIClient(client, token: town.shop.credential)
            for resident in [town.ada, town.eve] {
                let subject = try await town.city.pseudonym(of: resident, for: town.shop)
                let asked = try await shop.post(
                    Town.path, #"{"subject": "\#(subject)", "purpose": "offers", "attributes": ["email"]}"#, idempotencyKey: "\(subject)")
                #expect(asked.status == 201)
            }
            let browser = CityBrowser(client, session: town.ada.session)
            #expect(try await browser.get("/consent-requests").text.contains("Refuse all requests"))
            for _ in 0..<2 { #expect(try await browser.post("/consent-requests", []).status == 303) }
            let list = try await browser.get("/consent-requests").text
            #expect(list.contains("No request waits"))
            #expect(!list.contains("Refuse all requests"))
            let kinds = try await town.city.owner.query(
                OneValue("SELECT state FROM consent.state ORDER BY resident_id = \(town.eve.id), activity_id", of: String.self))
            #expect(kinds == ["refused", "refused", "requested"])
        }
    }

    @Test("An app lists what waits and answers; each mistake has its own answer")
    func app() async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            let app = CityAPIClient(client, token: try await town.city.appToken(of: town.ada, scope: ["consents"]))
            let profile = CityAPIClient(client, token: try await town.city.appToken(of: town.ada, scope: ["profile"]))
            try await town.keepCredentials()
            let path = "/api/v1/consent-requests/\(id)"
            #expect(try await profile.get("/api/v1/consent-requests").status == 403)
            #expect(try await profile.put(path, #"{"decision": "given"}"#).status == 403)
            #expect(try await CityAPIClient(client, token: town.clinic.credential).get("/api/v1/consent-requests").status == 403)
            let list = try await app.get("/api/v1/consent-requests")
            #expect(list.text.contains(#""attributes":["street","postcode"]"#))
            #expect(list.text.contains(#""state":"requested""#))
            for (body, slug) in [
                (#"{"decision": "renewed"}"#, "invalid-body"), (#"{"decision": "refused", "attributes": ["street"]}"#, "invalid-body"),
                (#"{"decision": "given", "attributes": []}"#, "invalid-body"), (#"{"decision": "given", "colour": 1}"#, "invalid-body"),
                (#"{"decision": "given", "attributes": ["locality"]}"#, "attributes-not-offered"),
                (#"{"decision": "given", "policy_version": 2}"#, "policy-changed"),
            ] { #expect(try await app.put(path, body).problem == slug, "\(body)") }
            #expect(try await town.kinds() == ["requested"])
            #expect(try await app.put(path, #"{"decision": "deferred"}"#).json["state"] == "deferred")
            for _ in 0..<2 {
                let given = try await app.put(path, #"{"decision": "given", "attributes": ["street"], "policy_version": 1}"#).json
                #expect(given["state"] == "given")
                #expect(given["granted_attributes"] == ["street"])
            }
            #expect(try await app.put(path, #"{"decision": "refused"}"#).problem == "request-closed")
            #expect(try await app.get("/api/v1/consent-requests").text == #"{"items":[],"next_cursor":null}"#)
            #expect(try await town.kinds() == ["requested", "deferred", "given"])
        }
    }

    @Test("In three languages", arguments: ["en", "fr", "ar"])
    func languages(_ code: String) async throws {
        try await Town().serve { town, client in
            let id = try await town.ask(client)
            try await town.city.owner.execute("UPDATE identity.account SET language = \(code) WHERE id = \(town.ada.accountID)")
            let browser = CityBrowser(client, session: town.ada.session)
            for path in ["/consent-requests", "/consent-requests/\(id)", "/consent-requests/\(id)/part", "/consents/\(town.care.id)"] {
                let page = try await browser.get(path)
                #expect(page.status == 200)
                #expect(page.text.contains("lang=\"\(code)\""))
                #expect(!page.text.contains("‹"))
            }
        }
    }

    @Test("Answered in many tabs at once and taken back meanwhile: one of them counted, and everybody was told which", arguments: 0..<6)
    func race(_ round: Int) async throws {
        let town = try await Town()
        let made = MadeRequests(database: town.city.app)
        let received = ReceivedRequests(database: town.city.app)
        let body = try AskBody(JSONReader(try JSONScanner.scan(Array(town.body().utf8))))
        let id = try await made.ask(body, key: IdempotencyKey("k", path: "/", body: []), credential: town.clinic.credential.hash).id
        let answers = try await withThrowingTaskGroup(of: (String, Bool).self) { group in
            for decision in [RequestAnswer.Decision.given, .refused, .given, .refused] {
                group.addTask {
                    let outcome = try await received.answer(
                        RequestAnswer(request: id, decision: decision), credential: town.ada.session.hash, language: .english)
                    return (decision.rawValue, outcome == .recorded || outcome == .unchanged)
                }
            }
            group.addTask {
                do {
                    try await made.retract(id, credential: town.clinic.credential.hash)
                    return ("withdrawn", true)
                } catch let problem as Problem {
                    #expect(problem.slug == "request-closed")
                    return ("withdrawn", false)
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        let kinds = try await town.kinds()
        #expect(kinds.count == 2)
        #expect(Set(answers.filter(\.1).map(\.0)) == [kinds.last ?? ""])
    }
}
