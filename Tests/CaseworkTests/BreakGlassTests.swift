// Protected records: what does not open, what breaking the glass leaves behind, and who may review it. Refusals first.
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

@Suite("Protected records")
struct BreakGlassTests {
    /// A city with a protected resident, two caseworkers of whom one audits as well, and an auditor.
    private struct Town {
        let city: CityFixture
        let ada: FixtureResident
        let bob: FixtureResident
        let caseworker: FixtureStaff
        let both: FixtureStaff
        let auditor: FixtureStaff
        let door: Door
        let glass: BreakGlass

        static let words = "Water is running into the flat below and nobody answers the door."

        static func make() async throws -> Town {
            let city = try await CityFixture.make()
            let door = Door(database: city.app)
            let town = Town(
                city: city, ada: try await city.resident(), bob: try await city.resident(), caseworker: try await city.staff(roles: [.caseworker]),
                both: try await city.staff(roles: [.caseworker, .auditor]), auditor: try await city.staff(roles: [.auditor]), door: door,
                glass: BreakGlass(database: city.app, door: door, vault: city.vault))
            #expect(try await town.protect(town.ada) == .changed)
            return town
        }

        func protect(_ resident: FixtureResident, _ isProtected: Bool = true) async throws -> ProtectionOutcome {
            try await glass.protect(
                resident.publicCode, isProtected: isProtected, because: "Moved here to be safe from somebody.", caseReference: "P-1",
                session: auditor.session.hash)
        }

        /// The refusal of one request to the door; nil where it was permitted.
        func ask(_ operation: AccessOperation, _ resident: FixtureResident, by staff: FixtureStaff) async throws -> Refusal? {
            do {
                _ = try await door.read(
                    AccessRequest(
                        credential: staff.session.hash, operation: operation, subject: .resident(resident.id),
                        attributes: operation == .view ? ["given_names"] : [], purpose: operation == .logView ? "question" : "complaint", caseReference: "C-7"))
                return nil
            } catch let refused as RefusedAccess {
                return refused.refusal
            }
        }

        @discardableResult
        func breakGlass(by staff: FixtureStaff, opening: OpeningID = .new()) async throws -> OpeningID {
            try await glass.open(
                .publicCode(ada.publicCode), for: .assistance, caseReference: "FLOOD-3", because: Self.words, opening: opening, session: staff.session.hash)
        }

        func reference() async throws -> String { try await city.owner.one(OneValue("SELECT reference FROM casework.break_glass")) }

        func messages(_ kind: String) async throws -> Int {
            try await city.owner.one(OneValue("SELECT count(*) FROM messages.message WHERE resident_id = \(ada.id.uuid) AND kind = \(kind)", of: Int.self))
        }

        /// Sessions that outlive what the clock skips.
        func keepSessions() async throws {
            try await city.owner.execute("UPDATE web.credential SET idle_after = interval '30 days', expires_at = public.stoa_now() + interval '30 days'")
        }
    }

    @Test("Whatever a caseworker tries with a protected record is refused and logged; others' records open as ever")
    func protectedFromCaseworkers() async throws {
        let town = try await Town.make()
        for operation in [AccessOperation.search, .view, .paperEntry] {
            #expect(try await town.ask(operation, town.ada, by: town.caseworker) == .subjectProtected)
            #expect(try await town.ask(operation, town.bob, by: town.caseworker) == nil)
        }
        #expect(try await town.city.entryCount(where: "e.refusal = 'subject_protected' AND e.subject_id = \(town.ada.id)") == 3)
        #expect(try await town.ask(.breakGlass, town.bob, by: town.caseworker) == .subjectNotProtected)
        #expect(try await town.ask(.breakGlass, town.ada, by: town.auditor) == .roleMissing)
        #expect(try await town.ask(.logView, town.ada, by: town.auditor) == nil)
        #expect(try await town.ask(.view, town.ada, by: town.caseworker) == .subjectProtected)

        #expect(try await town.protect(town.ada) == .unchanged)
        #expect(try await town.protect(town.ada, false) == .changed)
        #expect(try await town.ask(.view, town.ada, by: town.caseworker) == nil)
        #expect(try await town.messages("record_protected") == 1)
        #expect(try await town.messages("protection_lifted") == 1)
    }

    @Test("The row of an account from before the counter linked it is guarded with the record")
    func supersededRow() async throws {
        let town = try await Town.make()
        try await town.city.owner.execute("UPDATE register.resident SET superseded_by = \(town.ada.id) WHERE id = \(town.bob.id)")
        #expect(try await town.ask(.view, town.bob, by: town.caseworker) == .subjectProtected)
    }

    @Test("The counter links a protected person's account to a record, which is protected from then on")
    func protectionIsCarriedOver() async throws {
        let town = try await Town.make()
        let record = try await town.city.resident(identityAssurance: 0)
        try await town.city.owner.execute("DELETE FROM web.credential WHERE account_id = \(record.accountID)")
        try await town.city.owner.execute("DELETE FROM identity.account WHERE id = \(record.accountID)")
        try await town.city.owner.execute("UPDATE register.resident SET origin = 'self_registered' WHERE id = \(town.ada.id)")
        let found = try await town.door.read(
            AccessRequest(
                credential: town.caseworker.session.hash, operation: .search, subject: .publicCode(record.publicCode), attributes: [],
                purpose: "identity_proofing", caseReference: "C-8"))
        let opening = try #require(
            try await town.city.app.one(OpenRecord(credential: town.caseworker.session.hash, openingID: .new(), searchEntryID: found.entryID)))
        let outcome = try await town.city.app.exclusive {
            try await $0.one(
                ProveIdentityStatement(
                    credential: town.caseworker.session.hash, openingID: opening, evidenceID: UUID(), accountCode: town.ada.publicCode, evidence: .passport,
                    language: .english))
        }
        #expect(outcome == "linked")
        #expect(try await town.ask(.view, record, by: town.caseworker) == .subjectProtected)
    }

    @Test("Only an auditor protects, under a fresh look of the own")
    func whoProtects() async throws {
        let town = try await Town.make()
        let look = AccessRequest(
            credential: town.auditor.session.hash, operation: .logView, subject: .resident(town.bob.id), attributes: [], purpose: "protection",
            caseReference: "P-2")
        let view = try await town.door.read(look).entryID
        let other = try await town.door.read(
            AccessRequest(
                credential: town.auditor.session.hash, operation: .logView, subject: .resident(town.bob.id), attributes: [], purpose: "question",
                caseReference: "P-2")
        ).entryID
        let sealed = [UInt8](repeating: 1, count: 60)
        for (staff, entry) in [(town.caseworker, view), (town.both, view), (town.auditor, other), (town.auditor, .new())] {
            let asked = Protect(credential: staff.session.hash, viewEntry: entry, isProtected: true, sealedReason: sealed)
            #expect(try await town.city.app.one(asked) == .notAllowed)
        }
        let outcomes = try await withThrowingTaskGroup(of: ProtectionOutcome.self) { group in
            for _ in 0..<6 {
                group.addTask {
                    try await town.city.app.exclusive {
                        try await $0.one(Protect(credential: town.auditor.session.hash, viewEntry: view, isProtected: true, sealedReason: sealed))
                    }
                }
            }
            return try await group.reduce(into: [ProtectionOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .changed } == 1 && outcomes.count { $0 == .unchanged } == 5)
    }

    @Test("Broken glass opens the record for who broke it, for a quarter of an hour; every entry under it says so in the committed bytes")
    func broken() async throws {
        let town = try await Town.make()
        let opening = try await town.breakGlass(by: town.caseworker)
        // Before anything of the record was read, the resident is told and the review waits.
        #expect(try await town.messages("glass_broken") == 1)
        #expect(try await town.glass.waiting(for: town.auditor.session.hash).count == 1)
        #expect(try await town.city.app.optional(FindOpening(credential: town.caseworker.session.hash, id: opening)) != nil)
        for operation in [AccessOperation.search, .view, .paperEntry] {
            #expect(try await town.ask(operation, town.ada, by: town.caseworker) == nil)
            #expect(try await town.ask(operation, town.ada, by: town.both) == .subjectProtected)
        }
        #expect(try await town.ask(.view, town.bob, by: town.caseworker) == nil)
        let glass = try await town.city.owner.one(OneValue("SELECT entry_id FROM casework.break_glass", of: UUID.self))
        #expect(try await town.city.entryCount(where: "e.break_glass = \(glass)") == 4)
        #expect(try await town.city.entryCount(where: "e.operation = 'break_glass' AND e.id = \(glass) AND e.purpose = 'assistance'") == 1)

        // The form sent again, also at the same moment, breaks nothing more.
        _ = try await town.breakGlass(by: town.caseworker, opening: opening)
        let next = OpeningID.new()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { _ = try await town.breakGlass(by: town.caseworker, opening: next) } }
            try await group.waitForAll()
        }
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM casework.break_glass", of: Int.self)) == 2)
        #expect(try await town.messages("glass_broken") == 2)

        // With somebody else's form nothing opens, and what was declared is told and reviewed all the same.
        await #expect(throws: Problem.self) { _ = try await town.breakGlass(by: town.both, opening: opening) }
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM casework.break_glass", of: Int.self)) == 3)
        #expect(try await town.messages("glass_broken") == 3)

        try await town.keepSessions()
        try await town.city.setClock(secondsAhead: 901)
        #expect(try await town.ask(.view, town.ada, by: town.caseworker) == .subjectProtected)
        #expect(try await town.city.app.optional(FindOpening(credential: town.caseworker.session.hash, id: opening)) == nil)
    }

    @Test("The database takes no broken glass without a reason, under another's entry, an old one, or one of another kind")
    func ticket() async throws {
        let town = try await Town.make()
        func entry(_ operation: AccessOperation, _ resident: FixtureResident, by staff: FixtureStaff) async throws -> AccessEntryID {
            try await town.door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: operation, subject: .resident(resident.id), attributes: [], purpose: "complaint",
                    caseReference: "C-7")
            ).entryID
        }
        func open(_ entry: AccessEntryID, by staff: FixtureStaff, sealed: [UInt8] = .init(repeating: 1, count: 60)) async throws -> Bool {
            let statement = BreakTheGlass(credential: staff.session.hash, entry: entry, opening: .new(), reference: .random(), sealedReason: sealed)
            return try await town.city.app.exclusive { try await $0.one(statement) }
        }
        let ticket = try await entry(.breakGlass, town.ada, by: town.caseworker)
        let search = try await entry(.search, town.bob, by: town.caseworker)
        for (entry, staff) in [(ticket, town.both), (ticket, town.auditor), (search, town.caseworker), (AccessEntryID.new(), town.caseworker)] {
            #expect(try await !open(entry, by: staff))
        }
        for count in [0, 47, 2029] {
            await #expect(throws: DatabaseError.self) { _ = try await open(ticket, by: town.caseworker, sealed: .init(repeating: 1, count: count)) }
        }
        try await town.city.setClock(secondsAhead: 61)
        #expect(try await !open(ticket, by: town.caseworker))
        try await town.city.setClock(secondsAhead: 0)
        #expect(try await open(ticket, by: town.caseworker))
        await #expect(throws: DatabaseError.self) { _ = try await open(ticket, by: town.caseworker) }
    }

    @Test("The reason is given to an auditor who is not who broke it, under that auditor's own fresh entry in the resident's log")
    func whoMayLook() async throws {
        let town = try await Town.make()
        try await town.breakGlass(by: town.both)
        let reference = try await town.reference()
        for session in [town.caseworker.session, town.both.session, town.ada.session] {
            #expect(try await town.glass.waiting(for: session.hash).isEmpty)
            #expect(try await town.glass.look(into: reference, for: session.hash) == nil)
        }
        #expect(try await town.ask(.view, town.ada, by: town.both) == nil)
        let atHand = try #require(try await town.glass.look(into: reference, for: town.auditor.session.hash))
        #expect(atHand.glass.reason == Town.words && atHand.staffUsername == town.both.username)
        #expect(atHand.entries.map(\.operation) == ["break_glass", "view"])
        let looked = try await town.city.owner.one(
            OneValue("SELECT id FROM access_log.entry WHERE operation = 'log_view' AND case_reference = \(reference) AND subject_id = \(town.ada.id)", of: UUID.self))
        for session in [town.both.session, town.caseworker.session] {
            #expect(try await town.city.app.query(GlassUnder(credential: session.hash, viewEntry: AccessEntryID(looked))).isEmpty)
            #expect(try await town.city.app.query(EntriesUnderGlass(credential: session.hash, viewEntry: AccessEntryID(looked))).isEmpty)
        }
        try await town.city.setClock(secondsAhead: 6)
        #expect(try await town.city.app.query(GlassUnder(credential: town.auditor.session.hash, viewEntry: AccessEntryID(looked))).isEmpty)
    }

    @Test("A review needs a look within the hour, comes once, from somebody else, and is told")
    func review() async throws {
        let town = try await Town.make()
        try await town.breakGlass(by: town.both)
        let reference = try await town.reference()
        let atHand = try #require(try await town.glass.look(into: reference, for: town.auditor.session.hash))
        let another = try await town.city.staff(roles: [.auditor])
        #expect(try await town.glass.review(atHand.glass, .justified, words: "Not looked", session: another.session.hash) == .notAllowed)
        #expect(try await town.glass.review(atHand.glass, .justified, words: "Mine", session: town.both.session.hash) == .notAllowed)
        _ = try await town.door.read(
            AccessRequest(
                credential: town.both.session.hash, operation: .logView, subject: .resident(town.ada.id), attributes: [], purpose: "break_glass_review",
                caseReference: reference))
        #expect(try await town.glass.review(atHand.glass, .justified, words: "Mine", session: town.both.session.hash) == .ownAction)
        await #expect(throws: DatabaseError.self) {
            try await town.city.owner.execute(
                """
                INSERT INTO casework.break_glass_review (entry_id, finding, sealed_words, reviewed_by)
                VALUES (\(atHand.glass.entryID.uuid), 'justified', \([UInt8](repeating: 1, count: 40)), \(town.both.id.uuid))
                """)
        }
        let outcomes = try await withThrowingTaskGroup(of: ReviewOutcome.self) { group in
            for number in 0..<6 {
                group.addTask { try await town.glass.review(atHand.glass, .notJustified, words: "Words \(number)", session: town.auditor.session.hash) }
            }
            return try await group.reduce(into: [ReviewOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .reviewed } == 1 && outcomes.count { $0 == .alreadyReviewed } == 5)
        #expect(try await town.messages("glass_reviewed") == 1)
        #expect(try await town.glass.waiting(for: town.auditor.session.hash).isEmpty)

        let own = try #require(try await town.glass.own(about: atHand.glass.entryID, of: town.ada.session.hash))
        #expect(own.glass.reason == Town.words && own.review?.finding == .notJustified && own.review?.words.hasPrefix("Words ") == true)
        #expect(try await town.glass.own(about: atHand.glass.entryID, of: town.bob.session.hash) == nil)
    }

    @Test("Three working days leave weekends out", arguments: [
        // Monday → Thursday, Thursday → Tuesday, Friday → Wednesday, Saturday and Sunday → Wednesday; hours stay.
        ("2026-11-16 09:30Z", "2026-11-19 09:30Z"), ("2026-11-19 09:30Z", "2026-11-24 09:30Z"), ("2026-11-20 23:59Z", "2026-11-25 23:59Z"),
        ("2026-11-21 12:00Z", "2026-11-25 12:00Z"), ("2026-11-22 00:00Z", "2026-11-25 00:00Z"),
    ])
    func deadline(start: String, due: String) async throws {
        let city = try await CityFixture.make()
        #expect(
            try await city.owner.one(
                OneValue("SELECT casework.working_days_after(\(start)::text::timestamptz, 3) = \(due)::text::timestamptz", of: Bool.self)))
    }

    @Test("The server's role can neither read nor write the tables")
    func tablesAreClosed() async throws {
        let town = try await Town.make()
        try await town.breakGlass(by: town.caseworker)
        for statement in [
            "SELECT * FROM casework.break_glass", "SELECT * FROM casework.protection", "SELECT * FROM casework.break_glass_review",
            "UPDATE register.resident SET is_protected = false", "INSERT INTO casework.break_glass SELECT * FROM casework.break_glass",
        ] as [SQL] {
            await #expect(throws: DatabaseError.self) { try await town.city.app.exclusive { _ = try await $0.execute(statement) } }
        }
        for table in ["break_glass", "protection"] {
            await #expect(throws: DatabaseError.self) { try await town.city.owner.execute("DELETE FROM casework.\(unsafeRaw: table)") }
        }
    }

    @Test("On the pages: found protected, refused without a reason, opened with one, reviewed, and read by the resident")
    func pages() async throws {
        let town = try await Town.make()
        let corrections = Corrections(database: town.city.app, vault: town.city.vault, lookup: town.city.lookup)
        try await town.city.serve {
            CaseworkRoutes(database: town.city.app, door: town.door, vault: town.city.vault, lookup: town.city.lookup, corrections: corrections).add(to: $0)
            BreakGlassRoutes(glass: town.glass).add(to: $0)
            MessagesRoutes(database: town.city.app).add(to: $0)
        } _: { client in
            let clerk = CityBrowser(client, session: town.caseworker.session)
            let auditor = CityBrowser(client, session: town.auditor.session)
            let ada = CityBrowser(client, session: town.ada.session)
            let search = [
                ("reason", "assistance"), ("case_reference", "FLOOD-3"), ("kind", "public_code"), ("public_code", town.ada.publicCode.description),
            ]
            _ = try await clerk.get("/staff/search")
            let asked = try await clerk.post("/staff/search", search)
            #expect(asked.status == 422 && asked.text.contains("This record is protected") && asked.text.contains(town.ada.publicCode.description))
            #expect(!asked.text.contains("Ada") && !asked.text.contains("Byron"))
            let opening = try #require(asked.text.firstMatch(of: /name="opening" value="([^"]+)"/)).1
            let form = search + [("opening", String(opening))]
            for words in ["", "Because I said so", String(repeating: "x", count: 501), "Water is running \u{202E}into the flat below."] {
                let refused = try await clerk.post("/staff/emergency", form + [("emergency", words)])
                #expect(refused.status == 422 && refused.text.contains("error-summary"))
            }
            #expect(try await town.messages("glass_broken") == 0)
            let opened = try await clerk.post("/staff/emergency", form + [("emergency", "<i>Water</i> is running into the flat below.")])
            #expect(opened.status == 303)
            let record = try await clerk.get(try #require(opened.headers[.location]))
            #expect(record.status == 200 && record.text.contains("Byron"))
            #expect(try await clerk.post("/staff/emergency", form + [("emergency", "Water is running into the flat below.")]).status == 303)
            #expect(try await town.messages("glass_broken") == 1)
            #expect(try await clerk.get("/staff/emergencies").status == 403)
            #expect(try await clerk.get("/staff/protection").status == 403)

            #expect(try await auditor.get("/staff").text.contains("/staff/emergencies"))
            let reference = try await town.reference()
            let queue = try await auditor.get("/staff/emergencies").text
            #expect(queue.contains(reference) && !queue.contains("Overdue") && !queue.contains(town.ada.publicCode.description))
            try await town.keepSessions()
            try await town.city.setClock(secondsAhead: 6 * 86_400)
            #expect(try await auditor.get("/staff/emergencies").text.contains("Overdue"))
            try await town.city.setClock(secondsAhead: 0)
            let page = try await auditor.get("/staff/emergencies/\(reference)").text
            #expect(page.contains("&lt;i&gt;Water") && page.contains(town.caseworker.username) && page.contains("your record was opened"))
            #expect(try await auditor.post("/staff/emergencies/\(reference)", [("finding", "perhaps"), ("words", "")]).status == 422)

            let entry = try await town.city.owner.one(OneValue("SELECT id FROM access_log.entry WHERE operation = 'view'", of: UUID.self))
            let place = "/access-log/\(entry.uuidString.lowercased())/emergency"
            let before = try await ada.get(place)
            #expect(before.text.contains("&lt;i&gt;Water") && before.text.contains("reviews this by"))
            #expect(try await auditor.post("/staff/emergencies/\(reference)", [("finding", "not_justified"), ("words", "The neighbour had the key.")]).status == 303)
            #expect(try await auditor.get("/staff/emergencies/\(reference)").status == 303)
            let after = try await ada.get(place).text
            #expect(after.contains("The emergency was not justified") && after.contains("The neighbour had the key.") && after.contains("Not justified"))
            #expect(!after.contains(town.caseworker.username))
            #expect(try await CityBrowser(client, session: town.bob.session).get(place).status == 404)
            #expect(try await ada.get("/messages").text.contains(reference))

            // Lifting it on the page.
            _ = try await auditor.get("/staff/protection")
            let lift = [
                ("public_code", town.ada.publicCode.description), ("case_reference", "P-9"), ("change", "lift"),
                ("words", "The resident asked for it at the counter."),
            ]
            #expect(try await auditor.post("/staff/protection", lift.filter { $0.0 != "words" }).status == 422)
            #expect(try await auditor.post("/staff/protection", lift.map { $0.0 == "public_code" ? ($0.0, PublicCode.random().description) : $0 }).status == 422)
            #expect(try await auditor.post("/staff/protection", lift).status == 303)
            #expect(try await clerk.post("/staff/search", search).status == 303)
            let late = try await clerk.post("/staff/emergency", search + [("emergency", "Water is running into the flat below.")])
            #expect(late.headers[.location] == "/staff/search")
        }
    }

    @Test("A protected resident's correction is answered by breaking the glass, too")
    func correction() async throws {
        let town = try await Town.make()
        let corrections = Corrections(database: town.city.app, vault: town.city.vault, lookup: town.city.lookup)
        let reference = PublicCode.random().description
        let filed = try await town.city.app.exclusive {
            try await $0.one(
                OneValue(
                    "SELECT register.request_correction(\(town.ada.session.hash.bytes), \(UUID()), \(reference), 'phone', \([UInt8](repeating: 1, count: 40)))",
                    of: Bool.self))
        }
        #expect(filed)
        try await town.city.serve {
            CaseworkRoutes(database: town.city.app, door: town.door, vault: town.city.vault, lookup: town.city.lookup, corrections: corrections).add(to: $0)
        } _: { client in
            let clerk = CityBrowser(client, session: town.caseworker.session)
            _ = try await clerk.get("/staff")
            let asked = try await clerk.post("/staff/corrections/\(reference)", [])
            #expect(asked.status == 422 && asked.text.contains(reference))
            let opened = try await clerk.post(
                "/staff/emergency", [("correction", reference), ("emergency", "The resident waits for this correction.")])
            #expect(opened.headers[.location]?.hasPrefix("/staff/records/") == true)
            #expect(try await town.city.entryCount(where: "e.operation = 'break_glass' AND e.purpose = 'correction' AND e.case_reference = \(reference)") == 1)
        }
    }
}
