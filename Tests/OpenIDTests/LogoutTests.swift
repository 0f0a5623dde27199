// Signing out: of the city, which signs out at every service and tells them; from a service, which asks first.
import City
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

@Suite("Signing out")
struct LogoutTests {
    private func register(_ story: ServiceTown, at logoutAddress: String?) async throws -> Service {
        let maker = AssertionMaker(client: "clinic-desk")
        try await ClientRegistration.register(
            .init(
                id: maker.client, organisation: "clinic", name: LocalisedText([.english: "Desk"]), redirectAddresses: ["https://desk.example/in"],
                keySet: keySet(maker.publicJWK), scope: ["openid", "offline_access"], postLogoutAddresses: ["https://desk.example/out"], logoutAddress: logoutAddress),
            with: story.city.owner)
        return Service(maker: maker, redirectAddress: "https://desk.example/in")
    }

    private func delivery(_ story: ServiceTown, permitsLoopback: Bool = true) throws -> LogoutDelivery {
        LogoutDelivery(database: story.city.app, keys: story.keys, baseURL: try BaseURL(issuer), permitsLoopback: permitsLoopback, logger: quiet)
    }

    @Test("Whoever signs out of the city is signed out at every service, and each that wants to hear of it is told with a signed token")
    func backChannel() async throws {
        try await ServiceTown.serve { story, client in
            let receiver = Receiver(statuses: [503, 204])
            try await receiver.serve { address in
                let desk = try await register(story, at: address)
                let ada = try await story.city.resident()
                let browser = CityBrowser(client, session: ada.session)
                let tokens = try await desk.tokens(browser, client, ["scope": "openid"])
                let idToken = try await verified(tokens.idToken, client).claims
                _ = try await story.service.tokens(browser, client)
                #expect(try await delivery(story).deliverOnce() == 0)
                try await story.city.revoke(ada.session)

                #expect(try await delivery(story, permitsLoopback: false).deliverOnce() == 1)
                let none = await receiver.bodies
                #expect(none.isEmpty, "in a city nothing on this machine is posted to")
                try await story.city.setClock(secondsAhead: 61)
                #expect(try await delivery(story).deliverOnce() == 1)
                #expect(try await delivery(story).deliverOnce() == 0, "not before its time")
                try await story.city.setClock(secondsAhead: 61 + 121)
                #expect(try await delivery(story).deliverOnce() == 1)
                try await story.city.setClock(secondsAhead: 86_000)
                #expect(try await delivery(story).deliverOnce() == 0, "it was told")

                let bodies = await receiver.bodies
                #expect(bodies.count == 2)
                let token = try #require(bodies.last?.split(separator: "=").last.map(String.init))
                let (header, claims) = try await verified(token, client)
                #expect(header["typ"] == "logout+jwt")
                #expect(claims["iss"]?.text == issuer && claims["aud"]?.text == "clinic-desk")
                #expect(claims["sub"] == idToken["sub"] && claims["sid"] == idToken["sid"])
                #expect(claims["events"]?["http://schemas.openid.net/event/backchannel-logout"] == JSONValue.object([]))
                #expect(claims["nonce"] == nil && claims["jti"] != nil)
                guard case .integer(let issued)? = claims["iat"], case .integer(let expires)? = claims["exp"] else { Issue.record("no iat or exp"); return }
                #expect(expires - issued == 120)
            }
        }
    }

    @Test("Of nodes that tell at the same moment each notice is told by one; a service that goes on without the resident is told and keeps its tokens")
    func parallel() async throws {
        try await ServiceTown.serve { story, client in
            let receiver = Receiver(statuses: [204])
            try await receiver.serve { address in
                let desk = try await register(story, at: address)
                let ada = try await story.city.resident()
                let browser = CityBrowser(client, session: ada.session)
                var last: Answer?
                for _ in 0..<5 { last = try await Service(maker: desk.maker, redirectAddress: desk.redirectAddress).tokens(browser, client, ["scope": "openid offline_access"]) }
                try await story.city.revoke(ada.session)
                let node = try delivery(story)
                let told = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<4 { group.addTask { try await node.deliverOnce() } }
                    return try await group.reduce(0, +)
                }
                let bodies = await receiver.bodies
                #expect(told == 5 && bodies.count == 5 && Set(bodies).count == 5)
                #expect(try await client.get("/oauth/userinfo", bearer: last?.accessToken).status == 200)
            }
        }
    }

    @Test("A service that does not answer holds up its own log-outs, no more of them than its share; others are told meanwhile")
    func slowService() async throws {
        try await ServiceTown.serve { story, client in
            let (slow, quick) = (Receiver(statuses: [204]), Receiver(statuses: [204]))
            try await slow.serve { slowAddress in
                try await quick.serve { address in
                    await slow.fallSilent()
                    let desk = try await register(story, at: slowAddress)
                    try await story.city.owner.execute("UPDATE openid.client SET backchannel_logout_uri = \(address) WHERE id = 'clinic-web'")
                    let ada = try await story.city.resident()
                    let browser = CityBrowser(client, session: ada.session)
                    let share = LogoutDelivery.noticesPerServiceMax
                    for _ in 0..<share + 2 { _ = try await Service(maker: desk.maker, redirectAddress: desk.redirectAddress).tokens(browser, client, ["scope": "openid"]) }
                    _ = try await story.another.tokens(browser, client)
                    try await story.city.revoke(ada.session)
                    let node = try delivery(story)
                    let running = Task { await node.run() }
                    await quick.first(1)
                    await slow.first(share)
                    let held = await slow.bodies.count
                    #expect(held == share)
                    await slow.answerAll()
                    await slow.first(share + 2)
                    running.cancel()
                    await running.value
                }
            }
        }
    }

    @Test("SSRF through the log-out address: what is no address outside is not registered, and by no name posted to")
    func addresses() async throws {
        try await ServiceTown.serve { story, client in
            for address in ["http://clinic.example/", "https://user@clinic.example/", "ftp://clinic.example/", "https://clinic.example", "http://169.254.169.254/", "x"] {
                await #expect(throws: ClientRegistration.Refusal.badLogoutAddress(address)) { _ = try await register(story, at: address) }
            }
            let desk = try await register(story, at: "https://10.0.0.1/out")
            let ada = try await story.city.resident()
            _ = try await desk.tokens(CityBrowser(client, session: ada.session), client, ["scope": "openid"])
            try await story.city.revoke(ada.session)
            #expect(try await delivery(story).deliverOnce() == 1)
            #expect(try await story.city.owner.one(OneValue("SELECT n.outcome FROM openid.logout_notice AS n", of: String.self)) == "address not public")
        }
    }

    @Test("A service that asks for a sign-out is asked about first; then the resident goes on to its registered address, with its state")
    func fromAService() async throws {
        try await ServiceTown.serve { story, client in
            let desk = try await register(story, at: nil)
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let tokens = try await desk.tokens(browser, client, ["scope": "openid"])
            let hint = try #require(tokens.idToken)
            let out = "https://desk.example/out"
            let path = "/oauth/end-session?id_token_hint=\(hint)&post_logout_redirect_uri=\(escaped(out))&state=a%26b"
            let page = try await browser.get(path)
            #expect(page.status == 200 && page.text.contains("Sign out of the city too?") && page.text.contains("Desk"))
            #expect(page.headers[.contentSecurityPolicy]?.contains("form-action 'self' https://desk.example https://www.wikipedia.org;") == true)
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 200, "opening an address signs nobody out")
            let fields = [("client_id", "clinic-desk"), ("post_logout_redirect_uri", out), ("state", "a&b")]
            #expect(try await browser.post("/oauth/end-session/stay", fields).headers[.location] == out + "?state=a%26b")
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 200)
            #expect(try await browser.post("/oauth/end-session", fields + [("form_token", "x")]).status == 403)
            _ = try await browser.get(path)
            #expect(try await browser.post("/oauth/end-session", fields).headers[.location] == out + "?state=a%26b")
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 401)
            #expect(try await browser.get("/connected-services").headers[.location]?.hasPrefix("/sign-in") == true)
            #expect(try await browser.get(path).headers[.location] == out + "?state=a%26b", "signed out already")
        }
    }

    @Test("Nobody is sent to an address that the service did not register, whatever the hint")
    func unregistered() async throws {
        try await ServiceTown.serve { story, client in
            let desk = try await register(story, at: nil)
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let tokens = try await desk.tokens(browser, client, ["scope": "openid"])
            let (hint, access) = (try #require(tokens.idToken), try #require(tokens.accessToken))
            let signedOut = CityBrowser(client)
            for query in [
                "id_token_hint=\(hint)&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F", "post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fout",
                "client_id=clinic-web&id_token_hint=\(hint)&post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fout",
                "client_id=clinic-desk&post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fin", "client_id=nobody&post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fout",
                "id_token_hint=\(access)&post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fout", "id_token_hint=x&post_logout_redirect_uri=https%3A%2F%2Fdesk.example%2Fout", "",
            ] {
                #expect(try await signedOut.get("/oauth/end-session?" + query).headers[.location] == "/", "\(query)")
                #expect(try await browser.get("/oauth/end-session?" + query).status == 200, "\(query)")
            }
            let posted = try await browser.post("/oauth/end-session/stay", [("client_id", "clinic-desk"), ("post_logout_redirect_uri", "https://evil.example/")])
            #expect(posted.headers[.location] == "/")
        }
    }
}

/// A service's own server on a real socket, which keeps what is posted to it.
private actor Receiver {
    private var statuses: [Int]
    private(set) var bodies: [String] = []

    /// - Parameter statuses: of the first posts; the last one of all that follow.
    init(statuses: [Int]) { self.statuses = statuses }

    private func take(_ body: String) async -> Int {
        bodies.append(body)
        for waiting in arrivals { waiting.resume() }
        arrivals = []
        if isSilent { await withCheckedContinuation { held.append($0) } }
        return statuses.count > 1 ? statuses.removeFirst() : statuses[0]
    }

    private var isSilent = false
    private var held: [CheckedContinuation<Void, Never>] = []
    private var arrivals: [CheckedContinuation<Void, Never>] = []

    /// From now on it takes posts and answers none.
    func fallSilent() { isSilent = true }

    func answerAll() {
        isSilent = false
        for waiting in held { waiting.resume() }
        held = []
    }

    /// Waits until so many were posted.
    func first(_ count: Int) async {
        while bodies.count < count { await withCheckedContinuation { arrivals.append($0) } }
    }

    /// Serves while `body` runs with the address to post to.
    func serve(_ body: @Sendable (String) async throws -> Void) async throws {
        let router = Router()
        router.post("/out") { [self] request, _ in
            let text = String(buffer: try await request.body.collect(upTo: 10_000))
            return Response(status: .init(code: await take(text)))
        }
        let application = Application(router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)), logger: quiet)
        try await application.test(.live) { client in try await body("http://127.0.0.1:\(try #require(client.port))/out") }
    }
}
