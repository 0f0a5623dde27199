// Sessions: how they end, who can end them, and that a raised one is known by a new identifier alone.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Identity

@Suite("Sessions")
struct SessionTests {
    @Test("Twelve hours after it began a session has ended, however busy it was")
    func absolute() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let session = try await house.session("ada")
        for minutes in stride(from: 10, to: 720, by: 10) {
            try await house.city.setClock(secondsAhead: minutes * 60)
            guard try await house.caller(session) != nil else {
                Issue.record("ended after \(minutes) minutes")
                return
            }
        }
        try await house.city.setClock(secondsAhead: 720 * 60 + 1)
        #expect(try await house.caller(session) == nil)
    }

    @Test("Every change of privilege gives the session a new identifier, and the old one opens nothing")
    func newIdentifier() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let first = try await house.session("ada")
        let second = CredentialHash(
            token: try await house.identity.confirmPassword(Redacted(Household.password), session: first, address: "192.0.2.1"))
        let (app, third) = try await house.addApp(second)
        let code = Redacted(app.code(atStep: try await house.step() + 1))
        let fourth = CredentialHash(token: try await house.identity.useFactor(.totp, code: code, credential: third, address: "192.0.2.1"))
        for old in [first, second, third] { #expect(try await house.caller(old) == nil) }
        #expect(try await house.level(fourth) == 2)
        // To its owner it is the same session all the while.
        #expect(try await house.identity.sessions(of: fourth).map(\.isThis) == [true])
    }

    @Test("One's own sessions are listed and ended, and nobody else's")
    func list() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.resident(.username("eve"))
        let (here, there, eve) = (try await house.session("ada"), try await house.session("ada"), try await house.session("eve"))
        let sessions = try await house.identity.sessions(of: here)
        #expect(sessions.count == 2 && sessions.filter(\.isThis).count == 1)
        let other = try #require(sessions.first { !$0.isThis })
        #expect(try await house.identity.endSession(other.id, asking: eve) == false)
        #expect(try await house.caller(there) != nil)
        #expect(try await house.identity.endSession(other.id, asking: here))
        #expect(try await house.caller(there) == nil)
        #expect(try await house.identity.endSession(other.id, asking: here) == false)

        let more = try await house.session("ada")
        try await house.identity.endOtherSessions(here)
        #expect(try await house.caller(more) == nil)
        #expect(try await house.areOpen(here, eve) == [true, true])
    }

    @Test("Signing out on a shared computer ends all sessions of the person; elsewhere it ends that one")
    func sharedComputer() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (phone, library) = (try await house.session("ada"), try await house.session("ada", isShared: true))
        let desk = try await house.session("ada")
        try await house.identity.signOut(desk)
        #expect(try await house.areOpen(desk, phone) == [false, true])
        try await house.identity.signOut(library)
        #expect(try await house.areOpen(library, phone) == [false, false])
    }

    @Test("A new password needs the old one, ends the other sessions and sign-ins under way, and the old one opens nothing")
    func newPassword() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (here, there) = (try await house.session("ada"), try await house.session("ada"))
        let identity = house.identity
        await #expect(throws: SignInError.wrongNameOrPassword) {
            _ = try await identity.changePassword(from: Redacted("a wrong guess"), to: Redacted("five plain words now"), session: here, address: "192.0.2.1")
        }
        let token = try await identity.changePassword(
            from: Redacted(Household.password), to: Redacted("five plain words now"), session: here, address: "192.0.2.1")
        #expect(try await house.areOpen(here, there) == [false, false])
        #expect(try await house.caller(CredentialHash(token: token)) != nil)
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await house.signIn("ada") }
        _ = try await house.signIn("ada", password: "five plain words now")
        #expect(try await house.messages() == ["password_changed", "welcome"])
    }

    @Test("A sign-in whose password is changed while it is checked does not come in")
    func changedMeanwhile() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let hash = try await house.city.owner.one(OneValue("SELECT password_hash FROM identity.account", of: String.self))
        let session = try await house.session("ada")
        _ = try await house.identity.changePassword(
            from: Redacted(Household.password), to: Redacted("five plain words now"), session: session, address: "192.0.2.1")
        let late = OpenSignIn(
            nameHMAC: house.city.lookup.signInName("ada"), passwordHash: hash, addressHMAC: house.identity.addressHMAC(""),
            tokenHash: CredentialHash(token: "late"), isShared: false, staffNeedSecondFactor: false)
        #expect(try await house.city.app.one(late) == nil)
    }

    @Test("A sign-in with the old password at the very moment of its change does not outlive it")
    func changeRace() async throws {
        let house = try await Household(sharedConnections: 8)
        try await house.resident(.username("ada"))
        let hash = try await house.city.owner.one(OneValue("SELECT password_hash FROM identity.account", of: String.self))
        let here = try await house.session("ada")
        let late = CredentialHash(token: "late")
        let signIn = OpenSignIn(
            nameHMAC: house.city.lookup.signInName("ada"), passwordHash: hash, addressHMAC: house.identity.addressHMAC(""), tokenHash: late, isShared: false,
            staffNeedSecondFactor: false)
        let change = try await house.city.app.transaction { transaction in
            #expect(try await transaction.one(signIn) == .session)
            let change = Task {
                try await house.identity.changePassword(
                    from: Redacted(Household.password), to: Redacted("five plain words now"), session: here, address: "192.0.2.1")
            }
            // Until the change waits for the sign-in, or is over.
            var isUnderWay = true
            while isUnderWay {
                isUnderWay = try await house.city.owner.one(
                    OneValue(
                        """
                        SELECT NOT EXISTS (SELECT FROM pg_locks AS l WHERE NOT l.granted)
                           AND EXISTS (SELECT FROM identity.account AS a WHERE a.password_hash = \(hash))
                        """))
            }
            return change
        }
        let token = try await change.value
        #expect(try await house.areOpen(late, CredentialHash(token: token)) == [false, true])
    }

    @Test("In a browser: the page says until when one is signed in, common passwords are refused, and leaving goes to a neutral site")
    func pages() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.city.stopClock(at: Date(timeIntervalSince1970: 1_900_000_800))  // 2030-03-17 18:00:00 UTC
        try await house.serve { client in
            let browser = CityBrowser(client)
            _ = try await browser.get("/sign-in")
            _ = try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password)])
            let page = try await browser.get("/security/password")
            #expect(page.text.contains("signed out at 18:15 if you do nothing"))
            #expect(page.headers[.cacheControl] == "no-store")
            #expect(page.headers[.contentSecurityPolicy]?.contains("form-action 'self' https://www.wikipedia.org;") == true)
            let common = try await browser.post("/security/password", [("old_password", Household.password), ("new_password", "password1")])
            #expect(common.status == 422 && common.text.contains("id=\"new_password-error\""))
            let wrong = try await browser.post("/security/password", [("old_password", "a wrong guess"), ("new_password", "five plain words now")])
            #expect(wrong.status == 422 && wrong.text.contains("id=\"old_password-error\"") && !wrong.text.contains("five plain words"))
            let changed = try await browser.post("/security/password", [("old_password", Household.password), ("new_password", "five plain words now")])
            #expect(changed.headers[.location] == "/security")
            #expect(try await browser.get("/security").text.contains("Your password is changed."))
            let left = try await browser.post("/leave", [])
            #expect(left.status == 303 && left.headers[.location] == "https://www.wikipedia.org/")
            #expect(try await browser.get("/security").status == 303)
        }
        #expect(try await house.city.owner.one(OneValue("SELECT count(*) FROM web.credential WHERE revoked_at IS NULL", of: Int64.self)) == 0)
    }
}
