// Residents sign in at an organisation's service: what they are asked, what the service learns, and what stands in the log.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

@Suite("Signing in at a service")
struct ServiceSignInTests {
    @Test("The first time one page says who asks, for which data, for what, since when, and how to refuse; agreeing is a consent, and each read an entry")
    func story() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident(["given_names": "Ada", "family_name": "Byron", "email": "ada@example.org"])
            let browser = CityBrowser(client, session: ada.session)
            let page = try await story.service.begin(browser)
            let shown = try await browser.get(page)
            #expect(shown.status == 200)
            for words in ["Sign in at clinic &lt;on-line&gt;", "clinic.example", "sign-in title 1", "sign-in explanation 1", "Given names", "E-mail (register)",
                "Sign in without sharing", "Do not sign in", "/consents", "The city has known this service since"]
            {
                #expect(shown.text.contains(words), "\(words)")
            }
            #expect(!shown.text.contains("Date of birth") && !shown.text.contains("‹"))
            #expect(shown.headers[.contentSecurityPolicy]?.contains("form-action 'self' https://clinic.example https://www.wikipedia.org;") == true)
            #expect(try await story.city.entryCount() == 0)

            let found = try await browser.post(page + "/allow", [("policy_version", "1")])
            #expect(try await story.consents(ada) == "given")
            let answer = try await story.service.redeem(try #require(parameters(of: found.headers[.location])["code"]), client)
            #expect(answer.status == 200 && answer.json["token_type"] == "Bearer" && answer.json["expires_in"] == 600)
            #expect(answer.json["scope"] == "openid profile email" && answer.headers[.cacheControl] == "no-store")

            let subject = try await story.city.pseudonym(of: ada, for: story.clinic).uuidString.lowercased()
            let (header, claims) = try await verified(answer.idToken, client)
            #expect(header["alg"] == "ES256")
            #expect(claims["iss"]?.text == issuer && claims["aud"]?.text == "clinic-web" && claims["sub"]?.text == subject)
            #expect(claims["nonce"]?.text == story.service.nonce && claims["acr"]?.text == "http://eidas.europa.eu/LoA/low")
            #expect(claims["amr"] == JSONValue.array(["pwd"]))
            #expect(claims["sid"]?.text != nil && claims["auth_time"] != nil && claims["given_name"] == nil)
            guard case .integer(let issued)? = claims["iat"], case .integer(let expires)? = claims["exp"] else { Issue.record("no iat or exp"); return }
            #expect(expires - issued == 600 && abs(Double(issued) - Date().timeIntervalSince1970) < 60)

            let (tokenHeader, tokenClaims) = try await verified(answer.accessToken, client)
            #expect(tokenHeader["typ"] == "at+jwt")
            #expect(tokenClaims["client_id"] == "clinic-web" && tokenClaims["sub"]?.text == subject && tokenClaims["aud"]?.text == issuer)
            #expect(tokenClaims["jti"] != nil && tokenClaims["scope"] == "openid profile email")

            let user = try await client.get("/oauth/userinfo", bearer: answer.accessToken)
            #expect(user.status == 200)
            #expect(user.json["sub"]?.text == subject && user.json["name"] == "Ada Byron" && user.json["given_name"] == "Ada" && user.json["email"] == "ada@example.org")
            #expect(user.json["email_verified"] == false && user.json["birthdate"] == nil)
            #expect(
                try await story.city.entryCount(
                    where: """
                        e.subject_id = \(ada.id) AND e.actor_id = 'clinic-web' AND e.operation = 'disclose' AND e.outcome = 'permitted' AND e.legal_basis = 'consent'
                        AND e.purpose = 'sign-in' AND e.attributes = '{given_names,family_name,email,contact_email}' AND e.case_reference LIKE 'sign-in %'
                        """) == 1)
        }
    }

    @Test("Whoever has agreed before goes straight to the service; prompt=consent asks again all the same")
    func secondTime() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let first = try await verified(try await story.service.tokens(browser, client).idToken, client).claims
            let location = try #require(try await browser.get(story.another.address()).headers[.location])
            #expect(location.hasPrefix("https://clinic.example/signed-in?code="))
            _ = try await story.another.begin(browser, ["prompt": "consent"])
            let again = story.another
            let second = try await verified(try await again.tokens(browser, client).idToken, client).claims
            #expect(first["sub"] == second["sub"] && first["sid"] != second["sid"])
        }
    }

    @Test("After signing in at the city, a page goes on by itself, because the form before it may lead nowhere else")
    func afterSigningIn() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            _ = try await story.service.tokens(CityBrowser(client, session: ada.session), client)
            let signedOut = CityBrowser(client)
            let page = try await story.another.begin(signedOut)
            #expect(try await signedOut.get(page).headers[.location]?.hasPrefix("/sign-in?next=") == true)
            let browser = CityBrowser(client, session: try await story.city.session(of: ada.accountID), cookies: signedOut.cookies)
            let shown = try await browser.get(page)
            #expect(shown.status == 200)
            #expect(shown.headers[HTTPField.Name("Refresh") ?? .via]?.hasPrefix("0; url=https://clinic.example/signed-in?code=") == true)
            #expect(shown.text.contains("href=\"https://clinic.example/signed-in?code="))
            #expect(try await browser.get(page).status == 410)
        }
    }

    @Test("Not signing in tells the service so; signing in without sharing gives it a name that is its own, and nothing else, and is not asked again")
    func refusing() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            #expect(try await story.service.signIn(browser, pressing: "/refuse")["error"] == "access_denied")
            #expect(try await story.consents(ada) == nil)
            let answer = try await story.another.tokens(browser, client, pressing: "/allow-without-sharing")
            #expect(try await story.consents(ada) == nil)
            let user = try await client.get("/oauth/userinfo", bearer: answer.accessToken)
            let subject = try await story.city.pseudonym(of: ada, for: story.clinic).uuidString.lowercased()
            #expect(user.json == JSONValue.object([JSONMember("sub", .string(subject))]))
            #expect(try await story.city.entryCount(where: "e.outcome = 'refused' AND e.refusal = 'consent_missing' AND e.subject_id = \(ada.id)") == 1)
            #expect(try await browser.get(story.another.address()).headers[.location]?.hasPrefix("https://clinic.example/signed-in?code=") == true)
        }
    }

    @Test("What was withdrawn is not told at the very next read; the next sign-in asks again")
    func withdrawn() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let token = try await story.service.tokens(browser, client).accessToken
            #expect(try await client.get("/oauth/userinfo", bearer: token).json["given_name"] == "Ada")
            #expect(try await story.city.decide("withdrawn", story.activity, by: ada) == "recorded")
            #expect(try await client.get("/oauth/userinfo", bearer: token).json["given_name"] == nil)
            _ = try await story.another.begin(browser)
        }
    }

    @Test("A part that is shared is told, the rest is not")
    func part() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let token = try await story.service.tokens(browser, client).accessToken
            try await story.city.decide("withdrawn", story.activity, by: ada)
            try await story.city.decide("given", story.activity, by: ada, attributes: ["family_name"])
            let user = try await client.get("/oauth/userinfo", bearer: token)
            #expect(user.json["family_name"] == "Byron" && user.json["given_name"] == nil && user.json["name"] == nil)
            #expect(try await story.city.entryCount(where: "e.attributes = '{family_name}' AND e.outcome = 'permitted'") == 1)
        }
    }

    @Test("Whoever asks for a purpose by law is told without a question of consent, and the page names the law")
    func byLaw() async throws {
        try await ServiceTown.serve { story, client in
            let office = try await story.city.organisation("office")
            _ = try await story.city.activity(office, "register", attributes: ["family_name"], law: "Registration Act § 4")
            let maker = AssertionMaker(client: "office-web")
            try await ClientRegistration.register(
                .init(
                    id: "office-web", organisation: "office", name: LocalisedText([.english: "Office"]), redirectAddresses: ["https://office.example/"],
                    keySet: keySet(maker.publicJWK), scope: ["openid", "profile"], purpose: "register"), with: story.city.owner)
            let service = Service(maker: maker, redirectAddress: "https://office.example/")
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let shown = try await browser.get(try await service.begin(browser, ["scope": "openid profile"]))
            #expect(shown.text.contains("Registration Act § 4") && !shown.text.contains("allow-without-sharing"))
            let token = try await Service(maker: maker, redirectAddress: "https://office.example/").tokens(browser, client, ["scope": "openid profile"]).accessToken
            #expect(try await client.get("/oauth/userinfo", bearer: token).json["family_name"] == "Byron")
            #expect(try await story.city.entryCount(where: "e.law = 'Registration Act § 4' AND e.outcome = 'permitted'") == 1)
        }
    }

    @Test("A text that changed while the page was open is shown again before it counts")
    func policyChanged() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let page = try await story.service.begin(browser)
            _ = try await browser.get(page)
            try await story.city.publish(story.activity, version: 2, attributes: ServiceTown.attributes)
            #expect(try await browser.post(page + "/allow", [("policy_version", "1")]).headers[.location] == page)
            #expect(try await story.consents(ada) == nil)
            #expect(try await browser.get(page).text.contains("sign-in explanation 2"))
            #expect(try await browser.post(page + "/allow", [("policy_version", "2")]).headers[.location]?.hasPrefix("https://clinic.example/") == true)
        }
    }

    @Test("Claims that are asked for one by one come where they were asked for, each read with its entry")
    func claimsParameter() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            let asked = #"{"id_token":{"family_name":{"essential":true},"birthdate":null},"userinfo":{"given_name":null,"unknown":null}}"#
            let answer = try await story.service.tokens(browser, client, ["scope": "openid", "claims": asked])
            let claims = try await verified(answer.idToken, client).claims
            #expect(claims["family_name"] == "Byron" && claims["given_name"] == nil && claims["birthdate"] == nil)
            let user = try await client.get("/oauth/userinfo", bearer: answer.accessToken)
            #expect(user.json["given_name"] == "Ada" && user.json["family_name"] == nil)
            #expect(try await story.city.entryCount(where: "e.outcome = 'permitted'") == 2)
            for bad in ["[]", "{", #"{"id_token":{},"id_token":{}}"#] {
                #expect(try await parameters(of: browser.get(story.another.address(["claims": bad])).headers[.location])["error"] == "invalid_request")
            }
        }
    }

    @Test("prompt=none shows no page: without a session, an agreement or a young enough sign-in it is an error")
    func promptNone() async throws {
        try await ServiceTown.serve { story, client in
            func error(_ browser: CityBrowser, _ changes: [String: String?] = [:]) async throws -> String? {
                parameters(of: try await browser.get(story.another.address(changes.merging(["prompt": "none"]) { $1 })).headers[.location])["error"]
            }
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            #expect(try await error(CityBrowser(client)) == "login_required")
            #expect(try await error(browser) == "consent_required")
            _ = try await story.service.tokens(browser, client)
            #expect(try await error(browser) == nil)
            #expect(try await error(browser, ["prompt": "none login"]) == nil)
            try await story.city.setClock(secondsAhead: 120)
            #expect(try await error(browser, ["max_age": "60"]) == "login_required")
            #expect(try await error(browser, ["max_age": "600"]) == nil)
            for (name, value) in [("prompt", "none login"), ("prompt", "nothing"), ("max_age", "-1"), ("max_age", "soon")] {
                #expect(try await parameters(of: browser.get(story.another.address([name: value])).headers[.location])["error"] == "invalid_request")
            }
        }
    }

    @Test("A sign-in that is older than the service wants is renewed first, and the form cannot go round that")
    func signInAgain() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            for changes in [["prompt": "login"], ["max_age": "0"]] as [[String: String?]] {
                try await story.city.setClock(secondsAhead: 5)
                let page = try await story.another.begin(browser, changes)
                #expect(try await browser.get(page).headers[.location] == "/confirm-password?next=" + page)
                _ = try await browser.get("/connected-services")
                #expect(try await browser.post(page + "/allow", [("policy_version", "1")]).headers[.location] == page)
                #expect(try await story.consents(ada) == nil)
            }
            let page = try await story.another.begin(browser, ["prompt": "login"])
            let again = CityBrowser(client, session: try await story.city.session(of: ada.accountID), cookies: browser.cookies)
            #expect(try await again.get(page).text.contains("Sign in at clinic"))
        }
    }

    @Test("An acr that is essential and not reached is an error; one that is reached, or only wished for, is told as it is")
    func assurance() async throws {
        try await ServiceTown.serve { story, client in
            let browser = CityBrowser(client, session: try await story.city.resident(identityAssurance: 2).session)
            func asked(_ level: String) -> [String: String?] { ["claims": #"{"id_token":{"acr":{"essential":true,"values":["\#(level)"]}}}"#] }
            let page = try await story.another.begin(browser, asked("http://eidas.europa.eu/LoA/substantial"))
            #expect(try await browser.get(page).headers[.location] == "/confirm-factor?next=" + page)
            let unproven = CityBrowser(client, session: try await story.city.resident(identityAssurance: 1).session)
            for level in ["substantial", "high"] {
                let answer = try await unproven.get(story.another.address(asked("http://eidas.europa.eu/LoA/" + level)))
                #expect(parameters(of: answer.headers[.location])["error"] == "unmet_authentication_requirements")
            }
            for changes in [asked("http://eidas.europa.eu/LoA/low"), ["acr_values": "http://eidas.europa.eu/LoA/substantial"]] {
                let answer = try await story.another.tokens(browser, client, changes)
                #expect(try await verified(answer.idToken, client).claims["acr"] == "http://eidas.europa.eu/LoA/low")
            }
        }
    }

    @Test("Assurance that is only wished for is asked of those who have a second factor, and never where no page may be shown")
    func wishedAssurance() async throws {
        try await ServiceTown.serve { story, client in
            let ada = try await story.city.resident(identityAssurance: 2)
            let browser = CityBrowser(client, session: ada.session)
            _ = try await story.service.tokens(browser, client)
            try await story.city.owner.execute(
                """
                INSERT INTO identity.factor (id, account_id, kind, salt, confirmed_at)
                VALUES (gen_random_uuid(), \(ada.accountID), 'code_sheet', \([UInt8](repeating: 1, count: 16)), public.stoa_now())
                """)
            let substantial = "http://eidas.europa.eu/LoA/substantial"
            for changes in [
                ["acr_values": substantial + " http://eidas.europa.eu/LoA/low"], ["claims": #"{"id_token":{"acr":{"value":"\#(substantial)"}}}"#],
            ] as [[String: String?]] {
                let page = try await story.another.begin(browser, changes)
                #expect(try await browser.get(page).headers[.location] == "/confirm-factor?next=" + page)
                #expect(try await browser.post(page + "/allow", []).headers[.location] == page)
                var silent = changes
                silent["prompt"] = "none"
                #expect(try await story.another.signIn(browser, silent)["code"] != nil)
            }
            // The best that is wished for is there, or there is no such level.
            for wish in ["http://eidas.europa.eu/LoA/low " + substantial, "urn:nobody:knows"] {
                #expect(try await story.another.signIn(browser, ["acr_values": wish])["code"] != nil, "\(wish)")
            }
        }
    }

    @Test("Each organisation knows a resident under a name of its own; services of one organisation under the same")
    func pairwise() async throws {
        try await ServiceTown.serve { story, client in
            let maker = AssertionMaker(client: "clinic-lab")
            try await ClientRegistration.register(
                .init(
                    id: "clinic-lab", organisation: "clinic", name: LocalisedText([.english: "Lab"]), redirectAddresses: ["https://lab.example/"],
                    keySet: keySet(maker.publicJWK)), with: story.city.owner)
            let browser = CityBrowser(client, session: try await story.city.resident().session)
            func subject(_ service: Service, _ scope: String) async throws -> String? {
                try await verified(try await service.tokens(browser, client, ["scope": scope]).idToken, client).claims["sub"]?.text
            }
            let clinic = try await subject(story.service, "openid profile")
            let lab = try await subject(Service(maker: maker, redirectAddress: "https://lab.example/"), "openid")
            let bank = try await subject(story.bankService, "openid profile")
            #expect(clinic == lab && clinic != bank && bank != nil)
        }
    }

    @Test("account linking by e-mail: the same address makes nobody the same person, and is never called verified")
    func accountLinkingByEmail() async throws {
        try await ServiceTown.serve { story, client in
            var subjects: Set<String> = []
            for _ in 0..<2 {
                let resident = try await story.city.resident(["given_names": "A", "family_name": "B", "email": "shared@example.org"])
                let answer = try await story.another.tokens(CityBrowser(client, session: resident.session), client)
                let user = try await client.get("/oauth/userinfo", bearer: answer.accessToken)
                #expect(user.json["email"] == "shared@example.org" && user.json["email_verified"] == false)
                subjects.insert(try #require(user.json["sub"]?.text))
            }
            #expect(subjects.count == 2)
        }
    }

    @Test("ui_locales speaks to whoever has chosen no language here")
    func language() async throws {
        try await ServiceTown.serve { story, client in
            let stranger = CityBrowser(client)
            _ = try await stranger.get(story.service.address(["ui_locales": "de fr-CA en"]))
            #expect(stranger.cookies["stoa_language"] == "fr")
            let ada = CityBrowser(client, session: try await story.city.resident(language: "ar").session)
            let page = try await story.another.begin(ada, ["ui_locales": "fr"])
            #expect(ada.cookies["stoa_language"] == nil)
            #expect(try await ada.get(page).text.contains("lang=\"ar\""))
        }
    }
}
