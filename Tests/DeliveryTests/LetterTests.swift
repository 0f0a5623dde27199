// Letters: who may print them, what stands in the resident's log then, and that each is posted once.
import AccessLog
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Delivery

@Suite("Letters to print")
struct LetterTests {
    private func serve(_ post: Post, _ body: @Sendable (_ browser: (FixtureStaff) -> CityBrowser) async throws -> Void) async throws {
        let door = Door(database: try post.city.appPool(sharedConnections: 1))
        let texts = try Post.texts()
        try await post.city.serve {
            LetterRoutes(database: post.city.app, door: door, vault: post.city.vault, texts: texts).add(to: $0)
        } _: { client in
            try await body { CityBrowser(client, session: $0.session) }
        }
    }

    private func letter() async throws -> (Post, OutgoingID, FixtureStaff) {
        let post = try await Post()
        return (post, try await post.put(.letter, to: nil), try await post.city.staff(roles: [.caseworker]))
    }

    @Test("Only caseworkers see that letters wait; nobody's name is in the list")
    func roles() async throws {
        let (post, id, caseworker) = try await letter()
        let auditor = try await post.city.staff(roles: [.auditor, .approver, .financeOfficer, .organisationAdministrator])
        #expect(try await post.city.app.query(WaitingLetters(credential: auditor.session.hash)).isEmpty)
        #expect(try await post.city.app.query(WaitingLetters(credential: post.ada.session.hash)).isEmpty)
        #expect(try await post.city.app.exclusive { try await $0.one(PostLetter(credential: auditor.session.hash, letter: id)) } == .letterUnknown)
        try await serve(post) { browser in
            #expect(try await browser(auditor).get("/staff/letters").status == 403)
            #expect(try await browser(auditor).get("/staff/letters/\(id)").status == 403)
            let page = try await browser(caseworker).get("/staff/letters")
            #expect(page.status == 200 && page.text.contains("/staff/letters/\(id)"))
            #expect(!page.text.contains("Ada") && !page.text.contains("Byron") && !page.text.contains(post.ada.publicCode.description))
            #expect(!page.text.contains("/posted"), "what nobody printed cannot have been posted")
        }
        #expect(try await post.city.entryCount() == 0)
    }

    @Test("A letter shows name and address, stands in the resident's log with who and why, and is posted once")
    func printed() async throws {
        let (post, id, caseworker) = try await letter()
        try await serve(post) { browser in
            let browser = browser(caseworker)
            _ = try await browser.get("/staff/letters")
            let early = try await browser.post("/staff/letters/\(id)/posted", [])
            #expect(early.status == 303)
            #expect(try await browser.get("/staff/letters").text.contains("Print the letter first"))
            #expect(try await post.state(of: id).hasPrefix("waiting"))

            let letter = try await browser.get("/staff/letters/\(id)")
            #expect(letter.status == 200 && letter.text.contains("Ada Byron") && letter.text.contains("Porto"))
            #expect(letter.text.contains("There is news for you") && letter.headers[.cacheControl] == "no-store")
            #expect(
                try await post.city.entryCount(
                    where: """
                        e.subject_id = \(post.ada.id) AND e.operation = 'view' AND e.purpose = 'letter' AND e.outcome = 'permitted' AND e.actor_id = \(caseworker.id.description)
                            AND e.case_reference LIKE 'L-________'
                        """) == 1)
            _ = try await browser.get("/staff/letters/\(id)")
            #expect(try await post.city.entryCount() == 2, "each look is an entry")
            #expect(try await browser.get("/staff/letters").text.contains("Printed by"))

            #expect(try await browser.post("/staff/letters/\(id)/posted", []).headers[.location] == "/staff/letters")
            #expect(try await browser.get("/staff/letters").text.contains("marked as posted"))
            #expect(try await post.state(of: id) == "sent: posted, erased")
            // Gone from the list, and from its address.
            #expect(try await browser.get("/staff/letters/\(id)").status == 303)
            #expect(try await browser.get("/staff/letters").text.contains("not waiting any more"))
            #expect(try await post.city.entryCount() == 2)
        }
        let events = try await post.city.owner.query(OneValue("SELECT kind FROM delivery.letter_event WHERE staff_id = \(caseworker.id) ORDER BY at", of: String.self))
        #expect(events == ["printed", "printed", "posted"])
        await #expect(throws: DatabaseError.self) { try await post.city.owner.execute("DELETE FROM delivery.letter_event") }
    }

    @Test("A letter is in its resident's language, its date too, whatever the caseworker reads")
    func language() async throws {
        let (post, id, caseworker) = try await letter()
        try await post.city.owner.execute("UPDATE delivery.outgoing SET language = 'fr', made_at = '2026-11-22T12:00:00Z' WHERE id = \(id.uuid)")
        try await serve(post) { browser in
            let page = try await browser(caseworker).get("/staff/letters/\(id)")
            #expect(page.text.contains("lang=\"fr\"") && page.text.contains("22 novembre 2026") && !page.text.contains("November"))
        }
    }

    @Test("Colleagues who mark the same letter at the same moment have posted it once")
    func postedOnce() async throws {
        let (post, id, caseworker) = try await letter()
        try await serve(post) { browser in _ = try await browser(caseworker).get("/staff/letters/\(id)") }
        let outcomes = try await withThrowingTaskGroup(of: PostLetterOutcome.self) { group in
            for _ in 0..<8 {
                group.addTask { try await post.city.app.exclusive { try await $0.one(PostLetter(credential: caseworker.session.hash, letter: id)) } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .posted } == 1 && outcomes.count { $0 == .alreadyPosted } == 7)
    }

    @Test("A letter is printed under its own fresh entry, and under no other")
    func ticket() async throws {
        let (post, id, caseworker) = try await letter()
        let door = Door(database: try post.city.appPool(sharedConnections: 1))
        let bob = try await post.city.resident()
        let letter = try #require(try await post.city.app.optional(WaitingLetters(credential: caseworker.session.hash, letter: id)))
        func entry(_ resident: ResidentID, purpose: String = "letter", reference: String? = nil, by staff: FixtureStaff? = nil) async throws -> AccessEntryID {
            try await door.read(
                AccessRequest(
                    credential: (staff ?? caseworker).session.hash, operation: .view, subject: .resident(resident), attributes: ["street"], purpose: purpose,
                    caseReference: reference ?? letter.reference)
            ).entryID
        }
        func prints(_ entry: AccessEntryID) async throws -> Bool {
            try await post.city.app.exclusive { try await $0.optional(PrintLetter(credential: caseworker.session.hash, letter: id, entry: entry)) } != nil
        }
        let colleague = try await post.city.staff(roles: [.caseworker])
        for wrong in [
            try await entry(bob.id), try await entry(post.ada.id, purpose: "assistance"), try await entry(post.ada.id, reference: "L-00000000"),
            try await entry(post.ada.id, by: colleague),
        ] { #expect(try await prints(wrong) == false) }
        let right = try await entry(post.ada.id)
        #expect(try await prints(right))
        #expect(try await prints(right) == false, "once")
        let old = try await entry(post.ada.id)
        try await post.city.setClock(secondsAhead: 61)
        #expect(try await prints(old) == false)
    }

    @Test("A protected record's letter is not printed outside an emergency, and the refusal is in the log")
    func protected() async throws {
        let (post, id, caseworker) = try await letter()
        try await post.city.owner.execute("UPDATE register.resident SET is_protected = true WHERE id = \(post.ada.id)")
        try await serve(post) { browser in
            let browser = browser(caseworker)
            let refused = try await browser.get("/staff/letters/\(id)")
            #expect(refused.headers[.location] == "/staff/letters")
            let queue = try await browser.get("/staff/letters")
            #expect(queue.text.contains("This record is protected"))
        }
        #expect(try await post.city.entryCount(where: "e.refusal = 'subject_protected' AND e.purpose = 'letter'") == 1)
        #expect(try await post.city.owner.one(OneValue("SELECT count(*) FROM delivery.letter_event", of: Int64.self)) == 0)
    }
}
