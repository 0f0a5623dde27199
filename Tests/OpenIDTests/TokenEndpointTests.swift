// An organisation's system at the token endpoint. Refusals first; each must leave no token behind.
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

/// RFC 6749 §5.2: the error as JSON that no cache keeps, and nothing issued.
func expectRefusal(
    _ answer: Answer, _ error: String, status: Int, in town: Town, _ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    #expect(answer.status == status, "\(comment): \(answer.text)", sourceLocation: sourceLocation)
    #expect(answer.error == error, "\(comment): \(answer.text)", sourceLocation: sourceLocation)
    #expect(answer.headers[.contentType] == "application/json", sourceLocation: sourceLocation)
    #expect(answer.headers[.cacheControl] == "no-store", sourceLocation: sourceLocation)
    #expect(status != 401 || answer.headers[.wwwAuthenticate] != nil, sourceLocation: sourceLocation)
    #expect(answer.accessToken == nil, sourceLocation: sourceLocation)
    #expect(try await town.liveTokens() == 0, "\(comment)", sourceLocation: sourceLocation)
}

@Suite("Token endpoint: organisations")
struct TokenEndpointTests {
    @Test("The metadata names what is there, and may be kept")
    func metadata() async throws {
        try await Town.serve { _, client in
            let answer = try await client.get("/.well-known/oauth-authorization-server")
            #expect(answer.status == 200)
            #expect(answer.headers[.cacheControl] == "public, max-age=3600")
            #expect(answer.json["issuer"] == .string(issuer))
            #expect(answer.json["token_endpoint"] == .string(issuer + "/oauth/token"))
            #expect(answer.json["authorization_endpoint"] == .string(issuer + "/oauth/authorize"))
            #expect(answer.json["grant_types_supported"] == [
                "client_credentials", "authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code",
            ])
            #expect(answer.json["code_challenge_methods_supported"] == ["S256"])
            #expect(answer.json["token_endpoint_auth_methods_supported"] == ["private_key_jwt", "none"])
            #expect(answer.json["token_endpoint_auth_signing_alg_values_supported"] == ["ES256", "EdDSA", "RS256"])
            #expect(answer.json["authorization_response_iss_parameter_supported"] == true)
        }
    }

    @Test("Assertions that prove nothing get nothing")
    func badAssertions() async throws {
        try await Town.serve { town, client in
            let maker = town.clinic
            let now = Int64(Date().timeIntervalSince1970)
            let pem = Array(maker.key.publicKey.pemRepresentation.utf8)
            let stranger = AssertionMaker(client: maker.client)
            let bad: [(String, String)] = [
                ("none", try maker.assertion(signedBy: Signer.none)),
                ("none with a signature", try maker.assertion(header: ["alg": "none"])),
                ("HS256 with the public key", try maker.assertion(signedBy: .hmac(pem))),
                ("HS256 with the point", try maker.assertion(signedBy: .hmac(Array(maker.key.publicKey.x963Representation)))),
                ("HMAC called ES256", try maker.assertion(header: ["alg": "ES256"], signedBy: .hmac(pem))),
                ("embedded jwk", try stranger.assertion(header: ["jwk": stranger.publicJWK])),
                ("unknown crit", try maker.assertion(header: ["crit": ["urn:x"], "urn:x": 1])),
                ("wrong typ", try maker.assertion(header: ["typ": "at+jwt"])),
                ("somebody's own key", try stranger.assertion()),
                ("another client's key", try town.bank.assertion(claims: ["iss": .string(maker.client), "sub": .string(maker.client)])),
                ("unknown client", try maker.assertion(claims: ["iss": "nobody", "sub": "nobody"])),
                ("a public client", try maker.assertion(claims: ["iss": "city-app", "sub": "city-app"])),
                ("expired", try maker.assertion(claims: ["exp": .integer(now - 120)])),
                ("far future", try maker.assertion(claims: ["exp": .integer(now + 86_400)])),
                ("wrong aud", try maker.assertion(claims: ["aud": "https://elsewhere.example/token"])),
                ("array aud", try maker.assertion(claims: ["aud": .array([.string(issuer)])])),
                ("no jti", try maker.assertion(claims: ["jti": nil])),
                ("no assertion at all", "x"),
                ("too long", String(repeating: "x", count: 20_000)),
            ]
            for (name, assertion) in bad {
                try await expectRefusal(try await client.token(assertion), "invalid_client", status: 401, in: town, name)
            }
            // None of them used up a name that the real client may want.
            #expect(try await town.city.owner.one(OneValue("SELECT count(*) FROM openid.client_assertion", of: Int64.self)) == 0)
        }
    }

    @Test("Unknown clients and wrong keys get the same answer")
    func sameAnswer() async throws {
        try await Town.serve { town, client in
            let wrongKey = try await client.token(try AssertionMaker(client: town.clinic.client).assertion())
            let unknown = try await client.token(try AssertionMaker(client: "nobody").assertion())
            #expect(wrongKey.text == unknown.text)
            // Nor do wrong claims tell them apart, nor an id without a proof.
            let elsewhere: [String: JSONValue] = ["aud": "https://elsewhere.example/token"]
            let wrongAudience = try await client.token(try AssertionMaker(client: town.clinic.client).assertion(claims: elsewhere))
            #expect(wrongAudience.text == unknown.text)
            #expect(try await client.token(try AssertionMaker(client: "nobody").assertion(claims: elsewhere)).text == unknown.text)
            let named = try await client.post("/oauth/token", form: [("grant_type", "client_credentials"), ("client_id", town.clinic.client)])
            let invented = try await client.post("/oauth/token", form: [("grant_type", "client_credentials"), ("client_id", "nobody")])
            #expect(named.status == 401 && named.text == invented.text)
        }
    }

    @Test("Requests that are not well formed are told what is wrong with them")
    func badRequests() async throws {
        try await Town.serve { town, client in
            let good = try town.clinic.assertion()
            let fields = [("grant_type", "client_credentials"), ("client_assertion_type", assertionType), ("client_assertion", good)]
            for name in ["grant_type", "client_assertion", "client_assertion_type", "scope", "whatever"] {
                let value = fields.first { $0.0 == name }?.1 ?? "x"
                let answer = try await client.post("/oauth/token", form: fields.filter { $0.0 != name } + [(name, value), (name, value)])
                try await expectRefusal(answer, "invalid_request", status: 400, in: town, "\(name) twice")
            }
            try await expectRefusal(
                try await client.post("/oauth/token", form: Array(fields.dropFirst())), "invalid_request", status: 400, in: town, "no grant_type")
            try await expectRefusal(
                try await client.post("/oauth/token", form: [("grant_type", "")] + fields.dropFirst()), "invalid_request", status: 400, in: town,
                "empty grant_type")
            try await expectRefusal(
                try await client.post("/oauth/token", form: [fields[0], fields[2]]), "invalid_request", status: 400, in: town, "no type")
            try await expectRefusal(
                try await client.post("/oauth/token", form: [fields[0], fields[1]]), "invalid_request", status: 400, in: town, "no assertion")
            try await expectRefusal(
                try await client.post("/oauth/token", form: [fields[0], ("client_assertion_type", "jwt"), fields[2]]), "invalid_request", status: 400,
                in: town, "another type")
            for (type, body) in [
                ("application/json", #"{"grant_type":"client_credentials"}"#), (nil, "grant_type=client_credentials"),
                ("application/x-www-form-urlencoded", "grant_type=%ff"), ("application/x-www-form-urlencoded", "grant_type=a%00"),
                ("application/x-www-form-urlencoded", "grant_type=%zz"),
            ] as [(String?, String)] {
                let answer = try await client.post("/oauth/token", body: body, contentType: type)
                try await expectRefusal(answer, "invalid_request", status: 400, in: town, body)
            }
            let large = try await client.post("/oauth/token", body: "a=" + String(repeating: "x", count: 40_000))
            try await expectRefusal(large, "invalid_request", status: 413, in: town, "too large")
            // The assertion itself was good all the time.
            #expect(try await client.token(good).status == 200)
        }
    }

    @Test("Secrets, other grants, and grants of the other kind of client are refused")
    func methods() async throws {
        try await Town.serve { town, client in
            let basic = try await client.post(
                "/oauth/token", form: [("grant_type", "client_credentials")], headers: [.authorization: "Basic Y2xpbmljLXN5c3RlbTp4"])
            try await expectRefusal(basic, "invalid_client", status: 401, in: town)
            #expect(basic.headers[.wwwAuthenticate]?.hasPrefix("Basic ") == true)
            for fields in [
                [("client_id", town.clinic.client), ("client_secret", "x")], [("client_id", town.clinic.client)], [("client_id", "nobody")], [],
            ] {
                let answer = try await client.post("/oauth/token", form: [("grant_type", "client_credentials")] + fields)
                try await expectRefusal(answer, "invalid_client", status: 401, in: town, "\(fields)")
            }
            let app = try await client.post("/oauth/token", form: [("grant_type", "client_credentials"), ("client_id", "city-app")])
            try await expectRefusal(app, "unauthorized_client", status: 400, in: town)
            let password = try await client.post(
                "/oauth/token",
                form: [("grant_type", "password"), ("client_assertion_type", assertionType), ("client_assertion", try town.clinic.assertion())])
            try await expectRefusal(password, "unsupported_grant_type", status: 400, in: town)
            let code = try await client.post(
                "/oauth/token",
                form: [
                    ("grant_type", "authorization_code"), ("client_assertion_type", assertionType), ("client_assertion", try town.clinic.assertion()),
                    ("code", OpaqueToken().characters), ("redirect_uri", Town.redirectAddress), ("code_verifier", App().verifier),
                ])
            try await expectRefusal(code, "unauthorized_client", status: 400, in: town)
            let other = try await client.token(try town.clinic.assertion(), [("client_id", town.bank.client)])
            try await expectRefusal(other, "invalid_client", status: 401, in: town)
            let scope = try await client.token(try town.clinic.assertion(), [("scope", "exchange.read consents")])
            try await expectRefusal(scope, "invalid_scope", status: 400, in: town)
        }
    }

    @Test("A good assertion gets a token of ten minutes, of which the database knows only the hash")
    func good() async throws {
        try await Town.serve { town, client in
            let answer = try await client.token(try town.clinic.assertion(claims: ["aud": .string(issuer + "/oauth/token")]))
            #expect(answer.status == 200)
            #expect(answer.headers[.cacheControl] == "no-store")
            #expect(answer.json["token_type"] == "Bearer")
            #expect(answer.json["expires_in"] == 600)
            #expect(answer.json["scope"] == "exchange.read")
            let token = try #require(answer.accessToken)
            #expect(Base64URL.decode(token)?.count == 32)
            let hash = Array(SHA256.hash(data: Array(token.utf8)))
            let seconds = try await town.city.owner.one(
                OneValue("SELECT round(extract(epoch FROM expires_at - created_at))::bigint FROM web.credential WHERE hash = \(hash)", of: Int64.self))
            #expect(seconds == 600)
            let caller = try await Site.resolver(using: town.city.app)(CredentialHash(token: token), .accessToken)
            guard case .organisation(let organisation) = caller else {
                Issue.record("resolved to \(String(describing: caller))")
                return
            }
            #expect(organisation.organisationID == "clinic" && organisation.clientID == town.clinic.client)
            #expect(organisation.scope == ["exchange.read"])
        }
    }

    @Test("What unmodified Authlib sends is good: an hour ahead, no kid, no client_id")
    func authlib() async throws {
        try await Town.serve { town, client in
            let now = Int64(Date().timeIntervalSince1970)
            let assertion = try town.clinic.assertion(
                header: ["kid": nil], claims: ["aud": .string(issuer + "/oauth/token"), "iat": .integer(now), "exp": .integer(now + 3_600)])
            #expect(try await client.token(assertion).status == 200)
        }
    }

    @Test("Keys of all three kinds serve, and a replaced key serves no longer")
    func keyKinds() async throws {
        try await Town.serve { town, client in
            let ed = Curve25519.Signing.PrivateKey()
            let edJWK: JSONValue = ["kty": "OKP", "crv": "Ed25519", "x": .string(Base64URL.encode(Array(ed.publicKey.rawRepresentation))), "kid": "ed"]
            try await ClientRegistration.replaceKeys(of: town.clinic.client, keySet: keySet(edJWK, TestRSAKey.publicJWK), with: town.city.owner)
            #expect(try await client.token(try town.clinic.assertion(header: ["kid": "ed"], signedBy: .edDSA(ed))).status == 200)
            #expect(try await client.token(try await TestRSAKey.assertion(client: town.clinic.client)).status == 200)
            #expect(try await client.token(try town.clinic.assertion()).status == 401)
            #expect(try await client.token(try town.clinic.assertion(header: ["kid": nil])).status == 401)
        }
    }

    @Test("Of one assertion sent twelve times at once, one gets a token")
    func replay() async throws {
        try await Town.serve { town, client in
            let assertion = try town.clinic.assertion(claims: ["jti": "once"])
            let answers = try await inParallel(12) { _ in try await client.token(assertion) }
            #expect(answers.map(\.status).sorted() == [200] + Array(repeating: 401, count: 11))
            #expect(answers.filter { $0.status == 401 }.allSatisfy { $0.error == "invalid_client" })
            #expect(try await town.liveTokens() == 1)
            #expect(try await client.token(assertion).status == 401)
            // The same name from another client is another name.
            #expect(try await client.token(try town.bank.assertion(claims: ["jti": "once"])).status == 200)
        }
    }

    @Test("A closed client gets nothing more")
    func closed() async throws {
        try await Town.serve { town, client in
            try await town.city.owner.execute("UPDATE openid.client SET closed_at = public.stoa_now() WHERE id = \(town.clinic.client)")
            try await expectRefusal(try await client.token(try town.clinic.assertion()), "invalid_client", status: 401, in: town)
        }
    }

    @Test("The database's clock decides, and the janitor forgets what nobody could use any more")
    func clock() async throws {
        try await Town.serve { town, client in
            try await town.city.setClock(secondsAhead: 4_000)
            try await expectRefusal(try await client.token(try town.clinic.assertion()), "invalid_client", status: 401, in: town)
            try await town.city.setClock(secondsAhead: 0)
            #expect(try await client.token(try town.clinic.assertion()).status == 200)
            #expect(try await OpenIDJanitor.removeEnded(from: town.city.app) == 0)
            try await town.city.setClock(secondsAhead: 600)
            #expect(try await OpenIDJanitor.removeEnded(from: town.city.app) == 1)
        }
    }
}
