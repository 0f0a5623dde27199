// Orders that delay disclosure, as auditors enter and review them on pages.
import City
import Foundation
import HummingbirdTesting
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Casework

@Suite("Orders that delay disclosure, on pages")
struct DelayTests {
    @Test("A caseworker gets nowhere; an auditor enters an order after mending the form, and another one keeps and ends it; everybody reads the figures")
    func story() async throws {
        let city = try await CityFixture.make()
        _ = try await city.resident(["given_names": "Ada", "date_of_birth": "1990-01-01", "national_number": "180001010017"])
        let police = try await city.organisation("police")
        let inquiry = try await city.activity(police, "inquiry", attributes: ["date_of_birth"], law: "Police Act § 9")
        try await city.owner.execute("UPDATE consent.processing_activity SET delay_law = 'Procedure Act § 101' WHERE id = \(inquiry.id)")
        let (clerk, first, second) = (try await city.staff(roles: [.caseworker]), try await city.staff(roles: [.auditor]), try await city.staff(roles: [.auditor]))
        try await city.serve {
            DelayRoutes(database: city.app, lookup: city.lookup, zone: .gmt).add(to: $0)
        } _: { client in
            #expect(try await CityBrowser(client, session: clerk.session).get("/staff/delays").status == 403)
            let auditor = CityBrowser(client, session: first.session)
            #expect(try await auditor.get("/staff/delays").text.contains("No order lasts."))
            _ = try await auditor.get("/staff/delays/new")
            let (review, later, last) = (try await day(40, city), try await day(90, city), try await day(300, city))
            func form(_ number: String, _ review: CalendarDay, _ last: CalendarDay, authority: String = "District Court <b>") -> [(String, String)] {
                [("national_number", number), ("activity", "police inquiry"), ("authority", authority), ("ground", "KD-7/2027")]
                    + Self.date("review", review) + Self.date("last", last)
            }
            for bad in [
                form("", review, last), form("12", review, last), form("990001010018", review, last), form("180001010017", last, review),
                form("180001010017", last, last), form("180001010017", review, last, authority: "\u{202E}\u{202E}\u{202E}"),
            ] { #expect(try await auditor.post("/staff/delays/new", bad).status == 422, "\(bad)") }
            #expect(try await auditor.post("/staff/delays/new", form("1800 0101 0017", review, last)).status == 303)
            let list = try await auditor.get("/staff/delays").text
            #expect(list.contains("District Court &lt;b&gt;") && list.contains("KD-7/2027") && !list.contains("180001010017"))
            let page = try #require(list.firstMatch(of: /\/staff\/delays\/[0-9a-f-]{36}/).map { String($0.0) })
            #expect(try await auditor.get(page).text.contains("You entered this order."))
            #expect(try await auditor.post(page, Self.date("review", review)).status == 403)

            let other = CityBrowser(client, session: second.session)
            _ = try await other.get(page)
            #expect(try await other.post(page, []).status == 422)
            #expect(try await other.post(page, Self.date("review", later)).status == 303)
            _ = try await other.get(page)
            #expect(try await other.post("\(page)/end", []).status == 303)
            #expect(try await other.get(page).status == 303)
            #expect(try await other.get("/staff/delays").text.contains("No order lasts."))

            let anybody = try await CityBrowser(client).get("/delayed-disclosure")
            #expect(anybody.status == 200 && anybody.text.contains("Procedure Act § 101") && !anybody.text.contains("KD-7"))
        }
        #expect(try await city.entryCount(where: "e.operation = 'seal' AND e.outcome = 'permitted' AND e.seal_id IS NOT NULL") == 1)
        #expect(try await city.entryCount(where: "e.operation = 'seal' AND e.outcome = 'refused' AND e.subject_id IS NULL") == 1)
    }

    private func day(_ days: Int32, _ city: CityFixture) async throws -> CalendarDay {
        let text = try await city.owner.one(OneValue("SELECT (public.stoa_now() + make_interval(days => \(days)))::date::text", of: String.self))
        return try #require(CalendarDay(text))
    }

    private static func date(_ name: String, _ day: CalendarDay) -> [(String, String)] {
        [("\(name)-day", "\(day.day)"), ("\(name)-month", "\(day.month)"), ("\(name)-year", "\(day.year)")]
    }
}
