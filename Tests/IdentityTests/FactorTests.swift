// Second factors: refused before they are earned, used once, and raising the session that used them. Races are raced.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Identity

@Suite("Second factors")
struct FactorTests {
    private func use(_ house: Household, _ kind: FactorKind, _ code: String, _ credential: CredentialHash) async throws -> CredentialHash {
        CredentialHash(token: try await house.identity.useFactor(kind, code: Redacted(code), credential: credential, address: "192.0.2.1"))
    }

    /// How many of several that do the same at the same moment come through.
    private func successes(_ count: Int, _ body: @Sendable @escaping (Int) async throws -> Void) async -> Int {
        await withTaskGroup(of: Bool.self) { group in
            for number in 0..<count {
                group.addTask { (try? await body(number)) != nil }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
    }

    // MARK: Refusals

    @Test("The first factor needs the password within five minutes")
    func firstNeedsPassword() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let session = try await house.session("ada")
        try await house.city.setClock(secondsAhead: 301)
        await #expect(throws: FactorChangeRefusal.passwordNeeded) { try await house.identity.beginTOTP(session) }
        await #expect(throws: FactorChangeRefusal.passwordNeeded) { _ = try await house.identity.makeCodes(.codeSheet, session) }
        await #expect(throws: FactorChangeRefusal.passwordNeeded) { _ = try await house.identity.makeCodes(.recoveryCodes, session) }
        let token = try await house.identity.confirmPassword(Redacted(Household.password), session: session, address: "192.0.2.1")
        #expect(try await house.caller(session) == nil)
        let raised = try await house.addApp(CredentialHash(token: token)).session
        #expect(try await house.level(raised) == 2)
    }

    @Test("Factor change on a password-only session is refused, whatever the change, once there is a factor")
    func passwordOnlySession() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        _ = try await house.addApp(try await house.session("ada"))
        let early = try await house.passwordSession("ada")
        let factor = try #require(try await house.identity.factors(of: early).first)
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { try await house.identity.beginTOTP(early) }
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { _ = try await house.identity.makeCodes(.codeSheet, early) }
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { try await house.identity.removeFactor(factor.id, early) }
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) {
            _ = try await house.identity.changePassword(
                from: Redacted(Household.password), to: Redacted("five plain words now"), session: early, address: "192.0.2.1")
        }
        // Not even by the statement itself.
        let hash = try await house.city.owner.one(OneValue("SELECT password_hash FROM identity.account", of: String.self))
        let change: SQL = "SELECT identity.change_password(\(early.bytes), \(hash), \(hash), \(house.identity.addressHMAC("")), \(CredentialHash(token: "x").bytes))"
        #expect(try await house.city.app.one(OneValue(change)) == "second_factor")
        #expect(try await house.identity.factors(of: early).map(\.kind) == [.totp])
        _ = try await house.half("ada")
    }

    @Test("Every change of factors ends the other sessions, which were opened without the new one or with the old")
    func otherSessionsEnd() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        var here = try await house.session("ada")
        var there = try await house.session("ada")
        let (app, raised) = try await house.addApp(here)
        #expect(try await house.areOpen(raised, there) == [true, false])
        here = raised
        let changes: [@Sendable (CredentialHash) async throws -> Void] = [
            { _ = try await house.identity.makeCodes(.codeSheet, $0) }, { _ = try await house.identity.makeCodes(.recoveryCodes, $0) },
            {
                let factor = try #require(try await house.identity.factors(of: $0).first { $0.kind == .codeSheet })
                try await house.identity.removeFactor(factor.id, $0)
            },
        ]
        for (number, change) in changes.enumerated() {
            there = try await house.passwordSession("ada")
            let half = try await house.half("ada")
            try await change(here)
            #expect(try await house.areOpen(here, there) == [true, false], "change \(number)")
            await #expect(throws: FactorChangeRefusal.signedOut) { _ = try await use(house, .totp, app.code(atStep: try await house.step() + 1), half) }
        }
    }

    @Test("Later changes need a second factor within fifteen minutes, also on a session that has one")
    func staleSecondFactor() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (app, session) = try await house.addApp(try await house.session("ada"))
        for seconds in [600, 901] {
            try await house.city.setClock(secondsAhead: seconds)
            #expect(try await house.level(session) == 2)
        }
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { _ = try await house.identity.makeCodes(.recoveryCodes, session) }
        let again = try await use(house, .totp, app.code(atStep: try await house.step()), session)
        #expect(try await house.identity.makeCodes(.recoveryCodes, again).codes.count == 10)
    }

    @Test("Nobody changes or uses the factor of somebody else")
    func others() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.resident(.username("eve"))
        let (app, session) = try await house.addApp(try await house.session("ada"))
        let factor = try #require(try await house.identity.factors(of: session).first)
        let (_, eve) = try await house.addApp(try await house.session("eve"))
        await #expect(throws: FactorChangeRefusal.unknown) { try await house.identity.removeFactor(factor.id, eve) }
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .totp, app.code(atStep: try await house.step() + 1), eve) }
        // Not even when the statement itself is asked with her factor.
        let taken = UseFactor(
            credential: eve, factor: factor.id, proof: .step(Int64.max), addressHMAC: house.identity.addressHMAC(""), newHash: CredentialHash(token: "new"))
        #expect(try await house.city.app.one(taken) == false)
    }

    @Test("A sign-in under way is no session: it opens no page, and ends after ten minutes")
    func halfIsNoSession() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (app, _) = try await house.addApp(try await house.session("ada"))
        let half = try await house.half("ada")
        #expect(try await house.caller(half) == nil)
        #expect(try await house.identity.sessions(of: half).isEmpty)
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { _ = try await house.identity.makeCodes(.codeSheet, half) }
        await #expect(throws: FactorChangeRefusal.signedOut) {
            _ = try await house.identity.confirmPassword(Redacted(Household.password), session: half, address: "")
        }
        try await house.city.setClock(secondsAhead: 601)
        await #expect(throws: FactorChangeRefusal.signedOut) { _ = try await use(house, .totp, app.code(atStep: try await house.step()), half) }
    }

    // MARK: Once

    @Test("A code of the app serves once, and none of an earlier step after it")
    func appCodeOnce() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.city.stopClock(at: Date())
        let (app, _) = try await house.addApp(try await house.session("ada"))
        let now = try await house.step()
        // The one that confirmed the app is used up.
        let enrolled = app.code(atStep: now)
        let half = try await house.half("ada")
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .totp, enrolled, half) }
        let session = try await use(house, .totp, app.code(atStep: now + 1), half)
        #expect(try await house.level(session) == 2)
        for step in [now + 1, now, now - 1] {
            await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .totp, app.code(atStep: step), session) }
        }
    }

    @Test("Of many who send the same code at the same moment one comes in", arguments: [FactorKind.totp, .codeSheet, .recoveryCodes])
    func race(kind: FactorKind) async throws {
        let house = try await Household(sharedConnections: 8)
        try await house.resident(.username("ada"))
        var session = try await house.session("ada")
        var code = ""
        if kind == .totp {
            code = try await house.addApp(session).app.code(atStep: try await house.step() + 1)
        } else {
            if kind == .recoveryCodes { session = try await house.addApp(session).session }
            code = try await house.identity.makeCodes(kind, session).codes[0]
        }
        var halves: [CredentialHash] = []
        for _ in 0..<5 { halves.append(try await house.half("ada")) }
        let (sent, tries) = (code, halves)
        #expect(await successes(tries.count) { _ = try await use(house, kind, sent, tries[$0]) } == 1)
        #expect(try await house.city.owner.one(OneValue("SELECT count(*) FROM web.credential WHERE second_factor = \(kind.rawValue)", of: Int64.self)) == (kind == .totp ? 2 : 1))
    }

    @Test("Two browsers that each add the first factor at the same moment: one succeeds, the other needs it from then on")
    func firstFactorRace() async throws {
        let house = try await Household(sharedConnections: 8)
        try await house.resident(.username("ada"))
        var sessions: [CredentialHash] = []
        for _ in 0..<4 { sessions.append(try await house.session("ada")) }
        let all = sessions
        #expect(await successes(all.count) { _ = try await house.identity.makeCodes(.codeSheet, all[$0]) } == 1)
    }

    // MARK: Stories

    @Test("A sheet asks for its codes by number, each once, and another sheet ends it")
    func sheet() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let codes = try await house.identity.makeCodes(.codeSheet, try await house.session("ada")).codes
        #expect(codes.count == 40)
        var half = try await house.half("ada")
        #expect(try await house.identity.factors(of: half).first?.nextNumber == 1)
        // The right code of another number is not what was asked for.
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .codeSheet, codes[1], half) }
        let session = try await use(house, .codeSheet, codes[0], half)
        #expect(try await house.level(session) == 2)
        half = try await house.half("ada")
        #expect(try await house.identity.factors(of: half).first?.nextNumber == 2)
        let another = try await house.identity.makeCodes(.codeSheet, session).codes
        half = try await house.half("ada")
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .codeSheet, codes[1], half) }
        _ = try await use(house, .codeSheet, another[0], half)
        // Nothing that could be tried stays of the first.
        #expect(try await house.city.owner.one(OneValue("SELECT count(*) FROM identity.factor_code", of: Int64.self)) == 40)
        #expect(try await house.messages() == ["code_sheet_made", "code_sheet_made", "welcome"])
    }

    @Test("A recovery code stands in for a lost app, once, and the resident is told; recovery codes alone do not ask for one at sign-in")
    func recoveryCodes() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let first = try await house.session("ada")
        let early = try await house.identity.makeCodes(.recoveryCodes, first).codes
        let (_, session) = try await house.addApp(try await house.session("ada"))
        let codes = try await house.identity.makeCodes(.recoveryCodes, session).codes
        let half = try await house.half("ada")
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .recoveryCodes, early[0], half) }
        let recovered = try await use(house, .recoveryCodes, codes[7].lowercased(), half)
        #expect(try await house.level(recovered) == 2)
        let next = try await house.half("ada")
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .recoveryCodes, codes[7], next) }
        #expect(try await house.identity.factors(of: recovered).first { $0.kind == .recoveryCodes }?.codesLeft == 9)
        #expect(try await house.messages().contains("recovery_code_used"))
    }

    @Test("A sheet whose codes are used up is still asked for: the password alone opens nothing, and recovery codes stand in")
    func usedUpSheet() async throws {
        let house = try await Household(staffSecondFactor: .required)
        try await house.resident(.username("ada"))
        let session = try await house.session("ada")
        let codes = try await house.identity.makeCodes(.codeSheet, session).codes
        try await house.city.owner.execute("UPDATE identity.factor_code SET used_at = public.stoa_now() WHERE number < 40")
        try await house.serve { client in
            let browser = CityBrowser(client)
            _ = try await browser.get("/sign-in")
            _ = try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password)])
            #expect(try await browser.get("/sign-in/second-factor").text.contains("Enter code 40"))
            #expect(try await browser.post("/sign-in/second-factor", [("kind", "code_sheet"), ("code", codes[39])]).headers[.location] == "/")
            #expect(try await browser.get("/").text.contains("Few codes are left on your sheet"))
            #expect(try await browser.get("/security").text.contains("Few codes are left on your sheet"))
            _ = try await browser.post("/sign-out", [])
            _ = try await browser.get("/sign-in")
            #expect(try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password)]).headers[.location] == "/sign-in/second-factor")
            #expect(try await browser.get("/sign-in/second-factor").text.contains("Your sheet of codes is used up"))
        }
        // The session that used the last one makes recovery codes; they open the account with the password.
        let token = try await house.identity.confirmPassword(Redacted(Household.password), session: session, address: "192.0.2.1")
        try await house.city.owner.execute("UPDATE web.credential SET second_factor = 'code_sheet', second_factor_at = public.stoa_now(), authenticator_assurance = 2 WHERE hash = \(CredentialHash(token: token).bytes)")
        let recovery = try await house.identity.makeCodes(.recoveryCodes, CredentialHash(token: token)).codes
        #expect(try await house.level(try await use(house, .recoveryCodes, recovery[0], try await house.half("ada"))) == 2)

        // A member of staff is not asked to make a new one either, by whoever knows the password.
        try await house.staff("clerk")
        guard case .needsEnrolment(let half) = try await house.signIn("clerk") else { throw Household.NoSession() }
        _ = try await house.identity.makeCodes(.codeSheet, CredentialHash(token: half))
        try await house.city.owner.execute("UPDATE identity.factor_code SET used_at = public.stoa_now()")
        _ = try await house.half("clerk")
    }

    @Test("Codes and secrets are stored so that the database alone gives none away")
    func atRest() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (app, session) = try await house.addApp(try await house.session("ada"))
        let code = try await house.identity.makeCodes(.codeSheet, session).codes[0].filter(\.isNumber)
        let sealed = try await house.city.owner.one(OneValue("SELECT sealed_secret FROM identity.factor WHERE kind = 'totp'", of: [UInt8].self))
        let secret = Array(app.secret)
        #expect(!sealed.indices.contains { sealed[$0...].starts(with: secret) })
        // The same code under another key, or another salt, has another hash.
        let hash = try await house.city.owner.one(OneValue("SELECT hash FROM identity.factor_code WHERE number = 1", of: [UInt8].self))
        let salt = try await house.city.owner.one(OneValue("SELECT salt FROM identity.factor WHERE kind = 'code_sheet'", of: [UInt8].self))
        let passwords = house.identity.passwords
        #expect(try await passwords.hash(listed: [code], salt: salt, under: house.city.lookup) == [hash])
        #expect(try await passwords.hash(listed: [code], salt: ListedCodes.randomSalt(), under: house.city.lookup) != [hash])
        try await house.city.owner.execute("UPDATE identity.factor SET id = gen_random_uuid() WHERE kind = 'totp'")
        let half = try await house.half("ada")
        await #expect(throws: (any Error).self) { _ = try await use(house, .totp, app.code(atStep: try await house.step() + 1), half) }
    }

    @Test("Staff who must have a second factor make one before they come in; where it is asked for later, the password is enough, whatever they have")
    func staff() async throws {
        let later = try await Household()
        try await later.staff("clerk")
        let (asked, raised) = try await later.addApp(try await later.session("clerk"))
        #expect(try await later.level(raised) == 2)
        let lower = try await later.session("clerk")
        #expect(try await later.level(lower) == 1)
        await #expect(throws: FactorChangeRefusal.secondFactorNeeded) { _ = try await later.identity.makeCodes(.codeSheet, lower) }
        #expect(try await later.level(try await use(later, .totp, asked.code(atStep: try await later.step() + 1), lower)) == 2)
        // Residents are not concerned.
        try await later.resident(.username("ada"))
        _ = try await later.addApp(try await later.session("ada"))
        _ = try await later.half("ada")

        let house = try await Household(staffSecondFactor: .required)
        try await house.staff("clerk")
        guard case .needsEnrolment(let token) = try await house.signIn("clerk") else {
            Issue.record("no enrolment")
            return
        }
        let half = CredentialHash(token: token)
        #expect(try await house.caller(half) == nil)
        let (app, session) = try await house.addApp(half)
        #expect(try await house.level(session) == 2)
        let next = try await house.half("clerk")
        #expect(try await house.level(try await use(house, .totp, app.code(atStep: try await house.step() + 1), next)) == 2)
        // Residents are not concerned.
        try await house.resident(.username("ada"))
        #expect(try await house.level(try await house.session("ada")) == 1)
    }

    @Test("Staff who lost what they sign in with are given a fresh start by the city's engineers, and by nobody else")
    func forgottenFactors() async throws {
        let house = try await Household(staffSecondFactor: .required)
        try await house.staff("clerk")
        guard case .needsEnrolment(let token) = try await house.signIn("clerk") else { throw Household.NoSession() }
        let (_, session) = try await house.addApp(CredentialHash(token: token))
        try await StaffAdministration.forgetFactors(of: "clerk", owner: house.city.owner)
        #expect(try await house.caller(session) == nil)
        guard case .needsEnrolment = try await house.signIn("clerk") else {
            Issue.record("no enrolment")
            return
        }
        await #expect(throws: StaffAdministrationError.usernameUnknown("nobody")) {
            try await StaffAdministration.forgetFactors(of: "nobody", owner: house.city.owner)
        }
        await #expect(throws: DatabaseError.self) { try await StaffAdministration.forgetFactors(of: "clerk", owner: house.city.app) }
    }

    // MARK: Pages

    @Test("In a browser: add an app, sign in with it, and be asked for it again before a change")
    func pages() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.serve { client in
            let browser = CityBrowser(client)
            _ = try await browser.get("/sign-in")
            _ = try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password)])
            let security = try await browser.get("/security").text
            #expect(security.contains("whoever knows your password can sign in") && security.contains("This one"))
            #expect(try await browser.post("/security/app", []).headers[.location] == "/security/app")
            let page = try await browser.get("/security/app").text
            let address = try #require(page.firstMatch(of: /href="(otpauth:[^"]+)"/)?.1)
            #expect(address.contains("issuer=Marisport"))
            let app = try await house.pendingApp()
            #expect(page.contains(app.secretText))
            let wrong = try await browser.post("/security/app/code", [("code", "12 34")])
            #expect(wrong.status == 422 && wrong.text.contains(app.secretText) && wrong.text.contains("id=\"code-error\""))
            let first = app.code(atStep: try await house.step())
            #expect(try await browser.post("/security/app/code", [("code", first)]).headers[.location] == "/security")
            #expect(try await browser.get("/security").text.contains("two proofs (assurance level 2)"))

            _ = try await browser.post("/sign-out", [])
            _ = try await browser.get("/sign-in?next=/messages")
            let asked = try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password), ("next", "/messages")])
            #expect(asked.headers[.location] == "/sign-in/second-factor?next=/messages")
            #expect(try await browser.get("/messages").status == 303)
            #expect(try await browser.get("/sign-in/second-factor?next=/messages").text.contains("six digits"))
            let again = try await browser.post("/sign-in/second-factor", [("kind", "totp"), ("code", "000 000"), ("next", "/messages")])
            #expect(again.status == 422 && !again.text.contains("000 000"))
            let next = app.code(atStep: try await house.step() + 1)
            let done = try await browser.post("/sign-in/second-factor", [("kind", "totp"), ("code", next), ("next", "/messages")])
            #expect(done.headers[.location] == "/messages")
            #expect(try await browser.get("/messages").status == 200)

            for seconds in [600, 1000] {
                try await house.city.setClock(secondsAhead: seconds)
                _ = try await browser.get("/security")
            }
            #expect(try await browser.post("/security/recovery-codes", []).headers[.location] == "/confirm-factor?next=/security")
            _ = try await browser.get("/confirm-factor?next=/security")
            let later = app.code(atStep: try await house.step())
            _ = try await browser.post("/confirm-factor", [("kind", "totp"), ("code", later), ("next", "/security")])
            _ = try await browser.get("/security")
            let codes = try await browser.post("/security/recovery-codes", [])
            #expect(codes.status == 200 && codes.headers[.cacheControl] == "no-store")
            #expect(codes.text.matches(of: /<li>/).count >= 10)
        }
    }

    @Test("The pages of a sign-in lead to its beginning when there is none under way")
    func noSignIn() async throws {
        let house = try await Household()
        try await house.serve { client in
            let browser = CityBrowser(client)
            _ = try await browser.get("/sign-in")
            for path in ["/sign-in/second-factor", "/sign-in/enrolment", "/sign-in/enrolment/app"] {
                #expect(try await browser.get(path).headers[.location] == "/sign-in", "\(path)")
            }
            for path in ["/sign-in/second-factor", "/sign-in/enrolment/app", "/sign-in/enrolment/app/code", "/sign-in/enrolment/code-sheet"] {
                #expect(try await browser.post(path, [("kind", "totp"), ("code", "123456")]).headers[.location] == "/sign-in", "\(path)")
            }
            for path in ["/security", "/confirm-factor", "/confirm-password"] { #expect(try await browser.get(path).status == 303, "\(path)") }
        }
    }
}

extension Household {
    /// The app that waits for its first code, opened as the server opens it.
    fileprivate func pendingApp() async throws -> TOTP {
        let row = try await city.owner.one(PendingRow())
        return TOTP(secret: try city.vault.openSecret(row.sealed, as: "totp", id: row.id))
    }

    private struct PendingRow: Query {
        var sql: SQL { "SELECT id, sealed_secret FROM identity.factor WHERE confirmed_at IS NULL" }
        func decode(_ row: inout RowReader) throws -> (id: UUID, sealed: [UInt8]) { (try row.next(), try row.next()) }
    }
}
