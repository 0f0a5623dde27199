// What the stories of this folder share: a city with two organisations' clients and two apps, served with the OpenID slice.
import AccessLog
import City
import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import OpenID
import Postgres
import Primitives
import Testing
import Web

/// An answer of the server.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let text: String

    init(_ response: TestResponse) {
        status = response.status.code
        headers = response.headers
        text = String(buffer: response.body)
    }

    var json: JSONValue { (try? JSONScanner.scan(Array(text.utf8))) ?? .null }
    var error: String? { json["error"]?.text }
    var accessToken: String? { json["access_token"]?.text }
}

/// A city with clients. Each has a database of its own, so tests may move its clock.
struct Town: Sendable {
    let city: CityFixture
    let clinic: AssertionMaker
    let bank: AssertionMaker

    static let redirectAddress = "http://127.0.0.1:51004/callback"

    static func make() async throws -> Town {
        let city = try await CityFixture.make()
        let town = Town(city: city, clinic: AssertionMaker(client: "clinic-system"), bank: AssertionMaker(client: "bank-system"))
        for (organisation, maker) in [("clinic", town.clinic), ("bank", town.bank)] {
            try await city.owner.execute(
                "INSERT INTO consent.organisation (id, name, kind) VALUES (\(organisation), '{\"en\": \"x\"}', 'other')")
            try await ClientRegistration.registerOrganisationClient(
                id: maker.client, organisation: organisation, name: LocalisedText([.english: organisation]),
                keySet: keySet(maker.publicJWK), with: city.owner)
        }
        try await ClientRegistration.registerApp(
            id: "city-app", name: LocalisedText([.english: "City <App>", .french: "Appli", .arabic: "تطبيق"]),
            redirectAddresses: ["http://127.0.0.1/callback"], with: city.owner)
        try await ClientRegistration.registerApp(
            id: "other-app", name: LocalisedText([.english: "Other"]),
            redirectAddresses: ["https://other.example/back?from=city", "http://127.0.0.1/other"], scope: ["profile"], with: city.owner)
        return town
    }

    /// Runs a story against the served slice.
    static func serve(_ body: @Sendable (Town, any TestClientProtocol) async throws -> Void) async throws {
        let town = try await make()
        let (keys, baseURL) = (SigningKeys(database: town.city.app, vault: town.city.vault), try BaseURL(issuer))
        let routes = OpenIDRoutes(
            database: town.city.app, door: Door(database: try town.city.appPool(sharedConnections: 1)), vault: town.city.vault, keys: keys, baseURL: baseURL)
        try await town.city.serve({
            routes.add(to: $0)
            ConnectedServicesRoutes(database: town.city.app).add(to: $0)
            EndSessionRoutes(database: town.city.app, keys: keys, baseURL: baseURL).add(to: $0)
            DeviceRoutes(database: town.city.app).add(to: $0)
            ServiceAdministrationRoutes(database: town.city.app).add(to: $0)
        }) { try await body(town, $0) }
    }

    /// How many access tokens there are that still stand.
    func liveTokens() async throws -> Int64 {
        try await city.owner.one(
            OneValue("SELECT count(*) FROM web.credential AS c WHERE c.kind = 'access_token' AND web.is_live(c)", of: Int64.self))
    }
}

extension TestClientProtocol {
    /// Posts a form as a program does: no cookie, no form token.
    func post(_ path: String, form fields: [(String, String)], headers: HTTPFields = [:]) async throws -> Answer {
        try await post(path, body: fields.map { escaped($0.0) + "=" + escaped($0.1) }.joined(separator: "&"), headers: headers)
    }

    func post(
        _ path: String, body: String, contentType: String? = "application/x-www-form-urlencoded", headers: HTTPFields = [:]
    ) async throws -> Answer {
        var headers = headers
        headers[.contentType] = contentType
        return Answer(try await executeRequest(uri: path, method: .post, headers: headers, body: ByteBuffer(string: body)))
    }

    /// The token endpoint with an assertion.
    func token(_ assertion: String, _ more: [(String, String)] = []) async throws -> Answer {
        try await post(
            "/oauth/token",
            form: [("grant_type", "client_credentials"), ("client_assertion_type", assertionType), ("client_assertion", assertion)] + more)
    }

    func get(_ path: String, bearer: String? = nil, cookie: String? = nil) async throws -> Answer {
        var headers: HTTPFields = [:]
        headers[.authorization] = bearer.map { "Bearer \($0)" }
        headers[.cookie] = cookie
        return Answer(try await executeRequest(uri: path, method: .get, headers: headers, body: nil))
    }
}

let assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

private let unreserved = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

func escaped(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? text }

/// An app that asks one resident: what it remembers between the request and the token.
struct App: Sendable {
    var clientID = "city-app"
    var redirectAddress = Town.redirectAddress
    let verifier = Base64URL.encode(Base64URL.randomBytes(count: 48))
    let state = "state/with &strange=characters+and%20escapes"

    var challenge: String { Base64URL.encode(Array(SHA256.hash(data: Array(verifier.utf8)))) }

    /// The address that the app opens in the browser.
    func address(_ changes: [String: String?] = [:], adding more: String = "") -> String {
        var fields: [String: String] = [
            "response_type": "code", "client_id": clientID, "redirect_uri": redirectAddress, "state": state, "code_challenge": challenge,
            "code_challenge_method": "S256",
        ]
        for (name, value) in changes { fields[name] = value }
        return "/oauth/authorize?" + fields.map { "\($0.key)=\(escaped($0.value))" }.sorted().joined(separator: "&") + more
    }

    /// Begins, as a browser that is signed in; returns the path of the approval page.
    func begin(_ browser: CityBrowser, _ changes: [String: String?] = [:]) async throws -> String {
        let answer = try await browser.get(address(changes))
        #expect(answer.status == 303)
        let location = try #require(answer.headers[.location])
        try #require(location.hasPrefix("/oauth/requests/"), "led to \(location)")
        return location
    }

    /// The whole way to a code.
    func code(_ browser: CityBrowser, _ changes: [String: String?] = [:]) async throws -> String {
        let page = try await begin(browser, changes)
        #expect(try await browser.get(page).status == 200)
        let answer = try await browser.post(page + "/allow", [])
        #expect(answer.status == 303)
        return try #require(parameters(of: answer.headers[.location])["code"])
    }

    func redeem(_ code: String, _ client: any TestClientProtocol, _ changes: [String: String?] = [:]) async throws -> Answer {
        var fields: [String: String] = [
            "grant_type": "authorization_code", "client_id": clientID, "code": code, "redirect_uri": redirectAddress, "code_verifier": verifier,
        ]
        for (name, value) in changes { fields[name] = value }
        return try await client.post("/oauth/token", form: fields.map { ($0.key, $0.value) })
    }
}

/// The parameters of an address, decoded.
func parameters(of address: String?) -> [String: String] {
    guard let address, let items = URLComponents(string: address)?.queryItems else { return [:] }
    return Dictionary(items.map { ($0.name, $0.value ?? "") }, uniquingKeysWith: { first, _ in first })
}

/// Starts all at once and waits for every answer.
func inParallel(_ count: Int, _ work: @escaping @Sendable (Int) async throws -> Answer) async throws -> [Answer] {
    try await withThrowingTaskGroup(of: Answer.self) { group in
        for number in 0..<count { group.addTask { try await work(number) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
