// What the database itself refuses: to pay on one person's word, to somebody who was not looked up, or twice.
import AccessLog
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Benefits

@Suite("Four eyes in the database")
struct FourEyesTests {
    @Test("Whoever prepared a payment cannot decide about it: not through the function, and not by writing the row")
    func selfApproval() async throws {
        let office = try await Office()
        let both = try await office.city.staff(roles: [.caseworker, .approver])
        let id = try await office.prepared(by: both)
        let credential = both.session.hash.bytes
        #expect(try await office.word("SELECT outcome FROM benefits.approve(\(credential), \(id), \(UUID()))") == "self_approval")
        #expect(try await office.word("SELECT benefits.refuse(\(credential), \(id), 'no reason')") == "self_approval")
        let transfer = try await office.city.owner.one(OneValue("SELECT id FROM ledger.transfer LIMIT 1", of: UUID.self))
        for preparedBy in [both.id, office.caseworker.id] {
            let error = await #expect(throws: DatabaseError.self) {
                try await office.city.owner.execute(
                    """
                    INSERT INTO benefits.decision (disbursement_id, prepared_by, kind, decided_by, transfer_id)
                    VALUES (\(id), \(preparedBy), 'approved', \(both.id), \(transfer))
                    """)
            }
            // The true preparer is refused by the check; a false one by the key that ties the decision to its payment.
            #expect(preparedBy == both.id ? error?.constraint == "decided_by_another" : error?.isForeignKeyViolation == true)
        }
        #expect(try await office.count("benefits.decision") == 0)
        #expect(try await office.wallet() == 0)
    }

    @Test("Only a live session with the role acts", arguments: [[StaffRole.caseworker, .financeOfficer, .auditor, .organisationAdministrator], []])
    func roles(roles: [StaffRole]) async throws {
        let office = try await Office()
        let id = try await office.prepared()
        let credential = roles.isEmpty ? office.approver.session : try await office.city.staff(roles: roles).session
        if roles.isEmpty { try await office.city.revoke(credential) }
        #expect(try await office.word("SELECT outcome FROM benefits.approve(\(credential.hash.bytes), \(id), \(UUID()))") == "role_missing")
        #expect(try await office.word("SELECT benefits.refuse(\(credential.hash.bytes), \(id), 'no reason')") == "role_missing")
        #expect(try await office.word("SELECT outcome FROM benefits.approve(\(office.ada.session.hash.bytes), \(id), \(UUID()))") == "role_missing")
        #expect(try await office.wallet() == 0)
    }

    @Test("What waits for an approver is what others prepared and nobody decided")
    func waiting() async throws {
        let office = try await Office()
        let both = try await office.city.staff(roles: [.caseworker, .approver])
        let approver = try await office.city.staff(roles: [.approver])
        func count(_ staff: FixtureStaff) async throws -> Int {
            try await office.city.app.one(WaitingForApproval(credential: staff.session.hash))?.count ?? 0
        }
        #expect(try await count(approver) == 0)
        _ = try await office.prepared(by: both)
        let other = try await office.prepared()
        let counts = [try await count(approver), try await count(both), try await count(try await office.city.staff(roles: [.caseworker, .auditor]))]
        #expect(counts == [2, 1, 0])
        #expect(try await office.word("SELECT benefits.refuse(\(approver.session.hash.bytes), \(other), 'Not due')") == "refused")
        let after = [try await count(approver), try await count(both)]
        #expect(after == [1, 0])
    }

    @Test("Two approvers at once, many times over: one transfer")
    func race() async throws {
        let office = try await Office()
        let id = try await office.prepared()
        let second = try await office.city.staff(roles: [.approver])
        let before = try await office.count("ledger.transfer")
        let words = try await inParallel(40) { index in
            let credential = (index.isMultiple(of: 2) ? office.approver : second).session.hash.bytes
            return try await office.word("SELECT outcome FROM benefits.approve(\(credential), \(id), \(UUID()))")
        }
        #expect(words.filter { $0 == "approved" }.count == 1)
        #expect(words.filter { $0 == "already_approved" }.count == 39)
        #expect(try await office.count("ledger.transfer") == before + 1)
        #expect(try await office.wallet() == 12_000)
    }

    @Test("Payments race for the last of the treasury: what it covers is paid, and not one more")
    func lastMoney() async throws {
        let office = try await Office(treasury: 3 * 12_000 + 11_999)
        var ids: [DisbursementID] = []
        for _ in 0..<10 { ids.append(try await office.prepared()) }
        let words = try await inParallel(10) { [ids] index in
            try await office.word("SELECT outcome FROM benefits.approve(\(office.approver.session.hash.bytes), \(ids[index]), \(UUID()))")
        }
        #expect(words.filter { $0 == "approved" }.count == 3)
        #expect(words.filter { $0 == "insufficient_funds" }.count == 7)
        #expect(try await office.wallet() == 3 * 12_000)
    }

    @Test("Without a committed look-up of one's own for this reason there is no payment")
    func lookupFirst() async throws {
        let office = try await Office()
        let door = Door(database: try office.city.appPool(sharedConnections: 1))
        let colleague = try await office.city.staff(roles: [.caseworker])
        let search = { (staff: FixtureStaff, purpose: String) in
            try await door.read(
                AccessRequest(
                    credential: staff.session.hash, operation: .search, subject: .publicCode(office.ada.publicCode), attributes: [],
                    purpose: purpose, caseReference: "H-1")
            ).entryID
        }
        let prepare = { (entry: AccessEntryID) in
            try await office.word(
                "SELECT benefits.prepare(\(office.caseworker.session.hash.bytes), \(UUID()), \(entry), 'heating', 100, 'Because it is cold')")
        }
        #expect(try await prepare(.new()) == "lookup_missing")
        #expect(try await prepare(search(colleague, "application")) == "lookup_missing")
        #expect(try await prepare(search(office.caseworker, "complaint")) == "lookup_missing")
        let finance = try await office.city.staff(roles: [.financeOfficer])
        await #expect(throws: RefusedAccess.self) { try await search(finance, "application") }
        let own = try await search(office.caseworker, "application")
        #expect(
            try await office.word("SELECT benefits.prepare(\(finance.session.hash.bytes), \(UUID()), \(own), 'heating', 100, 'Because it is cold')")
                == "role_missing")
        let sound = try await search(office.caseworker, "application")
        #expect(try await prepare(sound) == "prepared")
        try await office.city.setClock(secondsAhead: 120)
        #expect(try await prepare(sound) == "lookup_missing")
        #expect(try await office.count("benefits.disbursement") == 1)
    }

    @Test(
        "The role that serves is denied", arguments: [
            "SELECT * FROM benefits.disbursement", "SELECT * FROM benefits.decision", "INSERT INTO benefits.decision SELECT * FROM benefits.decision",
            "INSERT INTO benefits.disbursement SELECT * FROM benefits.disbursement", "UPDATE benefits.disbursement SET amount = 1",
            "DELETE FROM benefits.decision", "TRUNCATE benefits.disbursement", "UPDATE benefits.programme SET payment_max = 1",
            "INSERT INTO benefits.programme SELECT * FROM benefits.programme", "SELECT web.staff_with('\\x00', '{approver}')",
        ])
    func deniedToTheApp(statement: String) async throws {
        let office = try await shared.value
        let error = await #expect(throws: DatabaseError.self) { try await office.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement)")
    }

    @Test("What was prepared and what was decided never change", arguments: ["disbursement", "decision"])
    func onlyGrows(table: String) async throws {
        let office = try await shared.value
        for statement in ["UPDATE benefits.\(table) SET prepared_by = prepared_by", "DELETE FROM benefits.\(table)", "TRUNCATE benefits.\(table) CASCADE"] {
            let error = await #expect(throws: DatabaseError.self) { try await office.city.owner.execute(SQL(unsafeRaw: statement)) }
            #expect(error?.sqlState == "23001", "\(statement)")
        }
    }
}

private let shared = Task { try await Office() }
