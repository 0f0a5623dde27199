// Staff accounts as the city's engineers make them.
import City
import Foundation
import Postgres
import Primitives
import Register
import TestSupport
import Testing
import Web

@testable import Identity

@Suite("Staff administration")
struct StaffAdministrationTests {
    @Test("The own record of a member of staff is one that exists and is nobody else's; otherwise no account is made")
    func ownRecord() async throws {
        let city = try await CityFixture.make()
        let (ada, bob) = (try await city.resident(), try await city.resident())
        try await city.owner.execute("UPDATE register.resident SET superseded_by = \(ada.id) WHERE id = \(bob.id)")
        let administration = StaffAdministration(
            owner: city.owner, passwords: try PasswordHasher(cost: PasswordCost(memoryKibibytes: 64, passes: 1, lanes: 1), threadCount: 1),
            lookup: city.lookup, rules: try PasswordRules(rootDirectory: TestCluster.projectRoot.path))
        func create(_ username: String, _ code: PublicCode?) async throws {
            try await administration.create(
                NewStaff(username: username, name: "Grace Hopper", password: Redacted("seven ships at anchor"), roles: [.caseworker], ownCode: code))
        }
        // The code from before the counter linked the account names the record that took its place.
        try await create("grace", bob.publicCode)
        #expect(try await city.owner.one(OneValue("SELECT resident_id FROM identity.staff WHERE username = 'grace'", of: UUID?.self)) == ada.id.uuid)
        for code in [PublicCode.random(), ada.publicCode] {
            await #expect(throws: StaffAdministrationError.recordUnknown(code)) { try await create("another", code) }
        }
        #expect(try await city.owner.one(OneValue("SELECT count(*) FROM identity.staff", of: Int.self)) == 1)
        try await create("another", nil)
    }
}
