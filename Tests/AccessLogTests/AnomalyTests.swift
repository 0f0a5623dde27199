// Unusual accesses: what the search finds, once, and who may look into it and close it.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import AccessLog

@Suite("Unusual accesses")
struct AnomalyTests {
    /// A city on a Tuesday at ten.
    private struct Town {
        let city: CityFixture
        let clerk: FixtureStaff
        let auditor: FixtureStaff
        let door: Door
        let anomalies: Anomalies
        let residents: [FixtureResident]

        static let tuesday = "2026-11-17T10:00:00Z"
        static let rules = AnomalyRules(timeZone: .gmt, officeHours: 7..<19, peoplePerHourMax: 3)

        static func make() async throws -> Town {
            let city = try await CityFixture.make()
            try await stop(city, tuesday)
            let door = Door(database: city.app)
            var residents: [FixtureResident] = []
            for _ in 0..<4 { residents.append(try await city.resident()) }
            let town = Town(
                city: city, clerk: try await city.staff(roles: [.caseworker]), auditor: try await city.staff(roles: [.auditor]), door: door,
                anomalies: Anomalies(database: city.app, door: door), residents: residents)
            try await town.keepSessions()
            return town
        }

        static func stop(_ city: CityFixture, _ moment: String) async throws {
            try await city.stopClock(at: Date(moment, strategy: .iso8601))
        }

        func stop(_ moment: String) async throws { try await Self.stop(city, moment) }

        /// Sessions that outlive what the clock skips.
        func keepSessions() async throws {
            try await city.owner.execute("UPDATE web.credential SET idle_after = interval '60 days', expires_at = public.stoa_now() + interval '60 days'")
        }

        func look(_ resident: FixtureResident, by staff: FixtureStaff? = nil) async throws {
            _ = try await door.read(
                AccessRequest(
                    credential: (staff ?? clerk).session.hash, operation: .search, subject: .resident(resident.id), attributes: [], purpose: "assistance",
                    caseReference: "C-1"))
        }

        @discardableResult
        func search() async throws -> Int { try await AnomalySearch.run(in: city.app, rules: Self.rules) }

        /// The tasks, as "rule day number of entries".
        func found() async throws -> [String] {
            try await anomalies.waiting(for: auditor.session.hash).map { "\($0.rule) \($0.day) \($0.entryCount)" }.sorted()
        }
    }

    @Test("An ordinary day leaves nothing; a weekend, an early and a late hour do, once for each day however often it is searched", arguments: [
        ("2026-11-17T07:00:00Z", false), ("2026-11-17T18:59:59Z", false), ("2026-11-17T06:59:59Z", true), ("2026-11-17T19:00:00Z", true),
        ("2026-11-21T12:00:00Z", true), ("2026-11-22T12:00:00Z", true),
    ])
    func officeHours(moment: String, isFound: Bool) async throws {
        let town = try await Town.make()
        try await town.stop(moment)
        try await town.look(town.residents[0])
        try await town.look(town.residents[1])
        let day = moment.prefix(10)
        let numbers = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<6 { group.addTask { try await town.search() } }
            return try await group.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(numbers.reduce(0, +) == (isFound ? 1 : 0))
        #expect(try await town.search() == 0)
        #expect(try await town.found() == (isFound ? ["off_hours \(day) 2"] : []))
    }

    @Test("The city's clock counts, not the database's")
    func timeZone() async throws {
        let town = try await Town.make()
        try await town.stop("2026-11-17T18:30:00Z")
        try await town.look(town.residents[0])
        let nairobi = AnomalyRules(timeZone: try #require(TimeZone(identifier: "Africa/Nairobi")))
        #expect(try await AnomalySearch.run(in: town.city.app, rules: nairobi) == 1)
    }

    @Test("More people than usual in one hour are found; as many looks at few people, or over two hours, are not")
    func manyPeople() async throws {
        let town = try await Town.make()
        for resident in town.residents.prefix(3) + town.residents.prefix(3) { try await town.look(resident) }
        try await town.search()
        #expect(try await town.found() == [])
        try await town.stop("2026-11-17T11:00:00Z")
        try await town.look(town.residents[3])
        try await town.search()
        #expect(try await town.found() == [])
        // Searched in the middle of the hour, it is still the whole hour that counts.
        try await town.stop("2026-11-17T11:59:00Z")
        for resident in town.residents.prefix(3) { try await town.look(resident) }
        #expect(try await town.search() == 1)
        #expect(try await town.found() == ["many_people 2026-11-17 4"])
    }

    @Test("A colleague's record is found, one's own too; an auditor's look into a log is not")
    func colleague() async throws {
        let town = try await Town.make()
        try await town.city.owner.execute("UPDATE identity.staff SET resident_id = \(town.residents[0].id) WHERE id = \(town.clerk.id)")
        let other = try await town.city.staff(roles: [.caseworker])
        try await town.look(town.residents[0], by: other)
        try await town.look(town.residents[1], by: other)
        try await town.look(town.residents[0])
        _ = try await town.door.read(
            AccessRequest(
                credential: town.auditor.session.hash, operation: .logView, subject: .resident(town.residents[0].id), attributes: [], purpose: "question",
                caseReference: "Q"))
        #expect(try await town.search() == 2)
        #expect(try await town.found() == Array(repeating: "colleague 2026-11-17 1", count: 2))
    }

    @Test("An organisation stands out above ten times its usual hour, when there is a usual hour and it is no trifle", arguments: [
        (8, 20, 201, true), (8, 20, 200, false), (7, 20, 201, false), (8, 5, 99, false), (8, 5, 100, true),
    ])
    func organisation(hours: Int, usual: Int, asked: Int, isFound: Bool) async throws {
        let town = try await Town.make()
        let clinic = try await town.city.organisation("clinic")
        try await town.city.owner.execute(
            """
            INSERT INTO access_log.organisation_hour (organisation_id, hour, count)
            SELECT \(clinic.id), date_trunc('hour', public.stoa_now()) - make_interval(hours => 1 + n), \(Int32(usual))
            FROM generate_series(1, \(Int32(hours))) AS n
            """)
        try await town.city.owner.execute(
            """
            INSERT INTO exchange.volume (organisation_id, is_of_lists, minute, count)
            SELECT \(clinic.id), l.is_of_lists, date_trunc('hour', public.stoa_now()) - interval '20 minutes', l.count
            FROM (VALUES (false, 50), (true, \(Int32(asked)) - 50)) AS l (is_of_lists, count)
            """)
        #expect(try await town.search() == (isFound ? 1 : 0))
        #expect(try await town.search() == 0)
        let volume = try await town.anomalies.waiting(for: town.auditor.session.hash).first?.volume
        #expect(volume?.count == (isFound ? asked : nil) && volume?.usual == (isFound ? usual : nil))
    }

    @Test("What is behind it is told after every resident concerned has the look in their log, and to an auditor who is not concerned")
    func looking() async throws {
        let town = try await Town.make()
        let both = try await town.city.staff(roles: [.caseworker, .auditor])
        try await town.keepSessions()
        try await town.stop("2026-11-21T12:00:00Z")
        for resident in town.residents.prefix(2) { try await town.look(resident, by: both) }
        try await town.search()
        for session in [both.session, town.clerk.session, town.residents[0].session] {
            #expect(try await town.anomalies.waiting(for: session.hash).isEmpty)
        }
        let task = try #require(try await town.anomalies.waiting(for: town.auditor.session.hash).first)
        #expect(try await town.anomalies.one(task.reference, for: both.session.hash) == nil)
        #expect(try await town.city.app.query(AnomalySubjects(credential: both.session.hash, reference: task.reference)).isEmpty)
        let entries = try await town.anomalies.entries(behind: task, for: town.auditor.session.hash)
        #expect(entries.count == 2)
        #expect(try await town.city.entryCount(where: "e.operation = 'log_view' AND e.purpose = 'anomaly' AND e.case_reference = \(task.reference)") == 2)
        let looked = try await town.city.owner.query(OneValue("SELECT id FROM access_log.entry WHERE operation = 'log_view'", of: UUID.self))
        for session in [both.session, town.clerk.session] {
            #expect(try await town.city.app.query(AnomalyEntries(credential: session.hash, viewEntries: looked.map(AccessEntryID.init))).isEmpty)
        }
        // A look into one log shows nothing of another's.
        let one = try await town.city.app.query(AnomalyEntries(credential: town.auditor.session.hash, viewEntries: [AccessEntryID(looked[0])]))
        #expect(one.count == 1)
        try await town.stop("2026-11-21T12:00:06Z")
        #expect(try await town.city.app.query(AnomalyEntries(credential: town.auditor.session.hash, viewEntries: looked.map(AccessEntryID.init))).isEmpty)
    }

    @Test("A task is closed once, after a look, by somebody who is not concerned; more of the same day opens it again")
    func closing() async throws {
        let town = try await Town.make()
        let both = try await town.city.staff(roles: [.caseworker, .auditor])
        try await town.keepSessions()
        try await town.stop("2026-11-21T12:00:00Z")
        try await town.look(town.residents[0], by: both)
        try await town.search()
        let task = try #require(try await town.anomalies.waiting(for: town.auditor.session.hash).first)
        func close(_ staff: FixtureStaff) async throws -> CloseOutcome {
            try await town.anomalies.close(task.reference, .explained, note: "An evening of the electoral office.", session: staff.session.hash)
        }
        #expect(try await close(town.auditor) == .notAllowed)
        #expect(try await close(town.clerk) == .notAllowed)
        #expect(try await close(both) == .ownAction)
        await #expect(throws: DatabaseError.self) {
            try await town.city.owner.execute(
                "INSERT INTO access_log.anomaly_finding (anomaly_id, finding, note, closed_by) SELECT id, 'explained', 'x', \(both.id) FROM access_log.anomaly")
        }
        _ = try await town.anomalies.entries(behind: task, for: town.auditor.session.hash)
        try await town.stop("2026-11-21T13:00:01Z")
        #expect(try await close(town.auditor) == .notAllowed)
        _ = try await town.anomalies.entries(behind: task, for: town.auditor.session.hash)
        let outcomes = try await withThrowingTaskGroup(of: CloseOutcome.self) { group in
            for _ in 0..<6 { group.addTask { try await close(town.auditor) } }
            return try await group.reduce(into: [CloseOutcome]()) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .closed } == 1 && outcomes.count { $0 == .alreadyClosed } == 5)
        try await town.stop("2026-11-21T14:00:00Z")
        try await town.search()
        #expect(try await town.found() == [])
        try await town.look(town.residents[1], by: both)
        #expect(try await town.search() == 0)
        #expect(try await town.found() == ["off_hours 2026-11-21 2"])
    }

    @Test("The server's role can neither read nor write the tables, and nobody changes what was found")
    func tablesAreClosed() async throws {
        let town = try await Town.make()
        try await town.stop("2026-11-21T12:00:00Z")
        try await town.look(town.residents[0])
        try await town.search()
        for table in ["anomaly", "anomaly_entry", "anomaly_finding", "organisation_hour", "anomaly_search"] {
            await #expect(throws: DatabaseError.self) { try await town.city.app.exclusive { _ = try await $0.execute("SELECT * FROM access_log.\(unsafeRaw: table)") } }
        }
        for table in ["anomaly_entry", "anomaly_finding"] {
            await #expect(throws: DatabaseError.self) { try await town.city.owner.execute("DELETE FROM access_log.\(unsafeRaw: table)") }
        }
        await #expect(throws: DatabaseError.self) { try await town.city.owner.execute("UPDATE access_log.anomaly SET actor_id = 'x'") }
    }

    @Test("On the pages: on the auditor's list without any resident, looked into, refused half filled, closed")
    func pages() async throws {
        let town = try await Town.make()
        try await town.stop("2026-11-21T12:00:00Z")
        try await town.look(town.residents[0])
        try await town.search()
        try await town.city.serve { AnomalyRoutes(anomalies: town.anomalies).add(to: $0) } _: { client in
            let auditor = CityBrowser(client, session: town.auditor.session)
            #expect(try await CityBrowser(client, session: town.clerk.session).get("/staff/anomalies").status == 403)
            let list = try await auditor.get("/staff/anomalies").text
            #expect(list.contains("Outside office hours") && list.contains(town.clerk.username))
            #expect(!list.contains(town.residents[0].publicCode.description) && !list.contains("C-1"))
            #expect(try await town.city.entryCount(where: "e.operation = 'log_view'") == 0)
            let place = "/staff/anomalies/" + (try await town.city.owner.one(OneValue("SELECT reference FROM access_log.anomaly", of: String.self)))
            let page = try await auditor.get(place).text
            #expect(page.contains("somebody looked you up") && page.contains("C-1"))
            #expect(try await town.city.entryCount(where: "e.operation = 'log_view'") == 1)
            #expect(try await auditor.post(place, [("finding", "explained"), ("note", " ")]).status == 422)
            #expect(try await auditor.post(place, [("finding", "misuse"), ("note", "No case of that number exists.")]).status == 303)
            #expect(try await auditor.get(place).headers[.location] == "/staff/anomalies")
            #expect(try await auditor.get("/staff/anomalies").text.contains("Nothing unusual waits"))
        }
    }
}
