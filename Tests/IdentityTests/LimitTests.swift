// Guessing: what is counted, how the waits grow, and that nobody but the guesser pays for it.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Identity

@Suite("Limits on guessing")
struct LimitTests {
    /// What SP 800-63B-4 §3.2.2 leaves to the city, as docs/SECURITY.md tells it.
    private static let freeAttempts = 5

    private func guess(_ house: Household, _ name: String = "ada", from address: String = "192.0.2.1") async -> SignInError? {
        do {
            _ = try await house.signIn(name, password: "a wrong guess", address: address)
            return nil
        } catch let error as SignInError {
            return error
        } catch {
            Issue.record("\(error)")
            return nil
        }
    }

    @Test("Five wrong passwords are free; then the address waits, longer each time, even with the right one; another address does not")
    func growingWaits() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        for _ in 0..<Self.freeAttempts { #expect(await guess(house) == .wrongNameOrPassword) }
        var seconds = 0
        for minutes in [1, 2, 4, 8, 15, 30, 60, 60] {
            await #expect(throws: SignInError.tooManyAttempts(waitMinutes: minutes)) { _ = try await house.signIn("ada") }
            seconds += minutes * 60 + 1
            try await house.city.setClock(secondsAhead: seconds)
            #expect(await guess(house) == .wrongNameOrPassword)
        }
        _ = try await house.signIn("ada", address: "192.0.2.2")
        // The right password from there is a new beginning for that address alone.
        #expect(await guess(house) == .tooManyAttempts(waitMinutes: 60))
    }

    @Test("Guesses that arrive all at once are counted one after the other: no more than the free ones are looked at")
    func allAtOnce() async throws {
        let house = try await Household(sharedConnections: 16)
        try await house.resident(.username("ada"))
        // On a slow machine a minute may pass meanwhile.
        try await house.city.stopClock(at: Date())
        let outcomes = await withTaskGroup(of: SignInError?.self) { group in
            for _ in 0..<50 { group.addTask { await guess(house) } }
            return await group.reduce(into: [SignInError?]()) { $0.append($1) }
        }
        #expect(outcomes.filter { $0 == .wrongNameOrPassword }.count == Self.freeAttempts)
        #expect(outcomes.filter { $0 == .tooManyAttempts(waitMinutes: 1) }.count == 50 - Self.freeAttempts)
    }

    @Test("A name that opens nothing meets the same limits and the same words", arguments: ["ada", "nobody"])
    func sameForNobody(name: String) async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        for _ in 0..<Self.freeAttempts { #expect(await guess(house, name) == .wrongNameOrPassword) }
        #expect(await guess(house, name) == .tooManyAttempts(waitMinutes: 1))
        try await closePassword(house, name)
        #expect(await guess(house, name, from: "198.51.100.7") == .closed)
    }

    @Test("Whoever registers a name that strangers have guessed at is signed in all the same")
    func registeringAGuessedName() async throws {
        let house = try await Household()
        for _ in 0...Self.freeAttempts { _ = await guess(house) }
        try await house.resident(.username("ada"))
        _ = try await house.session("ada")
    }

    @Test("All names of an account, and the page that asks for the password again, share one counter")
    func oneCounter() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"), .email("ada@example.org"))
        let session = try await house.session("ada")
        for name in ["ada", "ada@example.org", "ada"] { #expect(await guess(house, name) == .wrongNameOrPassword) }
        for _ in 0..<2 {
            await #expect(throws: SignInError.wrongNameOrPassword) {
                _ = try await house.identity.confirmPassword(Redacted("a wrong guess"), session: session, address: "192.0.2.1")
            }
        }
        await #expect(throws: SignInError.tooManyAttempts(waitMinutes: 1)) { _ = try await house.signIn("ada@example.org") }
        await #expect(throws: SignInError.tooManyAttempts(waitMinutes: 1)) {
            _ = try await house.identity.confirmPassword(Redacted(Household.password), session: session, address: "192.0.2.1")
        }
    }

    @Test("A hundred failures in a row, over all addresses, close the password and nothing else; being right in between begins the row anew")
    func closed() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let session = try await house.session("ada")
        try await house.city.owner.execute("UPDATE identity.factor_failures SET failures = 98 WHERE factor = 'password'")
        #expect(await guess(house, from: "198.51.100.1") == .wrongNameOrPassword)
        _ = try await house.session("ada")
        #expect(await guess(house, from: "198.51.100.1") == .wrongNameOrPassword)

        let (_, raised) = try await house.addApp(session)
        try await closePassword(house, "ada")
        await #expect(throws: SignInError.closed) { _ = try await house.signIn("ada", address: "203.0.113.9") }
        // Who is signed in stays so, and the app still serves.
        #expect(try await house.level(raised) == 2)
        #expect(try await house.identity.factors(of: raised).map(\.isClosed) == [false])
    }

    @Test("Wrong codes are counted for each factor alone, over all pages that ask for it")
    func codesAreCounted() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let (app, _) = try await house.addApp(try await house.session("ada"))
        let first = try await house.half("ada")
        for _ in 0..<Self.freeAttempts {
            await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .totp, "000000x", first) }
        }
        // A sign-in begun anew meets the same counter; the password does not.
        let second = try await house.half("ada")
        let right = app.code(atStep: try await house.step() + 1)
        await #expect(throws: SignInError.tooManyAttempts(waitMinutes: 1)) { _ = try await use(house, .totp, right, second) }
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await use(house, .codeSheet, "1234 5678", second) }
        #expect(try await use(house, .totp, right, second, address: "192.0.2.2") != nil)
    }

    private func use(
        _ house: Household, _ kind: FactorKind, _ code: String, _ credential: CredentialHash, address: String = "192.0.2.1"
    ) async throws -> String? {
        try await house.identity.useFactor(kind, code: Redacted(code), credential: credential, address: address)
    }

    /// As if a hundred had guessed wrong from all over the world.
    private func closePassword(_ house: Household, _ name: String) async throws {
        _ = await guess(house, name, from: "198.51.100.1")
        try await house.city.owner.execute("UPDATE identity.factor_failures SET failures = 100 WHERE factor = 'password'")
    }

    @Test("What no longer counts is removed; what is tried at an account is kept")
    func janitor() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        _ = await guess(house)
        _ = await guess(house, "nobody")
        try await house.city.setClock(secondsAhead: 31 * 86_400)
        try await house.city.app.execute("SELECT identity.remove_ended()")
        let count = { (table: String) in
            try await house.city.owner.one(OneValue("SELECT count(*) FROM identity.\(unsafeRaw: table)", of: Int64.self))
        }
        #expect(try await count("address_failures") == 0)
        #expect(try await count("factor_failures") == 1)
    }
}
