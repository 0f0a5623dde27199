// Services renew their tokens, one answer after the other; who holds a used token ends the sign-in; residents end services.
import AccessLog
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

/// A sign-in that goes on without the resident.
private let lasting: [String: String?] = ["scope": "openid profile offline_access"]

extension Service {
    /// - Parameter token: a refresh token.
    fileprivate func renew(_ token: String?, _ client: any TestClientProtocol, _ more: [(String, String)] = []) async throws -> Answer {
        try await client.post(
            "/oauth/token",
            form: [
                ("grant_type", "refresh_token"), ("refresh_token", token ?? ""), ("client_assertion_type", assertionType), ("client_assertion", try maker.assertion()),
            ] + more)
    }

    fileprivate func introspect(_ token: String?, _ client: any TestClientProtocol) async throws -> JSONValue {
        let answer = try await client.post(
            "/oauth/introspect",
            form: [("token", token ?? ""), ("client_assertion_type", assertionType), ("client_assertion", try maker.assertion())])
        #expect(answer.status == 200)
        return answer.json
    }
}

extension Answer {
    fileprivate var refreshToken: String? { json["refresh_token"]?.text }
}

@Suite("Refresh tokens")
struct RefreshTests {
    @Test("Another password ends the tokens of apps and of services, also of those that go on without the resident", arguments: [false, true])
    func anotherPassword(isRecovery: Bool) async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let first = try await story.service.tokens(browser, client, lasting)
            let app = App()
            let token = try await app.redeem(try await app.code(browser), client)
            #expect(try await client.get("/api/v1/me", bearer: token.accessToken).status == 200)
            let late = App()
            let code = try await late.code(browser)
            let (hmac, new) = ([UInt8](repeating: 1, count: 32), FixtureCredential().hash.bytes)
            if isRecovery {
                try await story.city.owner.execute("UPDATE web.credential SET first_factor = 'recovery_code' WHERE hash = \(ada.session.hash.bytes)")
                let replace: SQL = "SELECT identity.replace_password(\(ada.session.hash.bytes), '$argon2id$new', \(new))"
                #expect(try await story.city.app.one(OneValue(replace)) == true)
            } else {
                let old = try await story.city.owner.one(OneValue("SELECT password_hash FROM identity.account", of: String.self))
                let change: SQL = "SELECT identity.change_password(\(ada.session.hash.bytes), \(old), '$argon2id$new', \(hmac), \(new))"
                #expect(try await story.city.app.one(OneValue(change)) == "changed")
            }
            #expect(try await client.get("/api/v1/me", bearer: token.accessToken).status == 401)
            #expect(try await client.get("/oauth/userinfo", bearer: first.accessToken).status == 401)
            #expect(try await story.service.introspect(first.accessToken, client)["active"] == false)
            #expect(try await story.service.renew(first.refreshToken, client).error == "invalid_grant")
            // The session that changed it goes on, and what was begun in it.
            #expect(try await late.redeem(code, client).status == 200)
        }
    }

    @Test("Who asked for offline_access, and was agreed to, renews: same person and sign-in, new tokens, no nonce")
    func renewal() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let page = try await story.another.begin(browser, lasting)
            #expect(try await browser.get(page).text.contains("It asks to stay connected when you are not there"))
            let first = try await story.service.tokens(browser, client, lasting)
            let before = try await verified(first.idToken, client).claims
            let second = try await story.service.renew(first.refreshToken, client)
            #expect(second.status == 200 && second.refreshToken != first.refreshToken && second.accessToken != first.accessToken)
            let after = try await verified(second.idToken, client).claims
            #expect(after["sub"] == before["sub"] && after["sid"] == before["sid"] && after["auth_time"] == before["auth_time"] && after["nonce"] == nil)
            #expect(try await client.get("/oauth/userinfo", bearer: second.accessToken).json["given_name"] == "Ada")
            let narrow = try await story.service.renew(second.refreshToken, client, [("scope", "openid")])
            #expect(narrow.json["scope"] == "openid")
            #expect(try await client.get("/oauth/userinfo", bearer: narrow.accessToken).json["given_name"] == nil)
            #expect(try await story.service.renew(narrow.refreshToken, client, [("scope", "openid email")]).error == "invalid_scope")
            #expect(try await story.service.renew(narrow.refreshToken, client).json["scope"] == "openid profile offline_access")
            // Whoever did not ask for it gets none.
            #expect(try await story.another.tokens(browser, client, ["scope": "openid profile"]).refreshToken == nil)
        }
    }

    @Test("rotated token refused after restart: it ends the sign-in, with all that was ever renewed")
    func reuse() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let first = try await story.service.tokens(browser, client, lasting)
            let second = try await story.service.renew(first.refreshToken, client)
            let third = try await story.service.renew(second.refreshToken, client)
            #expect(third.status == 200)
            // Another server on the same data: what was used is known to the database, not to a process.
            let routes = OpenIDRoutes(
                database: story.city.app, door: Door(database: try story.city.appPool(sharedConnections: 1)), vault: story.city.vault,
                keys: SigningKeys(database: story.city.app, vault: story.city.vault), baseURL: try BaseURL(issuer))
            try await story.city.serve({ routes.add(to: $0) }) { (restarted: any TestClientProtocol) async throws -> Void in
                #expect(try await story.service.renew(first.refreshToken, restarted).error == "invalid_grant")
                #expect(try await story.service.renew(third.refreshToken, restarted).error == "invalid_grant")
                #expect(try await restarted.get("/oauth/userinfo", bearer: third.accessToken).status == 401)
            }
        }
    }

    @Test("A lost answer signs nobody out: within a minute the token that was used last gets another successor, if the one that it got was not used")
    func lostAnswer() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let first = try await story.service.tokens(browser, client, lasting)
            let lost = try await story.service.renew(first.refreshToken, client)
            try await story.city.setClock(secondsAhead: 50)
            let second = try await story.service.renew(first.refreshToken, client)
            #expect(second.status == 200)
            #expect(try await client.get("/oauth/userinfo", bearer: lost.accessToken).status == 401)
            #expect(try await client.get("/oauth/userinfo", bearer: second.accessToken).status == 200)
            // The lost one turns up after all: somebody else read the answer.
            #expect(try await story.service.renew(lost.refreshToken, client).error == "invalid_grant")
            #expect(try await story.service.renew(second.refreshToken, client).error == "invalid_grant")
        }
    }

    @Test("After the minute, or once the successor was used, the same is reuse")
    func graceOver() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let first = try await story.service.tokens(browser, client, lasting)
            let second = try await story.service.renew(first.refreshToken, client)
            try await story.city.setClock(secondsAhead: 61)
            #expect(try await story.service.renew(first.refreshToken, client).error == "invalid_grant")
            #expect(try await story.service.renew(second.refreshToken, client).error == "invalid_grant")
        }
    }

    @Test("parallel refresh has one winner: of all that came, one refresh token and one access token count")
    func parallel() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let first = try await story.service.tokens(browser, client, lasting)
            let service = story.service
            let answers = try await inParallel(8) { _ in try await service.renew(first.refreshToken, client) }
            #expect(answers.allSatisfy { $0.status == 200 })
            var opening = 0
            for answer in answers {
                if try await client.get("/oauth/userinfo", bearer: answer.accessToken).status == 200 { opening += 1 }
            }
            #expect(opening == 1)
            let standing = try await story.city.owner.one(
                OneValue("SELECT count(*) FROM openid.refresh_token AS t WHERE t.used_at IS NULL AND t.replaced_at IS NULL", of: Int64.self))
            #expect(standing == 1)
        }
    }

    @Test("A refresh token is nothing to another service, to an app, nor after a month; it outlives the session, but not the account's link or the client")
    func limits() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let first = try await story.service.tokens(CityBrowser(client, session: ada.session), client, lasting)
            #expect(try await story.bankService.renew(first.refreshToken, client).error == "invalid_grant")
            #expect(try await client.post("/oauth/token", form: [("grant_type", "refresh_token"), ("refresh_token", first.refreshToken ?? ""), ("client_id", "city-app")]).error == "invalid_grant")
            for text in ["", "x", OpaqueToken().characters] { #expect(try await story.service.renew(text, client).status == 400) }
            try await story.city.revoke(ada.session)
            let second = try await story.service.renew(first.refreshToken, client)
            #expect(second.status == 200)
            try await story.city.setClock(secondsAhead: 30 * 86_400 + 1)
            // The assertion is judged by the same clock.
            let expired = try await story.city.app.exclusive { connection in
                try await connection.one(
                    RenewTokens(
                        token: CredentialHash(token: second.refreshToken ?? ""), client: "clinic-web", scope: nil, accessToken: OpaqueToken().hash, lifetimeSeconds: 600,
                        successor: OpaqueToken().hash, keyThumbprint: nil))
            }
            #expect(expired.outcome == "expired")
            #expect(try await OpenIDJanitor.removeEnded(from: story.city.app) > 0)
            #expect(try await story.city.owner.one(OneValue("SELECT count(*) FROM openid.refresh_token", of: Int64.self)) == 0)
        }
    }

    @Test("revocation honoured in introspection, UserInfo and refresh")
    func revocation() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let tokens = try await story.service.tokens(browser, client, lasting)
            let subject = try await verified(tokens.idToken, client).claims["sub"]
            let active = try await story.service.introspect(tokens.accessToken, client)
            #expect(active["active"] == true && active["sub"] == subject && active["client_id"] == "clinic-web" && active["scope"] == "openid profile offline_access")
            #expect(try await story.service.introspect(tokens.refreshToken, client)["active"] == true)
            // The clinic's own system may ask too; the bank may not, and a forged or an app's token is nothing.
            let system = Service(maker: story.town.clinic)
            #expect(try await system.introspect(tokens.accessToken, client)["active"] == true)
            for token in [tokens.accessToken, tokens.refreshToken] { #expect(try await story.bankService.introspect(token, client) == ["active": false]) }
            let app = try await story.city.appToken(of: try await story.city.resident(), scope: ["profile"]).token
            for token in [app, "x", OpaqueToken().characters] { #expect(try await story.service.introspect(token, client) == ["active": false]) }
            #expect(try await client.post("/oauth/introspect", form: [("token", app), ("client_id", "city-app")]).error == "invalid_client")

            #expect(try await client.post("/oauth/revoke", form: [
                ("token", tokens.refreshToken ?? ""), ("client_assertion_type", assertionType), ("client_assertion", try story.service.maker.assertion()),
            ]).status == 200)
            for token in [tokens.accessToken, tokens.refreshToken] { #expect(try await story.service.introspect(token, client) == ["active": false]) }
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 401)
            #expect(try await story.service.renew(tokens.refreshToken, client).error == "invalid_grant")
        }
    }

    @Test("a code that was not redeemed is worth nothing once the resident has ended the service, or signed out")
    func endedBeforeRedeemed() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let ended = try #require(try await story.service.signIn(browser, lasting)["code"])
            _ = try await browser.get("/connected-services")
            _ = try await browser.post("/connected-services/clinic-web/end", [])
            let afterEnd = try await story.service.redeem(ended, client)
            #expect(afterEnd.error == "invalid_grant")
            let another = story.another
            let open = try #require(try await another.signIn(browser)["code"])
            try await story.city.revoke(ada.session)
            let afterSignOut = try await another.redeem(open, client)
            #expect(afterSignOut.error == "invalid_grant")
        }
    }

    @Test("Residents see the services that they sign in at, and end one: signed out there, nothing renewed, the consent withdrawn, asked again next time")
    func connectedServices() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            #expect(try await browser.get("/connected-services").text.contains("You have not signed in at any service"))
            #expect(try await CityBrowser(client).get("/connected-services").status == 303)
            let tokens = try await story.service.tokens(browser, client, lasting)
            _ = try await story.bankService.tokens(browser, client, ["scope": "openid"])
            let shown = try await browser.get("/connected-services")
            for words in ["clinic &lt;on-line&gt;", "bank &lt;on-line&gt;", "Given names", "It stays connected when you are not there", "You are signed in there now", "/consents/\(story.activity.id.uuidString.lowercased())"] {
                #expect(shown.text.contains(words), "\(words)")
            }
            let eve = CityBrowser(client, session: try await story.city.resident().session)
            _ = try await eve.get("/connected-services")
            _ = try await eve.post("/connected-services/clinic-web/end", [])
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 200)

            for _ in 0..<2 { #expect(try await browser.post("/connected-services/clinic-web/end", []).headers[.location] == "/connected-services") }
            #expect(try await story.consents(ada) == "withdrawn")
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 401)
            #expect(try await story.service.renew(tokens.refreshToken, client).error == "invalid_grant")
            let after = try await browser.get("/connected-services")
            #expect(!after.text.contains("clinic &lt;on-line&gt;") && after.text.contains("bank &lt;on-line&gt;"))
            _ = try await story.another.begin(browser)
        }
    }
}
