// Taking everything with one: all parts whole, of oneself alone, logged; the spreadsheet disarmed; and the part for elsewhere signed.
import AccessLog
import City
import Consent
import Foundation
import HTTPTypes
import HummingbirdTesting
import Ledger
import Messages
import Payments
import Postgres
import Primitives
import Questions
import Register
import Testing
import TransparencyLog
import Web

@testable import DataExport

/// Two residents with details, a consent, messages, money and a question, and everything that shows these.
private struct Town {
    let city: CityFixture
    let door: Door
    let signer: Ed25519NoteSigner
    let care: FixtureActivity
    let ada: FixtureResident
    let eve: FixtureResident

    static let scopes = ["profile", "consents", "access_log", "bills", "payments", "messages", "export"]
    static let parts = ["details", "corrections", "consents", "access_log", "questions", "messages", "bills", "wallet", "benefits"]
    /// More than two reads of a part.
    static let messageCount = 2 * OwnDataPart.itemsPerRead + 3
    /// More than one read.
    static let transferCount = OwnDataPart.itemsPerRead + 20

    init() async throws {
        city = try await CityFixture.make()
        door = Door(database: city.app)
        signer = try Ed25519NoteSigner.generate(name: "city.example/log")
        care = try await city.activity(city.organisation("clinic"), "care", attributes: ["street", "locality"], validMonths: 12)
        ada = try await city.resident(["given_names": "Ada", "family_name": "=HYPERLINK(\"x\")", "locality": "Porto"])
        eve = try await city.resident(["given_names": "Evangelina", "locality": "Braga"])
    }

    func fill() async throws {
        try await city.owner.execute(
            """
            INSERT INTO messages.message (id, resident_id, kind, parameters, sent_at)
            SELECT gen_random_uuid(), \(ada.id), 'bill_paid', jsonb_build_object('amount', '1', 'reference', 'LETTER-' || n || '-'),
                timestamptz '2026-01-01 00:00:00.123456Z' + make_interval(secs => n / 3)
            FROM generate_series(1, \(Self.messageCount)) AS n
            """)
        try await Messages.send(.codeChanged, to: eve.id, ["code": "EVES-CODE"], on: city.app)
        try await city.decide("given", care, by: ada, attributes: ["locality"])
        let ledger = LedgerAdministration(owner: city.owner)
        let funding = LedgerAccountID.new()
        try await ledger.open(funding, kind: .funding, currency: .eur)
        let wallet = try await ledger.openWallet(of: ada.id, in: .eur)
        try await ledger.post(
            (1...Self.transferCount).map {
                Transfer(id: .new(), debit: funding, credit: wallet, amount: Money(minorUnits: 1, currency: .eur), reference: "COIN-\($0)-")
            }, occasion: "test")
        let clerk = try await city.staff(roles: [StaffRole.caseworker])
        let search = AccessRequest(
            credential: clerk.session.hash, operation: .search, subject: .publicCode(ada.publicCode), attributes: [], purpose: "assistance", caseReference: "CASE-1")
        let entry = try await door.read(search).entryID
        let questions = Questions(database: city.app, door: door, vault: city.vault, entries: AccessEntries(database: city.app, door: door))
        #expect(try await questions.ask("Why was I looked up?", about: entry, id: .new(), of: ada.session.hash) == .asked)
    }

    func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        let entries = AccessEntries(database: city.app, door: door)
        try await city.serve({ site in
            RegisterRoutes(door: door, vault: city.vault, corrections: Corrections(database: city.app, vault: city.vault, lookup: city.lookup)).add(to: site)
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            AccessLogRoutes(database: city.app, entries: entries, heads: LogHeads(database: city.app, verifier: signer.verifier)).add(to: site)
            QuestionsRoutes(questions: Questions(database: city.app, door: door, vault: city.vault, entries: entries)).add(to: site)
            MessagesRoutes(database: city.app).add(to: site)
            PaymentsRoutes(database: city.app, ledger: Ledger(database: city.app), zone: .gmt).add(to: site)
            DataExportRoutes(database: city.app, door: door, signer: signer).add(to: site)
        }) { try await body(self, $0) }
    }
}

extension JSONValue {
    fileprivate var items: [JSONValue] {
        if case .array(let items) = self { items } else { [] }
    }
}

@Suite("Taking one's data")
struct DataExportTests {
    @Test("Nobody takes anything without signing in, and no app without every scope of what is in the file")
    func refusals() async throws {
        try await Town().serve { town, client in
            for path in ["/your-data", "/your-data.json", "/your-data.csv", "/your-data/portable.json"] {
                #expect(try await CityBrowser(client).get(path).status == 303, "\(path)")
                let clerk = try await town.city.staff(roles: [StaffRole.caseworker])
                #expect(try await CityBrowser(client, session: clerk.session).get(path).status == 403, "\(path)")
            }
            for path in ["/api/v1/your-data", "/api/v1/your-data/portable"] {
                #expect(try await CityAPIClient(client, token: nil).get(path).status == 401)
                #expect(try await CityAPIClient(client, token: try await town.city.clientToken("clinic")).get(path).status == 403)
            }
            for missing in Town.scopes {
                let token = try await town.city.appToken(of: town.ada, scope: Town.scopes.filter { $0 != missing })
                let all = try await CityAPIClient(client, token: token).get("/api/v1/your-data")
                #expect(all.status == 403 && all.problem == "insufficient-scope", "without \(missing)")
                let portable = try await CityAPIClient(client, token: token).get("/api/v1/your-data/portable")
                #expect(portable.status == (["profile", "consents", "export"].contains(missing) ? 403 : 200), "without \(missing)")
            }
            // The door would refuse it too, whatever the server lets through.
            let token = try await town.city.appToken(of: town.ada, scope: ["profile"])
            await #expect(throws: RefusedAccess.self) {
                _ = try await town.door.read(
                    AccessRequest(credential: token.hash, operation: .ownView, subject: .own, attributes: [], purpose: "export", caseReference: ""))
            }
        }
    }

    @Test("The file holds every part whole, in pages and in both faces, and nothing of anybody else; taking it is an entry, once a session")
    func everything() async throws {
        try await Town().serve { town, client in
            try await town.fill()
            let browser = CityBrowser(client, session: town.ada.session)
            let page = try await browser.get("/your-data").text
            for text in ["Take your data with you", "Who looked at your data", "Messages from the city", "/your-data.csv"] { #expect(page.contains(text), "\(text)") }

            let token = try await town.city.appToken(of: town.ada, scope: Town.scopes)
            for answer in [try await browser.get("/your-data.json"), try await CityAPIClient(client, token: token).get("/api/v1/your-data")] {
                #expect(answer.status == 200 && !answer.text.contains("Evangelina") && !answer.text.contains("EVES-CODE"))
                let file = answer.json
                #expect(file["format"] == "stoa your data v1" && file["public_code"] == .string(town.ada.publicCode.description))
                guard case .object(let parts)? = file["parts"] else { throw Unexpected() }
                #expect(parts.map(\.name) == Town.parts)
                let part = { (name: String) in parts.first { $0.name == name }?.value.items ?? [] }
                #expect(Set(part("details").compactMap { $0["attribute"]?.text }) == ["given_names", "family_name", "locality"])
                let letters = part("messages").compactMap { $0["text"]?.text?.firstMatch(of: /LETTER-\d+-/).map { String($0.0) } }
                #expect(letters.count == Town.messageCount && Set(letters).count == Town.messageCount)
                let coins = part("wallet").compactMap { $0["reference"]?.text }
                #expect(coins.count == Town.transferCount && Set(coins).count == Town.transferCount)
                let consent = try #require(part("consents").first)
                #expect(consent["state"] == "given" && consent["granted_attributes"] == ["locality"])
                #expect(consent["events"]?.items.count == 1 && consent["events"]?.items.first?["explanation"] == "care explanation 1")
                #expect(consent["receipt"] == .string("/api/v1/consents/\(ActivityID(town.care.id))/receipt"))
                let question = try #require(part("questions").first)
                #expect(question["words"] == "Why was I looked up?" && question["state"] == "open")
                #expect(part("access_log").contains { $0["id"] == question["access_entry"] && $0["operation"] == "search" })
                #expect(part("access_log").contains { $0["operation"] == "own_view" && $0["purpose"] == "export" })
            }
            _ = try await browser.get("/your-data.json")
            #expect(try await town.city.entryCount(where: "operation = 'own_view' AND purpose = 'export'") == 2, "one for the session, one for the token")
            #expect(try await browser.get("/access-log?own=shown").text.contains("You took your data with you"))
        }
    }

    @Test("In the spreadsheet every value has its line, lists count from one, and nothing can run")
    func spreadsheet() async throws {
        try await Town().serve { town, client in
            try await town.fill()
            let answer = try await CityBrowser(client, session: town.ada.session).get("/your-data.csv")
            #expect(answer.headers[.contentType] == "text/csv; charset=utf-8; header=present")
            #expect(answer.headers[.contentDisposition]?.contains("attachment") == true)
            // Split at the line ends by scalars: CR and LF are one Character.
            let lines = answer.text.unicodeScalars.split(separator: "\n").map { String($0).trimmingCharacters(in: .newlines) }
            #expect(lines.first == #""part","item","field","value""#)
            for line in [
                #""file","1","format","stoa your data v1""#, #""details","2","value","'=HYPERLINK(""x"")""#, #""consents","1","granted_attributes.1","locality""#,
                #""consents","1","events.1.title","care title 1""#, #""messages","203","kind","bill_paid""#,
            ] { #expect(lines.contains(line), "\(line)") }
            #expect(lines.dropFirst().allSatisfy { $0.matches(of: /^"[a-z_]+","\d+","[a-z0-9_.]+","(?!=)/).count == 1 })
        }
    }

    @Test("What goes elsewhere holds details and decisions, and its signature holds over these bytes and no others")
    func portable() async throws {
        try await Town().serve { town, client in
            try await town.fill()
            let token = try await town.city.appToken(of: town.ada, scope: ["profile", "consents", "export"])
            for answer in [
                try await CityBrowser(client, session: town.ada.session).get("/your-data/portable.json"),
                try await CityAPIClient(client, token: token).get("/api/v1/your-data/portable"),
            ] {
                #expect(answer.status == 200)
                let data = try #require(answer.json["data"])
                guard case .object(let members) = data else { throw Unexpected() }
                #expect(members.map(\.name) == ["format", "city", "public_code", "issued_at", "language", "details", "consents"])
                #expect(data["city"] == "city.example/log" && data["consents"]?.items.count == 1)
                let bytes = try data.canonicalised()
                let signature = try #require(answer.json["signature"]?["value"]?.text.flatMap { Data(base64Encoded: $0) })
                #expect(answer.json["signature"]?["vkey"] == .string(town.signer.verifier.vkey))
                #expect(town.signer.verifier.isValid(Array(signature), over: Array("stoa portable data v1\n".utf8) + bytes))
                #expect(!town.signer.verifier.isValid(Array(signature), over: Array("stoa consent receipt v1\n".utf8) + bytes))
                let changed = try JSONValue.object(members.map { $0.name == "public_code" ? JSONMember("public_code", "X") : $0 }).canonicalised()
                #expect(!town.signer.verifier.isValid(Array(signature), over: Array("stoa portable data v1\n".utf8) + changed))
            }
        }
    }

    @Test("Somebody of whom nothing is held takes an empty file that is whole")
    func empty() async throws {
        try await Town().serve { town, client in
            let newcomer = try await town.city.resident([:])
            let file = try await CityBrowser(client, session: newcomer.session).get("/your-data.json").json
            guard case .object(let parts)? = file["parts"] else { throw Unexpected() }
            #expect(parts.map(\.name) == Town.parts)
            #expect(parts.allSatisfy { $0.name == "access_log" || $0.value == [] })
        }
    }

    private struct Unexpected: Error {}
}
