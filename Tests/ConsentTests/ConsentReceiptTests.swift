// Receipts: what they say, whose they are, and that the signature holds over the canonical bytes and nothing else.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import Postgres
import Primitives
import Testing
import TransparencyLog
import Web

@testable import Consent

@Suite("Receipts of consent")
struct ConsentReceiptTests {
    private func serve(
        _ body: @Sendable (CityFixture, FixtureActivity, FixtureResident, Ed25519NoteSigner, any TestClientProtocol) async throws -> Void
    ) async throws {
        let city = try await CityFixture.make()
        let care = try await city.activity(city.organisation("clinic"), "care", attributes: ["street", "postcode"], validMonths: 12)
        let ada = try await city.resident()
        let signer = try Ed25519NoteSigner.generate(name: "city.example/log")
        try await city.serve({ site in
            let heads = LogHeads(database: city.app, verifier: signer.verifier)
            ConsentRoutes(database: city.app, vault: city.vault).add(to: site)
            ConsentReceiptRoutes(database: city.app, signer: signer, heads: heads).add(to: site)
            PublicLogRoutes(database: city.app, heads: heads).add(to: site)
        }) { try await body(city, care, ada, signer, $0) }
    }

    @Test("Nobody gets a receipt without signing in, without the scope, before anything was decided, or of somebody else")
    func refusals() async throws {
        try await serve { city, care, ada, _, client in
            let eve = try await city.resident()
            // A question is no decision yet.
            let asked = try await city.owner.one(
                OneValue(
                    """
                    SELECT consent.append(\(UUID()), \(ada.id), \(care.id), 'requested', NULL, NULL, NULL, NULL, 'clinic', 'organisation', 'exchange', 'en', NULL)
                    """, of: String.self))
            #expect(asked == "recorded")
            #expect(try await CityBrowser(client, session: ada.session).get("/consents/\(care.id)/receipt").status == 404)
            #expect(!(try await CityBrowser(client, session: ada.session).get("/consents/\(care.id)")).text.contains("A receipt to keep"))
            _ = try await city.decide("given", care, by: ada)
            #expect(try await CityBrowser(client).get("/consents/\(care.id)/receipt").status == 303)
            #expect(try await CityBrowser(client, session: eve.session).get("/consents/\(care.id)/receipt").status == 404)
            #expect(try await CityBrowser(client, session: ada.session).get("/consents/\(UUID())/receipt").status == 404)
            let path = "/api/v1/consents/\(care.id)/receipt"
            #expect(try await CityAPIClient(client, token: nil).get(path).status == 401)
            let others = try await city.appToken(of: eve, scope: ["consents"])
            #expect(try await CityAPIClient(client, token: others).get(path).status == 404)
            let noScope = try await city.appToken(of: ada, scope: ["profile"])
            #expect(try await CityAPIClient(client, token: noScope).get(path).status == 403)
        }
    }

    @Test("It says what is shared, in which text and until when, and its signature holds; after a withdrawal it says that")
    func receipt() async throws {
        try await serve { city, care, ada, signer, client in
            _ = try await city.decide("given", care, by: ada, attributes: ["street"])
            let app = CityAPIClient(client, token: try await city.appToken(of: ada, scope: ["consents"]))
            let answer = try await app.get("/api/v1/consents/\(care.id)/receipt")
            #expect(answer.status == 200)
            let receipt = try #require(answer.json["receipt"])
            for text in ["dpv:ConsentGiven", #"["street"]"#, "care title 1", "care explanation 1", "dpv:UntilTimeDuration", #""clinic""#] {
                #expect(answer.text.contains(text), "\(text)")
            }
            let head = try await city.owner.one(OneValue("SELECT encode(hash, 'hex') FROM consent.event", of: String.self))
            #expect(receipt["stoa:chain"] == ["sequence": 1, "sha256": .string(head)])
            let bytes = try receipt.canonicalised()
            let signature = try #require(answer.json["signature"]?["value"]?.text.flatMap { Data(base64Encoded: $0) })
            #expect(signer.verifier.isValid(Array(signature), over: Array("stoa consent receipt v1\n".utf8) + bytes))
            #expect(!signer.verifier.isValid(Array(signature), over: bytes), "without its label it is no signature")
            let page = try await CityBrowser(client, session: ada.session).get("/consents/\(care.id)/receipt").text
            for text in ["clinic (en)", "Shared", "care explanation 1", head, signer.verifier.vkey.replacing("+", with: "+")] {
                #expect(page.contains(text), "\(text)")
            }
            _ = try await city.decide("withdrawn", care, by: ada)
            let withdrawn = try await app.get("/api/v1/consents/\(care.id)/receipt").text
            #expect(withdrawn.contains("dpv:ConsentWithdrawn"))
            #expect(withdrawn.contains(#""dpv:hasPersonalData":[]"#))
        }
    }

    @Test("The log holds the decision: its proof stands offline and on the page, for its resident alone, and any changed byte of it is found")
    func logProof() async throws {
        try await serve { city, care, ada, signer, client in
            let eve = try await city.resident()
            for resident in [ada, eve] { _ = try await city.decide("given", care, by: resident) }
            let app = CityAPIClient(client, token: try await city.appToken(of: ada, scope: ["consents"]))
            let browser = CityBrowser(client, session: ada.session)
            #expect(try await app.get("/api/v1/consents/\(care.id)/receipt").json["log_proof"] == .null)
            #expect(try await browser.get("/consents/\(care.id)/receipt/proof").status == 409)
            #expect(try await CityBrowser(client).get("/consents/\(care.id)/receipt/proof").status == 303)
            #expect(try await browser.get("/consents/\(UUID())/receipt/proof").status == 404)

            let sequencer = Sequencer(database: city.app, signer: signer, logger: Logger(label: "test"))
            try await sequencer.signEmptyTree()
            #expect(try await sequencer.sequenceOnce() == 2)
            let answer = try await app.get("/api/v1/consents/\(care.id)/receipt").json
            let (file, head) = (try #require(answer["log_proof"]?.text), try #require(answer["receipt"]?["stoa:chain"]?["sha256"]?.text))
            let proven = try ProvenEntry(checking: file.utf8, log: signer.verifier)
            #expect(proven.treeSize == 2 && proven.lines.contains { $0.hasSuffix(head) } && proven.lines[0].hasSuffix("consent event"))
            let download = try await browser.get("/consents/\(care.id)/receipt/proof")
            #expect(download.status == 200 && download.text == file)
            let event = try await city.owner.one(OneValue("SELECT id FROM consent.event WHERE resident_id = \(ada.id)", of: UUID.self))
            let others = OneValue("SELECT count(*) FROM consent.leaf_of(\(eve.session.hash.bytes), \(event))", of: Int64.self)
            #expect(try await city.app.one(others) == 0)

            // Bytes of the opening, the path and the head, one after the other.
            for position in stride(from: 31, to: file.utf8.count, by: 7) {
                var changed = Array(file.utf8)
                changed[position] ^= 1
                #expect(throws: EntryProofFault.self, "byte \(position)") { try ProvenEntry(checking: changed, log: signer.verifier) }
            }
            let checked = try await browser.post("/log/verify", [("proof", file)])
            #expect(checked.status == 200 && checked.text.contains("It is a decision about sharing data") && checked.text.contains(head))
            for (language, words) in [("fr", "C’est une décision sur un partage"), ("ar", "إنه قرار بشأن مشاركة البيانات")] {
                let visitor = CityBrowser(client)
                visitor.acceptLanguage = language
                _ = try await visitor.get("/log/verify")
                #expect(try await visitor.post("/log/verify", [("proof", file)]).text.contains(words))
            }
            // What comes after has a proof of its own.
            _ = try await city.decide("withdrawn", care, by: ada)
            try await sequencer.sequenceOnce()
            let later = try #require(try await app.get("/api/v1/consents/\(care.id)/receipt").json["log_proof"]?.text)
            #expect(try ProvenEntry(checking: later.utf8, log: signer.verifier).index == 2)
        }
    }

    @Test("Canonical JSON: names by UTF-16, short escapes, no insignificant space, whole numbers only (RFC 8785)")
    func canonical() throws {
        let names: JSONValue = ["\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1F600}": 5, "\u{80}": 6, "\u{f6}": 7]
        let sorted = try names.canonicalised()
        // §3.2.3: carriage return, one, control, o with diaeresis, euro, grinning face, dalet with dagesh.
        #expect(String(decoding: sorted, as: UTF8.self) == "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1F600}\":5,\"\u{fb33}\":3}")
        let text: JSONValue = .string("\u{20ac}$\u{0F}\nA'B\"\\\\\"/")
        #expect(String(decoding: try text.canonicalised(), as: UTF8.self) == #""€$\u000f\nA'B\"\\\\\"/""#)
        #expect(try JSONValue.array([.null, .bool(true), .integer(-7)]).canonicalised() == Array("[null,true,-7]".utf8))
        #expect(throws: NotCanonical.self) { try JSONValue.number("1.5").canonicalised() }
        #expect(throws: NotCanonical.self) { try JSONValue.integer(1 << 53 + 1).canonicalised() }
    }
}
