// "This is wrong", from the resident's form to the counter's answer and back. What the database refuses comes first.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Messages
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Casework

@Suite("Corrections")
struct CorrectionTests {
    private static func corrections(_ city: CityFixture) -> Corrections {
        Corrections(database: city.app, vault: city.vault, lookup: city.lookup)
    }

    private func serve(_ city: CityFixture, _ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        let door = Door(database: city.app)
        let corrections = Self.corrections(city)
        try await city.serve {
            RegisterRoutes(door: door, vault: city.vault, corrections: corrections).add(to: $0)
            MessagesRoutes(database: city.app).add(to: $0)
            CaseworkRoutes(database: city.app, door: door, vault: city.vault, lookup: city.lookup, corrections: corrections).add(to: $0)
        } _: { try await body($0) }
    }

    /// The resident says what is wrong, on the page.
    private func ask(_ browser: CityBrowser, _ attribute: String, _ statement: String) async throws {
        let page = try await browser.get("/details/corrections/\(attribute)")
        let id = try #require(page.text.firstMatch(of: /name="request" value="([^"]+)"/)?.1)
        // Sent twice, it is one request.
        for _ in 0..<2 {
            let answer = try await browser.post("/details/corrections/\(attribute)", [("statement", statement), ("request", String(id))])
            #expect(answer.status == 303)
        }
    }

    private func look(
        _ operation: AccessOperation, _ resident: FixtureResident, reason: String, by staff: FixtureStaff, _ city: CityFixture
    ) async throws -> ReleasedRecord {
        try await Door(database: city.app).read(
            AccessRequest(
                credential: staff.session.hash, operation: operation, subject: .resident(resident.id), attributes: [], purpose: reason,
                caseReference: "C-1"))
    }

    private func open(_ resident: FixtureResident, reason: String, by staff: FixtureStaff, _ city: CityFixture) async throws -> OpeningID {
        let found = try await look(.search, resident, reason: reason, by: staff, city)
        return try #require(try await city.app.one(OpenRecord(credential: staff.session.hash, openingID: .new(), searchEntryID: found.entryID)))
    }

    private func answer(
        _ request: UUID, _ opening: OpeningID, by credential: CredentialHash, decision: String = "declined", answer: [UInt8]? = Array(repeating: 1, count: 40),
        value: [UInt8]? = nil, _ city: CityFixture
    ) async throws -> String {
        try await city.app.exclusive {
            try await $0.one(
                OneValue(
                    """
                    SELECT outcome FROM register.answer_correction(
                        \(credential.bytes), \(opening.uuid), \(request), \(decision), \(answer as [UInt8]?), \(value as [UInt8]?), NULL)
                    """))
        }
    }

    @Test("The database gives and takes nothing without a caseworker's committed look at this record for this reason")
    func databaseRefuses() async throws {
        let city = try await CityFixture.make()
        let (ada, bob) = (try await city.resident(), try await city.resident())
        let (caseworker, colleague) = (try await city.staff(roles: [.caseworker]), try await city.staff(roles: [.caseworker]))
        let others = try await city.staff(roles: [.approver, .auditor, .financeOfficer, .organisationAdministrator])
        try await serve(city) { client in try await ask(CityBrowser(client, session: ada.session), "locality", "I moved") }
        let request = try await city.owner.one(OneValue("SELECT id FROM register.correction_request", of: UUID.self))

        for session in [others.session, ada.session, bob.session] {
            #expect(try await Self.corrections(city).waiting(for: session.hash).isEmpty)
        }
        #expect(try await Self.corrections(city).waiting(for: caseworker.session.hash).map(\.residentID) == [ada.id])

        // What was written: only under one's own view of this record for a correction.
        let view = try await look(.view, ada, reason: "correction", by: caseworker, city).entryID
        let searched = try await look(.search, ada, reason: "correction", by: caseworker, city).entryID
        let complaint = try await look(.view, ada, reason: "complaint", by: caseworker, city).entryID
        let neighbour = try await look(.view, bob, reason: "correction", by: caseworker, city).entryID
        for (entry, session) in [
            (searched, caseworker.session), (complaint, caseworker.session), (neighbour, caseworker.session), (.new(), caseworker.session),
            (view, colleague.session), (view, others.session), (view, ada.session),
        ] as [(AccessEntryID, FixtureCredential)] {
            #expect(try await Self.corrections(city).waiting(under: entry, for: session.hash).isEmpty)
        }
        #expect(try await Self.corrections(city).waiting(under: view, for: caseworker.session.hash).map(\.statement) == ["I moved"])
        // A look that is not committed, or is taken back, gives nothing.
        let uncommitted = UUID()
        try await city.app.transaction { transaction in
            _ = try await transaction.query(
                OneValue(
                    """
                    SELECT entry_id FROM access_log.authorise(ARRAY[\(uncommitted)], ARRAY[\(caseworker.session.hash.bytes)], '{view}', '{resident}',
                        ARRAY[\(ada.id.description)], '{""}', '{correction}', '{C}')
                    """, of: UUID.self))
            #expect(
                try await transaction.query(
                    OneValue("SELECT id FROM register.corrections_about(\(caseworker.session.hash.bytes), \(uncommitted))", of: UUID.self)
                ).isEmpty)
        }
        // What is old is no ticket either.
        try await city.setClock(secondsAhead: 6)
        #expect(try await Self.corrections(city).waiting(under: view, for: caseworker.session.hash).isEmpty)

        // The answer: only with this record open for a correction.
        let opening = try await open(ada, reason: "correction", by: caseworker, city)
        let wrongReason = try await open(ada, reason: "assistance", by: caseworker, city)
        let wrongRecord = try await open(bob, reason: "correction", by: caseworker, city)
        #expect(try await answer(request, .new(), by: caseworker.session.hash, city) == "not_allowed")
        #expect(try await answer(request, wrongReason, by: caseworker.session.hash, city) == "not_allowed")
        #expect(try await answer(request, wrongRecord, by: caseworker.session.hash, city) == "request_unknown")
        for session in [colleague.session, others.session, ada.session] {
            #expect(try await answer(request, opening, by: session.hash, city) == "not_allowed")
        }
        let unreasoned = await #expect(throws: DatabaseError.self) {
            _ = try await answer(request, opening, by: caseworker.session.hash, answer: nil, city)
        }
        #expect(unreasoned?.constraint == "declined_with_reason")
        #expect(try await answer(request, opening, by: caseworker.session.hash, decision: "accepted", city) == "value_missing")
        #expect(try await answer(request, opening, by: caseworker.session.hash, city) == "answered")
        #expect(try await answer(request, opening, by: caseworker.session.hash, city) == "already_answered")
        try await city.owner.execute("UPDATE casework.opening SET expires_at = public.stoa_now()")
        #expect(try await answer(request, opening, by: caseworker.session.hash, city) == "not_allowed")
        for table in ["register.correction_request", "register.correction_answer"] {
            let denied = await #expect(throws: DatabaseError.self) { try await city.app.execute("SELECT * FROM \(unsafeRaw: table)") }
            #expect(denied?.isPermissionDenied == true)
            let kept = await #expect(throws: DatabaseError.self) { try await city.owner.execute("DELETE FROM \(unsafeRaw: table)") }
            #expect(kept?.sqlState == "23001")
        }
    }

    @Test("Two caseworkers at once: one answer, and one value in the register")
    func race() async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident()
        try await serve(city) { client in try await ask(CityBrowser(client, session: ada.session), "locality", "I moved") }
        let request = try await city.owner.one(OneValue("SELECT id FROM register.correction_request", of: UUID.self))
        let words = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<8 {
                let staff = try await city.staff(roles: [.caseworker])
                let opening = try await open(ada, reason: "correction", by: staff, city)
                group.addTask {
                    try await answer(
                        request, opening, by: staff.session.hash, decision: "accepted", value: Array(repeating: 2, count: 40), city)
                }
            }
            return try await group.reduce(into: [String]()) { $0.append($1) }.sorted()
        }
        #expect(words == Array(repeating: "already_answered", count: 7) + ["answered"])
        #expect(try await city.owner.one(OneValue("SELECT source FROM register.sealed_attribute WHERE attribute = 'locality'", of: String.self)) == "counter")
    }

    @Test("From the resident's words to the accepted value, through the log; the record is found by its new name")
    func accepted() async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident()
        let caseworker = try await city.staff(roles: [.caseworker])
        let approver = try await city.staff(roles: [.approver])
        try await serve(city) { client in
            let resident = CityBrowser(client, session: ada.session)
            try await ask(resident, "family_name", "It is Lovelace <b>now</b>")
            let waiting = try await resident.get("/details").text
            #expect(waiting.contains("It is Lovelace &lt;b&gt;now") && waiting.contains("Somebody will answer"))

            let counter = CityBrowser(client, session: caseworker.session)
            let home = try await counter.get("/staff").text
            #expect(!home.contains("Lovelace") && !home.contains(ada.publicCode.description) && !home.contains(ada.id.description))
            let open = String(try #require(home.firstMatch(of: /action="(\/staff\/corrections\/[^"]+)"/)?.1))
            let wrongRole = CityBrowser(client, session: approver.session)
            #expect(try await !wrongRole.get("/staff").text.contains("/staff/corrections/"))
            #expect(try await wrongRole.post(open, []).status == 403)
            _ = try await counter.get("/staff")
            let place = try #require(try await counter.post(open, []).headers[.location])
            #expect(try await city.entryCount(where: "e.operation = 'search' AND e.purpose = 'correction' AND e.subject_id = \(ada.id)") == 1)
            let record = try await counter.get(place).text
            #expect(record.contains("It is Lovelace &lt;b&gt;now"))
            let form = String(try #require(record.firstMatch(of: /href="([^"]+\/corrections\/[^"]+)"/)?.1))
            #expect(try await counter.get(form).text.contains("Byron"))
            for fields in [[], [("decision", "accepted")], [("decision", "declined")], [("decision", "accepted"), ("value", "a\u{202E}b")]] {
                #expect(try await counter.post(form, fields).status == 422)
            }
            for _ in 0..<2 {
                #expect(try await counter.post(form, [("decision", "accepted"), ("value", "Lovelace"), ("answer", "Welcome")]).status == 303)
            }
            #expect(try await !counter.get("/staff").text.contains("/staff/corrections/"))

            let details = try await resident.get("/details").text
            #expect(details.contains("Lovelace") && !details.contains("Byron") && details.contains("Accepted on") && details.contains("Welcome"))
            #expect(try await resident.get("/messages").text.contains("was accepted"))
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM messages.message WHERE kind = 'correction_accepted'", of: Int64.self)) == 1)
            // The one who asked for another reason sees no words.
            _ = try await counter.get("/staff/search")
            let search = [
                ("reason", "assistance"), ("case_reference", "C"), ("kind", "name_and_birth_date"), ("given_names", "ada"), ("family_name", "lovelace"),
                ("birth-day", "10"), ("birth-month", "12"), ("birth-year", "1815"),
            ]
            let found = try #require(try await counter.post("/staff/search", search).headers[.location])
            #expect(try await !counter.get(found).text.contains("It is Lovelace"))
            let former = search.map { $0.0 == "family_name" ? ("family_name", "byron") : $0 }
            #expect(try await counter.post("/staff/search", former).status == 422)
        }
    }

    @Test("Declined with a reason, which the resident reads; a number that the register gives is not changed at a counter")
    func declined() async throws {
        let city = try await CityFixture.make()
        let values = ["given_names": "Ada", "date_of_birth": "1815-12-10", "national_number": "151210123457"]
        let ada = try await city.resident(values, language: "fr")
        let caseworker = try await city.staff(roles: [.caseworker])
        try await serve(city) { client in
            let resident = CityBrowser(client, session: ada.session)
            try await ask(resident, "national_number", "It should end in 8")
            let counter = CityBrowser(client, session: caseworker.session)
            let open = String(try #require(try await counter.get("/staff").text.firstMatch(of: /action="(\/staff\/corrections\/[^"]+)"/)?.1))
            let place = try #require(try await counter.post(open, []).headers[.location])
            let form = String(try #require(try await counter.get(place).text.firstMatch(of: /href="([^"]+\/corrections\/[^"]+)"/)?.1))
            #expect(try await counter.get(form).text.contains("not changed at a counter"))
            #expect(try await counter.post(form, [("decision", "accepted"), ("value", "151210123458")]).status == 422)
            #expect(try await counter.post(form, [("decision", "declined"), ("answer", "Ask the register <office>")]).status == 303)
            let details = try await resident.get("/details").text
            #expect(details.contains("Refusée le") && details.contains("Ask the register &lt;office&gt;"))
            #expect(try await resident.get("/messages").text.contains("a été refusée"))
        }
    }
}
