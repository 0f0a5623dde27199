// Devices without a browser: a code is typed by who stands in front of one, who asks is named, and the answer goes to the device that began.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

@Suite("Devices")
struct DeviceTests {
    private func serve(_ body: @Sendable (ServiceTown, Service, any TestClientProtocol) async throws -> Void) async throws {
        try await ServiceTown.serve { story, client in
            let maker = AssertionMaker(client: "clinic-kiosk")
            try await ClientRegistration.register(
                .init(
                    id: maker.client, organisation: "clinic", name: LocalisedText([.english: "Kiosk <hall>"]), redirectAddresses: [], keySet: keySet(maker.publicJWK),
                    scope: ["openid", "profile"], purpose: "sign-in", hasDevices: true), with: story.city.owner)
            try await body(story, Service(maker: maker), client)
        }
    }

    private func begin(_ service: Service, _ client: any TestClientProtocol, _ more: [(String, String)] = []) async throws -> Answer {
        try await client.post("/oauth/device", form: [("client_assertion_type", assertionType), ("client_assertion", try service.maker.assertion())] + more)
    }

    private func poll(_ code: String?, _ service: Service, _ client: any TestClientProtocol) async throws -> Answer {
        try await client.post(
            "/oauth/token",
            form: [
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", code ?? ""), ("client_assertion_type", assertionType),
                ("client_assertion", try service.maker.assertion()),
            ])
    }

    @Test("The code is typed, who asks is named, and the device that waits gets the tokens, once")
    func wholeWay() async throws {
        try await serve { story, kiosk, client in
            let begun = try await begin(kiosk, client)
            #expect(begun.status == 200 && begun.json["interval"] == 5 && begun.json["expires_in"] == 600)
            let (device, user) = (begun.json["device_code"]?.text, try #require(begun.json["user_code"]?.text))
            #expect(user.wholeMatch(of: /[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}/) != nil)
            #expect(begun.json["verification_uri"]?.text == issuer + "/device")
            #expect(try await poll(device, kiosk, client).error == "authorization_pending")

            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            #expect(try await CityBrowser(client).get("/device").headers[.location]?.hasPrefix("/sign-in") == true)
            #expect(try await browser.get("/device?user_code=\(user)").text.contains("value=\"\(user)\""))
            let page = try #require(try await browser.post("/device", [("user_code", user.lowercased().replacing("-", with: " "))]).headers[.location])
            let shown = try await browser.get(page)
            for words in ["Kiosk &lt;hall&gt;", "x asks you to sign in at its service", "A device waits for your answer", "Given names"] { #expect(shown.text.contains(words), "\(words)") }
            try await story.city.setClock(secondsAhead: 6)
            #expect(try await poll(device, kiosk, client).error == "authorization_pending")
            #expect(try await browser.post(page + "/allow", [("policy_version", "1")]).headers[.location] == "/device/done")
            #expect(try await browser.get("/device/done").text.contains("You can go back to the device"))
            try await story.city.setClock(secondsAhead: 12)
            let tokens = try await poll(device, kiosk, client)
            #expect(tokens.status == 200, "\(tokens.text)")
            #expect(try await verified(tokens.idToken, client).claims["sub"]?.text == story.city.pseudonym(of: ada, for: story.clinic).uuidString.lowercased())
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).json["given_name"] == "Ada")
            #expect(try await poll(device, kiosk, client).error == "invalid_grant")
            #expect(try await client.get("/oauth/userinfo", bearer: tokens.accessToken).status == 401, "asked for twice")
            // Who has agreed once is asked all the same: whose device it is cannot be known here.
            let again = try #require(try await begin(kiosk, client).json["user_code"]?.text)
            let second = try #require(try await browser.post("/device", [("user_code", again)]).headers[.location])
            #expect(try await browser.get(second).text.contains("A device waits for your answer"))
        }
    }

    @Test("device code polled by another client")
    func otherClient() async throws {
        try await serve { story, kiosk, client in
            let begun = try await begin(kiosk, client)
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            _ = try await browser.get("/device")
            let page = try #require(try await browser.post("/device", [("user_code", begun.json["user_code"]?.text ?? "")]).headers[.location])
            _ = try await browser.get(page)
            _ = try await browser.post(page + "/allow", [("policy_version", "1")])
            for other in [story.service, story.bankService] { #expect(try await poll(begun.json["device_code"]?.text, other, client).error == "invalid_grant") }
            #expect(try await client.post("/oauth/token", form: [
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", begun.json["device_code"]?.text ?? ""), ("client_id", "city-app"),
            ]).error == "invalid_grant")
            #expect(try await poll(begun.json["device_code"]?.text, kiosk, client).status == 200)
            #expect(try await begin(story.service, client).error == "unauthorized_client")
            #expect(try await client.post("/oauth/device", form: [("client_id", "clinic-kiosk")]).error == "invalid_client")
        }
    }

    @Test("A device that asks too often is told to slow down; one that was refused, or waited too long, is told so")
    func waiting() async throws {
        try await serve { story, kiosk, client in
            let begun = try await begin(kiosk, client)
            let device = begun.json["device_code"]?.text
            #expect(try await poll(device, kiosk, client).error == "authorization_pending")
            #expect(try await poll(device, kiosk, client).error == "slow_down")
            try await story.city.setClock(secondsAhead: 7)
            #expect(try await poll(device, kiosk, client).error == "slow_down", "ten seconds by now")
            try await story.city.setClock(secondsAhead: 30)
            #expect(try await poll(device, kiosk, client).error == "authorization_pending")
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            _ = try await browser.get("/device")
            let page = try #require(try await browser.post("/device", [("user_code", begun.json["user_code"]?.text ?? "")]).headers[.location])
            _ = try await browser.get(page)
            #expect(try await browser.post(page + "/refuse", []).headers[.location] == "/device/done")
            #expect(try await poll(device, kiosk, client).error == "access_denied")
            for code in ["", "x", OpaqueToken().characters] { #expect(try await poll(code, kiosk, client).status == 400) }
            let late = try await begin(kiosk, client).json["device_code"]?.text
            try await story.city.owner.execute("UPDATE openid.authorization_request SET expires_at = public.stoa_now() WHERE answered_at IS NULL")
            #expect(try await poll(late, kiosk, client).error == "expired_token")
        }
    }

    @Test("Codes cannot be tried: ten in ten minutes, however many at once; a code typed by one is nobody else's")
    func guessing() async throws {
        try await serve { story, kiosk, client in
            let user = try #require(try await begin(kiosk, client).json["user_code"]?.text)
            let first = CityBrowser(client, session: try await story.city.resident().session)
            _ = try await first.get("/device")
            #expect(try await first.post("/device", [("user_code", user)]).status == 303)
            let eve = try await story.city.resident()
            let browser = CityBrowser(client, session: eve.session)
            _ = try await browser.get("/device")
            let taken = try await browser.post("/device", [("user_code", user)])
            #expect(taken.status == 422 && taken.text.contains("There is no such code"))
            for typed in ["", "short", "AEIO-UAEI", String(repeating: "B", count: 50)] { #expect(try await browser.post("/device", [("user_code", typed)]).status == 422) }
            let sessions = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<12 { group.addTask { try await story.city.app.exclusive { try await $0.one(CountDeviceGuess(session: eve.session.hash)) } } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(sessions.contains(false))
            #expect(try await browser.post("/device", [("user_code", UserCode.random().written)]).status == 429)
        }
    }
}
