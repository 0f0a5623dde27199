// The page on which residents read who looked: what an organisation asked for under names that the city does not know is said in words.
import City
import Foundation
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
            return try await town.city.serve({
                AccessLogRoutes(database: town.city.app, door: town.door, verifier: town.signer.verifier).add(to: $0)
            }) { client in
                try await CityBrowser(client, session: town.resident.session).get("/access-log").text
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
            ("fr", "quelque chose que la ville n’a pas : \u{2068}shoe_size\u{2069}", "Une finalité que la ville ne connaît pas : \u{2068}fortune-telling\u{2069}"),
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

    @Test("Every kind of data has its words")
    func attributes() async throws {
        let known = try await CityFixture.make().owner.query(OneValue("SELECT id FROM register.attribute", of: String.self))
        #expect(knownAttributes == Set(known))
    }
}
