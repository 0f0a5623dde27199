// A service that residents sign in at, as it looks from outside: what it remembers, and how it checks what it is given.
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import JWTKit
import OpenID
import Postgres
import Primitives
import Testing
import Web

/// A service of one organisation. It checks tokens with JWTKit and the keys that the provider publishes.
struct Service: Sendable {
    var maker: AssertionMaker
    var redirectAddress = "https://clinic.example/signed-in"
    let verifier = Base64URL.encode(Base64URL.randomBytes(count: 48))
    let state = Base64URL.encode(Base64URL.randomBytes())
    let nonce = Base64URL.encode(Base64URL.randomBytes())

    var challenge: String { Base64URL.encode(Array(SHA256.hash(data: Array(verifier.utf8)))) }

    func address(_ changes: [String: String?] = [:]) -> String {
        var fields: [String: String] = [
            "response_type": "code", "client_id": maker.client, "redirect_uri": redirectAddress, "state": state, "nonce": nonce,
            "scope": "openid profile email", "code_challenge": challenge, "code_challenge_method": "S256",
        ]
        for (name, value) in changes { fields[name] = value }
        return "/oauth/authorize?" + fields.map { "\($0.key)=\(escaped($0.value))" }.sorted().joined(separator: "&")
    }

    /// Begins, and returns the path of the page that asks.
    func begin(_ browser: CityBrowser, _ changes: [String: String?] = [:]) async throws -> String {
        let location = try #require(try await browser.get(address(changes)).headers[.location])
        try #require(location.hasPrefix("/oauth/requests/"), "led to \(location)")
        return location
    }

    /// Begins, agrees where the resident is asked, and returns the parameters that the service is answered with.
    func signIn(_ browser: CityBrowser, _ changes: [String: String?] = [:], pressing button: String = "/allow") async throws -> [String: String] {
        var location = try #require(try await browser.get(address(changes)).headers[.location])
        if location.hasPrefix("/oauth/requests/") {
            let shown = try await browser.get(location)
            let version = shown.text.firstMatch(of: /name="policy_version" value="([^"]*)"/).map { [("policy_version", String($0.1))] } ?? []
            location = try #require(try await browser.post(location + button, version).headers[.location])
        }
        #expect(location.hasPrefix(redirectAddress + "?"))
        let found = parameters(of: location)
        #expect(found["state"] == state && found["iss"] == issuer)
        return found
    }

    func redeem(_ code: String, _ client: any TestClientProtocol, _ changes: [String: String?] = [:]) async throws -> Answer {
        var fields: [String: String] = [
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirectAddress, "code_verifier": verifier,
            "client_assertion_type": assertionType, "client_assertion": try maker.assertion(),
        ]
        for (name, value) in changes { fields[name] = value }
        return try await client.post("/oauth/token", form: fields.map { ($0.key, $0.value) })
    }

    /// The whole way to the tokens.
    func tokens(_ browser: CityBrowser, _ client: any TestClientProtocol, _ changes: [String: String?] = [:], pressing button: String = "/allow") async throws -> Answer {
        let code = try #require(try await signIn(browser, changes, pressing: button)["code"])
        return try await redeem(code, client)
    }
}

extension Answer {
    var idToken: String? { json["id_token"]?.text }
}

/// The header and claims of a token that a published key signed.
func verified(_ token: String?, _ client: any TestClientProtocol) async throws -> (header: JSONValue, claims: JSONValue) {
    let token = try #require(token)
    let published = try await client.get("/oauth/keys")
    #expect(published.status == 200)
    let keys = JWTKeyCollection()
    try await keys.add(jwksJSON: published.text)
    _ = try await keys.verify(token, as: AnyClaims.self)
    let parts = try token.split(separator: ".").prefix(2).map { try JSONScanner.scan(try #require(Base64URL.decode(String($0)))) }
    return (parts[0], parts[1])
}

private struct AnyClaims: JWTPayload {
    func verify(using algorithm: some JWTAlgorithm) {}
}

/// A town whose clinic and bank have services.
struct ServiceTown: Sendable {
    let town: Town
    let clinic: FixtureOrganisation
    /// What the clinic's service may ask for.
    let activity: FixtureActivity
    let service: Service
    let bankService: Service
    let keys: SigningKeys

    var city: CityFixture { town.city }

    static let attributes = ["given_names", "family_name", "email", "contact_email"]

    static func serve(_ body: @Sendable (ServiceTown, any TestClientProtocol) async throws -> Void) async throws {
        try await Town.serve { town, client in
            let clinic = try await town.city.organisation("clinic")
            let activity = try await town.city.activity(clinic, "sign-in", attributes: attributes)
            let makers = ["clinic-web", "bank-web"].map { AssertionMaker(client: $0) }
            for (organisation, maker, purpose) in [("clinic", makers[0], "sign-in"), ("bank", makers[1], nil)] as [(String, AssertionMaker, String?)] {
                try await ClientRegistration.register(
                    .init(
                        id: maker.client, organisation: organisation, name: LocalisedText([.english: "\(organisation) <on-line>", .french: "\(organisation) en ligne"]),
                        redirectAddresses: ["https://\(organisation).example/signed-in"], keySet: keySet(maker.publicJWK),
                        scope: ["openid", "profile", "email", "offline_access"], purpose: purpose), with: town.city.owner)
            }
            let story = ServiceTown(
                town: town, clinic: clinic, activity: activity, service: Service(maker: makers[0]),
                bankService: Service(maker: makers[1], redirectAddress: "https://bank.example/signed-in"),
                keys: SigningKeys(database: town.city.app, vault: town.city.vault))
            try await body(story, client)
        }
    }

    /// The same service with a sign-in of its own.
    var another: Service { Service(maker: service.maker) }

    func consents(_ resident: FixtureResident) async throws -> String? {
        try await city.owner.optional(OneValue("SELECT s.state FROM consent.state AS s WHERE s.resident_id = \(resident.id) AND s.activity_id = \(activity.id)"))
    }
}
