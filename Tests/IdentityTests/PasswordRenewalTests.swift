// Stored passwords grow with the city's parameters: at the next sign-in, and whoever signs in beside comes in all the same.
import City
import Foundation
import Postgres
import Primitives
import Register
import Testing

@testable import Identity

@Suite("Renewed password hashes")
struct PasswordRenewalTests {
    /// The same city with stronger parameters.
    private func stronger(_ house: Household) throws -> IdentityService {
        IdentityService(
            database: try house.city.appPool(sharedConnections: 8), passwords: try PasswordHasher(cost: PasswordCost(memoryKibibytes: 128, passes: 1, lanes: 1)),
            vault: house.city.vault, lookup: house.city.lookup, settings: house.identity.settings)
    }

    private func stored(_ house: Household) async throws -> String {
        try await house.city.owner.one(OneValue("SELECT a.password_hash FROM identity.account AS a", of: String.self))
    }

    private func signIn(_ identity: IdentityService, _ password: String = Household.password) async throws -> SignedIn {
        try await identity.signIn(typedName: "ada", password: Redacted(password), address: "192.0.2.1", isSharedComputer: false)
    }

    @Test("A right password is stored under the parameters of today, once; a wrong one changes nothing, and weaker parameters take nothing back")
    func story() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let identity = try stronger(house)
        let first = try await stored(house)
        await #expect(throws: SignInError.wrongNameOrPassword) { _ = try await signIn(identity, "a wrong guess") }
        #expect(try await stored(house) == first && first.contains("m=64,"))
        _ = try await signIn(identity)
        let renewed = try await stored(house)
        #expect(renewed.contains("m=128,"))
        _ = try await signIn(identity)
        _ = try await signIn(house.identity)
        #expect(try await stored(house) == renewed)
        // Whoever has only the hash of before changes nothing.
        let late: SQL = "SELECT identity.renew_password_hash(\(house.city.lookup.signInName("ada")), \(first), '$argon2id$x')"
        #expect(try await house.city.app.one(OneValue(late)) == false)
    }

    @Test("All who sign in while the hash is renewed come in, and nobody who waits is told that the password is wrong")
    func race() async throws {
        let house = try await Household()
        try await house.resident(.username("ada"))
        let identity = try stronger(house)
        let failures = await withTaskGroup(of: (any Error)?.self) { group in
            // A sign-in that meets the renewal is counted twice until it is right, and five are free.
            for _ in 0..<2 {
                group.addTask { do { _ = try await signIn(identity) } catch { return error }; return nil }
            }
            return await group.reduce(into: [any Error]()) { if let error = $1 { $0.append(error) } }
        }
        #expect(failures.isEmpty, "\(failures)")
        #expect(try await stored(house).contains("m=128,"))
        #expect(try await house.city.owner.one(OneValue("SELECT coalesce(max(f.failures), 0) FROM identity.factor_failures AS f", of: Int32.self)) == 0)
    }
}
