// A benefit from the look-up to the resident's wallet, at the pages of staff and resident. Refusals first.
import City
import Foundation
import HTTPTypes
import Postgres
import Primitives
import Testing
import Web

@testable import Benefits

@Suite("Benefit pages")
struct BenefitsStoryTests {
    private func fields(_ office: Office, amount: String = "120.50", code: String? = nil, id: DisbursementID = .new()) -> [(String, String)] {
        [
            ("id", id.description), ("public_code", code ?? office.ada.publicCode.description.lowercased()), ("case_reference", "H-2026-1"),
            ("programme", "heating"), ("amount", amount), ("reason", "Cold <i>winter</i>"),
        ]
    }

    @Test("Nobody but staff with a role for it sees or makes a payment")
    func strangers() async throws {
        try await Office().serve { office, client in
            let id = try await office.prepared()
            let auditor = try await office.city.staff(roles: [.auditor])
            let administrator = try await office.city.staff(roles: [.organisationAdministrator])
            for path in ["/staff/benefits", "/staff/benefits/new", "/staff/benefits/\(id)"] {
                #expect(try await CityBrowser(client).get(path).headers[.location]?.contains("/sign-in") == true, "\(path)")
                #expect(try await CityBrowser(client, session: office.ada.session).get(path).status == 403, "\(path)")
                #expect(try await CityBrowser(client, session: administrator.session).get(path).status == 403, "\(path)")
            }
            // A finance officer alone sees the payments and is offered no form that would end in a refusal.
            let finance = CityBrowser(client, session: try await office.city.staff(roles: [.financeOfficer]).session)
            let list = try await finance.get("/staff/benefits")
            #expect(list.status == 200 && !list.text.contains("/staff/benefits/new"))
            #expect(try await finance.get("/staff/benefits/\(id)").status == 200)
            #expect(try await finance.get("/staff/benefits/new").status == 403)
            #expect(try await finance.post("/staff/benefits", fields(office)).status == 403)
            let watcher = CityBrowser(client, session: auditor.session)
            #expect(try await watcher.get("/staff/benefits/\(id)").status == 200)
            #expect(try await watcher.get("/staff/benefits/new").status == 403)
            #expect(try await watcher.post("/staff/benefits", fields(office)).status == 403)
            #expect(try await watcher.post("/staff/benefits/\(id)/approve", []).status == 403)
            let caseworker = CityBrowser(client, session: office.caseworker.session)
            _ = try await caseworker.get("/staff/benefits/\(id)")
            #expect(try await caseworker.post("/staff/benefits/\(id)/approve", []).status == 403)
            #expect(try await caseworker.get("/staff/benefits/\(DisbursementID.new())").status == 404)
            #expect(try await office.count("benefits.decision") == 0)
        }
    }

    @Test("A caseworker prepares after a logged look-up, an approver approves with the page's first form, the resident sees it")
    func wholeWay() async throws {
        try await Office().serve { office, client in
            let caseworker = CityBrowser(client, session: office.caseworker.session)
            let form = try await caseworker.get("/staff/benefits/new")
            #expect(form.status == 200 && form.text.contains("Heating allowance (at most €500.00)"))
            let draft = fields(office)
            let answer = try await caseworker.post("/staff/benefits", draft)
            let address = try #require(answer.headers[.location])
            #expect(answer.status == 303)
            #expect(try await office.city.entryCount(where: "e.operation = 'search' AND e.subject_id = \(office.ada.id) AND e.case_reference = 'H-2026-1'") == 1)
            // Sent twice, the form prepares one payment.
            #expect(try await caseworker.post("/staff/benefits", draft).headers[.location] == address)
            #expect(try await office.count("benefits.disbursement") == 1)
            let own = try await caseworker.get(address).text
            #expect(own.contains("somebody else must approve it") && !own.contains("\(address)/approve"))

            let approver = CityBrowser(client, session: office.approver.session)
            #expect(try await approver.get("/staff/benefits").text.contains("H-2026-1"))
            let page = try await approver.get(address).text
            for text in ["€120.50", office.ada.publicCode.description, "Cold &lt;i&gt;winter&lt;/i&gt;", "Social Services Act § 31"] {
                #expect(page.contains(text), "\(text)")
            }
            let main = try #require(page.range(of: "<main")?.lowerBound)
            let firstForm = try #require(page[main...].firstMatch(of: /<form method="post" action="([^"]+)"/)?.1)
            #expect(firstForm == "\(address)/approve")
            for _ in 0..<2 { #expect(try await approver.post(String(firstForm), []).headers[.location] == address) }
            #expect(try await office.wallet() == 12_050)
            #expect(try await office.count("benefits.decision") == 1)
            #expect(try await office.count("messages.message WHERE kind = 'payment_received'") == 1)
            // Each resident's amount is written in their own language.
            #expect(try await office.count("messages.message WHERE parameters ->> 'amount' = '€120.50'") == 1)
            try await office.city.owner.execute("UPDATE identity.account SET language = 'fr' WHERE id = \(office.ada.accountID)")
            let second = try await office.prepared()
            #expect(try await approver.post("/staff/benefits/\(second)/approve", []).status == 303)
            #expect(try await office.city.owner.one(
                OneValue("SELECT parameters ->> 'amount' FROM messages.message ORDER BY sent_at DESC LIMIT 1", of: String.self))
                == Money(minorUnits: 12_000, currency: .eur).formatted(locale: "fr"))
            try await office.city.owner.execute("UPDATE identity.account SET language = 'en' WHERE id = \(office.ada.accountID)")

            let money = try await CityBrowser(client, session: office.ada.session).get("/money").text
            for text in ["Heating allowance", "€120.50", "Cold &lt;i&gt;winter&lt;/i&gt;", "H-2026-1", "another one approved it"] {
                #expect(money.contains(text), "\(text)")
            }
        }
    }

    @Test("A form with mistakes comes back with what was typed; a look-up that finds nobody is logged all the same")
    func mistakes() async throws {
        try await Office().serve { office, client in
            let caseworker = CityBrowser(client, session: office.caseworker.session)
            _ = try await caseworker.get("/staff/benefits/new")
            let cases: [(String, String?, String)] = [
                ("12,345", nil, "Write an amount like 120.50."), ("-5", nil, "Write an amount like 120.50."), ("abc", nil, "Write an amount"),
                ("500.01", nil, "at most €500.00"), ("10", "AAA-AAA-AAB", "This is not a public code."),
            ]
            for (amount, code, message) in cases {
                let answer = try await caseworker.post("/staff/benefits", fields(office, amount: amount, code: code))
                #expect(answer.status == 422 && answer.text.contains(message) && answer.text.contains("value=\"H-2026-1\""), "\(amount)")
            }
            #expect(try await office.city.entryCount() == 0)
            let nobody = try await caseworker.post("/staff/benefits", fields(office, code: PublicCode.random().description))
            #expect(nobody.status == 422 && nobody.text.contains("Nobody has this public code."))
            #expect(try await office.city.entryCount(where: "e.operation = 'search' AND e.outcome = 'refused' AND e.subject_id IS NULL") == 1)
            try await office.city.owner.execute("UPDATE register.resident SET is_protected = true WHERE id = \(office.ada.id)")
            let protected = try await caseworker.post("/staff/benefits", fields(office))
            #expect(protected.status == 422 && protected.text.contains("record is protected"))
            #expect(try await office.count("benefits.disbursement") == 0)
        }
    }

    @Test("An approver refuses with a reason, and nothing is paid any more; an empty treasury pays nothing and says so")
    func refusals() async throws {
        try await Office(treasury: 100).serve { office, client in
            let id = try await office.prepared()
            let approver = CityBrowser(client, session: office.approver.session)
            _ = try await approver.get("/staff/benefits/\(id)")
            let short = try await approver.post("/staff/benefits/\(id)/approve", [])
            #expect(short.status == 422 && short.text.contains("The treasury does not hold enough"))
            #expect(try await approver.post("/staff/benefits/\(id)/refuse", [("refusal_reason", "x")]).status == 422)
            #expect(try await approver.post("/staff/benefits/\(id)/refuse", [("refusal_reason", "Paid in May")]).status == 303)
            try await office.fund(1_000_000)
            #expect(try await approver.post("/staff/benefits/\(id)/approve", []).status == 303)
            #expect(try await approver.get("/staff/benefits/\(id)").text.contains("Paid in May"))
            #expect(try await office.wallet() == 0)
        }
    }

    @Test("The pages speak French and Arabic", arguments: [("fr", "Aide au chauffage"), ("ar", "إعانة التدفئة")])
    func languages(language: String, programme: String) async throws {
        try await Office().serve { office, client in
            let id = try await office.prepared()
            try await office.city.owner.execute("UPDATE identity.staff SET language = \(language), roles = '{caseworker,approver}' WHERE id = \(office.approver.id)")
            let browser = CityBrowser(client, session: office.approver.session)
            for path in ["/staff/benefits", "/staff/benefits/new", "/staff/benefits/\(id)"] {
                let page = try await browser.get(path)
                #expect(page.status == 200 && page.text.contains("lang=\"\(language)\"") && page.text.contains(programme), "\(path)")
            }
        }
    }
}
