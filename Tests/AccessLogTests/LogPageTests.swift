// The page on which residents read who looked: what an organisation asked for under names that the city does not know is said in words.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import TransparencyLog
import Web

@testable import AccessLog

@Suite("The page of the log")
struct LogPageTests {
    /// A town whose clinic asks about its resident.
    private struct Asking {
        let town: LogTown
        let clinic: FixtureOrganisation
        let subject: UUID

        init() async throws {
            town = try await LogTown.make()
            clinic = try await town.city.organisation("clinic")
            _ = try await town.city.activity(clinic, "care", attributes: ["given_names", "phone"])
            subject = try await town.city.pseudonym(of: town.resident, for: clinic)
        }

        /// - Returns: the number of the entry that the refused request made.
        func ask(for attributes: [String], purpose: String = "care") async throws -> AccessEntryID {
            let request = AccessRequest(
                credential: clinic.credential.hash, operation: .disclose, subject: .pseudonym(subject), attributes: attributes, purpose: purpose,
                caseReference: "K-1")
            await #expect(throws: RefusedAccess.self) { _ = try await town.door.read(request) }
            return request.id
        }

        func page(_ language: String = "en") async throws -> String {
            try await town.city.owner.execute("UPDATE identity.account SET language = \(language) WHERE id = \(town.resident.accountID.uuid)")
            return try await get("/access-log").text
        }

        /// What the resident's browser, or another's, gets.
        func get(_ path: String, by resident: FixtureResident? = nil) async throws -> CityAnswer {
            try await town.city.serve({
                AccessLogRoutes(database: town.city.app, entries: town.entries, heads: town.heads).add(to: $0)
            }) { client in
                try await CityBrowser(client, session: (resident ?? town.resident).session).get(path)
            }
        }
    }

    @Test("An unknown kind of data and an unknown purpose are told as such, in every language")
    func unknownNames() async throws {
        let asking = try await Asking()
        _ = try await asking.ask(for: ["phone", "shoe_size"])
        _ = try await asking.ask(for: ["phone"], purpose: "fortune-telling")
        for (language, attributes, purpose) in [
            ("en", "something that the city does not have: \u{2068}shoe_size\u{2069}", "A purpose that the city does not know: \u{2068}fortune-telling\u{2069}"),
            ("fr", "quelque chose que la ville n’a pas : \u{2068}shoe_size\u{2069}", "Une finalité que la ville ne connaît pas : \u{2068}fortune-telling\u{2069}"),
            ("ar", "شيء ليس لدى المدينة: \u{2068}shoe_size\u{2069}", "غرض لا تعرفه المدينة: \u{2068}fortune-telling\u{2069}"),
        ] {
            let page = try await asking.page(language)
            #expect(page.contains(attributes) && page.contains(purpose), "\(language)")
            #expect(!page.contains("‹"))
        }
        #expect(try await asking.page().contains("Phone (register)"))
    }

    @Test("Neither markup nor marks that turn text around reach the page from a name")
    func hostileNames() async throws {
        let asking = try await Asking()
        _ = try await asking.ask(for: ["<b>\u{202E}\u{2069}x\u{0007}y"], purpose: "<i>\u{202E}\u{200B}z")
        let page = try await asking.page()
        #expect(page.contains("\u{2068}&lt;b&gt;xy\u{2069}") && page.contains("\u{2068}&lt;i&gt;z\u{2069}"))
        #expect(!page.contains("\u{202E}") && !page.contains("<b>") && !page.contains("<i>"))
    }

    @Test("Every entry shows the number that the organisation was given")
    func numbers() async throws {
        let asking = try await Asking()
        let numbers = [try await asking.ask(for: ["phone"]), try await asking.ask(for: ["given_names"])]
        let page = try await asking.page()
        for number in numbers { #expect(page.contains(">\(number)<")) }
    }

    @Test("The list shows what was chosen: an organisation, a purpose, what was refused, one's own views")
    func filters() async throws {
        let asking = try await Asking()
        let bank = try await asking.town.city.organisation("bank")
        let refused = try await asking.ask(for: ["phone"])
        let lookedUp = AccessRequest(
            credential: try await asking.town.city.staff(roles: [.caseworker]).session.hash, operation: .search,
            subject: .resident(asking.town.resident.id), attributes: [], purpose: "complaint", caseReference: "K-2")
        _ = try await asking.town.door.read(lookedUp)
        let all = [refused, lookedUp.id]
        for (query, expected) in [
            ("", all), ("?organisation=", all), ("?organisation=clinic", [refused]), ("?organisation=city", [lookedUp.id]),
            ("?organisation=\(bank.id)", []), ("?organisation=nobody", []), ("?outcome=refused", [refused]), ("?purpose=complaint", [lookedUp.id]),
            ("?organisation=city&outcome=refused", []), ("?own=shown", all),
        ] as [(String, [AccessEntryID])] {
            let page = try await asking.get("/access-log\(query)").text
            for entry in all { #expect(page.contains("/access-log/\(entry)\"") == expected.contains(entry), "\(query)") }
            #expect(page.contains("You looked at this list") == (query == "?own=shown"))
        }
        // The organisations of this list alone, with the one that was chosen.
        let page = try await asking.get("/access-log?organisation=clinic").text
        #expect(page.contains("<option value=\"clinic\" selected>") && page.contains("<option value=\"city\">") && !page.contains("value=\"bank\""))
    }

    @Test("One entry says why it could be, in a sentence, and is shown to nobody else")
    func oneEntry() async throws {
        let asking = try await Asking()
        let entry = try await asking.ask(for: ["phone"])
        let page = try await asking.get("/access-log/\(entry)")
        #expect(page.status == 200)
        #expect(page.text.contains("It was refused, and no data was given out: You were not sharing this at that moment."))
        #expect(page.text.contains("href=\"/access-log/\(entry)/question\""))
        let other = try await asking.town.city.resident()
        #expect(try await asking.get("/access-log/\(entry)", by: other).status == 404)
        #expect(try await asking.get("/access-log/\(AccessEntryID.new())").status == 404)
        #expect(try await asking.get("/access-log/nonsense").status == 404)
        // A view of one's own has nobody to ask.
        let own = try await asking.town.city.owner.one(
            OneValue("SELECT id FROM access_log.entry WHERE operation = 'own_view' AND subject_id = \(asking.town.resident.id.uuid)", of: UUID.self))
        let ownPage = try await asking.get("/access-log/\(AccessEntryID(own))").text
        #expect(ownPage.contains("Everybody may see their own data") && !ownPage.contains("/question"))
    }

    @Test("The whole list as a file: every entry once, in both forms, over several reads, and no formula for a spreadsheet")
    func export() async throws {
        let asking = try await Asking()
        let count = EntryExport.entriesPerRead * 2 + 3
        var requests: [AccessRequest] = []
        for number in 0..<count {
            requests.append(
                AccessRequest(
                    credential: asking.clinic.credential.hash, operation: .disclose, subject: .pseudonym(asking.subject), attributes: ["phone"],
                    purpose: "care", caseReference: number == 0 ? "=1+\"2\"" : "K-\(number)"))
        }
        _ = try await asking.town.door.read(requests)
        let csv = try await asking.get("/access-log.csv")
        #expect(csv.headers[.contentType]?.hasPrefix("text/csv") == true && csv.headers[.contentDisposition]?.hasPrefix("attachment") == true)
        let lines = csv.text.split(separator: "\r\n")
        // The first line names the columns, and the view of the list is an entry too.
        #expect(lines.count == count + 2)
        #expect(Set(requests.map(\.id.description)).isSubset(of: Set(lines.compactMap { $0.split(separator: ",").dropFirst().first.map { String($0.dropFirst().dropLast()) } })))
        #expect(csv.text.contains("\"'=1+\"\"2\"\"\""))
        let json = try await asking.get("/access-log.json")
        let items = try #require(try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [[String: Any]])
        #expect(items.count == count + 1 && Set(items.compactMap { $0["id"] as? String }).count == count + 1)
        let empty = try await asking.get("/access-log.json", by: try await asking.town.city.resident())
        #expect((try JSONSerialization.jsonObject(with: Data(empty.text.utf8)) as? [[String: Any]])?.count == 1)
    }

    @Test("No cell of the file begins like a formula", arguments: [
        ("=1+1", "'=1+1"), ("=\u{301}cmd", "'=\u{301}cmd"), ("+\u{FE0F}1", "'+\u{FE0F}1"), ("x;=1", "x;'=1"), (" =1", " '=1"), ("\u{FF1D}1", "'\u{FF1D}1"),
        ("K-1", "K-1"), ("a=b", "a=b"),
    ])
    func formulas(reference: String, cell: String) async throws {
        let asking = try await Asking()
        _ = try await asking.town.door.read([
            AccessRequest(
                credential: asking.clinic.credential.hash, operation: .list, subject: .pseudonym(asking.subject), attributes: ["phone"], purpose: "care",
                caseReference: reference)
        ])
        let bytes = Array(try await asking.get("/access-log.csv").text.utf8)
        #expect(bytes.firstRange(of: Array("\"\(cell)\"".utf8)) != nil)
    }

    @Test("Every kind of data has its words")
    func attributes() async throws {
        let known = try await CityFixture.make().owner.query(OneValue("SELECT id FROM register.attribute", of: String.self))
        // A bank account is no attribute of the register; outgoing payments read it.
        #expect(knownAttributes == Set(known).union(["bank_account"]))
    }
}
