// The reasons that the counter offers are those of the database, each with its law: another one would be refused at the door.
import City
import Postgres
import Testing

@testable import Casework

@Suite("Reasons to open a record")
struct OpeningReasonTests {
    @Test("The form offers exactly those that the door knows; a letter is printed from its own list (Delivery)")
    func agree() async throws {
        let known = try await CityFixture.make().owner.query(OneValue("SELECT id FROM access_log.staff_reason WHERE opens_records", of: String.self))
        #expect(Set(OpeningReason.allCases.map(\.rawValue)) == Set(known).subtracting(["letter"]))
    }
}
