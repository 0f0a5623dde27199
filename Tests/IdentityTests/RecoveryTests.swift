// The way back for somebody who forgot the password: a recovery code, and the second factor where there is one.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web

@testable import Identity

@Suite("Recovery by code")
struct RecoveryTests {
    private func recover(_ house: Household, _ code: String, name: String = "ada", address: String = "192.0.2.1") async throws -> SignedIn {
        try await house.identity.recover(typedName: name, code: Redacted(code), address: address)
    }

    @Test("A wrong code, a name without codes and a name of nobody are told the same, and counted alike", arguments: ["ada", "eve", "nobody"])
    func wrong(name: String) async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        try await house.resident(.username("eve"))
        _ = try await house.identity.makeCodes(.recoveryCodes, try await house.session("ada"))
        for code in ["0000-0000-0000-0000", "no code at all", "0000-0000-0000-0000", "1", "0000-0000-0000-0001"] {
            await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await recover(house, code, name: name) }
        }
        await #expect(throws: SignInError.tooManyAttempts(waitMinutes: 1)) { _ = try await recover(house, "0000-0000-0000-0000", name: name) }
    }

    @Test("Without a second factor a code opens a session, once, in which a new password is chosen without the old one")
    func withoutSecondFactor() async throws {
        let house = try await Household(sharedConnections: 8)
        try await house.resident(.username("ada"))
        let thief = try await house.session("ada")
        let codes = try await house.identity.makeCodes(.recoveryCodes, try await house.session("ada")).codes
        let outcomes = await withTaskGroup(of: SignedIn?.self) { group in
            for _ in 0..<4 { group.addTask { try? await recover(house, codes[3]) } }
            return await group.reduce(into: [SignedIn]()) { if let signedIn = $1 { $0.append(signedIn) } }
        }
        guard outcomes.count == 1, case .session(let token) = outcomes[0] else {
            Issue.record("\(outcomes.count) came in")
            return
        }
        let session = CredentialHash(token: token)
        try await house.city.owner.execute("UPDATE identity.factor_failures SET failures = 100 WHERE factor = 'password'")
        let new = try #require(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: session))
        #expect(try await house.areOpen(session, thief, CredentialHash(token: new)) == [false, false, true])
        _ = try await house.signIn("ada", password: "five plain words now", address: "192.0.2.9")
        #expect(try await house.messages() == ["password_changed", "recovery_code_used", "recovery_codes_made", "welcome"])
    }

    @Test("Two codes of one list are one factor: in the session that the first one opened, and by way of the password that it gave")
    func oneListIsOneFactor() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let codes = try await house.identity.makeCodes(.recoveryCodes, try await house.session("ada")).codes
        guard case .session(let token) = try await recover(house, codes[0]) else {
            Issue.record("the code opened no session")
            return
        }
        let recovered = CredentialHash(token: token)
        await #expect(throws: FactorChangeRefusal.signedOut) { _ = try await use(house, codes[1], recovered) }
        let password = "five plain words now"
        let replaced = CredentialHash(token: try #require(try await house.identity.replacePassword(with: Redacted(password), session: recovered)))
        await #expect(throws: FactorChangeRefusal.signedOut) { _ = try await use(house, codes[1], replaced) }
        guard case .session(let anew) = try await house.signIn("ada", password: password) else { throw Household.NoSession() }
        await #expect(throws: FactorChangeRefusal.signedOut) { _ = try await use(house, codes[1], CredentialHash(token: anew)) }
        // Not even by the statement itself.
        let factor = try #require(try await house.identity.factors(of: replaced).first)
        let salt = try await house.city.owner.one(OneValue("SELECT salt FROM identity.factor", of: [UInt8].self))
        let code = try #require(ListedCodes.read(codes[1], as: .recoveryCodes))
        let hash = try await house.identity.passwords.hash(listed: [code], salt: salt, under: house.city.lookup)[0]
        let taken = UseFactor(
            credential: replaced, factor: factor.id, proof: .listed(number: nil, hash: hash), addressHMAC: house.identity.addressHMAC(""),
            newHash: CredentialHash(token: "new"))
        #expect(try await house.city.app.one(taken) == false)
        // Where another factor was lost, a code stands in for it beside the password.
        let (_, raised) = try await house.addApp(replaced)
        let more = try await house.identity.makeCodes(.recoveryCodes, raised).codes
        guard case .needsSecondFactor(let half) = try await house.signIn("ada", password: password) else { throw Household.NoSession() }
        _ = try await use(house, more[0], CredentialHash(token: half))
    }

    private func use(_ house: Household, _ code: String, _ credential: CredentialHash) async throws -> String {
        try await house.identity.useFactor(.recoveryCodes, code: Redacted(code), credential: credential, address: "192.0.2.1")
    }

    @Test("Where there is a second factor it is asked for as well, and another recovery code is none")
    func withSecondFactor() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (app, raised) = try await house.addApp(try await house.session("ada"))
        let codes = try await house.identity.makeCodes(.recoveryCodes, raised).codes
        guard case .needsSecondFactor(let token) = try await recover(house, codes[0]) else {
            Issue.record("no second factor was asked for")
            return
        }
        let half = CredentialHash(token: token)
        #expect(try await house.caller(half) == nil)
        await #expect(throws: FactorChangeRefusal.signedOut) {
            _ = try await house.identity.useFactor(.recoveryCodes, code: Redacted(codes[1]), credential: half, address: "192.0.2.1")
        }
        #expect(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: half) == nil)
        let code = app.code(atStep: try await house.step() + 1)
        let session = CredentialHash(
            token: try await house.identity.useFactor(.totp, code: Redacted(code), credential: half, address: "192.0.2.1"))
        #expect(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: session) != nil)
    }

    @Test("No other session replaces a password, and this one only within fifteen minutes")
    func others() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let ordinary = try await house.session("ada")
        #expect(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: ordinary) == nil)
        let codes = try await house.identity.makeCodes(.recoveryCodes, ordinary).codes
        guard case .session(let token) = try await recover(house, codes[0]) else {
            Issue.record("no session")
            return
        }
        let session = CredentialHash(token: token)
        for seconds in [600, 901] {
            try await house.city.setClock(secondsAhead: seconds)
            #expect(try await house.caller(session) != nil)
        }
        #expect(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: session) == nil)
    }

    @Test("In a browser: forgot the password, a recovery code, a new password")
    func pages() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let codes = try await house.identity.makeCodes(.recoveryCodes, try await house.session("ada")).codes
        try await house.serve { client in
            let browser = CityBrowser(client)
            #expect(try await browser.get("/sign-in").text.contains("href=\"/recover\""))
            _ = try await browser.get("/recover")
            let wrong = try await browser.post("/recover", [("username", "ada"), ("code", "0000-0000-0000-0000")])
            #expect(wrong.status == 422 && wrong.text.contains("id=\"code-error\"") && !wrong.text.contains("0000-0000"))
            #expect(try await browser.post("/recover", [("username", "ada"), ("code", codes[0])]).headers[.location] == "/recover/password")
            _ = try await browser.get("/recover/password")
            #expect(try await browser.post("/recover/password", [("new_password", "password1")]).status == 422)
            #expect(try await browser.post("/recover/password", [("new_password", "five plain words now")]).headers[.location] == "/security")
            #expect(try await browser.get("/security").text.contains("Your password is changed."))
        }
    }
}
