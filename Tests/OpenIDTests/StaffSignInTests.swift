// Members of staff sign in at services that ask for their roles, with two factors; nowhere else, and never as residents.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

@Suite("Staff at services")
struct StaffSignInTests {
    /// A service of the clinic that staff sign in at too.
    private func desk(_ story: ServiceTown) async throws -> Service {
        let maker = AssertionMaker(client: "clinic-desk")
        try await ClientRegistration.register(
            .init(
                id: maker.client, organisation: "clinic", name: LocalisedText([.english: "Desk"]), redirectAddresses: ["https://clinic.example/signed-in"],
                keySet: keySet(maker.publicJWK), scope: ["openid", "profile", "offline_access", "roles"]), with: story.city.owner)
        return Service(maker: maker)
    }

    private let everything: [String: String?] = ["scope": "openid profile offline_access roles"]

    /// What an authenticator app does to a session.
    private func raise(_ session: FixtureCredential, _ story: ServiceTown) async throws {
        try await story.city.owner.execute(
            """
            UPDATE web.credential SET authenticator_assurance = 2, second_factor = 'totp', second_factor_at = public.stoa_now()
            WHERE hash = \(session.hash.bytes)
            """)
    }

    @Test("With the password alone a member of staff is asked for the second factor, and gets no code, not even by the statement itself")
    func passwordAlone() async throws {
        try await ServiceTown.serve { story, client in
            let desk = try await desk(story)
            let clerk = try await story.city.staff(roles: [.caseworker])
            let browser = CityBrowser(client, session: clerk.session)
            let page = try await desk.begin(browser, everything)
            #expect(try await browser.get(page).headers[.location] == "/confirm-factor?next=" + page)
            let id = try #require(AuthorizationRequestID(String(page.split(separator: "/").last ?? "")))
            let issue = IssueCode(code: CredentialHash(token: "code"), request: id, session: clerk.session.hash)
            #expect(try await story.city.app.one(issue) == false)
            #expect(try await parameters(of: browser.get(desk.address(["prompt": "none", "scope": "openid roles"])).headers[.location])["error"] == "login_required")
        }
    }

    @Test("With two factors the service learns name and roles, under a name of its own for them, until the session ends")
    func story() async throws {
        try await ServiceTown.serve { story, client in
            let desk = try await desk(story)
            let clerk = try await story.city.staff(roles: [.caseworker, .auditor], username: "clerk")
            try await raise(clerk.session, story)
            let browser = CityBrowser(client, session: clerk.session)
            let answer = try await desk.tokens(browser, client, everything)
            #expect(answer.status == 200 && answer.json["scope"] == "openid profile roles" && answer.json["refresh_token"] == nil)
            let claims = try await verified(answer.idToken, client).claims
            #expect(claims["roles"] == ["caseworker", "auditor"] && claims["name"] == "clerk" && claims["amr"] == ["mfa"])
            #expect(claims["acr"] == "http://eidas.europa.eu/LoA/substantial" && claims["sub"]?.text != clerk.id.description)
            // As they are at the moment that it asks.
            try await story.city.owner.execute("UPDATE identity.staff SET roles = '{approver}'")
            let told = try await client.get("/oauth/userinfo", bearer: answer.accessToken).json
            #expect(told["roles"] == ["approver"] && told["sub"] == claims["sub"] && told["given_name"] == nil)
            // The same person the next time.
            let again = try await desk.tokens(browser, client, ["scope": "openid roles"])
            let next = try await verified(again.idToken, client).claims
            #expect(next["sub"] == claims["sub"] && next["name"] == nil)
            try await story.city.revoke(clerk.session)
            for token in [answer.accessToken, again.accessToken] { #expect(try await client.get("/oauth/userinfo", bearer: token).status == 401) }
        }
    }

    @Test("Who has left the city's service is signed in nowhere, and a code of theirs is worth nothing")
    func left() async throws {
        try await ServiceTown.serve { story, client in
            let desk = try await desk(story)
            let clerk = try await story.city.staff(roles: [.caseworker])
            try await raise(clerk.session, story)
            let browser = CityBrowser(client, session: clerk.session)
            let answer = try await desk.tokens(browser, client, everything)
            let code = try #require(try await desk.signIn(browser, everything)["code"])
            try await story.city.owner.execute("UPDATE identity.staff SET closed_at = public.stoa_now()")
            #expect(try await client.get("/oauth/userinfo", bearer: answer.accessToken).status == 401)
            #expect(try await desk.redeem(code, client).error == "invalid_grant")
        }
    }

    @Test("A resident signs in there as anywhere, without roles; staff are refused where no roles are asked for; a service cannot register for them itself")
    func others() async throws {
        try await ServiceTown.serve { story, client in
            let desk = try await desk(story)
            let ada = CityBrowser(client, session: try await story.city.resident().session)
            let answer = try await desk.tokens(ada, client, everything)
            #expect(answer.json["scope"] == "openid profile offline_access")
            #expect(try await verified(answer.idToken, client).claims["roles"] == nil)
            #expect(try await client.get("/oauth/userinfo", bearer: answer.accessToken).json["roles"] == nil)

            let clerk = try await story.city.staff(roles: [.caseworker])
            try await raise(clerk.session, story)
            let browser = CityBrowser(client, session: clerk.session)
            for address in [story.service.address(), desk.address(["scope": "openid"])] { #expect(try await browser.get(address).status == 403) }
            // Not in a request that somebody else began, either.
            let page = try await desk.begin(CityBrowser(client), ["scope": "openid"])
            #expect(try await browser.get(page).status == 403)

            let token = try #require(try await RegistrationTokens.make(organisation: "clinic", purpose: nil, usesMax: 1, days: 1, with: story.city.owner))
            let metadata = #"{"client_name":"x","redirect_uris":["https://x.example/"],"scope":"openid roles","jwks":\#(keySet(desk.maker.publicJWK))}"#
            let refused = try await client.post(
                "/oauth/register", body: metadata, contentType: "application/json", headers: [.authorization: "Bearer " + token])
            #expect(refused.status == 400 && refused.error == "invalid_client_metadata")
        }
    }
}
