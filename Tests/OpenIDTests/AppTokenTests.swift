// From the code to the token, what the token opens, and how it ends.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

/// Says nothing: what is refused is what these tests ask for.
let quiet: Logger = {
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    return logger
}()

@Suite("App tokens")
struct AppTokenTests {
    @Test("A code without its verifier, client or redirect address gives nothing, and is spent")
    func mismatches() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            for (name, changes) in [
                ("wrong verifier", ["code_verifier": App().verifier]), ("another port", ["redirect_uri": "http://127.0.0.1:51005/callback"]),
                ("no port", ["redirect_uri": "http://127.0.0.1/callback"]),
            ] as [(String, [String: String?])] {
                let app = App()
                let code = try await app.code(browser)
                try await expectRefusal(try await app.redeem(code, client, changes), "invalid_grant", status: 400, in: town, name)
                try await expectRefusal(try await app.redeem(code, client), "invalid_grant", status: 400, in: town, "\(name), then right")
            }
        }
    }

    @Test("What cannot be right is refused without touching the code, which then still serves")
    func malformed() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let code = try await app.code(browser)
            for (name, error, changes) in [
                ("no verifier", "invalid_request", ["code_verifier": nil]), ("empty verifier", "invalid_request", ["code_verifier": ""]),
                ("short verifier", "invalid_grant", ["code_verifier": "short"]), ("no code", "invalid_request", ["code": nil]),
                ("no address", "invalid_request", ["redirect_uri": nil]), ("no such code", "invalid_grant", ["code": OpaqueToken().characters]),
                ("nonsense", "invalid_grant", ["code": "nonsense"]), ("another app", "invalid_grant", ["client_id": "other-app"]),
            ] as [(String, String, [String: String?])] {
                try await expectRefusal(try await app.redeem(code, client, changes), error, status: 400, in: town, name)
            }
            try await expectRefusal(try await app.redeem(code, client, ["client_id": nil]), "invalid_client", status: 401, in: town)
            try await expectRefusal(try await app.redeem(code, client, ["client_id": town.clinic.client]), "invalid_client", status: 401, in: town)
            let twice = try await client.post("/oauth/token", form: [("grant_type", "authorization_code"), ("client_id", "city-app"), ("code", code), ("code", code)])
            try await expectRefusal(twice, "invalid_request", status: 400, in: town)
            #expect(try await app.redeem(code, client).status == 200)
        }
    }

    @Test("A code dies after a minute")
    func expiry() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let code = try await app.code(browser)
            try await town.city.setClock(secondsAhead: 61)
            try await expectRefusal(try await app.redeem(code, client), "invalid_grant", status: 400, in: town)
        }
    }

    @Test("A good code gives a token of an hour with everything registered, or the part that was asked for")
    func good() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let answer = try await app.redeem(try await app.code(browser), client)
            #expect(answer.status == 200)
            #expect(answer.headers[.cacheControl] == "no-store")
            #expect(answer.json["expires_in"] == 3_600 && answer.json["token_type"] == "Bearer")
            #expect(answer.json["scope"] == "profile consents access_log bills payments messages export")
            let part = App()
            let partAnswer = try await part.redeem(try await part.code(browser, ["scope": "bills consents"]), client)
            #expect(partAnswer.json["scope"] == "consents bills")
        }
    }

    @Test("An app with an https address is answered there, behind the query that it registered")
    func httpsApp() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App(clientID: "other-app", redirectAddress: "https://other.example/back?from=city")
            let page = try await app.begin(browser)
            let shown = try await browser.get(page)
            #expect(shown.headers[.contentSecurityPolicy]?.contains("form-action 'self' https://other.example https://www.wikipedia.org;") == true)
            #expect(shown.text.contains("other.example"))
            let location = try #require(try await browser.post(page + "/allow", []).headers[.location])
            #expect(location.hasPrefix("https://other.example/back?from=city&code="))
            #expect(try await app.redeem(try #require(parameters(of: location)["code"]), client).json["scope"] == "profile")
        }
    }

    @Test("Of one code redeemed ten times at once, one gives a token, and the others revoke it")
    func race() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let code = try await app.code(browser)
            let answers = try await inParallel(10) { _ in try await app.redeem(code, client) }
            #expect(answers.map(\.status).sorted() == [200] + Array(repeating: 400, count: 9))
            #expect(answers.filter { $0.status == 400 }.allSatisfy { $0.error == "invalid_grant" })
            #expect(try await town.liveTokens() == 0)
        }
    }

    @Test("Using a code again revokes what it gave, and leaves other tokens alone")
    func replay() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let code = try await app.code(browser)
            let token = try #require(try await app.redeem(code, client).accessToken)
            let other = App()
            let kept = try #require(try await other.redeem(try await other.code(browser), client).accessToken)
            #expect(try await client.get("/api/v1/me", bearer: token).status == 200)
            // Another app that got hold of the code learns nothing and ends nothing.
            #expect(try await app.redeem(code, client, ["client_id": "other-app"]).error == "invalid_grant")
            #expect(try await client.get("/api/v1/me", bearer: token).status == 200)
            #expect(try await app.redeem(code, client).error == "invalid_grant")
            let refused = try await client.get("/api/v1/me", bearer: token)
            #expect(refused.status == 401)
            #expect(refused.headers[.wwwAuthenticate]?.contains("error=\"invalid_token\"") == true)
            #expect(try await client.get("/api/v1/me", bearer: kept).status == 200)
        }
    }

    @Test("A code is worth nothing once its resident has signed out")
    func signedOut() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let app = App()
            let page = try await app.begin(browser)
            _ = try await browser.get(page)
            let answered = try await browser.post(page + "/allow", [])
            let code = try #require(parameters(of: answered.headers[.location])["code"])
            try await town.city.revoke(ada.session)
            let answer = try await app.redeem(code, client)
            #expect(answer.error == "invalid_grant")
        }
    }

    @Test("A code belongs to the resident whose session answered, whoever began")
    func whose() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let eve = try await town.city.resident(["given_names": "Eve"])
            let app = App()
            let first = CityBrowser(client, session: ada.session)
            let page = try await app.begin(first)
            // The same browser, where somebody else has signed in meanwhile.
            let browser = CityBrowser(client, session: eve.session, cookies: first.cookies)
            _ = try await browser.get(page)
            let code = try #require(parameters(of: try await browser.post(page + "/allow", []).headers[.location])["code"])
            let token = try #require(try await app.redeem(code, client).accessToken)
            let me = try await client.get("/api/v1/me", bearer: token)
            #expect(me.json["public_code"] == .string(eve.publicCode.description))
            #expect(!me.text.contains(ada.publicCode.description))
        }
    }
}

@Suite("Who the resident is")
struct OwnProfileTests {
    @Test("No cookie opens the API and no token opens a page")
    func separate() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let token = try await town.city.appToken(of: ada, scope: ["profile"])
            for answer in [
                try await client.get("/api/v1/me"), try await client.get("/api/v1/me", cookie: "stoa_session=\(ada.session.token)"),
                try await client.get("/api/v1/me", bearer: ada.session.token), try await client.get("/api/v1/me", bearer: "nonsense"),
            ] {
                #expect(answer.status == 401)
                #expect(answer.headers[.wwwAuthenticate]?.hasPrefix("Bearer") == true)
                #expect(answer.headers[.contentType] == "application/problem+json")
            }
            let page = try await App().begin(CityBrowser(client))
            for answer in [try await client.get(page, bearer: token.token), try await client.get(page, cookie: "stoa_session=\(token.token)")] {
                #expect(answer.status == 303 && answer.headers[.location]?.hasPrefix("/sign-in") == true)
            }
        }
    }

    @Test("An app without the scope, and an organisation's system, are refused and read nothing")
    func scope() async throws {
        try await Town.serve { town, client in
            let token = try await town.city.appToken(of: try await town.city.resident(), scope: ["bills"])
            let answer = try await client.get("/api/v1/me", bearer: token.token)
            #expect(answer.status == 403)
            #expect(answer.headers[.wwwAuthenticate]?.contains("insufficient_scope") == true)
            let organisation = try #require(try await client.token(try town.clinic.assertion()).accessToken)
            #expect(try await client.get("/api/v1/me", bearer: organisation).status == 403)
            #expect(try await town.city.entryCount() == 0)
        }
    }

    @Test("The app sees the resident as the city holds them; the view is written down once a token")
    func me() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident(language: "fr")
            let token = try await town.city.appToken(of: ada, scope: ["profile", "bills"])
            for _ in 0..<3 {
                let answer = try await client.get("/api/v1/me", bearer: token.token)
                #expect(answer.status == 200)
                #expect(answer.headers[.cacheControl] == "no-store")
                #expect(answer.json["public_code"] == .string(ada.publicCode.description))
                #expect(answer.json["identity_assurance"] == 2 && answer.json["authenticator_assurance"] == 1)
                #expect(answer.json["language"] == "fr" && answer.json["client_id"] == "fixture-app" && answer.json["scope"] == "profile bills")
                #expect(answer.json["attributes"]?["given_names"] == "Ada" && answer.json["attributes"]?["date_of_birth"] == "1815-12-10")
                #expect(answer.json["attributes"]?["national_number"] == nil)
            }
            #expect(try await town.city.entryCount(where: "e.operation = 'own_view' AND e.purpose = 'profile' AND e.outcome = 'permitted'") == 1)
        }
    }
}

@Suite("Revocation")
struct RevocationTests {
    @Test("A token given back is refused at once; giving it back again is no error")
    func own() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let token = try #require(try await app.redeem(try await app.code(browser), client).accessToken)
            #expect(try await client.get("/api/v1/me", bearer: token).status == 200)
            for _ in 0..<2 {
                let answer = try await client.post("/oauth/revoke", form: [("token", token), ("client_id", "city-app"), ("token_type_hint", "nonsense")])
                #expect(answer.status == 200)
                #expect(try await client.get("/api/v1/me", bearer: token).status == 401)
            }
            for unknown in [OpaqueToken().characters, "nonsense"] {
                #expect(try await client.post("/oauth/revoke", form: [("token", unknown), ("client_id", "city-app")]).status == 200)
            }
        }
    }

    @Test("Nobody ends another client's token, or a web session")
    func others() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let app = App()
            let token = try #require(try await app.redeem(try await app.code(browser), client).accessToken)
            let other = try await client.post("/oauth/revoke", form: [("token", token), ("client_id", "other-app")])
            #expect(other.status == 400 && other.error == "invalid_grant")
            let clinic = try await client.post(
                "/oauth/revoke",
                form: [("token", token), ("client_assertion_type", assertionType), ("client_assertion", try town.clinic.assertion())])
            #expect(clinic.status == 400)
            for fields in [[("token", token)], [("token", token), ("client_id", "nobody")], [("token", token), ("client_id", town.clinic.client)]] {
                #expect(try await client.post("/oauth/revoke", form: fields).status == 401)
            }
            #expect(try await client.post("/oauth/revoke", form: [("client_id", "city-app")]).error == "invalid_request")
            #expect(try await client.get("/api/v1/me", bearer: token).status == 200)
            #expect(try await client.post("/oauth/revoke", form: [("token", ada.session.token), ("client_id", "city-app")]).status == 200)
            #expect(try await browser.get(try await App().begin(browser)).status == 200)
        }
    }

    @Test("An organisation ends its own token with a signed assertion, which counts once here too")
    func organisation() async throws {
        try await Town.serve { town, client in
            let token = try #require(try await client.token(try town.clinic.assertion()).accessToken)
            // Unmodified Authlib addresses the endpoint that it calls; at the token endpoint that audience is a wrong one.
            let assertion = try town.clinic.assertion(claims: ["aud": .string(issuer + "/oauth/revoke")])
            #expect(try await client.token(assertion).status == 401)
            let fields = [("token", token), ("client_assertion_type", assertionType), ("client_assertion", assertion)]
            #expect(try await client.post("/oauth/revoke", form: fields).status == 200)
            #expect(try await town.liveTokens() == 0)
            #expect(try await client.post("/oauth/revoke", form: fields).status == 401)
        }
    }
}

@Suite("Without a database")
struct OutageTests {
    @Test("storage errors never reported as success: while the database is away, 503 and when to come back")
    func away() async throws {
        let city = try await CityFixture.make()
        let nowhere = try Database(configuration: Database.Configuration(url: "host=/nonexistent dbname=none"), logger: quiet)
        let routes = OpenIDRoutes(
            database: nowhere, door: Door(database: nowhere), vault: city.vault, keys: SigningKeys(database: nowhere, vault: city.vault),
            baseURL: try BaseURL(issuer))
        try await city.serve({ routes.add(to: $0) }) { client in
            for answer in [
                try await client.token(try AssertionMaker(client: "clinic-system").assertion()),
                try await App().redeem(OpaqueToken().characters, client),
                try await client.post("/oauth/revoke", form: [("token", OpaqueToken().characters), ("client_id", "city-app")]),
                try await client.get(App().address()),
                try await client.post("/oauth/token", form: [("grant_type", "refresh_token"), ("refresh_token", OpaqueToken().characters), ("client_id", "city-app")]),
                try await client.post("/oauth/introspect", form: [("token", OpaqueToken().characters), ("client_id", "city-app")]),
                try await client.post("/oauth/par", form: [("client_id", "city-app")]), try await client.post("/oauth/device", form: [("client_id", "city-app")]),
                try await client.get("/oauth/keys"), try await client.get("/oauth/userinfo", bearer: try AssertionMaker(client: "x").assertion(header: ["typ": "at+jwt"])),
            ] {
                #expect(answer.status == 503)
                #expect(answer.headers[.retryAfter] != nil)
            }
        }
        await nowhere.shutdown()
    }
}
