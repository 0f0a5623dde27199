// How clients come to be, and whether the documents say what the routes do.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import TestSupport
import Primitives
import Testing
import Web
import Yams

@testable import OpenID

@Suite("Client registration")
struct RegistrationTests {
    private let name = LocalisedText([.english: "Client"])

    @Test("What could not work later is refused now, in words")
    func refusals() async throws {
        let town = try await Town.make()
        let owner = town.city.owner
        let key = keySet(town.clinic.publicJWK)
        for id in ["", "a", "Big", "1abc", "a_b", "é-client", String(repeating: "a", count: 64)] {
            await #expect(throws: ClientRegistration.Refusal.badID(id)) {
                try await ClientRegistration.registerApp(id: id, name: name, redirectAddresses: ["http://127.0.0.1/callback"], with: owner)
            }
        }
        await #expect(throws: ClientRegistration.Refusal.badRedirectAddress("http://localhost/callback")) {
            try await ClientRegistration.registerApp(
                id: "new-app", name: name, redirectAddresses: ["http://127.0.0.1/callback", "http://localhost/callback"], with: owner)
        }
        await #expect(throws: ClientRegistration.Refusal.badScope("exchange.read")) {
            try await ClientRegistration.registerApp(
                id: "new-app", name: name, redirectAddresses: ["http://127.0.0.1/callback"], scope: ["exchange.read"], with: owner)
        }
        await #expect(throws: ClientRegistration.Refusal.badScope("profile")) {
            try await ClientRegistration.registerOrganisationClient(
                id: "new-system", organisation: "clinic", name: name, keySet: key, scope: ["profile"], with: owner)
        }
        await #expect(throws: ClientRegistration.Refusal.idTaken("city-app")) {
            try await ClientRegistration.registerApp(id: "city-app", name: name, redirectAddresses: ["http://127.0.0.1/callback"], with: owner)
        }
        await #expect(throws: ClientRegistration.Refusal.unknownOrganisation("nobody")) {
            try await ClientRegistration.registerOrganisationClient(id: "new-system", organisation: "nobody", name: name, keySet: key, with: owner)
        }
        await #expect(throws: ClientRegistration.Refusal.self) {
            try await ClientRegistration.registerOrganisationClient(
                id: "new-system", organisation: "clinic", name: name, keySet: ClientKeyPair().privateJWK.reveal(), with: owner)
        }
        await #expect(throws: ClientRegistration.Refusal.badID("city-app")) {
            try await ClientRegistration.replaceKeys(of: "city-app", keySet: key, with: owner)
        }
    }

    @Test("The server's own role registers nobody and issues nothing by itself")
    func serverRole() async throws {
        let town = try await Town.make()
        for statement: SQL in [
            "INSERT INTO openid.client (id, kind, name, redirect_uris, scope) VALUES ('evil', 'public', '{\"en\": \"x\"}', '{http://127.0.0.1/}', '{bills}')",
            "UPDATE openid.client SET jwks = '{}'", "DELETE FROM openid.client", "SELECT hash FROM openid.authorization_code",
            "UPDATE openid.authorization_request SET redirect_uri = 'https://evil.example/'", "SELECT hash FROM web.credential",
        ] {
            let error = await #expect(throws: DatabaseError.self) { try await town.city.app.execute(statement) }
            #expect(error?.isPermissionDenied == true, "\(statement)")
        }
    }

    @Test("A new client with a new key gets a token")
    func newClient() async throws {
        try await Town.serve { town, client in
            let pair = ClientKeyPair()
            try await ClientRegistration.registerOrganisationClient(
                id: "new-system", organisation: "clinic", name: name, keySet: pair.publicJWK, with: town.city.owner)
            let jwk = try JSONScanner.scan(Array(pair.privateJWK.reveal().utf8))
            let scalar = try #require(jwk["d"]?.text.flatMap { Base64URL.decode($0) })
            let maker = AssertionMaker(client: "new-system", keyID: pair.keyID, key: try .init(rawRepresentation: scalar))
            #expect(try await client.token(try maker.assertion()).status == 200)
        }
    }
}

@Suite("Documents")
struct DocumentTests {
    @Test("Answers have the members that openapi.yaml promises, and no others")
    func members() async throws {
        let document = try #require(try Yams.load(yaml: Self.text()) as? [String: Any])
        #expect((document["openapi"] as? String)?.hasPrefix("3.1") == true)
        let schemas = try #require((document["components"] as? [String: Any])?["schemas"] as? [String: [String: Any]])
        let allowed = schemas.mapValues { Set(($0["properties"] as? [String: Any] ?? [:]).keys) }
        let required = schemas.mapValues { $0["required"] as? [String] ?? [] }
        @Sendable func expect(_ answer: Answer, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) {
            guard case .object(let members) = answer.json, let allowed = allowed[name], let required = required[name] else {
                Issue.record("no object, or no schema \(name): \(answer.text)", sourceLocation: sourceLocation)
                return
            }
            let names = Set(members.map(\.name))
            #expect(names.isSubset(of: allowed), "\(name)", sourceLocation: sourceLocation)
            #expect(names.isSuperset(of: required), "\(name)", sourceLocation: sourceLocation)
        }
        try await Town.serve { town, client in
            expect(try await client.get("/.well-known/oauth-authorization-server"), "ServerMetadata")
            expect(try await client.token("x"), "OAuthError")
            expect(try await client.token(try town.clinic.assertion()), "Token")
            let token = try await town.city.appToken(of: try await town.city.resident(), scope: ["profile"])
            expect(try await client.get("/api/v1/me", bearer: token.token), "Me")
            expect(try await client.get("/api/v1/me"), "Problem")
        }
    }

    private static func text() throws -> String {
        try String(contentsOfFile: TestCluster.projectRoot.path + "/openapi.yaml", encoding: .utf8)
    }

    @Test("Every scope and every refusal has its words in every language", arguments: ["en", "fr", "ar"])
    func texts(_ language: String) throws {
        let tag = try #require(Language(rawValue: language))
        let catalogue = try Catalogue(language: tag, directory: TestCluster.projectRoot.path + "/config/locales/" + language)
        let refusals = AuthorizationRefusal.allCases.flatMap { refusal in
            ["title", "happened", "next"].map { "openid.refusal.\(refusal.rawValue).\($0)" }
        }
        for key in ScopeToken.allCases.map(\.textKey) + refusals { #expect(catalogue.raw(key) != nil, "\(key)") }
    }
}

@Suite("Services that register themselves")
struct DynamicRegistrationTests {
    private func register(_ body: String, token: String?, _ client: any TestClientProtocol) async throws -> Answer {
        var headers: HTTPFields = [:]
        headers[.authorization] = token.map { "Bearer \($0)" }
        return try await client.post("/oauth/register", body: body, contentType: "application/json", headers: headers)
    }

    private func metadata(_ maker: AssertionMaker, _ more: String = "") -> String {
        #"{"client_name":"Ward","redirect_uris":["https://ward.example/in"],"scope":"openid profile","jwks":\#(keySet(maker.publicJWK)),"unknown":1\#(more)}"#
    }

    @Test("With the city's token an organisation's service registers itself, and signs somebody in with RS256, under the purpose that the token is for")
    func registers() async throws {
        try await ServiceTown.serve { story, client in
            let token = try #require(try await RegistrationTokens.make(organisation: "clinic", purpose: "sign-in", usesMax: 1, days: 1, with: story.city.owner))
            let maker = AssertionMaker(client: "unknown yet")
            let answer = try await register(metadata(maker), token: token, client)
            #expect(answer.status == 201 && answer.json["id_token_signed_response_alg"] == "RS256" && answer.json["subject_type"] == "pairwise", "\(answer.text)")
            let service = Service(
                maker: AssertionMaker(client: try #require(answer.json["client_id"]?.text), key: maker.key), redirectAddress: "https://ward.example/in")
            let ada = try await story.city.resident()
            let tokens = try await service.tokens(CityBrowser(client, session: ada.session), client, ["scope": "openid profile"])
            let (header, claims) = try await verified(tokens.idToken, client)
            #expect(header["alg"] == "RS256")
            #expect(try await claims["sub"]?.text == story.city.pseudonym(of: ada, for: story.clinic).uuidString.lowercased())
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).json["given_name"] == "Ada")
            #expect(try await register(metadata(maker), token: token, client).error == "invalid_token", "used up")
        }
    }

    @Test("Of many that use the last use at once one registers; a token that is unknown, expired or missing registers nothing")
    func tokens() async throws {
        try await ServiceTown.serve { story, client in
            let token = try #require(try await RegistrationTokens.make(organisation: "bank", purpose: nil, usesMax: 1, days: 1, with: story.city.owner))
            let answers = try await inParallel(6) { _ in try await register(metadata(AssertionMaker(client: "x")), token: token, client) }
            #expect(answers.map(\.status).sorted() == [201] + Array(repeating: 401, count: 5))
            let late = try #require(try await RegistrationTokens.make(organisation: "bank", purpose: nil, usesMax: 1, days: 1, with: story.city.owner))
            try await story.city.setClock(secondsAhead: 86_401)
            for token in [late, OpaqueToken().characters, "x", story.clinic.credential.token, nil] {
                let refused = try await register(metadata(AssertionMaker(client: "x")), token: token, client)
                #expect(refused.status == 401 && refused.error == "invalid_token")
            }
            #expect(try await RegistrationTokens.make(organisation: "bank", purpose: "sign-in", usesMax: 1, days: 1, with: story.city.owner) == nil)
            #expect(try await RegistrationTokens.make(organisation: "nobody", purpose: nil, usesMax: 1, days: 1, with: story.city.owner) == nil)
        }
    }

    @Test("SSRF through every fetched URL: what would have to be fetched, or leads elsewhere, is refused, and uses up nothing")
    func refusals() async throws {
        try await ServiceTown.serve { story, client in
            let token = try #require(try await RegistrationTokens.make(organisation: "clinic", purpose: "sign-in", usesMax: 1, days: 1, with: story.city.owner))
            let maker = AssertionMaker(client: "x")
            let keys = keySet(maker.publicJWK)
            for (body, error) in [
                (metadata(maker, #","jwks_uri":"http://127.0.0.1/keys""#), "invalid_client_metadata"),
                (metadata(maker, #","sector_identifier_uri":"https://169.254.169.254/""#), "invalid_client_metadata"),
                (metadata(maker, #","backchannel_logout_uri":"http://10.0.0.1/""#), "invalid_client_metadata"),
                (metadata(maker, #","subject_type":"public""#), "invalid_client_metadata"), (metadata(maker, #","token_endpoint_auth_method":"client_secret_basic""#), "invalid_client_metadata"),
                (metadata(maker, #","token_endpoint_auth_method":"none""#), "invalid_client_metadata"), (metadata(maker, #","id_token_signed_response_alg":"none""#), "invalid_client_metadata"),
                (metadata(maker, #","scope":"openid exchange.read""#), "invalid_client_metadata"), ("[]", "invalid_client_metadata"), ("{", "invalid_client_metadata"),
                (#"{"client_name":"Ward","jwks":\#(keys)}"#, "invalid_redirect_uri"), (#"{"client_name":"Ward","redirect_uris":["http://ward.example/"],"jwks":\#(keys)}"#, "invalid_redirect_uri"),
                (#"{"client_name":"","redirect_uris":["https://ward.example/"],"jwks":\#(keys)}"#, "invalid_client_metadata"),
                (#"{"client_name":"Ward","redirect_uris":["https://ward.example/"],"jwks":{"keys":[]}}"#, "invalid_client_metadata"),
            ] {
                let refused = try await register(body, token: token, client)
                #expect(refused.status == 400 && refused.error == error, "\(body): \(refused.text)")
            }
            #expect(try await register(metadata(maker), token: token, client).status == 201)
        }
    }
}

@Suite("Services that administrators enter")
struct ServiceAdministrationTests {
    @Test("An organisation administrator enters a service, sees what residents will read, replaces its keys and closes it; nobody else does")
    func story() async throws {
        try await ServiceTown.serve { story, client in
            let maker = AssertionMaker(client: "clinic-forms")
            let fields: [(String, String)] = [
                ("organisation", "clinic"), ("id", maker.client), ("name_en", "Forms <1>"), ("purpose", "sign-in"), ("redirect_uris", "https://forms.example/in\r\n"),
                ("keys", keySet(maker.publicJWK)), ("scope", "openid"), ("scope", "profile"), ("id_token_algorithm", "ES256"),
            ]
            for roles in [[.caseworker], [.auditor]] as [[StaffRole]] {
                let other = CityBrowser(client, session: try await story.city.staff(roles: roles).session)
                for path in ["/staff/services", "/staff/services/new", "/staff/services/clinic-web"] { #expect(try await other.get(path).status == 403) }
            }
            let staff = try await story.city.staff(roles: [.organisationAdministrator])
            let browser = CityBrowser(client, session: staff.session)
            #expect(try await browser.get("/staff/services").text.contains("clinic &lt;on-line&gt;"))
            #expect(try await browser.get("/staff/services/new").text.contains("Redirect addresses"))
            for (name, value) in [
                ("id", "clinic-web"), ("id", "X"), ("organisation", "nobody"), ("purpose", "nothing"), ("redirect_uris", "http://forms.example/in"), ("redirect_uris", ""),
                ("keys", "{}"), ("backchannel_logout_uri", "http://10.0.0.1/"),
            ] {
                let bad = fields.filter { $0.0 != name } + [(name, value)]
                let answer = try await browser.post("/staff/services/new", bad)
                #expect(answer.status == 422 && answer.text.contains("Forms &lt;1&gt;"), "\(name): \(value)")
            }
            #expect(try await browser.post("/staff/services/new", fields).headers[.location] == "/staff/services/clinic-forms")
            let shown = try await browser.get("/staff/services/clinic-forms")
            for words in ["Forms &lt;1&gt;", "https://forms.example/in", "sign-in title 1", "sign-in explanation 1", "Given names", maker.keyID] {
                #expect(shown.text.contains(words), "\(words)")
            }
            let service = Service(maker: maker, redirectAddress: "https://forms.example/in")
            let resident = CityBrowser(client, session: try await story.city.resident().session)
            #expect(try await service.tokens(resident, client, ["scope": "openid"]).status == 200)

            let next = AssertionMaker(client: maker.client, keyID: "key-2")
            #expect(try await browser.post("/staff/services/clinic-forms/keys", [("keys", "no keys")]).status == 422)
            _ = try await browser.post("/staff/services/clinic-forms/keys", [("keys", keySet(next.publicJWK))])
            #expect(try await Service(maker: maker, redirectAddress: "https://forms.example/in").tokens(resident, client, ["scope": "openid"]).error == "invalid_client")
            let renewed = try await Service(maker: next, redirectAddress: "https://forms.example/in").tokens(resident, client, ["scope": "openid"])
            #expect(renewed.status == 200)
            _ = try await browser.get("/staff/services/clinic-forms")
            for _ in 0..<2 { #expect(try await browser.post("/staff/services/clinic-forms/close", []).headers[.location] == "/staff/services") }
            #expect(try await client.get("/oauth/userinfo", bearer: renewed.accessToken).status == 401)
            let changes = try await story.city.owner.query(
                OneValue("SELECT c.what FROM openid.service_change AS c WHERE c.staff_id = \(staff.id) ORDER BY c.at, c.what", of: String.self))
            #expect(Set(changes) == ["entered", "keys_replaced", "closed"] && changes.count == 3)
        }
    }
}
