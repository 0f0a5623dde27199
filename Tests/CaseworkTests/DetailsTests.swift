// What a resident reads about himself or herself.
import AccessLog
import City
import Foundation
import Register
import Testing

@Suite("Details page")
struct DetailsTests {
    @Test("A date and a language are written in words of the reader's language", arguments: [
        ("en", "10 December 1815", "English"), ("fr", "10 décembre 1815", "anglais"), ("ar", "1815", "الإنجليزية"),
    ])
    func inWords(language: String, born: String, spoken: String) async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident(["given_names": "Ada", "date_of_birth": "1815-12-10", "preferred_language": "en"], language: language)
        let corrections = Corrections(database: city.app, vault: city.vault, lookup: city.lookup)
        let door = Door(database: city.app)
        try await city.serve {
            RegisterRoutes(door: door, vault: city.vault, corrections: corrections).add(to: $0)
        } _: { client in
            let page = try await CityBrowser(client, session: ada.session).get("/details").text
            #expect(page.contains(born) && page.contains(spoken))
            #expect(!page.contains(">en<"))
        }
    }
}
