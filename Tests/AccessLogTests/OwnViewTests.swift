// Residents see who looked, and nobody else's lines; looking is itself a line, once a session.
import City
import Foundation
import Postgres
import Primitives
import Testing
import TransparencyLog
import Web

@testable import AccessLog

@Suite("Residents read their own log")
struct OwnViewTests {
    private func entries(_ door: Door, _ city: CityFixture, _ credential: CredentialHash, withOwn: Bool = false) async throws -> [AccessEntry] {
        _ = try await door.read(
            AccessRequest(credential: credential, operation: .ownView, subject: .own, attributes: [], purpose: "access_log", caseReference: ""))
        return try await city.app.query(EntriesAbout(credential: credential, filter: EntryFilter(withOwn: withOwn), before: nil, pageSize: 50))
    }

    @Test("Before the view is logged there is nothing to see")
    func notLogged() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let door = Door(database: city.app)
        let staff = try await city.staff(roles: [.caseworker])
        _ = try await door.read(
            AccessRequest(
                credential: staff.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [],
                purpose: "complaint", caseReference: "C-1"))
        let unlogged = try await city.app.query(EntriesAbout(credential: resident.session.hash, filter: EntryFilter(withOwn: true), before: nil, pageSize: 50))
        #expect(unlogged.isEmpty)
        #expect(try await entries(door, city, resident.session.hash).map(\.operation) == ["search"])
    }

    @Test("An own view is one line a session, and shown only when asked for")
    func onceASession() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let door = Door(database: city.app)
        for _ in 0..<3 { #expect(try await entries(door, city, resident.session.hash).isEmpty) }
        #expect(try await entries(door, city, resident.session.hash, withOwn: true).count == 1)
        let another = try await city.session(of: resident.accountID)
        #expect(try await entries(door, city, another.hash, withOwn: true).count == 2)
    }

    @Test("Nobody gets another resident's lines, and staff sessions get none")
    func otherPeople() async throws {
        let city = try await CityFixture.make()
        let (ada, bob) = (try await city.resident(), try await city.resident(["given_names": "Bob"]))
        let door = Door(database: city.app)
        let staff = try await city.staff(roles: [.caseworker, .auditor])
        _ = try await door.read(
            AccessRequest(
                credential: staff.session.hash, operation: .search, subject: .publicCode(ada.publicCode), attributes: [], purpose: "complaint",
                caseReference: "C-1"))
        #expect(try await entries(door, city, bob.session.hash).isEmpty)
        await #expect(throws: RefusedAccess(refusal: .scopeMissing, missing: [])) { _ = try await entries(door, city, staff.session.hash) }
        #expect(try await city.app.query(EntriesAbout(credential: staff.session.hash, filter: EntryFilter(withOwn: true), before: nil, pageSize: 50)).isEmpty)
    }

    @Test("A paper form that was not entered is told as one that changed nothing, on the page and to programs")
    func refusedForm() async throws {
        let town = try await LogTown.make()
        let staff = try await town.city.staff(roles: [.caseworker])
        _ = try await town.door.read(
            AccessRequest(
                credential: staff.session.hash, operation: .paperEntry, subject: .resident(town.resident.id), attributes: [], purpose: "assistance",
                caseReference: "7KQ-2MX-9HD"))
        let token = try await town.city.appToken(of: town.resident, scope: ["access_log"])
        try await town.city.serve {
            AccessLogRoutes(database: town.city.app, entries: town.entries, heads: town.heads).add(to: $0)
        } _: { client in
            let page = try await CityBrowser(client, session: town.resident.session).get("/access-log").text
            #expect(page.contains("nothing was changed") && !page.contains("entered for you"))
            let list = try await CityAPIClient(client, token: token).get("/api/v1/access-entries").json
            guard case .array(let items)? = list["items"], let entry = items.first else { Issue.record("no entry"); return }
            #expect(entry["operation"] == "paper_entry" && entry["form_entered"] == false && entry["helper"] == .null)
            let csv = try await CityBrowser(client, session: town.resident.session).get("/access-log.csv").text
            #expect(csv.contains(#","refusal","form_entered","helper","#) && csv.contains(#","permitted","","false",""#))
        }
    }

    @Test("Every reason that staff may give has its words")
    func reasons() async throws {
        let known = try await CityFixture.make().owner.query(OneValue("SELECT id FROM access_log.staff_reason", of: String.self))
        #expect(staffReasons == Set(known))
    }

    @Test("Pages follow one another without a gap or a repetition")
    func paging() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let door = Door(database: city.app)
        let staff = try await city.staff(roles: [.caseworker])
        for number in 0..<9 {
            _ = try await door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: .search, subject: .publicCode(resident.publicCode), attributes: [],
                    purpose: "complaint", caseReference: "C-\(number)"))
        }
        _ = try await entries(door, city, resident.session.hash)
        var seen: [String] = []
        var before: MomentCursor?
        repeat {
            let page = try await city.app.query(EntriesAbout(credential: resident.session.hash, filter: EntryFilter(withOwn: false), before: before, pageSize: 4))
            seen += page.compactMap(\.caseReference)
            before = try page.last.map { try #require(MomentCursor(MomentCursor(at: $0.at, id: $0.id.uuid).description)) }
            if page.count < 4 { break }
        } while true
        #expect(seen == (0..<9).reversed().map { "C-\($0)" })
    }
}
