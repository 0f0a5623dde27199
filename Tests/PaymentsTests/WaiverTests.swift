// What the city forgoes of a bill, and whom it reminds.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Forgone amounts and reminders")
struct WaiverTests {
    private func outcome(_ body: () async throws -> Void) async throws -> String {
        do {
            try await body()
            return "done"
        } catch let refusal as WaiverRefusal {
            return refusal.outcome
        }
    }

    private func euros(_ minorUnits: Int64) -> Money { Money(minorUnits: minorUnits, currency: .eur) }

    @Test("A finance officer proposes, another decides, once; never more than is left, and the wallet pays what remains")
    func four() async throws {
        let home = try await Household()
        let work = DecideWaivers(database: home.city.app)
        let officer = try await home.city.staff(roles: [.financeOfficer, .approver])
        let approver = try await home.city.staff(roles: [.approver])
        let bill = try await home.bill(home.ada, "WV-1")
        let id = WaiverID.new()
        let propose = { (id: WaiverID, amount: Int64, staff: FixtureStaff) in
            try await outcome { try await work.propose(id, of: bill, euros(amount), reason: "Flood", by: staff.session.hash) }
        }
        #expect(try await propose(id, 1_000, approver) == "role_missing")
        #expect(try await propose(id, 4_251, officer) == "too_much")
        #expect(try await propose(id, 1_000, officer) == "done")
        #expect(try await propose(id, 1_000, officer) == "done")
        #expect(try await propose(.new(), 1_000, officer) == "waits")
        #expect(try await home.outstanding(of: bill) == 4_250)
        #expect(try await outcome { try await work.decide(id, .approved, by: officer.session.hash) } == "self_approval")
        let answers = try await inParallel(6) { _ in try await outcome { try await work.decide(id, .approved, by: approver.session.hash) } }
        #expect(answers.sorted() == Array(repeating: "already_decided", count: 5) + ["done"])
        #expect(try await home.outstanding(of: bill) == 3_250)
        let paid = try await PayBill(database: home.city.app).perform(bill, by: home.ada.session.hash, key: nil, language: .english)
        #expect(paid.payment?.net == euros(3_250) && paid.isPaid)
        let kinds = try await home.city.owner.query(OneValue("SELECT kind FROM messages.message WHERE resident_id = \(home.ada.id) ORDER BY sent_at", of: String.self))
        #expect(kinds == ["bill_waived", "bill_paid"])
    }

    @Test("A decision races a payment: the two never forgive and take more than the bill asks")
    func race() async throws {
        for round in 0..<4 {
            let home = try await Household()
            let work = DecideWaivers(database: home.city.app)
            let officer = try await home.city.staff(roles: [.financeOfficer])
            let approver = try await home.city.staff(roles: [.approver])
            let bill = try await home.bill(home.ada, "WR-\(round)")
            let id = WaiverID.new()
            try await work.propose(id, of: bill, euros(4_000), reason: "Flood", by: officer.session.hash)
            _ = try await inParallel(2) { index in
                if index == 0 {
                    _ = try await outcome { try await work.decide(id, .approved, by: approver.session.hash) }
                } else {
                    _ = try? await PayBill(database: home.city.app).perform(bill, by: home.ada.session.hash, key: nil, language: .english)
                }
            }
            #expect(try await home.outstanding(of: bill) == 0)
            let left = try await home.balance(home.ada)
            #expect([10_000 - 4_250, 10_000 - 250].contains(left))
        }
    }

    @Test("All forgone, a bill is settled without a payment, and its pages say so")
    func all() async throws {
        try await Household().serve { home, client in
            let work = DecideWaivers(database: home.city.app)
            let officer = try await home.city.staff(roles: [.financeOfficer])
            let approver = try await home.city.staff(roles: [.approver])
            let bill = try await home.bill(home.ada, "WA-1")
            let id = WaiverID.new()
            try await work.propose(id, of: bill, euros(4_250), reason: "The bins never came", by: officer.session.hash)
            try await work.decide(id, .approved, by: approver.session.hash)
            let ada = CityBrowser(client, session: home.ada.session)
            let page = try await ada.get("/bills/\(bill)").text
            #expect(page.contains("Nothing left to pay") && page.contains("The bins never came") && !page.contains("Pay this bill"))
            #expect(try await ada.get("/bills/\(bill)/pay").headers[.location] == "/bills/\(bill)/receipt")
            #expect(try await ada.get("/bills/\(bill)/receipt").headers[.location] == "/bills/\(bill)")
            let app = PayingApp(client: client, token: try await home.city.appToken(of: home.ada, scope: ["bills", "payments"]))
            #expect(try await app.pay(bill, key: "k").status == 409)
            let json = try await CityAPIClient(client, token: app.token).get("/api/v1/bills/\(bill)").json
            #expect(json["status"] == "paid" && json["outstanding"] == 0 && json["payment"] == nil)
        }
    }

    @Test("Residents are reminded once before the due day and once after it, never of what is paid", arguments: [1, 4])
    func reminders(nodes: Int) async throws {
        let home = try await Household()
        for (reference, days) in [("R-SOON", 3), ("R-TODAY", 0), ("R-LATER", 4), ("R-LATE", -1), ("R-OLD", -31)] { _ = try await home.bill(home.ada, reference, 100, dueInDays: days) }
        let paid = try await home.bill(home.ada, "R-PAID", 100, dueInDays: 1)
        _ = try await PayBill(database: home.city.app).perform(paid, by: home.ada.session.hash, key: nil, language: .english)
        let counts = try await inParallel(nodes) { _ in try await BillReminders.run(in: home.city.app, zone: .gmt) }
        #expect(counts.reduce(0, +) == 3)
        #expect(try await BillReminders.run(in: home.city.app, zone: .gmt) == 0)
        let told = try await home.city.owner.query(
            OneValue(
                "SELECT kind || ' ' || (parameters ->> 'reference') FROM messages.message WHERE resident_id = \(home.ada.id) AND kind <> 'bill_paid' ORDER BY 1", of: String.self))
        #expect(told == ["bill_due_soon R-SOON", "bill_due_soon R-TODAY", "bill_overdue R-LATE"])
        // Four days on, what was near is late, and what was far is near.
        try await home.city.setClock(secondsAhead: 4 * 86_400)
        #expect(try await BillReminders.run(in: home.city.app, zone: .gmt) == 3)
    }

    @Test("The pages: who gets in, finding a bill, proposing, deciding", arguments: ["en", "fr", "ar"])
    func pages(language: String) async throws {
        let home = try await Household()
        try await home.city.serve({ WaiverRoutes(database: home.city.app).add(to: $0) }) { client in
            let officer = CityBrowser(client, session: try await home.city.staff(roles: [.financeOfficer]).session)
            let approver = CityBrowser(client, session: try await home.city.staff(roles: [.approver]).session)
            let clerk = CityBrowser(client, session: try await home.city.staff(roles: [.caseworker]).session)
            officer.acceptLanguage = language
            #expect(try await clerk.get("/staff/bills").status == 403)
            #expect(try await CityBrowser(client, session: home.ada.session).get("/staff/bills").status == 403)
            #expect(try await CityBrowser(client).get("/staff/bills").status == 303)
            let bill = try await home.bill(home.ada, "WP-1")
            #expect(try await officer.get("/staff/bills").status == 200)
            #expect(try await officer.get("/staff/bills?reference=NONE").status == 200)
            let reference = try await home.creditorReference(of: bill)
            let page = try await officer.get("/staff/bills?reference=\(reference.lowercased())")
            #expect(page.status == 200 && page.text.contains("WP-1") && !page.text.contains(home.ada.publicCode.description))
            #expect(try await officer.post("/staff/bills/waivers", [("bill", "NONE"), ("amount", "1.00"), ("reason", "Flood")]).status == 404)
            for (amount, reason) in [("", "Flood"), ("-1", "Flood"), ("100.00", "Flood"), ("1.00", "x")] {
                #expect(try await officer.post("/staff/bills/waivers", [("bill", "WP-1"), ("amount", amount), ("reason", reason)]).status == 422, "\(amount) \(reason)")
            }
            #expect(try await officer.post("/staff/bills/waivers", [("bill", "WP-1"), ("amount", "10.00"), ("reason", "Flood <b>")]).status == 303)
            let id = try await home.city.owner.one(OneValue("SELECT id FROM payments.waiver", of: UUID.self)).uuidString.lowercased()
            #expect(try await officer.get("/staff/bills?reference=WP-1").text.contains("Flood &lt;b&gt;"))
            #expect(try await officer.post("/staff/bills/waivers/\(id)", [("bill", "WP-1"), ("decision", "approved")]).status == 422)
            #expect(try await approver.get("/staff/bills").text.contains("WP-1"))
            #expect(try await approver.post("/staff/bills/waivers/\(id)", [("bill", "WP-1"), ("decision", "approved")]).status == 303)
            #expect(try await home.outstanding(of: bill) == 3_250)
        }
    }

    @Test("The role that serves, and the owner where a rule stands, are denied", arguments: [
        ("SELECT * FROM payments.waiver", true), ("INSERT INTO payments.waiver_decision SELECT * FROM payments.waiver_decision", true), ("DELETE FROM payments.reminder", true),
        ("UPDATE payments.waiver SET amount = 1", false), ("TRUNCATE payments.reminder", false),
    ])
    func denied(statement: String, app: Bool) async throws {
        let home = try await sharedWaiverHome.value
        let database = app ? home.city.app : home.city.owner
        let error = await #expect(throws: DatabaseError.self) { try await database.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == app, "\(statement)")
    }
}

private let sharedWaiverHome = Task { try await Household() }
