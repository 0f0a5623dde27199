// What an organisation is told when a consent ends, and what it answers: refusals first, then the story from both ends, then the races.
import City
import Consent
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import Exchange

private let notices = "/api/v1/exchange/notices"

/// A clinic that three residents share with, and a shop. The clock stands.
private struct Town {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let shop: FixtureOrganisation
    let care: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident
    let signer: Ed25519NoteSigner

    static let start = Date(timeIntervalSince1970: 1_801_353_600)  // 31 January 2027
    static let day: TimeInterval = 86_400

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        shop = try await city.organisation("shop")
        care = try await city.activity(clinic, "care", attributes: ["street", "postcode", "phone"], validMonths: 12)
        ada = try await city.resident()
        eve = try await city.resident()
        signer = try Ed25519NoteSigner.generate(name: "city.example/log")
        try await keepCredentials()
        try await city.stopClock(at: Self.start)
    }

    /// These stories last for months; sessions do not.
    func keepCredentials() async throws {
        try await city.owner.execute("UPDATE web.credential SET expires_at = '2900-01-01', idle_after = CASE kind WHEN 'session' THEN interval '900 years' END")
    }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        let routes = NoticeRoutes(database: city.app, signer: signer)
        try await city.serve({ site in
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            ConsentRequestRoutes(database: city.app).add(to: site)
            routes.add(to: site)
            site.staff.get("/tasks") { _, context in
                let tasks = try await routes.tasks(of: context.staff, context.web)
                return .json(.array(tasks.map { .string("\($0.title) | \($0.detail) | \($0.path)") }))
            }
        }) { try await body(self, $0) }
    }

    /// Shares and stops again.
    func giveAndWithdraw(_ resident: FixtureResident) async throws {
        for kind in ["given", "withdrawn"] { #expect(try await city.decide(kind, care, by: resident) == "recorded") }
    }

    /// What the organisation reads behind a number.
    func list(_ client: any TestClientProtocol, after: Int64? = nil, as organisation: FixtureOrganisation? = nil) async throws -> [JSONValue] {
        let answer = try await CityAPIClient(client, token: (organisation ?? clinic).credential).get(notices + (after.map { "?after=\($0)" } ?? ""))
        #expect(answer.status == 200, "\(answer.text)")
        guard case .array(let items)? = answer.json["items"] else { return [] }
        return items
    }

    /// What one statement of the app finds, without a page around it.
    func numbers(after: Int64) async throws -> [Int64] {
        let rows = try await city.app.exclusive { try await $0.query(NoticesOf(credential: clinic.credential.hash, after: after, countMax: 100)) }
        return rows.compactMap { if case .found(let notice) = $0 { notice.number } else { nil } }
    }
}

extension JSONValue {
    fileprivate var id: String { self["notice"]?["id"]?.text ?? "" }
}

@Suite("Notices to organisations")
struct NoticeTests {
    @Test("Only an organisation's live token with the scope reads or answers, and only its own notices")
    func refusals() async throws {
        try await Town().serve { town, client in
            try await town.giveAndWithdraw(town.ada)
            let id = try #require(try await town.list(client).first).id
            let noScope = try await town.city.clientToken("clinic", scope: ["usage.read"])
            let app = try await town.city.appToken(of: town.ada, scope: ["consents"])
            try await town.keepCredentials()
            let address = "\(notices)/\(id)/acknowledgement"
            for (token, status) in [(nil, 401), (FixtureCredential(), 401), (town.ada.session, 401), (noScope, 403), (app, 403)] {
                let caller = CityAPIClient(client, token: token)
                #expect(try await caller.get(notices).status == status)
                #expect(try await caller.put(address, #"{"done": "deleted"}"#).status == status)
            }
            #expect(try await town.list(client, as: town.shop) == [])
            let shop = CityAPIClient(client, token: town.shop.credential)
            #expect(try await shop.put(address, #"{"done": "deleted"}"#).status == 404)
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            #expect(try await clinic.put("\(notices)/\(UUID())/acknowledgement", #"{"done": "deleted"}"#).status == 404)
            #expect(try await clinic.put("\(notices)/one/acknowledgement", #"{"done": "deleted"}"#).status == 404)
            for body in [
                "{}", #"{"done": "sold"}"#, #"{"done": "kept"}"#, #"{"done": "kept", "law": "§"}"#, #"{"done": "kept", "law": "two\nlines"}"#,
                #"{"done": "deleted", "law": "Archives Act § 1"}"#, #"{"done": "deleted", "why": "x"}"#,
                #"{"done": "kept", "law": "\#(String(repeating: "l", count: 201))"}"#,
            ] {
                #expect(try await clinic.put(address, body).problem == "invalid-body", "\(body)")
            }
            for after in ["x", "-1", "01", "1.0", "99999999999999999999", ""] {
                #expect(try await clinic.get("\(notices)?after=\(after)").problem == "malformed-cursor", "\(after)")
            }
            #expect(try await town.list(client).map { $0["state"] } == ["open"])
        }
    }

    @Test(
        "The role that serves is denied", arguments: [
            "SELECT * FROM exchange.notice", "INSERT INTO exchange.notice SELECT * FROM exchange.notice", "SELECT * FROM exchange.standing",
            "UPDATE exchange.notice SET due_at = due_at", "DELETE FROM exchange.notice_queue", "INSERT INTO exchange.acknowledgement SELECT * FROM exchange.acknowledgement",
            "DELETE FROM exchange.acknowledgement", "INSERT INTO exchange.notice_number VALUES ('clinic', 1, gen_random_uuid())",
            "SELECT exchange.number_notices('clinic')",
        ])
    func denied(statement: String) async throws {
        let city = try await CityFixture.make()
        let error = await #expect(throws: DatabaseError.self) { try await city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement): \(String(describing: error))")
    }

    @Test("Nobody changes what was said, the owner neither; and no definer function is loose")
    func fixed() async throws {
        let town = try await Town()
        try await town.giveAndWithdraw(town.ada)
        _ = try await town.numbers(after: 0)
        try await town.city.owner.execute(
            "INSERT INTO exchange.acknowledgement (notice_id, done, client_id) SELECT id, 'deleted', 'clinic' FROM exchange.notice")
        for table in ["notice", "notice_number", "acknowledgement"] {
            for statement in ["DELETE FROM exchange.\(table)", "UPDATE exchange.\(table) SET organisation_id = 'shop'", "TRUNCATE exchange.\(table) CASCADE"]
            where table != "acknowledgement" || !statement.contains("organisation_id") {
                let error = await #expect(throws: DatabaseError.self) { try await town.city.owner.execute(SQL(unsafeRaw: statement)) }
                #expect(error?.sqlState == "23001", "\(statement): \(String(describing: error))")
            }
        }
        let loose = try await town.city.owner.query(
            OneValue(
                """
                SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner
                WHERE p.pronamespace::regnamespace::text IN ('consent', 'exchange')
                  AND ((p.prosecdef AND (r.rolname <> 'stoa_door' OR (p.prosqlbody IS NULL AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false))))
                       OR p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) AS a WHERE a.grantee = 0))
                """, of: String.self))
        #expect(loose == [])
    }

    @Test("Whatever ends an agreement, or a part of it, is told with what may not be read any more; nothing else is")
    func occasions() async throws {
        try await Town().serve { town, client in
            let appended = { (kind: String, resident: FixtureResident, capacity: String, method: String) async throws -> String in
                try await town.city.owner.one(
                    OneValue(
                        """
                        SELECT consent.append(\(UUID()), \(resident.id), \(town.care.id), \(kind), NULL, NULL, NULL, NULL,
                            \(capacity == "organisation" ? "clinic" : nil as String?), \(capacity), \(method), 'en', NULL)
                        """, of: String.self))
            }
            // A request that is made and taken back ends nothing.
            #expect(try await appended("requested", town.eve, "organisation", "exchange") == "recorded")
            #expect(try await appended("withdrawn", town.eve, "organisation", "exchange") == "recorded")
            #expect(try await town.list(client) == [])
            _ = try await town.city.decide("given", town.care, by: town.ada)
            _ = try await town.city.decide("given", town.care, by: town.ada, attributes: ["street", "phone"])
            // More than before takes nothing away.
            _ = try await town.city.decide("given", town.care, by: town.ada)
            _ = try await town.city.decide("withdrawn", town.care, by: town.ada)
            _ = try await town.city.decide("given", town.care, by: town.ada, attributes: ["phone"])
            #expect(try await appended("invalidated", town.ada, "system", "identity_linked") == "recorded")
            _ = try await town.city.decide("given", town.care, by: town.ada, attributes: ["street"])
            try await town.city.stopClock(at: Town.start + 30 * Town.day)
            _ = try await town.city.decide("renewed", town.care, by: town.ada)
            // On 2 March 2028 a year is over, and three days later the housekeeping finds it.
            try await town.city.stopClock(at: Town.start + 399 * Town.day)
            #expect(try await town.city.app.one(OneValue("SELECT consent.record_expiries(10)", of: Int32.self)) == 1)
            // All but the last were made in one moment, in which numbers follow no order.
            let items = try await town.list(client)
            let told = Dictionary(uniqueKeysWithValues: items.map { ($0["notice"]?["reason"]?.text ?? "", $0["notice"]?["attributes"]) })
            #expect(told == [
                "narrowed": ["postcode"], "withdrawn": ["street", "postcode", "phone"], "invalidated": ["phone"], "expired": ["street"],
            ])
            #expect(items.map { $0["number"] } == [1, 2, 3, 4])
            let expired = try #require(items.last?["notice"])
            #expect(expired["since"] == "2028-03-02T00:00:00.000Z")
            #expect(expired["made_at"] == "2028-03-05T00:00:00.000Z")
            #expect(expired["due_at"] == "2028-04-04T00:00:00.000Z")
            let pseudonym = try await town.city.pseudonym(of: town.ada, for: town.clinic)
            #expect(expired["subject"] == .string(pseudonym.uuidString.lowercased()))
            #expect(try await town.city.entryCount() == 0, "being told reads nothing")
        }
    }

    @Test("The notice is signed; it is answered once: the same again is the same, another answer is refused")
    func answering() async throws {
        try await Town().serve { town, client in
            try await town.giveAndWithdraw(town.ada)
            let item = try #require(try await town.list(client).first)
            let document = try #require(item["notice"]).canonicalised()
            let signature = Array(try #require(item["signature"]?["value"]?.text.flatMap { Data(base64Encoded: $0) }))
            #expect(town.signer.verifier.isValid(signature, over: Array("stoa consent notice v1\n".utf8) + document))
            #expect(!town.signer.verifier.isValid(signature, over: Array("stoa consent receipt v1\n".utf8) + document))
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let address = "\(notices)/\(item.id)/acknowledgement"
            let kept = #"{"done": "kept", "law": "Patient Records Act § 5"}"#
            for _ in 0..<2 {
                let answer = try await clinic.put(address, kept)
                #expect(answer.status == 200)
                #expect(answer.json["state"] == "acknowledged")
                #expect(answer.json["acknowledgement"] == ["done": "kept", "law": "Patient Records Act § 5", "at": "2027-01-31T00:00:00.000Z"])
                #expect(answer.json["notice"] == item["notice"])
            }
            for other in [#"{"done": "deleted"}"#, #"{"done": "kept", "law": "Another Act § 5"}"#] {
                #expect(try await clinic.put(address, other).problem == "acknowledgement-stands")
            }
        }
    }

    @Test("Twenty different answers at once: one stands")
    func answersRace() async throws {
        let town = try await Town()
        try await town.giveAndWithdraw(town.ada)
        _ = try await town.numbers(after: 0)
        let id = try await town.city.owner.one(OneValue("SELECT id FROM exchange.notice", of: UUID.self))
        let outcomes = try await withThrowingTaskGroup(of: String.self) { group in
            for number in 0..<20 {
                group.addTask {
                    try await town.city.app.exclusive {
                        try await $0.one(
                            OneValue("SELECT exchange.acknowledge(\(town.clinic.credential.hash.bytes), \(id), 'kept', \("Act § \(number)"))", of: String.self))
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == "recorded" }.count == 1)
        #expect(outcomes.filter { $0 == "stands" }.count == 19)
    }

    @Test("What commits late is read late, never passed over")
    func lateCommit() async throws {
        try await Town().serve { town, client in
            for resident in [town.ada, town.eve] { _ = try await town.city.decide("given", town.care, by: resident) }
            try await town.city.app.transaction { late in
                let withdrawn = try await late.one(
                    OneValue("SELECT consent.decide(\(town.ada.session.hash.bytes), \(UUID()), \(town.care.id), 'withdrawn', NULL, NULL, 'en')", of: String.self))
                #expect(withdrawn == "recorded")
                // Made later, committed earlier, and nothing waits for the other.
                #expect(try await town.city.decide("withdrawn", town.care, by: town.eve) == "recorded")
                #expect(try await town.numbers(after: 0) == [1])
            }
            let items = try await town.list(client, after: 1)
            #expect(items.map { $0["number"] } == [2])
            let pseudonym = try await town.city.pseudonym(of: town.ada, for: town.clinic)
            #expect(items.first?["notice"]?["subject"] == .string(pseudonym.uuidString.lowercased()))
        }
    }

    @Test("Readers that follow the numbers while residents stop sharing see each notice once, in one order")
    func readersRace() async throws {
        let town = try await Town()
        let residents = 16
        var people: [FixtureResident] = []
        for _ in 0..<residents {
            people.append(try await town.city.resident())
            _ = try await town.city.decide("given", town.care, by: people[people.count - 1])
        }
        let seen = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for _ in 0..<3 {
                group.addTask {
                    var seen: [Int64] = []
                    while seen.count < residents { seen += try await town.numbers(after: seen.last ?? 0) }
                    return seen
                }
            }
            for person in people {
                group.addTask {
                    let outcome = try await town.city.decide("withdrawn", town.care, by: person)
                    #expect(outcome == "recorded")
                    return []
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for reader in seen where !reader.isEmpty { #expect(reader == Array(1...Int64(residents))) }
    }

    @Test("More than an answer holds is read in pages")
    func pages() async throws {
        try await Town().serve { town, client in
            // One switch moved to and fro makes a notice each time.
            for _ in 0..<(NoticeRoutes.noticesPerAnswer + 1) { try await town.giveAndWithdraw(town.ada) }
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let first = try await clinic.get(notices).json
            #expect(first["next_cursor"] == "100")
            #expect(try await clinic.get("\(notices)?after=100").json["next_cursor"] == .null)
            #expect(try await town.list(client, after: 100).map { $0["number"] } == [101])
            #expect(try await town.list(client, after: 101) == [])
        }
    }

    @Test("The resident reads in the history that the organisation was told, what it answered, and that it is overdue")
    func residentsPage() async throws {
        try await Town().serve { town, client in
            let page = "/consents/\(town.care.id.uuidString.lowercased())"
            let browser = CityBrowser(client, session: town.ada.session)
            let zoe = try await town.city.resident(language: "fr")
            try await town.keepCredentials()
            for resident in [town.ada, zoe] { try await town.giveAndWithdraw(resident) }
            #expect(try await browser.get(page).text.contains("clinic (en) was told on 31 January 2027. It has until 2 March 2027"))
            try await town.city.stopClock(at: Town.start + 30 * Town.day - 1)
            #expect(!(try await browser.get(page)).text.contains("Overdue"))
            try await town.city.stopClock(at: Town.start + 30 * Town.day)
            let overdue = try await browser.get(page).text
            #expect(overdue.contains("The answer was due on 2 March 2027"))
            #expect(overdue.contains("Overdue"))
            let french = try await CityBrowser(client, session: zoe.session).get(page).text
            #expect(french.contains("La réponse était attendue le 2 mars 2027"))
            // Whose it is not sees nothing of it.
            #expect(!(try await CityBrowser(client, session: town.eve.session).get(page)).text.contains("was told"))
            // Shared again, nothing is to be done about it any more.
            _ = try await town.city.decide("given", town.care, by: town.ada)
            #expect(try await browser.get(page).text.contains("You have shared the same again since"))
            let subject = try await town.city.pseudonym(of: town.ada, for: town.clinic).uuidString.lowercased()
            let own = { (items: [JSONValue]) in items.filter { $0["notice"]?["subject"]?.text == subject } }
            let again = own(try await town.list(client))
            #expect(again.map { $0["state"] } == ["allowed_again"])
            _ = try await town.city.decide("withdrawn", town.care, by: town.ada)
            let clinic = CityAPIClient(client, token: town.clinic.credential)
            let items = own(try await town.list(client))
            #expect(items.map { $0["state"] } == ["overdue", "open"])
            for (item, body) in zip(items, [#"{"done": "deleted"}"#, #"{"done": "kept", "law": "Patient Records Act § 5"}"#]) {
                #expect(try await clinic.put("\(notices)/\(item.id)/acknowledgement", body).status == 200)
            }
            let answered = try await browser.get(page).text
            #expect(answered.contains("On 2 March 2027 it said that it deleted the data."))
            #expect(answered.contains("because of: Patient Records Act § 5."))
            #expect(!answered.contains("Overdue"))
        }
    }

    @Test("Auditors, and nobody else, see which organisations are overdue, without anything about residents")
    func auditorsPage() async throws {
        try await Town().serve { town, client in
            let auditor = try await town.city.staff(roles: [.auditor])
            let caseworker = try await town.city.staff(roles: [.caseworker])
            try await town.keepCredentials()
            let page = "/staff/recipients"
            #expect(try await CityBrowser(client).get(page).status == 303)
            #expect(try await CityBrowser(client, session: town.ada.session).get(page).status == 403)
            #expect(try await CityBrowser(client, session: caseworker.session).get(page).status == 403)
            let browser = CityBrowser(client, session: auditor.session)
            #expect(try await browser.get(page).text.contains("Every organisation has answered."))
            try await town.giveAndWithdraw(town.ada)
            #expect(try await browser.get(page).text.contains("1 answer still has time"))
            #expect(try await browser.get("/tasks").text == "[]")
            try await town.city.stopClock(at: Town.start + 31 * Town.day)
            try await town.giveAndWithdraw(town.eve)
            let text = try await browser.get(page).text
            #expect(text.contains("1 answer overdue") && text.contains("1 answer still has time") && text.contains("2 March 2027"))
            #expect(!text.contains(town.ada.publicCode.description))
            #expect(try await browser.get("/tasks").text.contains("1 organisation is overdue, the first answer since 2 March 2027."))
            #expect(try await CityBrowser(client, session: caseworker.session).get("/tasks").text == "[]")
            for item in try await town.list(client) {
                _ = try await CityAPIClient(client, token: town.clinic.credential).put("\(notices)/\(item.id)/acknowledgement", #"{"done": "deleted"}"#)
            }
            #expect(try await browser.get(page).text.contains("Every organisation has answered."))
        }
    }

    @Test("Where a record was erased, there is nobody to name, and nothing fails")
    func erased() async throws {
        let town = try await Town()
        _ = try await town.city.decide("given", town.care, by: town.ada)
        #expect(
            try await town.city.owner.one(
                OneValue("SELECT register.erase_resident(\(town.ada.publicCode.description), 'Court order 1/2027')", of: Bool.self)))
        try await town.city.stopClock(at: Town.start + 400 * Town.day)
        #expect(try await town.city.app.one(OneValue("SELECT consent.record_expiries(10)", of: Int32.self)) == 1)
        #expect(try await town.numbers(after: 0) == [])
    }
}
