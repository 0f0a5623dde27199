// Tills: who may, cash for bills, counting, and a difference that another approves.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Ledger
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Tills")
struct TillTests {
    private func open(_ home: Household, _ clerk: FixtureStaff, float: Int64 = 10_000) async throws -> TillID {
        let id = TillID.new()
        try await TillWork(database: home.city.app).open(id, at: "Hall 1", with: Money(minorUnits: float, currency: .eur), by: clerk.session.hash)
        return id
    }

    private func outcome(_ body: () async throws -> Void) async throws -> String {
        do {
            try await body()
            return "done"
        } catch let refusal as TillRefusal {
            return refusal.outcome
        }
    }

    private func euros(_ minorUnits: Int64) -> Money { Money(minorUnits: minorUnits, currency: .eur) }

    /// The cash in tills, outside of them, and their differences, by the ledger.
    private func cash(_ home: Household, _ till: TillID) async throws -> [Int64] {
        try await home.city.owner.query(
            OneValue(
                """
                SELECT coalesce((SELECT a.posted FROM ledger.account AS a WHERE a.id = x.id), 0)
                FROM (VALUES (1, (SELECT t.ledger_account FROM payments.till AS t WHERE t.id = \(till))), (2, payments.derived_id('cash EUR')),
                             (3, payments.derived_id('cash differences EUR'))) AS x (n, id) ORDER BY x.n
                """, of: Int64.self))
    }

    @Test("Only a caseworker opens one, one at a time, and only the clerk who opened it takes and counts")
    func who() async throws {
        let home = try await Household()
        let work = TillWork(database: home.city.app)
        let (clerk, other) = (try await home.city.staff(roles: [.caseworker]), try await home.city.staff(roles: [.caseworker]))
        let officer = try await home.city.staff(roles: [.financeOfficer, .approver, .auditor])
        _ = try await home.bill(home.ada, "T-1")
        #expect(try await outcome { try await work.open(.new(), at: "x", with: euros(0), by: officer.session.hash) } == "role_missing")
        #expect(try await outcome { try await work.open(.new(), at: "x", with: euros(0), by: home.ada.session.hash) } == "role_missing")
        let opened = try await inParallel(6) { _ in try await outcome { try await work.open(.new(), at: "x", with: euros(5), by: clerk.session.hash) } }
        #expect(opened.filter { $0 == "done" }.count == 1 && opened.filter { $0 == "already_open" }.count == 5)
        let till = try await home.city.owner.one(OneValue("SELECT id FROM payments.till", of: UUID.self))
        for staff in [other, officer] {
            let refused = try await outcome { _ = try await work.take(euros(1), for: "T-1", as: .new(), into: TillID(till), by: staff.session.hash) }
            #expect(["till_closed", "role_missing"].contains(refused))
            let closing = try await outcome { _ = try await work.close(TillID(till), counted: euros(5), explanation: nil, by: staff.session.hash) }
            #expect(["till_unknown", "role_missing"].contains(closing))
        }
        #expect(try await home.paymentCount() == 0)
    }

    @Test("Cash pays a bill, in part too, never more than it asks; the same payment again has one effect, and a count that fits closes the till")
    func day() async throws {
        let home = try await Household()
        let work = TillWork(database: home.city.app)
        let clerk = try await home.city.staff(roles: [.caseworker])
        let bill = try await home.bill(home.ada, "T-2")
        let till = try await open(home, clerk)
        #expect(try await cash(home, till) == [10_000, -10_000, 0])
        #expect(try await outcome { _ = try await work.take(euros(4_251), for: "T-2", as: .new(), into: till, by: clerk.session.hash) } == "too_much")
        #expect(try await outcome { _ = try await work.take(euros(1), for: "T-3", as: .new(), into: till, by: clerk.session.hash) } == "bill_unknown")
        let payment = PaymentID.new()
        let taken = try await inParallel(6) { _ in try await work.take(euros(4_000), for: "t-2", as: payment, into: till, by: clerk.session.hash) }
        #expect(Set(taken) == ["T-2"])
        #expect(try await home.outstanding(of: bill) == 250)
        let reference = try await home.creditorReference(of: bill)
        _ = try await work.take(euros(250), for: reference, as: .new(), into: till, by: clerk.session.hash)
        #expect(try await outcome { _ = try await work.take(euros(1), for: "T-2", as: .new(), into: till, by: clerk.session.hash) } == "nothing_due")
        let messages = try await home.city.owner.query(OneValue("SELECT kind FROM messages.message WHERE resident_id = \(home.ada.id)", of: String.self))
        #expect(messages == ["cash_received", "cash_received"])

        #expect(try await outcome { _ = try await work.close(till, counted: euros(14_249), explanation: nil, by: clerk.session.hash) } == "explanation_missing")
        #expect(try await work.close(till, counted: euros(14_250), explanation: nil, by: clerk.session.hash) == false)
        #expect(try await cash(home, till) == [0, 4_250, 0])
        #expect(try await outcome { _ = try await work.close(till, counted: euros(14_250), explanation: nil, by: clerk.session.hash) } == "already_closed")
        #expect(try await outcome { _ = try await work.take(euros(1), for: "T-2", as: .new(), into: till, by: clerk.session.hash) } == "till_closed")
        #expect(try await outcome { try await work.approve(till, by: clerk.session.hash) } == "role_missing")
    }

    @Test("A difference is explained, approved by another, once, and booked", arguments: [Int64(9_900), 10_300])
    func difference(counted: Int64) async throws {
        let home = try await Household()
        let work = TillWork(database: home.city.app)
        let clerk = try await home.city.staff(roles: [.caseworker, .approver])
        let officer = try await home.city.staff(roles: [.financeOfficer])
        let till = try await open(home, clerk)
        #expect(try await work.close(till, counted: euros(counted), explanation: "A coin fell", by: clerk.session.hash))
        #expect(try await cash(home, till) == [10_000, -10_000, 0])
        #expect(try await outcome { try await work.approve(till, by: clerk.session.hash) } == "self_approval")
        let answers = try await inParallel(6) { _ in try await outcome { try await work.approve(till, by: officer.session.hash) } }
        #expect(answers.filter { $0 == "done" }.count == 1 && answers.filter { $0 == "already_approved" }.count == 5)
        #expect(try await cash(home, till) == [0, counted - 10_000, counted - 10_000])
        let error = await #expect(throws: DatabaseError.self) {
            try await home.city.owner.execute("INSERT INTO payments.till_approval (till_id, closed_by, approved_by) SELECT t.id, t.opened_by, t.opened_by FROM payments.till AS t")
        }
        #expect(error?.constraint != nil)
    }

    @Test("Payments race the closing: what was taken is counted, and nothing comes after")
    func race() async throws {
        let home = try await Household()
        let work = TillWork(database: home.city.app)
        let clerk = try await home.city.staff(roles: [.caseworker])
        let till = try await open(home, clerk)
        for number in 0..<8 { _ = try await home.bill(home.ada, "TR-\(number)", 100) }
        let answers = try await inParallel(9) { index in
            let outcome = try await outcome {
                if index == 4 {
                    _ = try await work.close(till, counted: euros(1), explanation: "Counted early", by: clerk.session.hash)
                } else {
                    _ = try await work.take(euros(100), for: "TR-\(index < 4 ? index : index - 1)", as: .new(), into: till, by: clerk.session.hash)
                }
            }
            return (isClosing: index == 4, outcome: outcome)
        }
        let taken = answers.filter { !$0.isClosing && $0.outcome == "done" }.count
        #expect(answers.allSatisfy { $0.outcome == "done" || !$0.isClosing && $0.outcome == "till_closed" })
        let expected = try await home.city.owner.one(OneValue("SELECT expected FROM payments.till_closing", of: Int64.self))
        #expect(expected == 10_000 + Int64(taken) * 100)
        #expect(try await home.paymentCount() == taken)
    }

    @Test("The role that serves is denied", arguments: [
        "SELECT * FROM payments.till", "INSERT INTO payments.till_approval SELECT * FROM payments.till_approval", "DELETE FROM payments.till_payment",
        "SELECT payments.move_cash(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'EUR', 'x', gen_random_uuid())", "SELECT payments.cash_account('EUR', true)",
    ])
    func deniedToTheApp(statement: String) async throws {
        let home = try await sharedTillHome.value
        let error = await #expect(throws: DatabaseError.self) { try await home.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement)")
    }

    @Test("A day at the counter, on the pages", arguments: ["en", "fr", "ar"])
    func pages(language: String) async throws {
        let home = try await Household()
        try await home.city.serve({ TillRoutes(database: home.city.app).add(to: $0) }) { client in
            let clerk = CityBrowser(client, session: try await home.city.staff(roles: [.caseworker]).session)
            let approver = CityBrowser(client, session: try await home.city.staff(roles: [.approver]).session)
            let administrator = CityBrowser(client, session: try await home.city.staff(roles: [.organisationAdministrator]).session)
            clerk.acceptLanguage = language
            #expect(try await administrator.get("/staff/tills").status == 403)
            #expect(try await CityBrowser(client, session: home.ada.session).get("/staff/tills").status == 403)
            #expect(try await CityBrowser(client).get("/staff/tills").status == 303)
            _ = try await home.bill(home.ada, "TP-1", 1_250)
            #expect(try await clerk.get("/staff/tills").status == 200)
            for (currency, float) in [("XXX", "1.00"), ("EUR", "-1.00"), ("EUR", "much"), ("", "")] {
                #expect(try await clerk.post("/staff/tills", [("counter", "Hall"), ("currency", currency), ("float", float)]).status == 422)
            }
            let opened = try await clerk.post("/staff/tills", [("counter", "Hall <1>"), ("currency", "eur"), ("float", "50.00")])
            let page = try #require(opened.headers[.location])
            #expect(opened.status == 303 && page.hasPrefix("/staff/tills/"))
            #expect(try await clerk.get(page).text.contains("Hall &lt;1&gt;"))
            #expect(try await clerk.post(page + "/payments", [("reference", "TP-1"), ("amount", "20.00")]).status == 422)
            #expect(try await clerk.post(page + "/payments", [("reference", "TP-1"), ("amount", "0")]).status == 422)
            #expect(try await clerk.post(page + "/payments", [("reference", "TP-1"), ("amount", "12.50")]).status == 303)
            #expect(try await clerk.post(page + "/closing", [("counted", "62.00")]).status == 422)
            #expect(try await clerk.post(page + "/closing", [("counted", "62.00"), ("explanation", "A coin fell")]).status == 303)
            _ = try await approver.get(page)
            #expect(try await clerk.post(page + "/approval", []).status == 403)
            #expect(try await approver.post(page + "/approval", []).status == 303)
            #expect(try await approver.post(page + "/approval", []).status == 422)
            #expect(try await approver.get("/staff/tills").status == 200)
            #expect(try await clerk.get("/staff/tills/\(TillID.new())").status == 404)
        }
    }
}

private let sharedTillHome = Task { try await Household() }
