// No committed log entry, no data: what the role of the server cannot get round, tried with that role.
@testable import AccessLog
import City
import Foundation
import Postgres
import Primitives
import Register
import Testing
import Web

/// One clinic that may read one resident's names.
struct OpenDoor {
    let city: CityFixture
    let clinic: FixtureOrganisation
    let care: FixtureActivity
    let ada: FixtureResident
    let pseudonym: UUID

    init() async throws {
        city = try await CityFixture.make()
        clinic = try await city.organisation("clinic")
        care = try await city.activity(clinic, "care", attributes: ["given_names", "family_name"])
        ada = try await city.resident()
        _ = try await city.decide("given", care, by: ada)
        pseudonym = try await city.pseudonym(of: ada, for: clinic)
    }

    /// The statement that the server sends, for one read of the family name.
    func authorise(_ entry: UUID, attributes: String = "family_name") -> SQL {
        """
        SELECT count(*) FROM access_log.authorise(\([entry]), \([clinic.credential.hash.bytes]), \(["disclose"]), \(["pseudonym"]),
            \([pseudonym.uuidString]), \([attributes]), \(["care"]), \(["K-1"])) WHERE refusal IS NULL
        """
    }

    func release(_ entry: UUID) -> OneValue<[UInt8]> {
        OneValue("SELECT unnest(sealed_values) FROM access_log.release(\([entry]))")
    }

    func request(credential: FixtureCredential? = nil, caseReference: String = "K-1") -> AccessRequest {
        AccessRequest(
            credential: (credential ?? clinic.credential).hash, operation: .disclose, subject: .pseudonym(pseudonym),
            attributes: ["family_name"], purpose: "care", caseReference: caseReference)
    }
}

private struct Rollback: Error {}

@Suite("The door: no committed entry, no data")
struct DoorGuaranteeTests {
    @Test("An open transaction that logs and releases gets nothing, and a rollback leaves nothing")
    func rollback() async throws {
        let open = try await OpenDoor()
        let entry = UUID()
        await #expect(throws: Rollback.self) {
            try await open.city.app.transaction { transaction in
                #expect(try await transaction.query(OneValue(open.authorise(entry), of: Int64.self)) == [1])
                #expect(try await transaction.query(open.release(entry)).isEmpty)
                throw Rollback()
            }
        }
        #expect(try await open.city.app.query(open.release(entry)).isEmpty)
        #expect(try await open.city.entryCount() == 0)
    }

    @Test("A savepoint gets nothing: not inside it, not after rolling back to it, not after releasing it")
    func savepoint() async throws {
        let open = try await OpenDoor()
        let (abandoned, kept) = (UUID(), UUID())
        try await open.city.app.transaction { transaction in
            _ = try await transaction.query(OneValue("SELECT 1::bigint", of: Int64.self))
            try await transaction.execute("SAVEPOINT a")
            #expect(try await transaction.query(OneValue(open.authorise(abandoned), of: Int64.self)) == [1])
            #expect(try await transaction.query(open.release(abandoned)).isEmpty)
            try await transaction.execute("ROLLBACK TO SAVEPOINT a")
            #expect(try await transaction.query(open.release(abandoned)).isEmpty)
            #expect(try await transaction.query(OneValue(open.authorise(kept), of: Int64.self)) == [1])
            try await transaction.execute("RELEASE SAVEPOINT a")
            #expect(try await transaction.query(open.release(kept)).isEmpty)
        }
        #expect(try await open.city.app.query(open.release(abandoned)).isEmpty)
        #expect(try await open.city.app.query(open.release(kept)).count == 1)
        #expect(try await open.city.entryCount() == 1)
    }

    @Test("Another connection gets nothing while the entry is uncommitted")
    func otherConnection() async throws {
        let open = try await OpenDoor()
        let entry = UUID()
        try await open.city.app.transaction { transaction in
            let permitted = try await transaction.query(OneValue(open.authorise(entry), of: Int64.self))
            #expect(permitted == [1])
            #expect(try await open.city.app.query(open.release(entry)).isEmpty)
        }
        #expect(try await open.city.app.query(open.release(entry)).count == 1)
    }

    @Test("One statement that does both gets nothing")
    func oneStatement() async throws {
        let open = try await OpenDoor()
        let entry = UUID()
        let both: SQL = """
            WITH logged AS MATERIALIZED (\(open.authorise(entry)))
            SELECT unnest(r.sealed_values) FROM logged, LATERAL access_log.release(\([entry])) AS r WHERE logged.count = 1
            """
        #expect(try await open.city.app.query(OneValue(both, of: [UInt8].self)).isEmpty)
    }

    @Test("An entry releases for five seconds, and a refused or invented one never")
    func fiveSeconds() async throws {
        let open = try await OpenDoor()
        let (entry, refused) = (UUID(), UUID())
        #expect(try await open.city.app.query(OneValue(open.authorise(entry), of: Int64.self)) == [1])
        #expect(try await open.city.app.query(OneValue(open.authorise(refused, attributes: "phone"), of: Int64.self)) == [0])
        #expect(try await open.city.app.query(open.release(entry)).count == 1)
        #expect(try await open.city.app.query(open.release(refused)).isEmpty)
        #expect(try await open.city.app.query(open.release(UUID())).isEmpty)
        try await open.city.setClock(secondsAhead: 5)
        #expect(try await open.city.app.query(open.release(entry)).isEmpty)
    }

    @Test("An entry cannot be written under an id that is there already, so none can be replaced")
    func sameID() async throws {
        let open = try await OpenDoor()
        let entry = UUID()
        #expect(try await open.city.app.query(OneValue(open.authorise(entry), of: Int64.self)) == [1])
        await #expect { _ = try await open.city.app.query(OneValue(open.authorise(entry), of: Int64.self)) } throws: { error in
            (error as? DatabaseError)?.isUniqueViolation == true
        }
        #expect(try await open.city.entryCount() == 1)
    }

    @Test("A session that does not wait for the disk is refused")
    func synchronousCommit() async throws {
        let open = try await OpenDoor()
        await #expect { 
            try await open.city.app.transaction { transaction in
                try await transaction.execute("SET LOCAL synchronous_commit = off")
                _ = try await transaction.query(OneValue(open.authorise(UUID()), of: Int64.self))
            }
        } throws: { error in
            (error as? DatabaseError)?.sqlState == "55000"
        }
        #expect(try await open.city.entryCount() == 0)
    }

    @Test("Nobody gets in as somebody else: each wrong credential is refused, and one refused attempt is one entry")
    func forgedActors() async throws {
        let open = try await OpenDoor()
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        let revoked = try await open.city.clientToken("clinic")
        try await open.city.revoke(revoked)
        let nobody = [FixtureCredential(), revoked, try await open.city.clientToken("clinic", secondsLeft: -1)]
        let wrong = [
            try await open.city.clientToken("clinic", scope: ["voucher.redeem"]), open.ada.session,
            try await open.city.appToken(of: open.ada, scope: ["profile", "consents"]),
            try await open.city.staff(roles: StaffRole.allCases).session,
        ]
        for credential in nobody {
            await #expect(throws: RefusedAccess(refusal: .credentialInvalid, missing: [])) {
                _ = try await door.read(open.request(credential: credential))
            }
        }
        // Nobody can be named, so there is nothing to write down.
        #expect(try await open.city.entryCount() == 0)
        for (number, credential) in wrong.enumerated() {
            await #expect(throws: RefusedAccess(refusal: .scopeMissing, missing: [])) {
                _ = try await door.read(open.request(credential: credential))
            }
            #expect(try await open.city.entryCount(where: "e.outcome = 'refused'") == number + 1)
        }
        _ = try await door.read(open.request())
        #expect(try await open.city.entryCount() == wrong.count + 1)
    }

    @Test("A read that is permitted and not released fails alone: what is committed is not tried again")
    func failsAlone() async throws {
        let open = try await OpenDoor()
        for statement in [
            "ALTER FUNCTION access_log.release(uuid[]) RENAME TO release_all",
            """
            CREATE FUNCTION access_log.release(entry_ids uuid[])
                RETURNS TABLE (entry_id uuid, resident_id uuid, public_code text, identity_assurance smallint, holder_id uuid, key_id text,
                               wrapped_key bytea, attributes text[], sealed_values bytea[], sources text[], recorded_at timestamptz[],
                               at timestamptz)
                LANGUAGE sql AS $$ SELECT r.* FROM access_log.release_all(entry_ids) AS r WHERE r.entry_id <> entry_ids[1] $$
            """, "GRANT EXECUTE ON FUNCTION access_log.release(uuid[]) TO stoa_app",
        ] as [SQL] { _ = try await open.city.owner.execute(statement) }
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        let answers = try await door.read((0..<3).map { _ in open.request() })
        #expect(throws: DoorError.self) { try answers[0].get() }
        #expect(try answers[1].get().residentID == open.ada.id && answers[2].get().residentID == open.ada.id)
        // Asked for at the same moment: the first of each batch is kept back, and nobody is told of an entry that stands already.
        let failures = await withTaskGroup(of: (any Error)?.self) { group in
            for _ in 0..<40 {
                group.addTask { do { _ = try await door.read(open.request()); return nil } catch { return error } }
            }
            return await group.reduce(into: [any Error]()) { if let error = $1 { $0.append(error) } }
        }
        #expect(!failures.isEmpty && failures.allSatisfy { $0 is DoorError }, "\(failures)")
        #expect(try await open.city.entryCount() == 43)
    }

    @Test("Two residents' sealed values cannot be exchanged, nor opened as another attribute")
    func exchangedRows() async throws {
        let open = try await OpenDoor()
        try await open.city.owner.execute(
            """
            UPDATE register.sealed_attribute AS a SET sealed_value = b.sealed_value FROM register.sealed_attribute AS b
            WHERE a.resident_id = \(open.ada.id) AND a.attribute = 'family_name' AND b.resident_id = \(open.ada.id) AND b.attribute = 'given_names'
            """)
        let door = Door(database: try open.city.appPool(sharedConnections: 1))
        let record = try await door.read(open.request())
        #expect(throws: (any Error).self) { _ = try open.city.vault.open(record) }
    }
}
