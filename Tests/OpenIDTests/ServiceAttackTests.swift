// The known attacks on an OpenID provider, under the names by which they are known, and what each comes to here.
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

@Suite("Attacks on services")
struct ServiceAttackTests {
    @Test("parallel redemption of one code gives one success and revokes what it issued on replay")
    func parallelRedemption() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let service = story.service
            let code = try #require(try await service.signIn(browser)["code"])
            let answers = try await inParallel(8) { _ in try await service.redeem(code, client) }
            #expect(answers.map(\.status).sorted() == [200] + Array(repeating: 400, count: 7))
            let token = answers.compactMap(\.accessToken).first
            #expect(try await client.get("/oauth/userinfo", bearer: token).status == 401)
            #expect(try await story.city.owner.one(OneValue("SELECT count(*) FROM openid.sign_in AS s WHERE s.ended_at IS NULL", of: Int64.self)) == 0)
        }
    }

    @Test("verifier missing, or sent without a challenge")
    func verifier() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let code = try #require(try await story.service.signIn(browser)["code"])
            #expect(try await story.service.redeem(code, client, ["code_verifier": nil]).error == "invalid_request")
            #expect(try await story.service.redeem(code, client, ["code_verifier": story.another.verifier]).error == "invalid_grant")
            for changes in [["code_challenge": nil, "code_challenge_method": nil], ["code_challenge": nil], ["code_challenge_method": "plain"]] as [[String: String?]] {
                #expect(try await parameters(of: browser.get(story.another.address(changes)).headers[.location])["error"] == "invalid_request")
            }
        }
    }

    @Test("session fixation by a prepared login URL: a sign-in goes on only in the browser that began it")
    func preparedAddress() async throws {
        try await ServiceTown.serve { story, client in
            let mallory = CityBrowser(client)
            let page = try await story.service.begin(mallory)
            let ada = try await story.city.resident()
            for victim in [CityBrowser(client, session: ada.session), CityBrowser(client, session: ada.session, cookies: ["stoa_login": Base64URL.encode(Base64URL.randomBytes())])] {
                let shown = try await victim.get(page)
                #expect(shown.status == 403 && shown.text.contains("This was begun in another browser"))
                _ = try await victim.get(try await story.another.begin(victim))
                #expect(try await victim.post(page + "/allow", [("policy_version", "1")]).status == 403)
            }
            #expect(try await story.consents(ada) == nil)
            #expect(try await story.city.owner.one(OneValue("SELECT count(*) FROM openid.authorization_code", of: Int64.self)) == 0)
        }
    }

    @Test("request parameters immutable after start")
    func immutable() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let page = try await story.service.begin(browser, ["scope": "openid"])
            _ = try await browser.get(page + "?scope=openid%20profile&redirect_uri=https%3A%2F%2Fevil.example")
            let answer = try await browser.post(
                page + "/allow?scope=profile", [("scope", "openid profile"), ("redirect_uri", "https://evil.example"), ("nonce", "other"), ("policy_version", "1")])
            let location = try #require(answer.headers[.location])
            #expect(location.hasPrefix("https://clinic.example/signed-in?code="))
            let tokens = try await story.service.redeem(try #require(parameters(of: location)["code"]), client)
            #expect(tokens.json["scope"] == "openid")
            #expect(try await verified(tokens.idToken, client).claims["nonce"]?.text == story.service.nonce)
        }
    }

    @Test("duplicate parameters")
    func duplicates() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client)
            for name in ["nonce", "prompt", "max_age", "claims", "scope", "code_challenge", "state", "x"] {
                let answer = try await browser.get(story.service.address() + "&\(name)=1&\(name)=1")
                #expect(parameters(of: answer.headers[.location])["error"] == "invalid_request", "\(name)")
            }
            for name in ["client_id", "redirect_uri"] {
                let answer = try await browser.get(story.service.address() + "&\(name)=\(escaped(story.service.redirectAddress))")
                #expect(answer.status == 400 && answer.headers[.location] == nil, "\(name)")
            }
        }
    }

    @Test("redirect variants (query, case, userinfo, path tricks, encoded slashes)")
    func redirectVariants() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            for address in [
                "https://clinic.example/signed-in?x=1", "https://clinic.example/Signed-in", "https://CLINIC.example/signed-in", "https://clinic.example/signed-in/",
                "https://user@clinic.example/signed-in", "https://clinic.example@evil.example/signed-in", "https://clinic.example/x/../signed-in",
                "https://clinic.example/%73igned-in", "https://clinic.example%2Fsigned-in", "https://clinic.example//signed-in", "https://clinic.example:443/signed-in",
                "http://clinic.example/signed-in", "https://clinic.example/signed-in#x", "https://clinic.example.evil.example/signed-in", "https://bank.example/signed-in",
            ] {
                let answer = try await browser.get(story.service.address(["redirect_uri": address]))
                #expect(answer.status == 400 && answer.headers[.location] == nil, "\(address)")
            }
        }
    }

    @Test("a code of one service is nothing to another, nor to an app")
    func otherClient() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let code = try #require(try await story.service.signIn(browser)["code"])
            #expect(try await story.service.redeem(code, client, ["client_assertion": try story.bankService.maker.assertion()]).error == "invalid_grant")
            #expect(try await App().redeem(code, client, ["redirect_uri": story.service.redirectAddress, "code_verifier": story.service.verifier]).error == "invalid_grant")
            #expect(try await story.service.redeem(code, client).status == 200)
        }
    }

    @Test("none, HS256 with the public key, embedded jwk, wrong typ, unknown crit: no such token opens UserInfo")
    func forgedTokens() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let answer = try await story.service.tokens(browser, client)
            let good = try #require(answer.accessToken)
            let parts = good.split(separator: ".").map(String.init)
            let header = try JSONScanner.scan(try #require(Base64URL.decode(parts[0])))
            let claims = try #require(Base64URL.decode(parts[1]))
            let keyID = try #require(header["kid"])
            let published = try await client.get("/oauth/keys").text
            let own = AssertionMaker(client: "x")
            func made(_ header: JSONValue, _ signer: Signer) throws -> String { try own.compact(header: header.serialised(), claims: claims, signer: signer) }
            let forged: [String: String] = [
                "none": try made(["alg": "none", "kid": keyID, "typ": "at+jwt"], .none),
                "no signature": "\(parts[0]).\(parts[1]).",
                "HS256": try made(["alg": "HS256", "kid": keyID, "typ": "at+jwt"], .hmac(Array(published.utf8))),
                "own key": try made(["alg": "ES256", "kid": keyID, "typ": "at+jwt"], .es256(own.key)),
                "embedded jwk": try made(["alg": "ES256", "jwk": own.publicJWK, "typ": "at+jwt"], .es256(own.key)),
                "the ID token": try #require(answer.idToken), "changed": "\(parts[0]).\(parts[1].dropLast())A.\(parts[2])",
                "unknown crit": try made(["alg": "ES256", "kid": keyID, "typ": "at+jwt", "crit": ["x"], "x": 1], .es256(own.key)),
                "its jti": try #require(try JSONScanner.scan(claims)["jti"]?.text), "an app's": try await story.city.appToken(of: try await story.city.resident(), scope: ["profile"]).token,
                "an organisation's": story.clinic.credential.token, "nothing": "x",
            ]
            for (name, token) in forged {
                let refused = try await client.get("/oauth/userinfo", bearer: token)
                #expect(refused.status == 401 && refused.headers[.wwwAuthenticate]?.contains("invalid_token") == true, "\(name)")
            }
            #expect(try await client.get("/oauth/userinfo").headers[.wwwAuthenticate]?.hasPrefix("Bearer") == true)
            #expect(try await client.get("/oauth/userinfo", bearer: good).status == 200)
        }
    }

    @Test("a service's token opens UserInfo and nothing else of the city")
    func nothingElse() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let answer = try await story.service.tokens(CityBrowser(client, session: ada.session), client)
            let token = try #require(answer.accessToken)
            let claims = try #require(Base64URL.decode(String(token.split(separator: ".")[1])))
            let jti = try #require(try JSONScanner.scan(claims)["jti"]?.text)
            for text in [token, jti, "jti:" + jti] { #expect(try await client.get("/api/v1/me", bearer: text).status == 401) }
            // As the door sees it: the credential is the organisation's and holds no scope to read by.
            for operation in ["disclose", "own_view", "usage", "view"] {
                let refusal = try await story.city.app.one(
                    OneValue(
                        """
                        SELECT a.refusal FROM access_log.authorise(ARRAY[\(UUID())], ARRAY[\(ServiceToken.hash(jti: jti).bytes)], ARRAY[\(operation)], '{self}', '{""}',
                            '{given_names}', '{sign-in}', '{x}') AS a
                        """, of: String?.self))
                #expect(["scope_missing", "role_missing"].contains(refusal), "\(operation)")
            }
        }
    }

    @Test("revocation honoured in UserInfo: a revoked token, a sign-out, a closed client and a closed account end it at once")
    func revocation() async throws {
        try await ServiceTown.serve { story, client in
            func token(_ resident: FixtureResident) async throws -> String? {
                try await story.another.tokens(CityBrowser(client, session: resident.session), client).accessToken
            }
            let ada = try await story.city.resident()
            let revoked = try #require(try await token(ada))
            let answer = try await client.post("/oauth/revoke", form: [
                ("token", revoked), ("client_assertion_type", assertionType), ("client_assertion", try story.bankService.maker.assertion()),
            ])
            #expect(answer.error == "invalid_grant")
            #expect(try await client.get("/oauth/userinfo", bearer: revoked).status == 200)
            #expect(try await client.post("/oauth/revoke", form: [
                ("token", revoked), ("client_assertion_type", assertionType), ("client_assertion", try story.service.maker.assertion()),
            ]).status == 200)
            #expect(try await client.get("/oauth/userinfo", bearer: revoked).status == 401)

            let left = try await token(ada)
            try await story.city.revoke(ada.session)
            #expect(try await client.get("/oauth/userinfo", bearer: left).status == 401)

            let bob = try await story.city.resident()
            let closed = try await token(bob)
            try await story.city.owner.execute("UPDATE identity.account SET closed_at = public.stoa_now() WHERE id = \(bob.accountID)")
            #expect(try await client.get("/oauth/userinfo", bearer: closed).status == 401)

            let last = try await token(try await story.city.resident())
            try await story.city.owner.execute("UPDATE openid.client SET closed_at = public.stoa_now() WHERE id = 'clinic-web'")
            #expect(try await client.get("/oauth/userinfo", bearer: last).status == 401)
        }
    }

    @Test("a sign-out between the answer and the code's redemption leaves nobody signed in")
    func signedOutMeanwhile() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let code = try #require(try await story.service.signIn(CityBrowser(client, session: ada.session))["code"])
            try await story.city.revoke(ada.session)
            #expect(try await story.service.redeem(code, client).error == "invalid_grant")
            #expect(try await story.town.liveTokens() == 1, "the fixture's own, of the clinic's system")
        }
    }

    @Test("the server's role reads and writes no sign-in and no key by statements of its own")
    func rights() async throws {
        try await ServiceTown.serve { story, _ in
            for statement in [
                "SELECT id FROM openid.sign_in", "SELECT client_id FROM openid.connection", "INSERT INTO openid.sign_in (client_id) VALUES ('clinic-web')",
                "UPDATE openid.signing_key SET signs_from = public.stoa_now()", "DELETE FROM openid.signing_key", "UPDATE openid.client SET scope = '{openid,exchange.read}'",
                "SELECT openid.end_sign_in(gen_random_uuid())", "SELECT openid.add_service('x', 'clinic', '{}', '{}', NULL, '{}', NULL, 'ES256', 'baseline', '{}', '{}', NULL, false)",
            ] as [SQL] {
                await #expect(throws: DatabaseError.self) { try await story.city.app.execute(statement) }
            }
        }
    }
}
