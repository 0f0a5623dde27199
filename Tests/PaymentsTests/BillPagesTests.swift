// Bills as a resident meets them: refusals first, then look, pay, pay again.
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Bill pages")
struct BillPagesTests {
    @Test("Nobody sees or pays a bill without signing in; staff and other residents find nothing")
    func strangers() async throws {
        try await Household().serve { home, client in
            let bill = try await home.bill(home.ada, "WATER-2026-77")
            let paths = ["/money", "/bills", "/bills/\(bill)", "/bills/\(bill)/pay", "/bills/\(bill)/receipt"]
            for path in paths {
                let answer = try await CityBrowser(client).get(path)
                #expect(answer.status == 303 && answer.headers[.location]?.hasPrefix("/sign-in") == true, "\(path)")
            }
            let clerk = try await home.city.staff(roles: [.caseworker, .financeOfficer])
            for path in paths { #expect(try await CityBrowser(client, session: clerk.session).get(path).status == 403, "\(path)") }

            let eve = CityBrowser(client, session: home.eve.session)
            for path in paths.dropFirst(2) { #expect(try await eve.get(path).status == 404, "\(path)") }
            // A reference that no public code or form token of the page can hold by chance.
            #expect(try await eve.get("/bills").text.contains("WATER-2026-77") == false)
            #expect(try await eve.post("/bills/\(bill)/pay", []).status == 404)
            #expect(try await CityBrowser(client, session: home.ada.session).post("/bills/\(bill)/pay", []).status == 403)  // no form token
            for path in ["/bills/1", "/bills/\(BillID.new())"] { #expect(try await eve.get(path).status == 404) }
            #expect(try await home.paymentCount() == 0)
        }
    }

    @Test("Without bills and money the pages say so and what comes next")
    func empty() async throws {
        try await Household().serve { home, client in
            let eve = CityBrowser(client, session: home.eve.session)
            #expect(try await eve.get("/bills").text.contains("You have no bills."))
            let money = try await eve.get("/money").text
            #expect(money.contains("There is no money in your wallet yet.") && money.contains("You have no bills to pay."))
        }
    }

    @Test("A bill is shown, paid once, and its receipt states gross, fee and net; sent again, the form changes nothing")
    func pay() async throws {
        try await Household().serve { home, client in
            let bill = try await home.bill(home.ada, "W-2")
            let ada = CityBrowser(client, session: home.ada.session)
            let page = try await ada.get("/bills/\(bill)").text
            for text in ["Waste &lt;b&gt;collection&lt;/b&gt;", "W-2", "Two bins", "€47.50", "-€5.00", "€42.50", "Please pay by"] {
                #expect(page.contains(text), "\(text)")
            }
            #expect(try await ada.get("/bills/\(bill)/receipt").headers[.location] == "/bills/\(bill)")
            let confirm = try await ada.get("/bills/\(bill)/pay").text
            for text in ["€42.50", "€0.00</span> (paying from your wallet costs nothing)", "€100.00", "€57.50"] { #expect(confirm.contains(text), "\(text)") }

            for _ in 0..<3 {
                let answer = try await ada.post("/bills/\(bill)/pay", [])
                #expect(answer.status == 303 && answer.headers[.location] == "/bills/\(bill)/receipt")
            }
            #expect(try await home.paymentCount() == 1)
            #expect(try await home.balance(home.ada) == 5_750)
            #expect(try await home.messageCount(home.ada) == 1)

            let receipt = try await ada.get("/bills/\(bill)/receipt").text
            for text in ["Left your wallet", "€42.50", "€0.00", "Counted towards the bill", "Is something wrong?", "Receipt number"] {
                #expect(receipt.contains(text), "\(text)")
            }
            #expect(try await ada.get("/bills/\(bill)/pay").headers[.location] == "/bills/\(bill)/receipt")
            let paid = try await ada.get("/bills/\(bill)").text
            #expect(page.contains("before you pay") && !paid.contains("before you pay") && paid.contains("did not make this payment"))
            #expect(try await ada.get("/bills").text.contains("Paid on"))
            let money = try await ada.get("/money").text
            for text in ["You paid: Waste &lt;b&gt;collection&lt;/b&gt;", "-€42.50", "Came in: Counter 3", "€57.50", "/bills/\(bill)/receipt"] {
                #expect(money.contains(text), "\(text)")
            }
        }
    }

    @Test("Without enough money nothing is taken, and the page says how much is missing and what to do")
    func notEnough() async throws {
        try await Household(wallet: 4_249).serve { home, client in
            let bill = try await home.bill(home.ada, "W-3")
            let ada = CityBrowser(client, session: home.ada.session)
            let confirm = try await ada.get("/bills/\(bill)/pay")
            #expect(confirm.status == 200 && confirm.text.contains("€0.01") && !confirm.text.contains("Pay now"))
            let answer = try await ada.post("/bills/\(bill)/pay", [])
            #expect(answer.status == 422)
            #expect(answer.text.contains("There is not enough money in your wallet") && answer.text.contains("ask for more time"))
            #expect(try await home.balance(home.ada) == 4_249)
            #expect(try await home.paymentCount() == 0)
        }
    }

    @Test("An overdue bill says so and can still be paid; bills stand in the order of their due days")
    func overdue() async throws {
        try await Household().serve { home, client in
            _ = try await home.bill(home.ada, "LATER", dueInDays: 30)
            let late = try await home.bill(home.ada, "LATE", dueInDays: -2)
            _ = try await home.bill(home.ada, "SOON", dueInDays: 3)
            let ada = CityBrowser(client, session: home.ada.session)
            let list = try await ada.get("/bills").text
            let positions = try ["LATE<", "SOON<", "LATER<"].map { try #require(list.range(of: $0)?.lowerBound) }
            #expect(positions == positions.sorted())
            #expect(list.contains("Was due on"))
            #expect(try await ada.get("/bills/\(late)").text.contains("The day to pay this bill has passed."))
            #expect(try await ada.get("/bills/\(late)/pay").text.contains("Pay now"))
        }
    }

    @Test("Every page speaks French and Arabic", arguments: [("fr", "Collecte des déchets", "42,50"), ("ar", "جمع النفايات", "42.50")])
    func languages(language: String, title: String, amount: String) async throws {
        try await Household().serve { home, client in
            let resident = try await home.city.resident(language: language)
            let bill = try await home.bill(resident, "W-4")
            let browser = CityBrowser(client, session: resident.session)
            for path in ["/money", "/bills", "/bills/\(bill)", "/bills/\(bill)/pay"] {
                let page = try await browser.get(path)
                #expect(page.status == 200, "\(path)")
                #expect(page.text.contains("lang=\"\(language)\"") && page.text.contains(title) && page.text.contains(amount), "\(path)")
            }
        }
    }
}
