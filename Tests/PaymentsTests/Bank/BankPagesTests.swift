// The bank as finance officers meet it: who gets in, importing, giving money to a bill, sending it back, deciding about a statement.
import City
import Foundation
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("The bank's pages")
struct BankPagesTests {
    private func serve(_ body: @Sendable (Household, any TestClientProtocol) async throws -> Void) async throws {
        let home = try await Household.withBank()
        try await home.city.serve({ BankRoutes(database: home.city.app).add(to: $0) }) { try await body(home, $0) }
    }

    @Test("Residents and other staff do not get in; auditors and approvers look, and change nothing")
    func strangers() async throws {
        try await serve { home, client in
            try await home.take(Household.notification([Told(text: "rent")]))
            let item = try await home.city.owner.one(OneValue("SELECT id FROM payments.bank_item", of: UUID.self)).uuidString.lowercased()
            let paths = ["/staff/bank", "/staff/bank/import", "/staff/bank/items/\(item)"]
            for path in paths {
                #expect(try await CityBrowser(client).get(path).status == 303)
                #expect(try await CityBrowser(client, session: home.ada.session).get(path).status == 403)
            }
            let clerk = try await home.city.staff(roles: [.caseworker, .organisationAdministrator])
            for path in paths { #expect(try await CityBrowser(client, session: clerk.session).get(path).status == 403) }
            let auditor = CityBrowser(client, session: try await home.city.staff(roles: [.auditor]).session)
            #expect(try await auditor.get("/staff/bank").text.contains("€42.50"))
            let page = try await auditor.get("/staff/bank/items/\(item)")
            #expect(page.status == 200 && !page.text.contains("Give it to a bill"))
            #expect(try await auditor.post("/staff/bank/items/\(item)/bill", [("reference", "X-1")]).status == 403)
            // An approver has no list of payers: nothing is proposed to be sent back.
            let approver = CityBrowser(client, session: try await home.city.staff(roles: [.approver]).session)
            #expect(try await approver.get("/staff/bank").text.contains("Nothing waits"))
            #expect(try await approver.get("/staff/bank/items/\(item)").status == 404)
            #expect(try await approver.get("/staff/bank/import").status == 403)
        }
    }

    @Test("A file is pasted, refused with line and reason, imported once, and larger than other forms may be")
    func importing() async throws {
        try await serve { home, client in
            let officer = CityBrowser(client, session: try await home.city.staff(roles: [.financeOfficer]).session)
            #expect(try await officer.get("/staff/bank").text.contains("Nothing was imported yet."))
            _ = try await officer.get("/staff/bank/import")
            let bill = try await home.bill(home.ada, "P-1")
            let file = Household.statement([Told(creditorReference: try await home.creditorReference(of: bill))] + (0..<300).map { Told(amount: "1.00", reference: "R\($0)") })
            #expect(file.utf8.count > 64 * 1024)
            let cut = try await officer.post("/staff/bank/import", [("file", String(file.dropLast(20)))])
            #expect(cut.status == 422 && cut.text.contains("ends before it is whole") && cut.text.contains("Line "))
            #expect(try await officer.post("/staff/bank/import", [("file", "")]).status == 422)
            let foreign = try await officer.post("/staff/bank/import", [("file", Household.statement([Told()], account: "NL26VAYB8060476890"))])
            #expect(foreign.status == 422 && foreign.text.contains("NL26VAYB8060476890 is no account of the city."))
            #expect(try await home.count("payments.bank_file") == 0)
            for _ in 0..<2 {
                let answer = try await officer.post("/staff/bank/import", [("file", file.replacing("\n", with: "\r\n"))])
                #expect(answer.status == 303)
            }
            #expect(try await home.count("payments.bank_movement") == 301)
            #expect(try await home.outstanding(of: bill) == 0)
            // The same on the command line, with its own ends of lines, tells of nothing new.
            #expect(try await home.counts(file + "\n") == (0, 301, 0))
            try await home.expectSound()
            // From somebody who is no staff, a form is as large as forms are.
            let ada = CityBrowser(client, session: home.ada.session)
            #expect(try await ada.post("/staff/bank/import", [("file", file)]).status == 413)
        }
    }

    @Test("Money that waits goes to a bill, or back when another agrees; the page tells its history")
    func working() async throws {
        try await serve { home, client in
            let officer = CityBrowser(client, session: try await home.city.staff(roles: [.financeOfficer], username: "first.officer").session)
            let second = CityBrowser(client, session: try await home.city.staff(roles: [.approver], username: "second.pair").session)
            _ = try await home.bill(home.ada, "PW-1", 3_000)
            try await home.take(Household.notification([Told(text: "rent &lt;b&gt;"), Told(amount: "7.00")]))
            let items = try await home.city.owner.query(OneValue("SELECT id FROM payments.bank_item ORDER BY amount DESC", of: UUID.self)).map { $0.uuidString.lowercased() }
            let page = "/staff/bank/items/\(items[0])"
            let first = try await officer.get(page)
            #expect(first.status == 200 && first.text.contains("rent &lt;b&gt;") && first.text.contains("NL56AGDH9619008421"))
            let unknown = try await officer.post(page + "/bill", [("reference", "NO-SUCH")])
            #expect(unknown.status == 422 && unknown.text.contains("No bill has this reference.") && unknown.text.contains("NO-SUCH"))
            #expect(try await officer.post(page + "/bill", [("reference", " pw-1 ")]).status == 303)
            let after = try await officer.get(page).text
            #expect(after.contains("€30.00 went to bill PW-1, assigned by first.officer.") && after.contains("€12.50 was more than bill PW-1 asks for"))
            #expect(!after.contains("Give it to a bill"))

            let other = "/staff/bank/items/\(items[1])"
            _ = try await officer.get(other)
            #expect(try await officer.post(other + "/return", [("reason", "x")]).status == 422)
            let proposal = UUID().uuidString.lowercased()
            for _ in 0..<2 { #expect(try await officer.post(other + "/return", [("reason", "Not for us"), ("id", proposal)]).status == 303) }
            #expect(try await officer.get(other).text.contains("You proposed to send this back."))
            #expect(try await officer.post(other + "/return/decision", [("id", proposal), ("decision", "approved")]).status == 422)
            #expect(try await second.get("/staff/bank").text.contains("return proposed"))
            #expect(try await second.get(other).text.contains("Not for us"))
            #expect(try await second.post(other + "/return/decision", [("id", proposal), ("decision", "approved")]).status == 303)
            #expect(try await officer.get(other).text.contains("second.pair agreed that €7.00 goes back."))
            #expect(try await officer.get("/staff/bank").text.contains("Nothing waits"))
        }
    }

    @Test("A statement that does not add up says so, and is decided with a reason", arguments: ["en", "fr", "ar"])
    func deciding(language: String) async throws {
        try await serve { home, client in
            let officer = CityBrowser(client, session: try await home.city.staff(roles: [.financeOfficer]).session)
            officer.acceptLanguage = language
            guard case .imported(let reports) = try await home.take(Household.statement([Told()], closing: 1)), let report = reports.first else { return #expect(Bool(false)) }
            let page = "/staff/bank/reports/\(report.id.uuidString.lowercased())"
            #expect(try await officer.get(page).status == 200)
            #expect(try await officer.post(page + "/decision", [("decision", "booked")]).status == 422)
            #expect(try await officer.post(page + "/decision", [("decision", "booked"), ("reason", "Asked the bank")]).status == 303)
            #expect(try await officer.post(page + "/decision", [("decision", "discarded"), ("reason", "Changed my mind")]).status == 303)
            #expect(try await officer.get(page).text.contains("Asked the bank"))
            #expect(try await home.count("payments.bank_movement") == 1)
            for path in ["/staff/bank", "/staff/bank/import"] { #expect(try await officer.get(path).status == 200) }
        }
    }
}
