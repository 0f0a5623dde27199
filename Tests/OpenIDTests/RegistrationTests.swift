// How clients come to be, and whether the documents say what the routes do.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
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
