// Registering, signing in and out, as a browser without scripts does it. Refusals first.
import City
import Foundation
import HTTPTypes
import Messages
import Postgres
import Primitives
import Register
import TestSupport
import Testing
import Web

@testable import Identity

@Suite("Signing in")
struct SignInTests {
    /// Hashes that cost little: the cost itself is tested once, below.
    private static let cheap = PasswordCost(memoryKibibytes: 64, passes: 1, lanes: 1)

    private func serve<T>(_ body: @Sendable @escaping (CityFixture, CityBrowser, CityBrowser) async throws -> T) async throws -> T where T: Sendable {
        let city = try await CityFixture.make()
        let identity = IdentityService(
            database: city.app, passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault, lookup: city.lookup, settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let rules = try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        return try await city.serve {
            IdentityRoutes(identity: identity, passwordRules: rules, database: city.app).add(to: $0)
            MessagesRoutes(database: city.app).add(to: $0)
        } _: { client in
            try await body(city, CityBrowser(client), CityBrowser(client))
        }
    }

    @Test("A new resident registers, is greeted, signs out and in again")
    func story() async throws {
        try await serve { city, browser, _ in
            _ = try await browser.get("/register")
            let registered = try await browser.post("/register", [("username", "Amina.K"), ("password", "four plain words here")])
            #expect(registered.status == 303)
            let home = try await browser.get("/")
            #expect(home.text.contains("Show at a counter who you are"))
            #expect(home.text.contains("Your account is ready"))
            _ = try await browser.post("/sign-out", [])
            #expect(try await browser.get("/messages").status == 303)
            _ = try await browser.get("/sign-in")
            let signedIn = try await browser.post("/sign-in", [("username", " AMINA.k "), ("password", "four plain words here"), ("next", "/messages")])
            #expect(signedIn.status == 303)
            #expect(signedIn.headers[.location] == "/messages")
            #expect(try await browser.get("/messages").status == 200)
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM register.resident WHERE origin = 'self_registered'", of: Int64.self)) == 1)
        }
    }

    @Test("Wrong name and wrong password get the same words, and no session")
    func wrong() async throws {
        try await serve { _, browser, other in
            _ = try await browser.get("/register")
            _ = try await browser.post("/register", [("username", "ada"), ("password", "four plain words here")])
            _ = try await other.get("/sign-in")
            let wrongPassword = try await other.post("/sign-in", [("username", "ada"), ("password", "five plain words here")])
            let wrongName = try await other.post("/sign-in", [("username", "bob"), ("password", "five plain words here")])
            #expect(wrongPassword.status == 422)
            #expect(wrongName.status == 422)
            let sentence = "The name or the password is not right."
            #expect(wrongPassword.text.contains(sentence) && wrongName.text.contains(sentence))
            #expect(!wrongPassword.text.contains("five plain words"))
            #expect(try await other.get("/messages").status == 303)
        }
    }

    @Test("Every form error stands beside its field and in the list on top", arguments: [
        (["password": "long enough words"], "Give a user name"), (["username": "ab", "password": "long enough words"], "3 to 64 letters"),
        (["email": "ada@", "password": "long enough words"], "name@example.org"), (["phone": "12", "password": "long enough words"], "country code"),
        (["username": "ada", "password": "short"], "at least 8 characters"),
        (["username": "ada", "password": "PassWord"], "among the first that others try"),
        (["username": "ada", "password": "12345678"], "among the first that others try"),
        (["username": "adalovelace", "password": "AdaLovelace"], "holds your user name"),
        (["email": "amina@example.org", "password": "my-AMINA-2031"], "holds your user name"),
    ])
    func registrationErrors(fields: [String: String], sentence: String) async throws {
        try await serve { city, browser, _ in
            _ = try await browser.get("/register")
            let answer = try await browser.post("/register", fields.map { ($0.key, $0.value) })
            #expect(answer.status == 422)
            #expect(answer.text.ranges(of: sentence).count >= 2)
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM identity.account", of: Int64.self)) == 0)
        }
    }

    @Test("Too many registrations are told how long to wait; the form's mistakes are not counted")
    func waiting() async throws {
        try await serve { city, browser, _ in
            _ = try await browser.get("/register")
            _ = try await browser.post("/register", [("username", "ada"), ("password", "short")])
            for number in 0..<registrationAttemptsMax {
                let answer = try await browser.post("/register", [("username", "taken"), ("password", "four plain words")])
                #expect(answer.status == (number == 0 ? 303 : 422), "\(number)")
                if number == 0 {
                    _ = try await browser.post("/sign-out", [])
                    _ = try await browser.get("/register")
                }
            }
            let refused = try await browser.post("/register", [("username", "eve"), ("password", "four plain words")])
            #expect(refused.status == 429)
            #expect(refused.headers[.retryAfter] == "900")
            #expect(refused.text.contains("Too many attempts"))
            #expect(try await city.owner.one(OneValue("SELECT count(*) FROM identity.account", of: Int64.self)) == 1)
        }
    }

    @Test("A user name that is taken is said to be, at its field; of an address nobody is told that")
    func whichNameIsTaken() async throws {
        try await serve { _, browser, other in
            _ = try await browser.get("/register")
            _ = try await browser.post("/register", [("username", "ada"), ("email", "ada@example.org"), ("password", "four plain words")])
            _ = try await other.get("/register")
            let both = try await other.post("/register", [("username", "ada"), ("email", "ada@example.org"), ("password", "four plain words")])
            #expect(both.status == 422)
            #expect(both.text.contains("id=\"username-error\"") && !both.text.contains("id=\"email-error\""))
            let one = try await other.post("/register", [("username", "eve"), ("email", "ada@example.org"), ("password", "four plain words")])
            #expect(one.status == 303)
        }
    }

    @Test("A form that is sent after signing out in another tab is lost, and the sign-in page says so")
    func lostForm() async throws {
        let city = try await CityFixture.make()
        let ada = try await city.resident()
        let identity = IdentityService(database: city.app, passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault, lookup: city.lookup, settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let rules = try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        try await city.serve {
            IdentityRoutes(identity: identity, passwordRules: rules, database: city.app).add(to: $0)
            MessagesRoutes(database: city.app).add(to: $0)
            $0.resident.post("/messages/sent") { _, context in context.redirect(to: "/messages") }
        } _: { client in
            let browser = CityBrowser(client, session: ada.session)
            let form = try await browser.get("/messages").text
            let token = try #require(form.firstMatch(of: /name="form_token" value="([^"]+)"/)?.1)
            _ = try await browser.post("/sign-out", [])
            let lost = try await browser.post("/messages/sent", [("form_token", String(token))])
            #expect(lost.status == 303)
            #expect(lost.headers[.location] == "/sign-in?next=/messages")
            let page = try await browser.get("/sign-in?next=/messages").text
            #expect(page.contains("what you sent was NOT saved"))
            #expect(page.contains("name=\"next\" value=\"/messages\""))
            // Said once, and not to one who only follows a link.
            #expect(try await browser.get("/sign-in").text.contains("NOT saved") == false)
            _ = try await browser.get("/messages")
            #expect(try await browser.get("/sign-in").text.contains("NOT saved") == false)
        }
    }

    @Test("The home page asks what the slices ask, in their order, and says so when there is nothing")
    func tasks() async throws {
        let city = try await CityFixture.make()
        let (ada, eve) = (try await city.resident(), try await city.resident())
        let identity = IdentityService(database: city.app, passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault, lookup: city.lookup, settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let rules = try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        try await city.serve {
            IdentityRoutes(identity: identity, passwordRules: rules, database: city.app).add(to: $0)
            $0.addTasks { resident, _ in
                guard resident.residentID == ada.id else { return [] }
                return [HomeTask(title: "Pay <this>", detail: "by noon", path: "/bills/1"), HomeTask(title: "Pay that", detail: "", path: "/bills/2")]
            }
            $0.addTasks { resident, _ in resident.residentID == ada.id ? [HomeTask(title: "Answer", detail: "", path: "/answers")] : [] }
        } _: { client in
            let home = try await CityBrowser(client, session: ada.session).get("/").text
            let places = try ["<a href=\"/bills/1\">Pay &lt;this&gt;</a>", "by noon", "<a href=\"/bills/2\">", "<a href=\"/answers\">"].map {
                try #require(home.range(of: $0)?.lowerBound)
            }
            #expect(places == places.sorted())
            #expect(!home.contains("Nothing to do"))
            #expect(try await CityBrowser(client, session: eve.session).get("/").text.contains("Nothing to do at the moment."))
        }
    }

    @Test("A name that is taken can be taken by nobody else, also at the same moment")
    func takenName() async throws {
        let city = try await CityFixture.make()
        let identity = IdentityService(database: city.app, passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault, lookup: city.lookup, settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let name = try #require(SignInName.username("ada"))
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (try? await identity.register(Registration(names: [name], password: Redacted("four plain words"), language: .english))) != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(outcomes == 1)
        // Nothing of the losers stays: no resident, no key, no message.
        #expect(try await city.owner.one(OneValue("SELECT count(*) FROM register.resident", of: Int64.self)) == 1)
        #expect(try await city.owner.one(OneValue("SELECT count(*) FROM messages.message", of: Int64.self)) == 1)
    }

    @Test("A form that comes back says in its list which field each error is about", arguments: [
        ("en", "<a href=\"#password\">“Password”: Fill in this field</a>"), ("fr", "<a href=\"#password\">«\u{A0}Mot de passe\u{A0}»\u{A0}: Remplissez ce champ</a>"),
        ("ar", "<a href=\"#password\">«كلمة المرور»: املأ هذا الحقل</a>"),
    ])
    func fieldsAreNamed(language: String, link: String) async throws {
        try await serve { _, browser, _ in
            browser.acceptLanguage = language
            _ = try await browser.get("/sign-in")
            let answer = try await browser.post("/sign-in", [("username", ""), ("password", "")])
            #expect(answer.status == 422)
            #expect(answer.text.contains(link))
        }
    }

    @Test("A session ends by itself: after 15 idle minutes, or 5 on a shared computer", arguments: [(false, 15), (true, 5)])
    func idle(isShared: Bool, minutes: Int) async throws {
        let city = try await CityFixture.make()
        let identity = IdentityService(database: city.app, passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault, lookup: city.lookup, settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let name = try #require(SignInName.username("ada"))
        _ = try await identity.register(Registration(names: [name], password: Redacted("four plain words"), language: .english))
        guard case .session(let token) = try await identity.signIn(
            typedName: "ada", password: Redacted("four plain words"), address: "", isSharedComputer: isShared)
        else { Issue.record("no session"); return }
        let resolve = Site.resolver(using: city.app)
        try await city.setClock(secondsAhead: minutes * 60 - 5)
        #expect(try await resolve(CredentialHash(token: token), .session) != nil)
        // That use was noted, so the minutes count from there.
        try await city.setClock(secondsAhead: 2 * minutes * 60)
        #expect(try await resolve(CredentialHash(token: token), .session) == nil)
    }

    @Test("A session never passes for an access token, nor a token for a session")
    func kinds() async throws {
        let city = try await CityFixture.make()
        let resident = try await city.resident()
        let token = try await city.appToken(of: resident, scope: ["profile"])
        let resolve = Site.resolver(using: city.app)
        #expect(try await resolve(resident.session.hash, .session) != nil)
        #expect(try await resolve(resident.session.hash, .accessToken) == nil)
        #expect(try await resolve(token.hash, .accessToken) != nil)
        #expect(try await resolve(token.hash, .session) == nil)
    }

    @Test("What is typed comes into one normal form, or is refused", arguments: [
        ("  Amina.K ", "amina.k"), ("ADA@Example.ORG", "ada@example.org"), ("+254 (712) 345-678", "+254712345678"), ("00254712345678", "+254712345678"),
        ("ａｄａ", "ada"),
    ])
    func normalForms(typed: String, normal: String) {
        #expect(SignInName.any(typed)?.normalForm == normal)
    }
}

@Suite("Hashing passwords")
struct PasswordHasherTests {
    @Test("A hash carries its parameters, opens with its password and with no other")
    func roundTrip() async throws {
        let hasher = try PasswordHasher()
        let hash = try await hasher.hash(Redacted("pässwörd ✓"))
        #expect(hash.hasPrefix("$argon2id$v=19$m=19456,t=2,p=1$"))
        #expect(try await hasher.check(Redacted("pässwörd ✓"), against: hash))
        #expect(try await !hasher.check(Redacted("passwörd ✓"), against: hash))
        #expect(try await !hasher.check(Redacted("pässwörd ✓"), against: nil))
        #expect(try await hasher.hash(Redacted("pässwörd ✓")) != hash)
    }

    @Test("When too many wait, the next one is told so at once and none of the others is lost")
    func bounded() async throws {
        let hasher = try PasswordHasher(threadCount: 1)
        let results = await withTaskGroup(of: Result<String, any Error>.self) { group in
            for number in 0..<(PasswordHasher.waitingMax + 20) {
                group.addTask {
                    do { return .success(try await hasher.hash(Redacted("word \(number)"))) } catch { return .failure(error) }
                }
            }
            return await group.reduce(into: [Result<String, any Error>]()) { $0.append($1) }
        }
        let refused = results.filter { if case .failure(PasswordHasherError.busy) = $0 { true } else { false } }
        #expect(!refused.isEmpty)
        #expect(results.filter { (try? $0.get()) != nil }.count == results.count - refused.count)
    }
}
