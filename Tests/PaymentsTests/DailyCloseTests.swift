// Whether bank, ledger and bills agree, and what is kept of it.
import City
import Foundation
import Ledger
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Daily close")
struct DailyCloseTests {
    @Test("Bank, suspense and bills agree after whatever came; what somebody moved past them shows, and needs an explanation")
    func close() async throws {
        let home = try await Household.withBank(wallet: 10_000)
        let officer = try await home.city.staff(roles: [.financeOfficer])
        let auditor = try await home.city.staff(roles: [.auditor, .caseworker])
        let bill = try await home.bill(home.ada, "DC-1")
        let reference = try await home.creditorReference(of: bill)
        let other = try await home.bill(home.ada, "DC-2")
        _ = try await PayBill(database: home.city.app).perform(other, by: home.ada.session.hash, key: nil, language: .english)
        // Too much for a bill, for none, and out for a reason that nobody told; then a notification that no statement has yet.
        try await home.take(Household.statement([Told(amount: "50.00", creditorReference: reference), Told(amount: "9.00"), Told(amount: "1.50", direction: "DBIT")]))
        try await home.take(Household.notification([Told(amount: "3.00", day: "2026-11-21", text: "late")]))
        let figures = { @Sendable in try await home.city.app.exclusive { try await $0.one(DayFigures(credential: auditor.session.hash)) } }
        let found = try #require(try await figures())
        #expect(found.map(\.kind) == ["bank", "suspense", "bills"] && found.allSatisfy { $0.difference.minorUnits == 0 })
        #expect(found[0].lines.map(\.amount.minorUnits) == [105_750, -100_000, 300] && found[0].found.minorUnits == 6_050)
        #expect(found[1].lines.map(\.amount.minorUnits) == [1_200, 0, -150, 0, 0] && found[2].found.minorUnits == 8_500)
        let clerk = try await home.city.staff(roles: [.caseworker])
        let refused = try await home.city.app.exclusive { try await $0.one(DayFigures(credential: clerk.session.hash)) }
        #expect(refused == nil)

        let close = { @Sendable (staff: FixtureStaff, id: UUID, explanation: String?) in
            try await home.city.app.transaction { try await $0.one(CloseDay(credential: staff.session.hash, id: id, explanation: explanation)) }
        }
        let first = UUID()
        #expect(try await close(auditor, first, nil) == "role_missing")
        #expect(try await close(officer, first, nil) == "closed")
        #expect(try await close(officer, first, nil) == "exists")
        // Money taken from suspense by hand.
        let suspense = try await home.city.owner.one(OneValue("SELECT suspense_account FROM payments.bank_account", of: UUID.self))
        try await LedgerAdministration(owner: home.city.owner).post(
            [Transfer(id: .new(), debit: LedgerAccountID(suspense), credit: home.revenue, amount: Money(minorUnits: 7, currency: .eur), reference: "Slip")], occasion: "test")
        let moved = try #require(try await figures())
        #expect(moved.map(\.difference.minorUnits) == [0, -7, 0])
        #expect(try await close(officer, UUID(), nil) == "explanation_missing")
        #expect(try await close(officer, UUID(), "Found a slip of 0.07") == "closed")
        #expect(try await home.count("payments.daily_close") == 2)
        for statement in ["UPDATE payments.daily_close SET explanation = 'x'", "DELETE FROM payments.daily_close"] {
            let error = await #expect(throws: DatabaseError.self) { try await home.city.owner.execute(SQL(unsafeRaw: statement)) }
            #expect(error?.sqlState == "23001")
        }
    }

    @Test("The page says what differs, takes no close without a reason, and lets nobody else close", arguments: ["en", "fr", "ar"])
    func page(language: String) async throws {
        let home = try await Household.withBank()
        let officer = try await home.city.staff(roles: [.financeOfficer])
        let auditor = try await home.city.staff(roles: [.auditor])
        let suspense = try await home.city.owner.one(OneValue("SELECT suspense_account FROM payments.bank_account", of: UUID.self))
        try await LedgerAdministration(owner: home.city.owner).post(
            [Transfer(id: .new(), debit: LedgerAccountID(suspense), credit: home.revenue, amount: Money(minorUnits: 7, currency: .eur), reference: "Slip")], occasion: "test")
        try await home.city.serve({ DailyCloseRoutes(database: home.city.app).add(to: $0) }) { client in
            let browser = CityBrowser(client, session: officer.session)
            browser.acceptLanguage = language
            let page = try await browser.get("/staff/daily-close").text
            #expect(page.contains("tag-bad") && page.contains("tag-good") && !page.contains("closing."))
            #expect(try await browser.post("/staff/daily-close", []).status == 422)
            #expect(try await browser.post("/staff/daily-close", [("explanation", "<b>A slip</b>")]).status == 303)
            #expect(try await browser.get("/staff/daily-close").text.contains("&lt;b&gt;A slip&lt;/b&gt;"))
            let other = CityBrowser(client, session: auditor.session)
            #expect(try await other.get("/staff/daily-close").text.contains("<form method=\"post\" action=\"/staff/daily-close\"") == false)
            #expect(try await other.post("/staff/daily-close", [("explanation", "No reason")]).status == 403)
        }
    }
}
