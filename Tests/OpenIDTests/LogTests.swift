// What the server writes about a sign-in at an app: nothing that would let a reader of the log act as anybody.
import AccessLog
import City
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import OpenID
import Synchronization
import TestSupport
import Testing
import Web

/// Keeps every line, of every level.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    var text: String { lines.withLock { $0.joined(separator: "\n") } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
}

private struct KeepingHandler: LogHandler {
    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level = .trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.add("\(event.level) \(event.message) \(metadata) \(event.metadata ?? [:])")
    }
}

@Suite("Log")
struct LogTests {
    @Test("No code, token, verifier, state, assertion or session is ever written down")
    func nothingSensitive() async throws {
        let town = try await Town.make()
        let lines = Lines()
        let configuration = WebConfiguration(
            baseURL: try BaseURL(issuer), rootDirectory: TestCluster.projectRoot.path,
            requestLog: { lines.add(String(decoding: $0, as: UTF8.self)) })
        let site = try Site(configuration: configuration, resolve: Site.resolver(using: town.city.app))
        OpenIDRoutes(
            database: town.city.app, door: Door(database: town.city.app), vault: town.city.vault,
            keys: SigningKeys(database: town.city.app, vault: town.city.vault), baseURL: try BaseURL(issuer)
        ).add(to: site)
        var logger = Logger(label: "kept", factory: { _ in KeepingHandler(lines: lines) })
        logger.logLevel = .trace
        let ada = try await town.city.resident()
        let app = App()
        let assertion = try town.clinic.assertion()
        let secrets = try await WebApplication.build(site: site, logger: logger).test(.router) { client in
            let browser = CityBrowser(client, session: ada.session)
            let code = try await app.code(browser)
            let token = try #require(try await app.redeem(code, client).accessToken)
            _ = try await app.redeem(code, client)
            _ = try await client.get("/api/v1/me", bearer: token)
            _ = try await client.token(assertion)
            _ = try await client.token(assertion)
            _ = try await client.post("/oauth/revoke", form: [("token", token), ("client_id", "city-app")])
            _ = try await browser.get(app.address(["client_id": "nobody"]))
            return [code, token]
        }
        // The log does say something: which routes, and why something was refused.
        #expect(lines.text.contains("/oauth/token") && lines.text.contains("replayed") && lines.text.contains("used before"))
        for secret in secrets + [app.verifier, app.challenge, app.state, escaped(app.state), assertion, ada.session.token, "Ada", "Byron"] {
            #expect(!lines.text.contains(secret))
        }
    }

    @Test("nothing sensitive in a URL, cookie or log: of a sign-in at a service the address bar sees the code alone, and the log none of it")
    func serviceSignIn() async throws {
        let town = try await Town.make()
        let lines = Lines()
        let configuration = WebConfiguration(
            baseURL: try BaseURL(issuer), rootDirectory: TestCluster.projectRoot.path, requestLog: { lines.add(String(decoding: $0, as: UTF8.self)) })
        let site = try Site(configuration: configuration, resolve: Site.resolver(using: town.city.app))
        OpenIDRoutes(
            database: town.city.app, door: Door(database: town.city.app), vault: town.city.vault,
            keys: SigningKeys(database: town.city.app, vault: town.city.vault), baseURL: try BaseURL(issuer)
        ).add(to: site)
        var logger = Logger(label: "kept", factory: { _ in KeepingHandler(lines: lines) })
        logger.logLevel = .trace
        let ada = try await town.city.resident()
        let maker = AssertionMaker(client: "clinic-web")
        try await ClientRegistration.register(
            .init(
                id: maker.client, organisation: "clinic", name: LocalisedText([.english: "Clinic"]), redirectAddresses: ["https://clinic.example/signed-in"],
                keySet: keySet(maker.publicJWK), scope: ["openid", "offline_access"]), with: town.city.owner)
        let service = Service(maker: maker)
        let scope: [String: String?] = ["scope": "openid offline_access"]
        let secrets = try await WebApplication.build(site: site, logger: logger).test(.router) { client in
            let browser = CityBrowser(client, session: ada.session)
            let answered = try await service.signIn(browser, scope)
            #expect(Set(answered.keys) == ["code", "state", "iss"])
            let code = try #require(answered["code"])
            let answer = try await service.redeem(code, client)
            let (token, refresh, idToken) = (try #require(answer.accessToken), try #require(answer.json["refresh_token"]?.text), try #require(answer.idToken))
            _ = try await client.get("/oauth/userinfo", bearer: token)
            _ = try await service.redeem(code, client)
            _ = try await client.get("/oauth/userinfo", bearer: token)
            // What the browser keeps: its session, its form secret and the cookie of the sign-in; nothing of the service's.
            #expect(Set(browser.cookies.keys).isSubset(of: ["stoa_session", "stoa_csrf", "stoa_login"]))
            return [code, token, refresh, idToken] + browser.cookies.values
        }
        for secret in secrets + [service.verifier, service.challenge, service.state, service.nonce, "Ada", "Byron"] { #expect(!lines.text.contains(secret)) }
    }
}
