// A resident's app asks, and the resident answers on the server's own pages.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import OpenID

private func codes(_ town: Town) async throws -> Int64 {
    try await town.city.owner.one(OneValue("SELECT count(*) FROM openid.authorization_code", of: Int64.self))
}

private func requests(_ town: Town) async throws -> Int64 {
    try await town.city.owner.one(OneValue("SELECT count(*) FROM openid.authorization_request", of: Int64.self))
}

@Suite("Authorization: what is asked")
struct AuthorizationRequestTests {
    @Test("Nothing is ever sent to an address that is not the client's own; the person is told on a page")
    func badAddresses() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let app = App()
            let bad: [String: String?] = [
                "another host": "https://evil.example/callback", "https": "https://127.0.0.1:80/callback", "localhost": "http://localhost:80/callback",
                "case": "http://127.0.0.1:80/CALLBACK", "query": "http://127.0.0.1:80/callback?x=1", "fragment": "http://127.0.0.1:80/callback#x",
                "userinfo": "http://user@127.0.0.1:80/callback", "host as userinfo": "http://127.0.0.1:80@evil.example/callback",
                "path tricks": "http://127.0.0.1:80/x/../callback", "double slash": "http://127.0.0.1:80//callback",
                "encoded slash": "http://127.0.0.1:80%2Fcallback", "encoded letter": "http://127.0.0.1:80/%63allback",
                "suffix": "http://127.0.0.1.evil.example/callback", "script": "javascript:alert(1)", "another client's": "https://other.example/back?from=city",
                "none": nil,
            ]
            for (name, address) in bad {
                for (browser, formAction) in [(browser, "'self' https://www.wikipedia.org"), (CityBrowser(client), "'self'")] {
                    let answer = try await browser.get(app.address(["redirect_uri": address]))
                    #expect(answer.status == 400, "\(name)")
                    #expect(answer.headers[.location] == nil, "\(name)")
                    #expect(answer.text.contains("<h1>The way back to the app is not registered</h1>"), "\(name)")
                    #expect(!answer.text.contains("href=\"http"), "\(name)")
                    #expect(answer.headers[.contentSecurityPolicy]?.contains("form-action \(formAction);") == true, "\(name)")
                }
            }
            let twice = try await browser.get(app.address(adding: "&redirect_uri=http%3A%2F%2F127.0.0.1%3A80%2Fcallback"))
            #expect(twice.status == 400 && twice.headers[.location] == nil)
            #expect(try await requests(town) == 0)
        }
    }

    @Test("Unknown, closed, missing and doubled clients, an organisation's system and a damaged address end on a page")
    func badClients() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client)
            let app = App()
            try await town.city.owner.execute("UPDATE openid.client SET closed_at = public.stoa_now() WHERE id = 'other-app'")
            for id in ["nobody", "other-app", town.clinic.client, "CITY-APP", String(repeating: "a", count: 3_000), nil] as [String?] {
                let answer = try await browser.get(app.address(["client_id": id, "redirect_uri": "http://127.0.0.1:80/other"]))
                #expect(answer.status == 400 && answer.headers[.location] == nil)
                #expect(answer.text.contains("The city does not know this app"))
            }
            #expect(try await browser.get(app.address(adding: "&client_id=city-app")).status == 400)
            let damaged = try await browser.get(app.address(adding: "&x=%ff"))
            #expect(damaged.status == 400 && damaged.text.contains("This link cannot be read"))
        }
    }

    @Test("The pages speak the reader's language, also before anybody has signed in")
    func languages() async throws {
        try await Town.serve { _, client in
            for (language, words) in [("fr", "La ville ne connaît pas cette application"), ("ar", "المدينة لا تعرف هذا التطبيق")] {
                let browser = CityBrowser(client)
                browser.acceptLanguage = language
                let answer = try await browser.get(App().address(["client_id": "nobody"]))
                #expect(answer.text.contains(words), "\(language)")
            }
        }
    }

    @Test("Every other mistake goes back to the app, with its state and the issuer")
    func errorsToTheApp() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client)
            let app = App()
            let cases: [(String, [String: String?], String)] = [
                ("invalid_request", ["code_challenge": nil, "code_challenge_method": nil], ""), ("invalid_request", ["code_challenge": nil], ""),
                ("invalid_request", ["code_challenge_method": nil], ""), ("invalid_request", ["code_challenge_method": "plain"], ""),
                ("invalid_request", ["code_challenge_method": "s256"], ""), ("invalid_request", ["code_challenge": "short"], ""),
                ("invalid_request", ["code_challenge": String(repeating: "a", count: 44)], ""), ("invalid_request", ["response_type": nil], ""),
                ("invalid_request", ["response_mode": "fragment"], ""), ("invalid_request", ["request": "eyJ"], ""),
                ("invalid_request", ["request_uri": "https://app.example/r"], ""), ("unsupported_response_type", ["response_type": "token"], ""),
                ("unsupported_response_type", ["response_type": "code token"], ""), ("invalid_scope", ["scope": "profile everything"], ""),
                ("invalid_scope", ["scope": "exchange.read"], ""), ("invalid_request", [:], "&scope=profile&scope=bills"),
                ("invalid_request", [:], "&response_type=code"), ("invalid_request", [:], "&x=1&x=2"),
            ]
            for (error, changes, more) in cases {
                let answer = try await browser.get(app.address(changes, adding: more))
                #expect(answer.status == 303, "\(changes) \(more)")
                let location = try #require(answer.headers[.location])
                #expect(location.hasPrefix(Town.redirectAddress + "?"))
                let found = parameters(of: location)
                #expect(found["error"] == error, "\(changes) \(more): \(found)")
                #expect(found["state"] == app.state && found["iss"] == issuer && found["code"] == nil)
            }
            for state in [String(repeating: "s", count: 1_001), "état", "a\u{1}"] {
                let found = parameters(of: try await browser.get(app.address(["state": state])).headers[.location])
                #expect(found["error"] == "invalid_request" && found["state"] == nil && found["iss"] == issuer)
            }
            #expect(try await requests(town) == 0)
        }
    }

    @Test("What was asked for is fixed: the page's own parameters change nothing")
    func immutable() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let page = try await app.begin(browser, ["scope": "profile"])
            let shown = try await browser.get(page + "?scope=payments&redirect_uri=https://evil.example/&client_id=other-app")
            #expect(shown.status == 200 && !shown.text.contains("Pay your bills"))
            let answer = try await browser.post(page + "/allow", [("scope", "payments"), ("redirect_uri", "https://evil.example/")])
            let location = try #require(answer.headers[.location])
            #expect(location.hasPrefix(Town.redirectAddress + "?code="))
            let token = try await app.redeem(try #require(parameters(of: location)["code"]), client)
            #expect(token.json["scope"] == "profile")
        }
    }

    @Test("A flood of beginnings is turned back to its app alone")
    func flood() async throws {
        try await Town.serve { town, _ in
            let begin = BeginAuthorization(
                database: town.city.app, issuer: issuer, budget: RequestBudget(requestsMax: 2, requestsPerSecond: 1),
                browser: CredentialHash(token: "browser"), session: nil, isStaff: false, language: .english)
            func parameters(_ app: App) throws -> OAuthParameters {
                OAuthParameters(try Form(bytes: app.address().drop { $0 != "?" }.dropFirst().utf8))
            }
            var locations: [String] = []
            for _ in 0..<3 { locations.append(try await begin.location(for: parameters(App()), logger: quiet).location) }
            #expect(locations[1].hasPrefix("/oauth/requests/"))
            #expect(locations[2].contains("error=temporarily_unavailable"))
            let other = App(clientID: "other-app", redirectAddress: "http://127.0.0.1:80/other")
            #expect(try await begin.location(for: parameters(other), logger: quiet).location.hasPrefix("/oauth/requests/"))
            #expect(try await requests(town) == 3)
        }
    }
}

@Suite("Authorization: the resident's answer")
struct AuthorizationAnswerTests {
    @Test("Whoever is not signed in is asked to sign in, and comes back to the request")
    func signInFirst() async throws {
        try await Town.serve { town, client in
            let stranger = CityBrowser(client)
            let page = try await App().begin(stranger)
            let answer = try await stranger.get(page)
            #expect(answer.status == 303)
            #expect(answer.headers[.location]?.removingPercentEncoding == "/sign-in?next=" + page)
            let ada = try await town.city.resident()
            #expect(try await CityBrowser(client, session: ada.session, cookies: stranger.cookies).get(page).status == 200)
        }
    }

    @Test("The page says who asks, for what, and what happens, in each language, and may lead to the app")
    func page() async throws {
        try await Town.serve { town, client in
            for (language, words) in [
                ("en", ["City &lt;App&gt; asks to act for you", "See your bills", "Do not allow"]),
                ("fr", ["Appli demande à agir pour vous", "Voir vos factures", "Ne pas accepter"]),
                ("ar", ["تطبيق", "الاطلاع على فواتيرك", "dir=\"rtl\""]),
            ] {
                let ada = try await town.city.resident(language: language)
                let browser = CityBrowser(client, session: ada.session)
                let answer = try await browser.get(try await App().begin(browser))
                #expect(answer.status == 200)
                #expect(answer.headers[.cacheControl] == "no-store")
                #expect(answer.headers[.contentSecurityPolicy]?.contains("form-action 'self' http://127.0.0.1:* https://www.wikipedia.org;") == true)
                #expect(answer.text.contains(ada.publicCode.description))
                for word in words { #expect(answer.text.contains(word), "\(language): \(word)") }
                #expect(!answer.text.contains("‹"), "a text is missing")
            }
        }
    }

    @Test("The approval page's first form that posts allows")
    func firstForm() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let page = try await App().begin(browser)
            let shown = try await browser.get(page)
            let first = try #require(shown.text.firstMatch(of: /<form[^>]*method="post"[^>]*>/))
            #expect(first.0.contains("action=\"\(page)/allow\""))
        }
    }

    @Test("Allowing gives the app a code, its state and the issuer; the request then takes no other answer")
    func allow() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let page = try await app.begin(browser)
            _ = try await browser.get(page)
            let answer = try await browser.post(page + "/allow", [])
            #expect(answer.status == 303)
            #expect(answer.headers[.location]?.hasPrefix(Town.redirectAddress + "?code=") == true)
            let found = parameters(of: answer.headers[.location])
            #expect(found["state"] == app.state && found["iss"] == issuer)
            #expect(Base64URL.decode(try #require(found["code"]))?.count == 32)
            for again in [try await browser.post(page + "/allow", []), try await browser.post(page + "/refuse", []), try await browser.get(page)] {
                #expect(again.status == 410)
                #expect(again.text.contains("You have answered this already"))
            }
            #expect(try await codes(town) == 1)
        }
    }

    @Test("Not allowing tells the app, and nothing was given")
    func refuse() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            let page = try await app.begin(browser)
            _ = try await browser.get(page)
            let found = parameters(of: try await browser.post(page + "/refuse", []).headers[.location])
            #expect(found["error"] == "access_denied" && found["state"] == app.state && found["iss"] == issuer)
            #expect(try await browser.post(page + "/allow", []).status == 410)
            #expect(try await codes(town) == 0)
        }
    }

    @Test("Of many tabs that allow at once, one gives a code")
    func tabs() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let page = try await App().begin(browser)
            let cookies = browser.cookies
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let tab = CityBrowser(client, cookies: cookies)
                        _ = try await tab.get(page)
                        return try await tab.post(page + "/allow", []).status
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.sorted() == [303] + Array(repeating: 410, count: 7))
            #expect(try await codes(town) == 1)
        }
    }

    @Test("A form without the page's token, or with another person's, answers nothing")
    func formToken() async throws {
        try await Town.serve { town, client in
            let ada = CityBrowser(client, session: try await town.city.resident().session)
            let page = try await App().begin(ada)
            #expect(try await ada.post(page + "/allow", []).status == 403)
            let shown = try await ada.get(page)
            let token = try #require(shown.text.firstMatch(of: /name="form_token" value="([^"]+)"/)?.1)
            let eve = CityBrowser(client, session: try await town.city.resident().session)
            _ = try await eve.get(try await App().begin(eve))
            #expect(try await eve.post(page + "/allow", [("form_token", String(token))]).status == 403)
            #expect(try await codes(town) == 0)
        }
    }

    @Test("After ten minutes the page says to start again; so does an id that nobody has")
    func expired() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let page = try await App().begin(browser)
            #expect(try await browser.get(page).status == 200)
            try await town.city.setClock(secondsAhead: 601)
            for answer in [try await browser.get(page), try await browser.post(page + "/allow", []), try await browser.post(page + "/refuse", [])] {
                #expect(answer.status == 410)
                #expect(answer.text.contains("This request has run out"))
            }
            #expect(try await codes(town) == 0)
            for path in ["/oauth/requests/\(UUID())", "/oauth/requests/1", "/oauth/requests/..%2F"] {
                #expect(try await browser.get(path).status == 404)
            }
        }
    }

    @Test("What nobody answered is removed after an hour, what was answered after a day, with its code")
    func janitor() async throws {
        try await Town.serve { town, client in
            let browser = CityBrowser(client, session: try await town.city.resident().session)
            let app = App()
            #expect(try await app.redeem(try await app.code(browser), client).status == 200)
            _ = try await App().begin(browser)
            #expect(try await OpenIDJanitor.removeEnded(from: town.city.app) == 0)
            try await town.city.setClock(secondsAhead: 600 + 3_601)
            #expect(try await OpenIDJanitor.removeEnded(from: town.city.app) == 1)
            #expect(try await codes(town) == 1)
            try await town.city.setClock(secondsAhead: 600 + 86_401)
            #expect(try await OpenIDJanitor.removeEnded(from: town.city.app) == 1)
            #expect(try await codes(town) == 0)
        }
    }

    @Test("A session that ended while the page was open leads back to the request, which waits")
    func lostSession() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let page = try await App().begin(browser)
            _ = try await browser.get(page)
            try await town.city.revoke(ada.session)
            let answer = try await browser.post(page + "/allow", [])
            #expect(answer.status == 303)
            #expect(answer.headers[.location] == "/sign-in?next=" + page)
            #expect(answer.headers[values: .setCookie].contains { $0.hasPrefix("stoa_notice=web.not_saved;") })
            #expect(try await codes(town) == 0)
            let again = CityBrowser(client, session: try await town.city.session(of: ada.accountID), cookies: browser.cookies)
            #expect(try await again.get(page).status == 200)
            #expect(try await again.post(page + "/allow", []).headers[.location]?.hasPrefix(Town.redirectAddress) == true)
        }
    }

    @Test("The session that ends between look-up and answer gives no code, and the request stays open")
    func sessionRace() async throws {
        try await Town.serve { town, client in
            let ada = try await town.city.resident()
            let browser = CityBrowser(client, session: ada.session)
            let page = try await App().begin(browser)
            let cookie = CredentialHash(token: try #require(browser.cookies["stoa_login"]))
            let id = try #require(AuthorizationRequestID(String(page.split(separator: "/").last ?? "")))
            try await town.city.revoke(ada.session)
            let answer = AnswerAuthorization(database: town.city.app, issuer: issuer, language: .english)
            await #expect(throws: AnswerAuthorization.SessionEnded.self) {
                try await answer.location(id, .allow(policyVersion: nil), session: ada.session.hash)
            }
            #expect(try await answer.open(id, browser: cookie, session: nil).isAnswered == false)
            #expect(try await codes(town) == 0)
        }
    }

    @Test("Staff are told to sign in as residents; no staff session answers for anybody")
    func staff() async throws {
        try await Town.serve { town, client in
            let clerk = try await town.city.staff(roles: [.caseworker])
            let browser = CityBrowser(client, session: clerk.session)
            let answer = try await browser.get(App().address())
            #expect(answer.status == 403 && answer.text.contains("You are signed in as staff"))
            let page = try await App().begin(CityBrowser(client))
            #expect(try await browser.get(page).status == 403)
            let id = try #require(AuthorizationRequestID(String(page.split(separator: "/").last ?? "")))
            await #expect(throws: AnswerAuthorization.SessionEnded.self) {
                try await AnswerAuthorization(database: town.city.app, issuer: issuer, language: .english)
                    .location(id, .allow(policyVersion: nil), session: clerk.session.hash)
            }
            #expect(try await codes(town) == 0)
        }
    }
}
