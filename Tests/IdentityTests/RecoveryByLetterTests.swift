// The way back by letter: who gets one, what its code opens and when, and how the resident stops it. Refusals and races first.
import AccessLog
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Delivery
@testable import Identity

@Suite("Recovery by letter")
struct RecoveryByLetterTests {
    /// A household in which ada's account stands for a register record, as after the counter linked it.
    private func household(sharedConnections: Int = 2) async throws -> Household {
        let house = try await Household(sharedConnections: sharedConnections)
        try await house.resident(.username("ada"))
        try await house.city.owner.execute("UPDATE register.resident SET origin = 'population_register'")
        return house
    }

    private func ask(_ house: Household, _ name: String = "ada", address: String = "192.0.2.1") async throws -> Bool {
        try await house.identity.askForLetter(typedName: name, address: address)
    }

    private func use(_ house: Household, _ code: String, name: String = "ada", address: String = "192.0.2.1") async throws -> SignedIn {
        try await house.identity.recoverByLetter(typedName: name, code: Redacted(code), address: address)
    }

    /// The code as it stands in the letter that waits.
    private func code(_ house: Household) async throws -> String {
        struct Waiting: Query {
            let sql: SQL = """
                SELECT o.id, o.sealed_parameters, k.resident_id, k.key_id, k.wrapped_key FROM delivery.outgoing AS o JOIN register.data_key AS k ON k.resident_id = o.resident_id
                WHERE o.template = 'recovery' AND NOT o.is_done
                """
            func decode(_ row: inout RowReader) throws -> (id: OutgoingID, sealed: [UInt8], key: SealingKey) {
                (OutgoingID(try row.next(UUID.self)), try row.next(), try SealingKey(&row))
            }
        }
        let letter = try await house.city.owner.one(Waiting())
        let parameters = try OutgoingSealing(vault: house.city.vault).openParameters(
            letter.sealed, of: letter.id, for: letter.key.holderID, under: try house.city.vault.unwrap(letter.key))
        return try #require(parameters["code"])
    }

    private func post(_ house: Household) async throws {
        try await house.city.owner.execute(
            "UPDATE delivery.outgoing SET sent_at = public.stoa_now(), outcome = 'posted', sealed_parameters = NULL WHERE template = 'recovery' AND NOT is_done")
    }

    private func letters(_ house: Household) async throws -> Int {
        try await house.city.owner.one(OneValue("SELECT count(*) FROM delivery.outgoing WHERE channel = 'letter'", of: Int.self))
    }

    @Test("Nobody, and an account that no register record stands behind, get no letter and the same answer")
    func nobody() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        for name in ["ada", "nobody", "\u{0}"] { #expect(try await ask(house, name)) }
        #expect(try await letters(house) == 0)
        #expect(try await house.messages() == ["welcome"])
    }

    @Test("One letter a week, however many ask at once; twenty requests a day from one address")
    func limits() async throws {
        let house = try await household(sharedConnections: 8)
        let asked = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<24 { group.addTask { (try? await ask(house, number < 12 ? "ada" : "nobody")) ?? false } }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(asked == 20)
        #expect(try await letters(house) == 1)
        #expect(try await house.messages() == ["recovery_letter_asked", "welcome"])
        // The next one takes its place.
        let first = try await code(house)
        try await house.city.setClock(secondsAhead: 7 * 86_400 + 1)
        #expect(try await ask(house))
        #expect(try await letters(house) == 2)
        #expect(try await code(house) != first)
    }

    @Test("A wrong code, a name without a letter and a name of nobody are told the same, and counted alike", arguments: ["ada", "eve", "nobody"])
    func wrong(name: String) async throws {
        let house = try await household()
        try await house.resident(.username("eve"))
        _ = try await ask(house)
        try await post(house)
        try await house.city.setClock(secondsAhead: 86_401)
        for code in ["0000-0000-0000-0000", "no code at all", "0000-0000-0000-0000", "1", "0000-0000-0000-0001"] {
            await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, code, name: name) }
        }
        await #expect(throws: SignInError.tooManyAttempts(waitMinutes: 1)) { _ = try await use(house, "0000-0000-0000-0000", name: name) }
        // Guesses at it close no other way.
        _ = try await house.signIn("ada")
    }

    @Test("The code counts from the day after the letter was posted, for thirty days")
    func when() async throws {
        for lastSeconds in [30 * 86_400 - 60, 30 * 86_400 + 1] {
            let house = try await household()
            _ = try await ask(house)
            let code = try await code(house)
            await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, code) }
            try await post(house)
            try await house.city.setClock(secondsAhead: 86_399)
            await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, code) }
            try await house.city.setClock(secondsAhead: lastSeconds)
            if lastSeconds < 30 * 86_400 {
                _ = try await use(house, code)
            } else {
                await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, code) }
            }
        }
    }

    @Test("Of many that send the code at once one comes in, and chooses a new password; the old sessions end")
    func once() async throws {
        let house = try await household(sharedConnections: 8)
        _ = try await ask(house)
        let code = try await code(house)
        try await post(house)
        try await house.city.setClock(secondsAhead: 86_401)
        let thief = try await house.session("ada")
        let outcomes = await withTaskGroup(of: SignedIn?.self) { group in
            for _ in 0..<4 { group.addTask { try? await use(house, code) } }
            return await group.reduce(into: [SignedIn]()) { if let signedIn = $1 { $0.append(signedIn) } }
        }
        guard outcomes.count == 1, case .session(let token) = outcomes[0] else {
            Issue.record("\(outcomes.count) came in")
            return
        }
        let new = try #require(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: CredentialHash(token: token)))
        #expect(try await house.areOpen(thief, CredentialHash(token: new)) == [false, true])
        _ = try await house.signIn("ada", password: "five plain words now", address: "192.0.2.9")
        #expect(try await house.messages() == ["password_changed", "recovery_letter_asked", "recovery_letter_used", "welcome"])
    }

    @Test("Where there is a second factor it is asked for as well")
    func withSecondFactor() async throws {
        let house = try await household()
        let (app, _) = try await house.addApp(try await house.session("ada"))
        _ = try await ask(house)
        let code = try await code(house)
        try await post(house)
        try await house.city.setClock(secondsAhead: 86_401)
        guard case .needsSecondFactor(let token) = try await use(house, code) else {
            Issue.record("no second factor was asked for")
            return
        }
        let half = CredentialHash(token: token)
        #expect(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: half) == nil)
        let digits = app.code(atStep: try await house.step())
        let session = CredentialHash(token: try await house.identity.useFactor(.totp, code: Redacted(digits), credential: half, address: "192.0.2.1"))
        #expect(try await house.identity.replacePassword(with: Redacted("five plain words now"), session: session) != nil)
    }

    @Test("Whoever is signed in stops the letter: it is not printed, and its code opens nothing")
    func cancelled() async throws {
        let house = try await household()
        try await house.resident(.username("eve"))
        _ = try await ask(house)
        let code = try await code(house)
        #expect(try await house.identity.pendingLetter(try await house.session("eve")) == nil)
        #expect(try await house.identity.cancelLetter(try await house.session("eve")) == false)
        try await house.serve { client in
            let browser = CityBrowser(client)
            _ = try await browser.get("/sign-in")
            _ = try await browser.post("/sign-in", [("username", "ada"), ("password", Household.password)])
            #expect(try await browser.get("/").text.contains("A letter with a code is on its way"))
            #expect(try await browser.get("/security").text.contains("/security/letter/cancel"))
            #expect(try await browser.post("/security/letter/cancel", []).headers[.location] == "/security")
            let after = try await browser.get("/security").text
            #expect(after.contains("The letter is cancelled") && !after.contains("/security/letter/cancel"))
            _ = try await browser.post("/security/letter/cancel", [])
            #expect(try await browser.get("/security").text.contains("There was no letter to cancel"))
        }
        #expect(try await house.city.owner.one(OneValue("SELECT outcome FROM delivery.outgoing WHERE template = 'recovery' AND is_done", of: String.self)) == "cancelled")
        try await house.city.owner.execute("UPDATE delivery.outgoing SET failed_at = NULL, sent_at = public.stoa_now() WHERE template = 'recovery'")
        try await house.city.setClock(secondsAhead: 86_401)
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, code) }
    }

    @Test("In a browser: ask, wait, type the code, choose a new password; nobody is told whether there is such an account")
    func pages() async throws {
        let house = try await household()
        try await house.serve { client in
            let (browser, other) = (CityBrowser(client), CityBrowser(client))
            #expect(try await browser.get("/recover").text.contains("href=\"/recover/letter\""))
            var answers: [String] = []
            for (one, name) in [(browser, "ada"), (other, "nobody")] {
                _ = try await one.get("/recover/letter")
                let asked = try await one.post("/recover/letter", [("username", name)])
                #expect(asked.headers[.location] == "/recover/letter/code")
                answers.append(try await one.get("/recover/letter/code").text.replacing(/value="[^"]{20,}"/, with: ""))
            }
            #expect(answers[0] == answers[1] && answers[0].contains("a letter is on its way"))
            let code = try await code(house)
            try await post(house)
            try await house.city.setClock(secondsAhead: 86_401)
            _ = try await browser.get("/recover/letter/code")
            let wrong = try await browser.post("/recover/letter/code", [("username", "ada"), ("code", "0000-0000-0000-0000")])
            #expect(wrong.status == 422 && wrong.text.contains("id=\"code-error\"") && !wrong.text.contains("0000-0000"))
            #expect(try await browser.post("/recover/letter/code", [("username", "ada"), ("code", code.lowercased())]).headers[.location] == "/recover/password")
            _ = try await browser.get("/recover/password")
            #expect(try await browser.post("/recover/password", [("new_password", "five plain words now")]).headers[.location] == "/security")
        }
    }
}
