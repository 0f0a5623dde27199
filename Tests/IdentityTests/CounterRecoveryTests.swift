// The way back at a counter: two members of staff, a message, a wait that the resident can end, and a code that opens the account once. Refusals first.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web

@testable import Identity

@Suite("Recovery at the counter")
struct CounterRecoveryTests {
    /// A resident whose identity was proven, with an app that is lost; and three members of staff.
    private struct Counter {
        let house: Household
        let code: PublicCode
        let clerk: CredentialHash
        let other: CredentialHash
        let auditor: CredentialHash

        init() async throws {
            house = try await Household(sharedConnections: 8)
            try await house.resident(.username("ada"))
            _ = try await house.addApp(try await house.session("ada"))
            let row = try await house.city.owner.one(OneValue("SELECT r.public_code FROM register.resident AS r", of: String.self))
            code = try #require(PublicCode(row))
            // As the counter does when it links the account with a record.
            try await house.city.owner.execute("UPDATE register.resident SET identity_assurance = 2")
            clerk = try await house.city.staff(roles: [.caseworker]).session.hash
            other = try await house.city.staff(roles: [.caseworker, .approver]).session.hash
            auditor = try await house.city.staff(roles: [.auditor]).session.hash
        }

        func request(by staff: CredentialHash) async throws {
            try await house.identity.requestRecovery(of: code, evidence: .passport, caseReference: "R-1", by: staff)
        }

        func id() async throws -> RecoveryID { try #require(try await house.identity.recoveries(for: auditor).first).id }

        /// Asked for, agreed to, and the wait is over.
        func ready() async throws -> RecoveryID {
            try await request(by: clerk)
            let id = try await id()
            try await house.identity.decideRecovery(id, isApproved: true, by: other)
            try await house.city.setClock(secondsAhead: 24 * 3600 + 1)
            // The sessions of the fixture last an hour.
            try await house.city.owner.execute(
                "UPDATE web.credential SET expires_at = public.stoa_now() + interval '1 hour', last_used_at = public.stoa_now() WHERE staff_id IS NOT NULL")
            return id
        }
    }

    @Test("Nobody but a caseworker begins it, nobody agrees to what they began, and nobody works on their own account; the database says so")
    func refusals() async throws {
        let counter = try await Counter()
        let identity = counter.house.identity
        for staff in [counter.auditor, try await counter.house.passwordSession("ada")] {
            await #expect(throws: RecoveryRefusal.roleMissing) { try await counter.request(by: staff) }
        }
        await #expect(throws: RecoveryRefusal.unknown) {
            try await identity.requestRecovery(of: .random(), evidence: .passport, caseReference: "R-1", by: counter.clerk)
        }
        try await counter.request(by: counter.clerk)
        await #expect(throws: RecoveryRefusal.already) { try await counter.request(by: counter.other) }
        let id = try await counter.id()
        await #expect(throws: RecoveryRefusal.samePerson) { try await identity.decideRecovery(id, isApproved: true, by: counter.clerk) }
        await #expect(throws: RecoveryRefusal.roleMissing) { try await identity.decideRecovery(id, isApproved: true, by: counter.auditor) }
        await #expect(throws: RecoveryRefusal.notReady) { _ = try await identity.giveRecoveryCode(id, by: counter.clerk) }
        let oneself: SQL = "UPDATE identity.counter_recovery SET approved_by = requested_by, approved_at = public.stoa_now()"
        await #expect(throws: DatabaseError.self) { try await counter.house.city.owner.execute(oneself) }
        await #expect(throws: DatabaseError.self) { try await counter.house.city.app.execute("SELECT FROM identity.counter_recovery") }
        // Agreed to, and still too early.
        try await identity.decideRecovery(id, isApproved: true, by: counter.other)
        await #expect(throws: RecoveryRefusal.notReady) { _ = try await identity.giveRecoveryCode(id, by: counter.clerk) }
        await #expect(throws: RecoveryRefusal.unknown) { try await identity.decideRecovery(id, isApproved: true, by: counter.other) }
        try await identity.decideRecovery(id, isApproved: false, by: counter.clerk)
        // Their own.
        try await counter.house.city.owner.execute(
            "UPDATE identity.staff AS s SET resident_id = (SELECT a.resident_id FROM identity.account AS a) FROM web.credential AS c WHERE c.staff_id = s.id AND c.hash = \(counter.clerk.bytes)")
        await #expect(throws: RecoveryRefusal.ownAccount) { try await counter.request(by: counter.clerk) }
    }

    @Test("An account whose owner never showed who they are is given to nobody")
    func unproven() async throws {
        let counter = try await Counter()
        try await counter.house.city.owner.execute("UPDATE register.resident SET identity_assurance = 0")
        await #expect(throws: RecoveryRefusal.unproven) { try await counter.request(by: counter.clerk) }
    }

    @Test("After the wait the code opens the account once, among many who send it; what was there before opens nothing, and a new password is chosen")
    func story() async throws {
        let counter = try await Counter()
        let (house, identity) = (counter.house, counter.house.identity)
        let stolen = try await house.passwordSession("ada")
        #expect(try await identity.recovery(of: stolen) == nil)
        let id = try await counter.ready()
        let lost = try await identity.giveRecoveryCode(id, by: counter.clerk)
        let code = try await identity.giveRecoveryCode(id, by: counter.other)
        #expect(try await identity.recover(withPaper: Redacted(lost)) == nil, "another was handed out in its place")
        #expect(try await identity.recover(withPaper: Redacted("0000-0000-0000-0000")) == nil)
        let tokens = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<4 { group.addTask { try? await identity.recover(withPaper: Redacted(code.lowercased())) } }
            return await group.reduce(into: [String]()) { if let token = $1 { $0.append(token) } }
        }
        let session = CredentialHash(token: try #require(tokens.first))
        #expect(tokens.count == 1)
        #expect(try await identity.factors(of: session).isEmpty)
        #expect(try await house.areOpen(stolen, session) == [false, true])
        #expect(try await identity.replacePassword(with: Redacted("five plain words now"), session: session) != nil)
        guard case .session = try await house.signIn("ada", password: "five plain words now") else { throw Household.NoSession() }
        #expect(try await identity.recoveries(for: counter.auditor).isEmpty)
        #expect(try await house.messages() == ["app_added", "password_changed", "recovery_requested", "recovery_used", "welcome"])
    }

    @Test("The code is worth nothing after a day; the resident stops the whole from any session, and a code that was handed out is worth nothing then")
    func cancelled() async throws {
        let counter = try await Counter()
        let (house, identity) = (counter.house, counter.house.identity)
        let id = try await counter.ready()
        let late = try await identity.giveRecoveryCode(id, by: counter.clerk)
        try await house.city.setClock(secondsAhead: 49 * 3600)
        #expect(try await identity.recover(withPaper: Redacted(late)) == nil)
        try await house.city.setClock(secondsAhead: 24 * 3600 + 1)
        let code = try await identity.giveRecoveryCode(id, by: counter.clerk)
        let session = try await house.passwordSession("ada")
        #expect(try await identity.recovery(of: session) != nil)
        try await identity.cancelRecovery(session)
        #expect(try await identity.recovery(of: session) == nil)
        #expect(try await identity.recover(withPaper: Redacted(code)) == nil)
        await #expect(throws: RecoveryRefusal.unknown) { _ = try await identity.giveRecoveryCode(id, by: counter.clerk) }
        #expect(try await house.messages().filter { $0.hasPrefix("recovery") } == ["recovery_requested", "recovery_stopped"])
        #expect(try await house.caller(session) != nil)
    }

    @Test("In browsers: a caseworker enters it, another agrees, the resident sees it and stops it")
    func pages() async throws {
        let counter = try await Counter()
        let house = counter.house
        let (clerk, approver) = (try await house.city.staff(roles: [.caseworker]), try await house.city.staff(roles: [.approver]))
        let ada = try await house.city.owner.one(OneValue("SELECT a.id FROM identity.account AS a", of: UUID.self))
        let session = try await house.city.session(of: AccountID(ada))
        try await house.serve { client in
            let desk = CityBrowser(client, session: clerk.session)
            #expect(try await desk.get("/staff/recoveries").text.contains("Nothing is under way."))
            let wrong = try await desk.post("/staff/recoveries", [("code", "XXXX"), ("evidence", "passport"), ("case_reference", "R-1")])
            #expect(wrong.status == 422 && wrong.text.contains("id=\"code-error\""))
            let fields = [("code", counter.code.description), ("evidence", "identity_card"), ("case_reference", "R-1")]
            #expect(try await desk.post("/staff/recoveries", fields).headers[.location] == "/staff/recoveries")
            let queue = try await desk.get("/staff/recoveries").text
            #expect(queue.contains("You saw the papers. Somebody else agrees.") && queue.contains(counter.code.description) && !queue.contains("/approval"))
            let id = try await counter.id()
            let office = CityBrowser(client, session: approver.session)
            #expect(try await office.get("/staff/recoveries").text.contains("/staff/recoveries/\(id)/approval"))
            #expect(try await office.post("/staff/recoveries", fields).status == 403)
            #expect(try await office.post("/staff/recoveries/\(id)/approval", []).headers[.location] == "/staff/recoveries")
            #expect(try await desk.post("/staff/recoveries/\(id)/code", []).status == 404)
            let resident = CityBrowser(client, session: session)
            #expect(try await resident.get("/security").text.contains("A counter is recovering your account"))
            #expect(try await resident.post("/security/recovery/cancel", []).headers[.location] == "/security")
            #expect(!(try await resident.get("/security").text.contains("A counter is recovering your account")))
            let visitor = CityBrowser(client)
            _ = try await visitor.get("/recover")
            #expect(try await visitor.post("/recover/counter", [("paper", "0000-0000-0000-0000")]).status == 422)
        }
    }
}
