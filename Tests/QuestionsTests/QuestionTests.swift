// "Question this", from the resident's log to the auditor's answer and back. What the database refuses comes first.
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

@testable import Questions

@Suite("Questions about the log")
struct QuestionTests {
    /// A city where a caseworker has looked a resident up.
    private struct Town {
        let city: CityFixture
        let ada: FixtureResident
        let bob: FixtureResident
        let caseworker: FixtureStaff
        let auditor: FixtureStaff
        let questions: Questions
        let entry: AccessEntryID

        static func make() async throws -> Town {
            let city = try await CityFixture.make()
            let (ada, bob) = (try await city.resident(), try await city.resident())
            let caseworker = try await city.staff(roles: [.caseworker, .auditor])
            let door = Door(database: city.app)
            let questions = Questions(
                database: city.app, door: door, vault: city.vault, entries: AccessEntries(database: city.app, door: door))
            let looked = try await door.read(
                AccessRequest(
                    credential: caseworker.session.hash, operation: .search, subject: .resident(ada.id), attributes: [], purpose: "complaint",
                    caseReference: "C-7"))
            return Town(
                city: city, ada: ada, bob: bob, caseworker: caseworker, auditor: try await city.staff(roles: [.auditor]), questions: questions,
                entry: looked.entryID)
        }

        func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
            try await city.serve {
                MessagesRoutes(database: city.app).add(to: $0)
                QuestionsRoutes(questions: questions).add(to: $0)
            } _: { try await body($0) }
        }

        func ask(_ words: String, by resident: FixtureResident? = nil, id: QuestionID = .new()) async throws -> AskOutcome {
            try await questions.ask(words, about: entry, id: id, of: (resident ?? ada).session.hash)
        }

        /// Sessions that outlive what the clock skips.
        func keepSessions() async throws {
            try await city.owner.execute("UPDATE web.credential SET idle_after = interval '1 day', expires_at = public.stoa_now() + interval '1 day'")
        }

        func reference() async throws -> String { try await city.owner.one(OneValue("SELECT reference FROM questions.question")) }
    }

    @Test("Only an entry about oneself that somebody else made can be asked about, once, whatever the credential")
    func whoMayAsk() async throws {
        let town = try await Town.make()
        #expect(try await town.ask("Why?", by: town.bob) == .entryUnknown)
        for session in [town.auditor.session, town.caseworker.session] {
            await #expect(throws: (any Error).self) { _ = try await town.questions.ask("Why?", about: town.entry, id: .new(), of: session.hash) }
        }
        let own = try await town.questions.entries.logView(of: town.ada.session.hash).entryID
        #expect(try await town.questions.ask("Me?", about: own, id: .new(), of: town.ada.session.hash) == .entryUnknown)
        #expect(try await town.questions.ask("What?", about: .new(), id: .new(), of: town.ada.session.hash) == .entryUnknown)

        let id = QuestionID.new()
        #expect(try await town.ask("Why was I looked up?", id: id) == .asked)
        #expect(try await town.ask("Why was I looked up?", id: id) == .asked)
        #expect(try await town.ask("Another one") == .alreadyAsked)
        #expect(try await town.questions.own(about: town.entry, of: town.ada.session.hash)?.words == "Why was I looked up?")
        #expect(try await town.questions.own(about: town.entry, of: town.bob.session.hash) == nil)
        // One question, one message about it.
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM messages.message WHERE kind = 'question_received'", of: Int.self)) == 1)
        let due = try await town.city.owner.one(OneValue("SELECT due_at = asked_at + interval '1 month' FROM questions.question", of: Bool.self))
        #expect(due)
    }

    @Test("Without the logged view of the list, the database takes no question")
    func viewFirst() async throws {
        let town = try await Town.make()
        let outcome: String = try await town.city.app.exclusive {
            try await $0.one(
                OneValue(
                    "SELECT outcome FROM questions.ask(\(town.ada.session.hash.bytes), \(UUID()), 'ABC-DEF-GHJ', \(town.entry.uuid), \(Array(repeating: 1, count: 40) as [UInt8]))"
                ))
        }
        #expect(outcome == "entry_unknown")
    }

    @Test("Ten questions at once about one entry leave one")
    func askingAtOnce() async throws {
        let town = try await Town.make()
        let outcomes = try await withThrowingTaskGroup(of: AskOutcome.self) { group in
            for number in 0..<10 { group.addTask { try await town.ask("Question \(number)") } }
            return try await group.reduce(into: [AskOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .asked } == 1 && outcomes.count { $0 == .alreadyAsked } == 9)
    }

    @Test("Nobody but an auditor sees that a question waits; what it says is given only under the auditor's own fresh entry in the resident's log")
    func whoMayLook() async throws {
        let town = try await Town.make()
        _ = try await town.ask("Why was I looked up?")
        let others = try await town.city.staff(roles: [.caseworker, .approver, .financeOfficer, .organisationAdministrator])
        for session in [others.session, town.ada.session, town.bob.session] {
            #expect(try await town.questions.waiting(for: session.hash).isEmpty)
        }
        let reference = try await town.reference()
        #expect(try await town.questions.look(into: reference, for: others.session.hash) == nil)
        #expect(try await town.questions.look(into: "ABC-DEF-GHJ", for: town.auditor.session.hash) == nil)

        let atHand = try #require(try await town.questions.look(into: reference, for: town.auditor.session.hash))
        #expect(atHand.question.words == "Why was I looked up?" && atHand.entry?.id == town.entry)
        let told = try await town.city.owner.query(
            OneValue("SELECT actor_role || ' ' || case_reference FROM access_log.entry WHERE operation = 'log_view' AND subject_id = \(town.ada.id.uuid)", of: String.self))
        #expect(told == ["auditor \(reference)"])

        // Somebody else's entry, an older one and one of another kind open nothing.
        let view = try await town.city.owner.one(OneValue("SELECT id FROM access_log.entry WHERE operation = 'log_view'", of: UUID.self))
        for (session, entry) in [(others.session, view), (town.caseworker.session, view), (town.auditor.session, town.entry.uuid), (town.auditor.session, UUID())] {
            let rows = try await town.city.app.query(QuestionUnder(credential: session.hash, viewEntry: AccessEntryID(entry)))
            #expect(rows.isEmpty)
        }
        try await town.city.setClock(secondsAhead: 6)
        #expect(try await town.city.app.query(QuestionUnder(credential: town.auditor.session.hash, viewEntry: AccessEntryID(view))).isEmpty)
    }

    @Test("The door lets no caseworker look into the log and no auditor open a record; the reason belongs to the operation")
    func doorForAuditors() async throws {
        let town = try await Town.make()
        let door = Door(database: town.city.app)
        let caseworker = try await town.city.staff(roles: [.caseworker])
        for (staff, operation, reason, refusal) in [
            (caseworker, .logView, "question", .roleMissing), (town.auditor, .view, "complaint", .roleMissing),
            (town.auditor, .logView, "complaint", .reasonUnknown), (caseworker, .view, "question", .reasonUnknown),
        ] as [(FixtureStaff, AccessOperation, String, Refusal)] {
            let request = AccessRequest(
                credential: staff.session.hash, operation: operation, subject: .resident(town.ada.id), attributes: [], purpose: reason,
                caseReference: "X")
            let refused = await #expect(throws: RefusedAccess.self) { _ = try await door.read(request) }
            #expect(refused?.refusal == refusal)
        }
    }

    @Test("An answer needs a look within the hour, comes once, from somebody who was not involved, and is told")
    func answering() async throws {
        let town = try await Town.make()
        _ = try await town.ask("Why was I looked up?")
        let reference = try await town.reference()
        let question = try #require(try await town.questions.own(about: town.entry, of: town.ada.session.hash))
        // Nobody has looked yet.
        #expect(try await town.questions.answer(question, .lawful, words: "Because", session: town.auditor.session.hash) == .notAllowed)

        // The caseworker is an auditor as well, and is who is asked about: the question is not in that queue, and a look of one's own does not help.
        #expect(try await town.questions.waiting(for: town.caseworker.session.hash).isEmpty)
        #expect(try await town.questions.look(into: reference, for: town.caseworker.session.hash) == nil)
        _ = try await Door(database: town.city.app).read(
            AccessRequest(
                credential: town.caseworker.session.hash, operation: .logView, subject: .resident(town.ada.id), attributes: [], purpose: "question",
                caseReference: reference))
        #expect(try await town.questions.answer(question, .lawful, words: "It was me", session: town.caseworker.session.hash) == .ownAction)
        let staffID = town.caseworker.id.uuid
        await #expect(throws: DatabaseError.self) {
            try await town.city.owner.execute(
                """
                INSERT INTO questions.answer (question_id, finding, sealed_answer, answered_by)
                VALUES (\(question.id.uuid), 'lawful', \(Array(repeating: 1, count: 40) as [UInt8]), \(staffID))
                """)
        }

        let atHand = try #require(try await town.questions.look(into: reference, for: town.auditor.session.hash))
        try await town.keepSessions()
        try await town.city.setClock(secondsAhead: 3660)
        #expect(try await town.questions.answer(atHand.question, .unlawful, words: "Late", session: town.auditor.session.hash) == .notAllowed)
        _ = try #require(try await town.questions.look(into: reference, for: town.auditor.session.hash))
        let outcomes = try await withThrowingTaskGroup(of: AnswerOutcome.self) { group in
            for number in 0..<6 {
                group.addTask { try await town.questions.answer(atHand.question, .unlawful, words: "Answer \(number)", session: town.auditor.session.hash) }
            }
            return try await group.reduce(into: [AnswerOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .answered } == 1 && outcomes.count { $0 == .alreadyAnswered } == 5)

        let answered = try #require(try await town.questions.own(about: town.entry, of: town.ada.session.hash))
        #expect(answered.answer?.finding == .unlawful && answered.answer?.words.hasPrefix("Answer ") == true)
        #expect(try await town.questions.waiting(for: town.auditor.session.hash).isEmpty)
        #expect(try await town.questions.look(into: reference, for: town.auditor.session.hash) == nil)
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM messages.message WHERE kind = 'question_answered'", of: Int.self)) == 1)
    }

    @Test("One resident's questions do not stand in everybody's way: twenty wait at most, whatever comes at once, and those of erased people do not")
    func manyQuestions() async throws {
        let town = try await Town.make()
        var entries: [AccessEntryID] = []
        for number in 0..<25 {
            entries.append(
                try await Door(database: town.city.app).read(
                    AccessRequest(
                        credential: town.caseworker.session.hash, operation: .search, subject: .resident(town.ada.id), attributes: [], purpose: "complaint",
                        caseReference: "C-\(number)")
                ).entryID)
        }
        _ = try await town.questions.entries.logView(of: town.ada.session.hash)
        let outcomes = try await withThrowingTaskGroup(of: AskOutcome.self) { group in
            for entry in entries { group.addTask { try await town.questions.ask("Why?", about: entry, id: .new(), of: town.ada.session.hash) } }
            return try await group.reduce(into: [AskOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .asked } == 20 && outcomes.count { $0 == .tooMany } == 5)
        #expect(try await town.questions.waiting(for: town.auditor.session.hash).count == 20)
        try await town.city.owner.execute("DELETE FROM register.data_key WHERE resident_id = \(town.ada.id.uuid)")
        #expect(try await town.questions.waiting(for: town.auditor.session.hash).isEmpty)
    }

    @Test("Who acted is told to the auditor who looks, and to the resident only by that auditor's decision, with its reason")
    func nameRelease() async throws {
        let town = try await Town.make()
        _ = try await town.ask("Who was it?")
        let reference = try await town.reference()
        let atHand = try #require(try await town.questions.look(into: reference, for: town.auditor.session.hash))
        #expect(atHand.actor?.username == town.caseworker.username)
        let view = try await town.city.owner.one(OneValue("SELECT id FROM access_log.entry WHERE operation = 'log_view'", of: UUID.self))
        for session in [town.ada.session, town.caseworker.session, try await town.city.staff(roles: [.auditor]).session] {
            #expect(try await town.city.app.query(ActorUnder(credential: session.hash, viewEntry: AccessEntryID(view))).isEmpty)
        }
        func told() async throws -> [String?] {
            _ = try await town.questions.entries.logView(of: town.ada.session.hash)
            return try await town.city.app.query(
                OneValue(
                    "SELECT released_username FROM access_log.entries_about(\(town.ada.session.hash.bytes), NULL, NULL, 50, false, NULL, NULL, NULL, \(town.entry.uuid))",
                    of: String?.self))
        }
        #expect(try await told() == [nil])
        let answer = AnswerQuestion(
            credential: town.auditor.session.hash, id: atHand.question.id, finding: .unlawful, sealedAnswer: .init(repeating: 1, count: 40),
            sealedRelease: .init(repeating: 1, count: 20))
        await #expect(throws: DatabaseError.self) { _ = try await town.city.app.exclusive { try await $0.one(answer) } }
        #expect(try await told() == [nil])

        #expect(
            try await town.questions.answer(
                atHand.question, .unlawful, words: "It was no case of theirs.", releaseReason: "You may want to complain about this person.",
                session: town.auditor.session.hash) == .answered)
        #expect(try await told() == [town.caseworker.username])
        let released = try #require(try await town.questions.own(about: town.entry, of: town.ada.session.hash)?.answer?.releasedName)
        #expect(released.username == town.caseworker.username && released.reason == "You may want to complain about this person.")
        await #expect(throws: DatabaseError.self) { try await town.city.owner.execute("DELETE FROM questions.name_release") }
        await #expect(throws: DatabaseError.self) { try await town.city.app.execute("SELECT * FROM questions.name_release") }
    }

    @Test("An organisation's system has no name to release")
    func noNameToRelease() async throws {
        let town = try await Town.make()
        let clinic = try await town.city.organisation("clinic")
        _ = try await town.city.activity(clinic, "duty", attributes: ["given_names"], law: "Act § 1")
        let read = try await Door(database: town.city.app).read(
            AccessRequest(
                credential: clinic.credential.hash, operation: .disclose, subject: .pseudonym(try await town.city.pseudonym(of: town.ada, for: clinic)),
                attributes: ["given_names"], purpose: "duty", caseReference: "K-1"))
        #expect(try await town.questions.ask("Which doctor?", about: read.entryID, id: .new(), of: town.ada.session.hash) == .asked)
        let atHand = try #require(try await town.questions.look(into: try await town.reference(), for: town.auditor.session.hash))
        #expect(atHand.actor == nil)
        await #expect(throws: DatabaseError.self) {
            _ = try await town.questions.answer(atHand.question, .lawful, words: "A law", releaseReason: "Because", session: town.auditor.session.hash)
        }
        #expect(try await town.questions.answer(atHand.question, .lawful, words: "A law", session: town.auditor.session.hash) == .answered)
    }

    @Test("What the question of one purpose opens, a look for another does not")
    func purposeOfLook() async throws {
        let town = try await Town.make()
        _ = try await town.ask("Why was I looked up?")
        let view = try await Door(database: town.city.app).read(
            AccessRequest(
                credential: town.auditor.session.hash, operation: .logView, subject: .resident(town.ada.id), attributes: [], purpose: "protection",
                caseReference: try await town.reference()))
        #expect(try await town.city.app.query(QuestionUnder(credential: town.auditor.session.hash, viewEntry: view.entryID)).isEmpty)
        #expect(try await town.city.app.query(QuestionedEntry(credential: town.auditor.session.hash, viewEntry: view.entryID)).isEmpty)
    }

    @Test("The server's role can neither read nor write the tables")
    func tablesAreClosed() async throws {
        let town = try await Town.make()
        for statement in [
            "SELECT * FROM questions.question", "SELECT * FROM questions.answer", "DELETE FROM questions.question",
            "SELECT * FROM questions.questionable('\\x00', gen_random_uuid())", "SELECT * FROM access_log.look_of_staff('\\x00', gen_random_uuid(), 'auditor', 'log_view', '1 hour')",
            "SELECT * FROM access_log.told_entry",
        ] as [SQL] {
            await #expect(throws: DatabaseError.self) { try await town.city.app.exclusive { _ = try await $0.execute(statement) } }
        }
    }

    @Test("On the pages: ask, be told what is missing, find the question again, and read the answer")
    func pages() async throws {
        let town = try await Town.make()
        try await town.serve { client in
            let ada = CityBrowser(client, session: town.ada.session)
            let bob = CityBrowser(client, session: town.bob.session)
            let auditor = CityBrowser(client, session: town.auditor.session)
            let path = "/access-log/\(town.entry)/question"
            #expect(try await bob.get(path).status == 404)
            #expect(try await ada.get("/access-log/\(AccessEntryID.new())/question").status == 404)
            #expect(try await ada.get("/access-log/x/question").status == 404)

            _ = try await ada.get(path)
            let empty = try await ada.post(path, [("words", "  ")])
            #expect(empty.status == 422)
            #expect(try await ada.post(path, [("words", String(repeating: "x", count: 1001))]).status == 422)
            for disguise in ["Who \u{202E}was it", "Who\u{7}", "\u{2066}Who", "\u{3164}\u{115F}\u{2800}"] {
                #expect(try await ada.post(path, [("words", disguise)]).status == 422)
            }
            let mark = "<b>Who</b> & why\u{301}?"
            #expect(try await ada.post(path, [("words", mark)]).status == 303)
            let asked = try await ada.get(path).text
            #expect(asked.contains("&lt;b&gt;Who&lt;/b&gt; &amp; wh") && !asked.contains("<b>Who"))
            #expect(!asked.contains("<textarea"))

            #expect(try await ada.get("/staff/questions").status != 200)
            let queue = try await auditor.get("/staff/questions").text
            let reference = try await town.reference()
            #expect(queue.contains(reference) && !queue.contains("Who"))
            let page = try await auditor.get("/staff/questions/\(reference)").text
            #expect(page.contains("&lt;b&gt;Who"))
            #expect(try await auditor.post("/staff/questions/\(reference)", [("finding", "perhaps"), ("words", "")]).status == 422)
            #expect(try await auditor.post("/staff/questions/\(reference)", [("finding", "lawful"), ("words", "A complaint of yours")]
                + [("release", "yes")]).status == 422)
            #expect(page.contains(town.caseworker.username))
            #expect(try await auditor.post("/staff/questions/\(reference)", [
                ("finding", "lawful"), ("words", "A complaint of yours"), ("release", "yes"), ("release_reason", "You asked for it, and nothing speaks against it."),
            ]).status == 303)
            // Sent again, it waits no more.
            #expect(try await auditor.post("/staff/questions/\(reference)", [("finding", "unlawful"), ("words", "Again")]).status == 303)
            let told = try await ada.get(path).text
            #expect(told.contains("A complaint of yours") && told.contains("It was lawful") && !told.contains("Again"))
            #expect(told.contains(town.caseworker.username) && told.contains("nothing speaks against it"))
            #expect(!asked.contains(town.caseworker.username))
            #expect(try await ada.get("/messages").text.contains(reference))
        }
    }
}
