// Nobody learns who has an account, nor comes by somebody else's: not by time, not by an address, not by the names of hosts.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import NIOCore
import Postgres
import Primitives
import Testing
import Web

@testable import Identity

@Suite("Whose account")
struct ExistenceTests {
    @Test("account-existence by time: a name of nobody takes as long as one with a wrong password")
    func time() async throws {
        let city = try await CityFixture.make()
        let identity = IdentityService(
            database: city.app, passwords: try PasswordHasher(threadCount: 1), vault: city.vault, lookup: city.lookup,
            settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let name = try #require(SignInName.username("ada"))
        _ = try await identity.register(Registration(names: [name], password: Redacted(Household.password), language: .english))
        var times: [String: [Duration]] = [:]
        // Four are free of waiting.
        for number in 0..<4 {
            for typed in ["ada", "nobody"] {
                let begun = ContinuousClock.now
                _ = try? await identity.signIn(typedName: typed, password: Redacted("wrong \(number)"), address: "192.0.2.1", isSharedComputer: false)
                times[typed, default: []].append(ContinuousClock.now - begun)
            }
        }
        // A hash is a hundred times what else there is to do: the quickest of each, which nothing else on the machine held up.
        let (known, unknown) = (try #require(times["ada"]?.min()), try #require(times["nobody"]?.min()))
        #expect(unknown > known / 2 && unknown < known * 2, "known \(known), unknown \(unknown)")
    }

    @Test("account linking by e-mail: whoever registers with an address that the city knows is nobody's account, and proves nothing")
    func linkingByEmail() async throws {
        let house = try await Household()
        let known = try await house.city.resident(["given_names": "Ada", "family_name": "Byron", "email": "ada@example.org", "contact_email": "ada@example.org"])
        try await house.resident(.email("ada@example.org"))
        let session = try await house.session("ada@example.org")
        guard case .resident(let caller) = try await house.caller(session) else {
            Issue.record("no resident")
            return
        }
        #expect(caller.residentID != known.id && caller.identityAssurance == 0)
        // Nor does a second account with the same address come to be.
        await #expect(throws: DatabaseError.self) { try await house.resident(.email("Ada@Example.org")) }
    }

    @Test("Host headers never in messages, pages or addresses to go on to")
    func hostHeaders() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.serve { client in
            let browser = CityBrowser(client)
            for path in ["/sign-in", "/register", "/recover", "/sign-in/passkey"] {
                for name in ["X-Forwarded-Host", "Forwarded", "X-Original-Host"] {
                    var headers = HTTPFields()
                    headers[try #require(HTTPField.Name(name))] = name == "Forwarded" ? "host=evil.example" : "evil.example"
                    let answer = try await client.executeRequest(uri: path, method: .get, headers: headers, body: nil)
                    #expect(!String(buffer: answer.body).contains("evil.example") && !"\(answer.headers)".contains("evil.example"), "\(path) \(name)")
                }
            }
            _ = try await browser.get("/sign-in")
            _ = try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password)])
            #expect(try await browser.get("/messages").status == 200)
        }
        let stored = try await house.city.owner.query(OneValue("SELECT m::text FROM messages.message AS m", of: String.self))
        #expect(!stored.contains { $0.contains("localhost") || $0.contains("http") })
    }
}
