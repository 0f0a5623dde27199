// Yes or no in place of a value: what an organisation gets, what the entry says, and that the value behind it stays where it is.
import AccessLog
import City
import Foundation
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Exchange

/// The rules of a city that keeps Greenwich's clock and is one town.
let utcRules = DerivationRules(timeZone: .gmt, localities: ["Porto"])

private let reads = "/api/v1/exchange/reads"

/// A cinema that may ask for the answer alone, and for both under another purpose.
private struct Cinema {
    let city: CityFixture
    let cinema: FixtureOrganisation
    let films: FixtureActivity
    let membership: FixtureActivity

    init() async throws {
        city = try await CityFixture.make()
        cinema = try await city.organisation("cinema")
        films = try await city.activity(cinema, "films", attributes: ["is_over_18"])
        membership = try await city.activity(
            cinema, "membership", attributes: ["is_over_18", "date_of_birth", "given_names", "lives_in_city", "locality"])
    }

    func resident(_ values: [String: String], agreesTo activity: FixtureActivity? = nil, _ attributes: [String]? = nil) async throws -> UUID {
        let resident = try await city.resident(values)
        _ = try await city.decide("given", activity ?? films, by: resident, attributes: attributes)
        return try await city.pseudonym(of: resident, for: cinema)
    }

    func serve(rules: DerivationRules = utcRules, token: FixtureCredential? = nil, _ body: @Sendable (CityAPIClient) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        try await city.serve({ ExchangeRoutes(door: door, vault: city.vault, database: city.app, rules: rules, signer: citySigner, baseURL: cityAddress).add(to: $0) }) {
            try await body(CityAPIClient($0, token: token ?? cinema.credential))
        }
    }

    func body(_ subject: UUID, _ attributes: [String], purpose: String = "films") -> String {
        #"{"subject": "\#(subject)", "purpose": "\#(purpose)", "attributes": \#(attributes), "case_reference": "T-1"}"#
    }
}

@Suite("Yes or no in place of a value")
struct DerivedAttributeTests {
    @Test("The answer goes out, the birth date does not, and the entry names the question")
    func predicate() async throws {
        let cinema = try await Cinema()
        let grown = try await cinema.resident(["given_names": "Ada", "date_of_birth": "1985-12-10"])
        try await cinema.serve { client in
            let answer = try await client.post(reads, cinema.body(grown, ["is_over_18"]))
            #expect(answer.json["attributes"] == ["is_over_18": true])
            #expect(!answer.text.contains("1985"))
            #expect(
                try await cinema.city.entryCount(
                    where: "e.operation = 'predicate' AND e.attributes = '{is_over_18}' AND e.outcome = 'permitted' AND e.legal_basis = 'consent'") == 1)
            let value = try await client.post(reads, cinema.body(grown, ["date_of_birth"]))
            #expect(value.problem == "attributes-not-in-purpose" && value.json["missing"] == ["date_of_birth"])
            let both = try await client.post(reads, cinema.body(grown, ["is_over_18", "date_of_birth"]))
            #expect(both.problem == "attributes-not-in-purpose" && !both.text.contains("1985"))
            #expect(try await cinema.city.entryCount(where: "e.operation = 'disclose' AND e.outcome = 'refused'") == 2)
        }
    }

    @Test("Agreeing to the answer permits nothing of the value, nor the other way round, nor one answer the other")
    func nothingElse() async throws {
        let cinema = try await Cinema()
        let values = ["given_names": "Ada", "date_of_birth": "1985-12-10", "locality": "Porto"]
        let answerOnly = try await cinema.resident(values, agreesTo: cinema.membership, ["is_over_18"])
        let valueOnly = try await cinema.resident(values, agreesTo: cinema.membership, ["date_of_birth"])
        try await cinema.serve { client in
            for (subject, asked) in [
                (answerOnly, ["date_of_birth"]), (answerOnly, ["is_over_18", "date_of_birth"]), (answerOnly, ["lives_in_city"]), (answerOnly, ["locality"]),
                (valueOnly, ["is_over_18"]), (valueOnly, ["date_of_birth", "is_over_18"]),
            ] {
                let answer = try await client.post(reads, cinema.body(subject, asked, purpose: "membership"))
                #expect(answer.problem == "consent-missing", "\(asked)")
                #expect(!answer.text.contains("1985"))
            }
            // Refused questions are told as what they were.
            #expect(try await cinema.city.entryCount(where: "e.operation = 'predicate' AND e.refusal = 'consent_missing'") == 2)
            let value = try await client.post(reads, cinema.body(valueOnly, ["date_of_birth"], purpose: "membership"))
            #expect(value.json["attributes"] == ["date_of_birth": "1985-12-10"])
        }
    }

    @Test("Values and answers can be asked for together, and then the entry says that data was received")
    func together() async throws {
        let cinema = try await Cinema()
        let subject = try await cinema.resident(
            ["given_names": "Ada", "date_of_birth": "1985-12-10", "locality": " PORTO "], agreesTo: cinema.membership)
        try await cinema.serve { client in
            let names = try await client.post(reads, cinema.body(subject, ["given_names", "is_over_18"], purpose: "membership"))
            #expect(names.json["attributes"] == ["given_names": "Ada", "is_over_18": true])
            #expect(!names.text.contains("1985"))
            let all = try await client.post(
                reads, cinema.body(subject, ["is_over_18", "date_of_birth", "lives_in_city"], purpose: "membership"))
            #expect(all.json["attributes"] == ["is_over_18": true, "date_of_birth": "1985-12-10", "lives_in_city": true])
            #expect(try await cinema.city.entryCount(where: "e.operation = 'disclose'") == 2)
            let town = try await client.post(reads, cinema.body(subject, ["lives_in_city", "is_over_18"], purpose: "membership"))
            #expect(town.json["attributes"] == ["lives_in_city": true, "is_over_18": true])
            #expect(try await cinema.city.entryCount(where: "e.operation = 'predicate'") == 1)
        }
    }

    @Test("The eighteenth birthday begins at midnight of the city, by the database's clock")
    func birthday() async throws {
        let cinema = try await Cinema()
        let auckland = try #require(TimeZone(identifier: "Pacific/Auckland"))
        // 17 May 2026 begins at 12:00 UTC of the 16th there, where it is winter.
        let midnight = try #require(try? Date("2026-05-16T12:00:00Z", strategy: .iso8601))
        @Sendable func set(_ minutes: Double) async throws {
            try await cinema.city.setClock(secondsAhead: Int(midnight.timeIntervalSinceNow + minutes * 60))
        }
        try await set(-60)
        let subject = try await cinema.resident(["date_of_birth": "2008-05-17"])
        let token = try await cinema.city.clientToken("cinema", secondsLeft: 7 * 86_400)
        try await cinema.serve(rules: DerivationRules(timeZone: auckland, localities: []), token: token) { client in
            for (minutes, isOver18) in [(-30.0, false), (30, true), (24 * 60, true)] {
                try await set(minutes)
                let answer = try await client.post(reads, cinema.body(subject, ["is_over_18"]))
                #expect(answer.json["attributes"] == ["is_over_18": .bool(isOver18)], "\(minutes) minutes after midnight")
            }
        }
    }

    @Test("What the city cannot tell is null")
    func unknown() async throws {
        let cinema = try await Cinema()
        let nothingHeld = try await cinema.resident(["given_names": "Ada"])
        let noDay = try await cinema.resident(["date_of_birth": "about 1950"])
        let somewhere = try await cinema.resident(["locality": "Porto"], agreesTo: cinema.membership)
        let elsewhere = try await cinema.resident(["locality": "Braga"], agreesTo: cinema.membership)
        try await cinema.serve { client in
            for subject in [nothingHeld, noDay] {
                #expect(try await client.post(reads, cinema.body(subject, ["is_over_18"])).json["attributes"] == ["is_over_18": nil])
            }
            let braga = try await client.post(reads, cinema.body(elsewhere, ["lives_in_city"], purpose: "membership"))
            #expect(braga.json["attributes"] == ["lives_in_city": false])
        }
        try await cinema.serve(rules: DerivationRules(timeZone: .gmt, localities: [])) { client in
            let answer = try await client.post(reads, cinema.body(somewhere, ["lives_in_city"], purpose: "membership"))
            #expect(answer.json["attributes"] == ["lives_in_city": nil])
        }
    }

    @Test("Lists ask questions too, each person for themselves")
    func lists() async throws {
        let cinema = try await Cinema()
        let old = try await cinema.resident(["date_of_birth": "1985-12-10"])
        let young = try await cinema.resident(["date_of_birth": "2020-12-10"])
        try await cinema.serve { client in
            let list = #"{"subjects": ["\#(young)", "\#(old)"], "purpose": "films", "attributes": ["is_over_18"], "case_reference": "T-1"}"#
            let answer = try await client.post("/api/v1/exchange/lists", list)
            guard case .array(let items)? = answer.json["items"] else { Issue.record("no items: \(answer.text)"); return }
            #expect(items.map { $0["attributes"] } == [["is_over_18": false], ["is_over_18": true]])
            #expect(!answer.text.contains("1985"))
            #expect(try await cinema.city.entryCount(where: "e.operation = 'list' AND e.attributes = '{is_over_18}'") == 2)
        }
    }

    @Test("Whether it was a question is what the database finds, never what the caller says")
    func callersWord() async throws {
        let cinema = try await Cinema()
        let subject = try await cinema.resident(["date_of_birth": "1985-12-10"], agreesTo: cinema.membership)
        let decision = try await cinema.city.app.one(
            OneValue(
                """
                SELECT refusal FROM access_log.authorise(\([UUID()]), \([cinema.cinema.credential.hash.bytes]), \(["predicate"]), \(["pseudonym"]),
                    \([subject.uuidString]), \(["date_of_birth"]), \(["membership"]), \(["T-1"]))
                """, of: String.self))
        #expect(decision == "operation_unknown")
        #expect(try await cinema.city.entryCount() == 0)
    }

    @Test("What is derived is held nowhere and is no base; and the rules of the database are those of the server")
    func schema() async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident()
        for statement in [
            "INSERT INTO register.sealed_attribute (resident_id, attribute, sealed_value, source) VALUES (\(ada.id), 'is_over_18', sha256('x'), 'counter')",
            "INSERT INTO register.attribute (id, position, derived_from, rule) VALUES ('is_over_19', 99, 'is_over_18', 'age_of_18_reached')",
            "INSERT INTO register.attribute (id, position, derived_from) VALUES ('is_over_19', 99, 'date_of_birth')",
        ] as [SQL] {
            await #expect(throws: DatabaseError.self) { try await city.owner.execute(statement) }
        }
        let rows = try await city.owner.query(
            OneValue("SELECT ARRAY[id, derived_from, rule] FROM register.attribute WHERE derived_from IS NOT NULL ORDER BY id", of: [String].self))
        let known = [Attribute.isOver18, .livesInCity].map { [$0.rawValue, $0.derivation?.base.rawValue, $0.derivation?.rule.rawValue] }
        #expect(rows == known.map { $0.compactMap(\.self) } && known.allSatisfy { !$0.contains(nil) })
        let held = try await city.owner.query(
            OneValue("SELECT id FROM register.attribute WHERE derived_from IS NULL ORDER BY position", of: String.self))
        #expect(held == Attribute.all.map(\.rawValue))
    }
}
