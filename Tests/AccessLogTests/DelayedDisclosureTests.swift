// Delayed disclosure: while an order lasts nothing tells the resident of it, by content, number, status or size; when it ends everything stands where it belongs.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Register
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import AccessLog

@Suite("Delayed disclosure")
struct DelayedDisclosureTests {
    private static let start = Date(timeIntervalSince1970: 1_804_680_000)  // 10 March 2027, 12:00 UTC
    private static let number = "180001010017"

    private struct Town {
        let log: LogTown
        let ada: FixtureResident
        let police: FixtureOrganisation
        let pseudonym: UUID
        let auditor: FixtureStaff
        let other: FixtureStaff

        init() async throws {
            log = try await LogTown.make()
            let city = log.city
            try await city.stopClock(at: start)
            ada = try await city.resident(["given_names": "Ada", "date_of_birth": "1990-01-01", "national_number": number])
            police = try await city.organisation("police")
            let inquiry = try await city.activity(police, "inquiry", attributes: ["date_of_birth"], law: "Police Act § 9")
            _ = try await city.activity(police, "licence", attributes: ["date_of_birth"], law: "Arms Act § 2")
            try await city.owner.execute("UPDATE consent.processing_activity SET delay_law = 'Procedure Act § 101' WHERE id = \(inquiry.id)")
            pseudonym = try await city.pseudonym(of: ada, for: police)
            auditor = try await city.staff(roles: [.auditor])
            other = try await city.staff(roles: [.auditor])
            // Sessions that outlive what the clock skips.
            try await city.owner.execute("UPDATE web.credential SET idle_after = CASE WHEN idle_after IS NOT NULL THEN interval '900 days' END, expires_at = public.stoa_now() + interval '900 days'")
            try await log.sequencer.signEmptyTree()
        }

        func set(
            by staff: FixtureStaff? = nil, number: String = number, purpose: String = "inquiry", reviewDays: Int = 30, lastDays: Int = 300
        ) async throws -> String {
            let (session, hmac) = ((staff ?? auditor).session.hash.bytes, log.city.lookup.nationalNumber(number))
            return try await log.city.app.exclusive {
                try await $0.one(OneValue(
                    """
                    SELECT access_log.set_seal(\(session), \(UUID()), \(hmac), 'police', \(purpose), 'District Court', 'KD-7/2027',
                        public.stoa_now() + make_interval(days => \(Int32(reviewDays))), public.stoa_now() + make_interval(days => \(Int32(lastDays))))
                    """, of: String.self))
            }
        }

        func review(by staff: FixtureStaff, untilDays: Int?) async throws -> String {
            let seal = try await log.city.owner.one(OneValue("SELECT id FROM access_log.seal", of: UUID.self))
            let days = untilDays.map { Int32($0) }
            return try await log.city.app.exclusive {
                try await $0.one(OneValue(
                    "SELECT access_log.review_seal(\(staff.session.hash.bytes), \(seal), public.stoa_now() + make_interval(days => \(days as Int32?)))", of: String.self))
            }
        }

        /// The police ask; refused where they ask for what the purpose does not have.
        func read(_ purpose: String = "inquiry", _ attribute: String = "date_of_birth") async throws {
            do {
                _ = try await log.door.read(
                    AccessRequest(
                        credential: police.credential.hash, operation: .disclose, subject: .pseudonym(pseudonym), attributes: [attribute], purpose: purpose,
                        caseReference: "K-1"))
            } catch let refused as RefusedAccess {
                #expect(refused.refusal == .attributesNotInPurpose)
            }
        }

        /// Everything about the resident, newest first.
        func shown() async throws -> [AccessEntry] {
            try await log.entries.page(EntryFilter(withOwn: true), before: nil, count: 100, of: ada.session.hash).entries
        }

        func pass(days: Double) async throws { try await log.city.stopClock(at: start.addingTimeInterval(days * 86_400)) }

        func serve(_ body: @Sendable (CityAPIClient, any TestClientProtocol) async throws -> Void) async throws {
            let token = try await log.city.appToken(of: ada, scope: ["access_log"], secondsLeft: 80_000_000)
            try await log.city.serve {
                AccessLogRoutes(database: log.city.app, entries: log.entries, heads: log.heads).add(to: $0)
            } _: { try await body(CityAPIClient($0, token: token), $0) }
        }
    }

    @Test("Nobody but an auditor, no purpose without a law for it, no day beyond the bounds, nobody who is not there")
    func refusals() async throws {
        let town = try await Town()
        let clerk = try await town.log.city.staff(roles: [.caseworker])
        #expect(try await town.set(by: clerk) == "not_permitted")
        #expect(try await town.set(purpose: "licence") == "activity_unknown")
        for (review, last) in [(-1, 30), (0, 30), (31, 30), (190, 300), (30, 800)] {
            #expect(try await town.set(reviewDays: review, lastDays: last) == "dates_invalid", "\(review) \(last)")
        }
        #expect(try await town.log.city.entryCount() == 0)
        #expect(try await town.set(number: "990001010018") == "subject_unknown")
        #expect(try await town.log.city.entryCount(where: "e.operation = 'seal' AND e.subject_id IS NULL AND e.refusal = 'subject_unknown'") == 1)
        for statement: SQL in [
            "SELECT * FROM access_log.seal", "SELECT * FROM access_log.seal_event", "SELECT * FROM access_log.told_chain",
            "UPDATE access_log.seal SET concealed_until = 'infinity'", "INSERT INTO access_log.seal_event (seal_id) VALUES (gen_random_uuid())",
        ] {
            let error = await #expect(throws: DatabaseError.self) { try await town.log.city.app.execute(statement) }
            #expect(error?.isPermissionDenied == true, "\(statement)")
        }
    }

    @Test("While the order lasts, list, filters, figures, export, proofs and questions say what they said before, to the byte, and no number is missing")
    func nothingTells() async throws {
        let town = try await Town()
        try await town.read("licence")
        let before = try await town.shown()
        try await town.serve { app, client in
            func answers() async throws -> [CityAnswer] {
                let browser = CityBrowser(client, session: town.ada.session)
                var answers: [CityAnswer] = []
                for address in ["/api/v1/access-entries", "/api/v1/access-entries?organisation=police"] { answers.append(try await app.get(address)) }
                for address in ["/access-log.csv", "/access-log.json", "/access-log?organisation=police"] { answers.append(try await browser.get(address)) }
                return answers
            }
            // The looks themselves are entries, once a session.
            _ = try await answers()
            _ = try await town.log.sequencer.sequenceOnce()
            let first = try await answers()
            #expect(try await town.set() == "set")
            for _ in 0..<3 { try await town.read() }
            try await town.read("inquiry", "phone")
            #expect(try await town.log.sequencer.sequenceOnce() > 0)
            let second = try await answers()
            #expect(first.map(\.status) == [200, 200, 200, 200, 200] && first.map(\.status) == second.map(\.status))
            #expect(first.map(\.text).prefix(3) == second.map(\.text).prefix(3))
            // Members of the file, and the page's form token, are another way each time, and as long.
            #expect(first.map(\.text.count) == second.map(\.text.count))
            let hidden = try await town.log.city.owner.query(OneValue("SELECT id FROM access_log.entry WHERE seal_id IS NOT NULL", of: UUID.self))
            #expect(hidden.count == 5)
            for id in hidden + [UUID()] {
                for address in ["/api/v1/access-entries/\(id)", "/api/v1/access-entries/\(id)/proof"] { #expect(try await app.get(address).status == 404, "\(address)") }
                #expect(try await town.log.entries.one(AccessEntryID(id), of: town.ada.session.hash) == nil)
            }
        }
        #expect(try await town.shown().map(\.id).suffix(before.count) == before.map(\.id)[...])
        let given = try await town.log.entries.given(to: "police", of: town.ada.session.hash)
        #expect(given.kinds.values.joined().map(\.times) == [1])
        // What is told is numbered without a hole, also what came after the first delayed one.
        try await town.read("licence")
        #expect(try await town.log.sequencer.sequenceOnce() == 1)
        let numbers = OneValue(
            """
            SELECT l.subject_number FROM access_log.leaf AS l JOIN access_log.entry AS e ON e.id = l.entry_id
            WHERE e.seal_id IS NULL AND e.subject_id = \(town.ada.id) ORDER BY l.subject_number
            """, of: Int64.self)
        let told = try await town.log.city.owner.query(numbers)
        #expect(told == Array<Int64>(1...Int64(told.count)))
        #expect(try await town.log.verifier.verify().findings == [])
    }

    @Test("On its day of review the order ends by itself: everything stands at its moment and its leaf, with who ordered it, and its own numbers are whole")
    func endsByItself() async throws {
        let town = try await Town()
        #expect(try await town.set() == "set")
        try await town.pass(days: 1)
        try await town.read("licence")
        try await town.pass(days: 2)
        try await town.read()
        try await town.pass(days: 3)
        try await town.read("licence")
        _ = try await town.log.sequencer.sequenceOnce()
        #expect(try await town.shown().filter { !$0.isOwnView }.map(\.purpose) == ["licence", "licence"])
        let leaf = try await town.log.city.owner.one(
            OneValue("SELECT l.index FROM access_log.leaf AS l JOIN access_log.entry AS e ON e.id = l.entry_id WHERE e.purpose = 'inquiry'", of: Int64.self))
        try await town.pass(days: 29.9)
        #expect(try await town.shown().filter { !$0.isOwnView }.count == 2)
        try await town.pass(days: 30)
        let shown = try await town.shown().filter { !$0.isOwnView }
        #expect(shown.map(\.purpose) == ["licence", "inquiry", "licence", "delayed_disclosure"])
        #expect(shown[1].leafIndex == leaf && shown[1].delay?.authority == "District Court" && shown[1].delay?.ground == "KD-7/2027")
        #expect(shown[0].delay == nil)
        #expect(try await town.log.entries.given(to: "police", of: town.ada.session.hash).kinds.count == 2)
        // A read from now on is told at once.
        try await town.read()
        #expect(try await town.shown().filter { $0.purpose == "inquiry" }.count == 2)
        _ = try await town.log.sequencer.sequenceOnce()
        let file = try await ProveEntry(credential: town.ada.session.hash, entry: shown[1].id)
            .perform(entries: town.log.entries, database: town.log.city.app, heads: town.log.heads)
        let proven = try ProvenEntry(checking: file.utf8, log: town.log.signer.verifier)
        #expect(proven.entry?.subjectNumber == 2 && proven.entry?.sealID != nil)
        #expect(proven.lines.contains { $0.hasPrefix("Told later") })
        #expect(try await town.log.verifier.verify().findings == [])
    }

    @Test("Another auditor keeps an order within its bounds; whoever set it does not; what has ended does not begin again; of many that end it one does")
    func reviews() async throws {
        let town = try await Town()
        #expect(try await town.set(reviewDays: 30, lastDays: 100) == "set")
        try await town.read()
        #expect(try await town.review(by: town.auditor, untilDays: 60) == "own")
        #expect(try await town.review(by: town.other, untilDays: 101) == "dates_invalid")
        #expect(try await town.review(by: town.other, untilDays: -1) == "dates_invalid")
        #expect(try await town.review(by: town.other, untilDays: 60) == "kept")
        try await town.pass(days: 59)
        #expect(try await town.shown().allSatisfy(\.isOwnView))
        let ends = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<8 { group.addTask { try await town.review(by: index % 2 == 0 ? town.auditor : town.other, untilDays: nil) } }
            return try await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(ends == ["ended": 1, "already_ended": 7])
        #expect(try await town.shown().filter { !$0.isOwnView }.count == 2)
        #expect(try await town.review(by: town.other, untilDays: 10) == "already_ended")
        let refused: [(SQL, String?)] = [
            ("UPDATE access_log.seal SET concealed_until = maximum_at", "seal_is_bounded"), ("DELETE FROM access_log.seal", nil),
            ("UPDATE access_log.seal_event SET kind = 'kept'", nil), ("DELETE FROM access_log.seal_event", nil),
            (
                """
                INSERT INTO access_log.seal_event (seal_id, kind, staff_id, concealed_until)
                SELECT e.seal_id, 'kept', e.staff_id, e.concealed_until FROM access_log.seal_event AS e WHERE e.kind = 'set'
                """, "seal_four_eyes"
            ),
            (
                """
                INSERT INTO access_log.seal (id, subject_id, activity_id, authority, ground, maximum_at, concealed_until)
                SELECT gen_random_uuid(), s.subject_id, a.id, 'Somebody', 'None', s.maximum_at, s.maximum_at
                FROM access_log.seal AS s, consent.processing_activity AS a WHERE a.purpose = 'licence'
                """, "seal_has_law"
            ),
        ]
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self) { try await town.log.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(statement)")
        }
        // What was decided about the order is in the log as well: set, kept, ended.
        _ = try await town.log.sequencer.sequenceOnce()
        #expect(try await town.log.city.owner.one(OneValue("SELECT count(*) FROM access_log.leaf WHERE kind = 'decision'", of: Int64.self)) == 3)
        #expect(try await town.log.verifier.verify().findings == [])
    }

    @Test("The public figures are of months that are over")
    func figures() async throws {
        let town = try await Town()
        #expect(try await town.set(reviewDays: 30, lastDays: 100) == "set")
        try await town.read()
        func figures() async throws -> [String] {
            try await town.log.city.app.query(
                OneValue("SELECT concat_ws(' ', authority, set_count, in_force_count, read_count) FROM access_log.seal_figures('UTC')", of: String.self))
        }
        #expect(try await figures() == [])
        try await town.pass(days: 22.1)  // 1 April
        try await town.read()
        #expect(try await figures() == ["District Court 1 1 1"])
        try await town.pass(days: 60)  // May: it ended on 9 April
        #expect(try await figures() == ["District Court 1 0 2"])
    }
}
