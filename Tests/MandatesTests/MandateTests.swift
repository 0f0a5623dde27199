// Who may let whom act, and how it ends: refusals and races first.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web

@testable import Mandates

@Suite("Mandates")
struct MandateTests {
    @Test("Nobody lets themselves act, nor somebody whom the city does not know, nor before they have shown who they are, nor as a child")
    func refused() async throws {
        let family = try await Family()
        #expect(try await family.grant(to: family.ada.publicCode) == .ownCode)
        #expect(try await family.grant(to: PublicCode.random()) == .helperUnknown)
        let stranger = try await family.city.resident(["given_names": "No", "family_name": "Body"], identityAssurance: 0)
        #expect(try await family.grant(to: stranger.publicCode) == .helperUnknown, "nobody has seen who it is")
        #expect(try await family.grant(from: stranger) == .unproven)
        try await family.city.owner.execute(
            """
            INSERT INTO register.minor (resident_id, asked_from, alone_from, of_age_from)
            VALUES (\(family.ada.id), public.stoa_now(), public.stoa_now(), public.stoa_now() + interval '1 year')
            """)
        #expect(try await family.grant() == .minor)
        try await family.city.revoke(family.ada.session)
        #expect(try await family.grant() == .credentialInvalid)
        #expect(try await family.city.owner.one(OneValue("SELECT count(*) FROM mandates.mandate", of: Int.self)) == 0)
    }

    @Test("A mandate wants a fresh proof of who gives it")
    func freshProof() async throws {
        let family = try await Family()
        try await family.city.owner.execute(
            "UPDATE web.credential SET authenticated_at = public.stoa_now() - interval '6 minutes' WHERE hash = \(family.ada.session.hash.bytes)")
        #expect(try await family.grant() == .password)
        try await family.serve { client in
            let browser = CityBrowser(client, session: family.ada.session)
            _ = try await browser.get("/mandates/new")
            let answer = try await browser.post(
                "/mandates", [("helper", family.eve.publicCode.description), ("name", "Eve"), ("messages", "yes"), ("duration", "month")])
            #expect(answer.headers[.location] == "/confirm-password?next=/mandates/new")
        }
        #expect(try await family.mandates.all(of: family.ada.session.hash).isEmpty)
    }

    @Test("Of many at once between the same two there is one; after it ended, another")
    func once() async throws {
        let family = try await Family(sharedConnections: 8)
        let outcomes = try await withThrowingTaskGroup(of: GrantMandateOutcome.self) { group in
            for _ in 0..<8 { group.addTask { try await family.grant() } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .granted }.count == 1 && outcomes.filter { $0 == .exists }.count == 7)
        #expect(try await family.decide(.withdrawn, family.ada) == .done)
        #expect(try await family.grant() == .granted)
    }

    @Test("Only the helper accepts, declines and gives up, and only the resident withdraws")
    func sides() async throws {
        let family = try await Family()
        let other = try await family.city.resident(["given_names": "Bob", "family_name": "Other"])
        #expect(try await family.grant() == .granted)
        let id = try await family.held().id
        for decision in [MandateDecision.accepted, .declined, .givenUp] { #expect(try await family.decide(decision, family.ada, id) == .mandateUnknown) }
        #expect(try await family.decide(.withdrawn, family.eve, id) == .mandateUnknown)
        for decision in MandateDecision.allCases { #expect(try await family.decide(decision, other, id) == .mandateUnknown) }
        #expect(try await family.mandates.act(under: id, session: family.eve.session.hash) == nil, "not accepted yet")
        #expect(try await family.decide(.givenUp, family.eve, id) == .unchanged)
        #expect(try await family.decide(.accepted, family.eve, id) == .done)
        #expect(try await family.decide(.accepted, family.eve, id) == .unchanged)
        #expect(try await family.decide(.declined, family.eve, id) == .unchanged)
        for somebody in [family.ada, other] { #expect(try await family.mandates.act(under: id, session: somebody.session.hash) == nil) }
        #expect(try await family.decide(.givenUp, family.eve, id) == .done)
        #expect(try await family.decide(.withdrawn, family.ada, id) == .unchanged)
        #expect(try await family.messages(family.ada) == ["mandate_accepted", "mandate_given_up", "mandate_granted"])
        #expect(try await family.messages(family.eve) == ["mandate_offered"])
    }

    @Test("Accepting and withdrawing at the same moment: withdrawn is what it is, and nobody acts")
    func acceptedAndWithdrawn() async throws {
        for _ in 0..<5 {
            let family = try await Family(sharedConnections: 4)
            #expect(try await family.grant() == .granted)
            let id = try await family.held().id
            async let accepted = family.decide(.accepted, family.eve, id)
            async let withdrawn = family.decide(.withdrawn, family.ada, id)
            let outcomes = try await (accepted, withdrawn)
            #expect(outcomes.1 == .done && (outcomes.0 == .done || outcomes.0 == .unchanged))
            #expect(try await family.held().state == .withdrawn)
            #expect(try await family.mandates.act(under: id, session: family.eve.session.hash) == nil)
        }
    }

    @Test("Both know each other by name: the resident by their own word, the helper by the register's, which is an own view of the resident")
    func names() async throws {
        let family = try await Family()
        #expect(try await family.grant() == .granted)
        #expect(try await family.held().otherName == "Ada Byron")
        #expect(try await family.mandates.all(of: family.ada.session.hash).map(\.otherName) == ["Eve, my niece"])
        #expect(try await family.city.entryCount(where: "operation = 'own_view' AND subject_id = \(family.ada.id)") == 1)
        #expect(try await family.city.entryCount(where: "subject_id = \(family.eve.id)") == 0)
    }

    @Test("What is said of a mandate stays: nobody changes or removes a row")
    func onlyGrows() async throws {
        let family = try await Family()
        try await family.settled()
        for statement: SQL in [
            "UPDATE mandates.mandate SET until = until + interval '1 day'", "DELETE FROM mandates.mandate", "UPDATE mandates.event SET at = at - interval '1 day'",
            "DELETE FROM mandates.event",
        ] { await #expect(throws: DatabaseError.self) { try await family.city.owner.execute(statement) } }
    }
}
