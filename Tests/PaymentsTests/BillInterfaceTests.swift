// Bills as a resident's app meets them: scopes, keys, and races.
import City
import Foundation
import Ledger
import Logging
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Bills as JSON")
struct BillInterfaceTests {
    @Test("Scopes, tokens and owners: everything else is refused alike")
    func strangers() async throws {
        try await Household().serve { home, client in
            let bill = try await home.bill(home.ada, "A-1")
            let list = "/api/v1/bills"
            #expect(try await CityAPIClient(client, token: nil).get(list).status == 401)
            #expect(try await CityAPIClient(client, token: home.ada.session).get(list).status == 401)
            let without = try await home.city.appToken(of: home.ada, scope: ["profile", "payments"])
            #expect(try await CityAPIClient(client, token: without).get(list).status == 403)
            let readOnly = try await home.city.appToken(of: home.ada, scope: ["bills"])
            #expect(try await PayingApp(client: client, token: readOnly).pay(bill, key: "k").status == 403)
            let eve = try await home.city.appToken(of: home.eve, scope: ["bills", "payments"])
            #expect(try await CityAPIClient(client, token: eve).get(list).json["items"] == .array([]))
            #expect(try await CityAPIClient(client, token: eve).get("\(list)/\(bill)").status == 404)
            #expect(try await PayingApp(client: client, token: eve).pay(bill, key: "k").status == 404)
            #expect(try await PayingApp(client: client, token: home.ada.session).pay(bill, key: "k").status == 401)
            #expect(try await home.paymentCount() == 0)
        }
    }

    @Test("Bills are listed and shown with whole minor units, in pages that miss and repeat none")
    func lists() async throws {
        try await Household().serve { home, client in
            let count = PaymentsRoutes.billsPerPage + 3
            for number in 1...count { _ = try await home.bill(home.ada, "L-\(number)", Int64(number)) }
            let app = CityAPIClient(client, token: try await home.city.appToken(of: home.ada, scope: ["bills"]))
            let first = try await app.get("/api/v1/bills").json
            let cursor = try #require(first["next_cursor"]?.text)
            let second = try await app.get("/api/v1/bills?cursor=\(cursor)").json
            let references = (first.items + second.items).compactMap { $0["reference"]?.text }
            #expect(references == (1...count).reversed().map { "L-\($0)" })
            #expect(second["next_cursor"] == .null)
            #expect(try await app.get("/api/v1/bills?cursor=nonsense").status == 400)

            let item = try #require(first.items.first)
            #expect(item["amount"] == .integer(Int64(count)) && item["currency"] == "EUR" && item["status"] == "open" && item["lines"] == nil)
            let one = try await app.get("/api/v1/bills/\(try #require(item["id"]?.text))").json
            #expect(one["title"] == "Waste <b>collection</b>")
            #expect(one["lines"] == [["amount": .integer(Int64(count) + 500), "description": "Two bins"], ["amount": -500, "description": "Compost reduction"]])
        }
    }

    @Test("A payment needs a key; the same key gives the same answer, another body under it is refused")
    func keys() async throws {
        try await Household().serve { home, client in
            let bill = try await home.bill(home.ada, "A-2")
            let other = try await home.bill(home.ada, "A-3", 100)
            let app = PayingApp(client: client, token: try await home.city.appToken(of: home.ada, scope: ["bills", "payments"]))
            for key in [nil, "", "two words", String(repeating: "k", count: 256)] {
                #expect(try await app.pay(bill, key: key).status == 400, "\(key ?? "none")")
            }
            #expect(try await app.pay(bill, key: "k", body: #"{"amount": 1}"#).status == 400)
            #expect(try await app.pay(bill, key: "k", body: "[]").status == 400)
            #expect(try await app.pay(bill, key: "k", contentType: "text/plain").status == 415)
            #expect(try await home.paymentCount() == 0)

            let first = try await app.pay(bill, key: "k")
            #expect(first.status == 201 && first.text.contains(#""net":4250"#) && first.text.contains(#""fee":0"#))
            let again = try await app.pay(bill, key: "k")
            #expect(again.status == 201 && again.text == first.text)
            #expect(try await app.pay(bill, key: "k", body: "{ }").status == 422)
            #expect(try await app.pay(other, key: "k").status == 422)
            #expect(try await app.pay(bill, key: "another").status == 409)
            #expect(try await home.paymentCount() == 1)
            #expect(try await home.balance(home.ada) == 5_750)
            #expect(try await home.messageCount(home.ada) == 1)
        }
    }

    @Test("A key whose payment failed for lack of funds keeps that answer; a new key pays")
    func insufficientFunds() async throws {
        try await Household(wallet: 0).serve { home, client in
            let bill = try await home.bill(home.ada, "A-4")
            let app = PayingApp(client: client, token: try await home.city.appToken(of: home.ada, scope: ["bills", "payments"]))
            let refused = try await app.pay(bill, key: "first")
            #expect(refused.status == 422 && refused.text.contains("insufficient-funds"))
            let wallet = try await LedgerAdministration(owner: home.city.owner).openWallet(of: home.ada.id, in: .eur)
            try await home.pay(in: 5_000, to: wallet)
            #expect(try await app.pay(bill, key: "first").text == refused.text)
            #expect(try await app.pay(bill, key: "second").status == 201)
        }
    }

    @Test("100 parallel payments of one bill, with one key and with many: one is made")
    func races() async throws {
        try await Household(wallet: 1_000_000).serve { home, client in
            let app = PayingApp(client: client, token: try await home.city.appToken(of: home.ada, scope: ["bills", "payments"]))
            let bill = try await home.bill(home.ada, "R-1")
            let same = try await inParallel(100) { _ in try await app.pay(bill, key: "same") }
            #expect(same.allSatisfy { $0.status == 201 } && Set(same.map(\.text)).count == 1)

            let other = try await home.bill(home.ada, "R-2")
            let many = try await inParallel(100) { try await app.pay(other, key: "key-\($0)") }
            #expect(many.filter { $0.status == 201 }.count == 1)
            #expect(many.filter { $0.status == 409 }.count == 99)
            #expect(try await home.paymentCount() == 2)
            #expect(try await home.balance(home.ada) == 1_000_000 - 2 * 4_250)
        }
    }

    @Test("Bills race for the last money: what the wallet covers is paid, and not one more")
    func lastMoney() async throws {
        try await Household(wallet: 3 * 4_250 + 4_249).serve { home, client in
            let app = PayingApp(client: client, token: try await home.city.appToken(of: home.ada, scope: ["bills", "payments"]))
            var bills: [BillID] = []
            for number in 0..<10 { bills.append(try await home.bill(home.ada, "LM-\(number)")) }
            let answers = try await inParallel(10) { [bills] in try await app.pay(bills[$0], key: "key-\($0)") }
            #expect(answers.map(\.status).sorted() == [201, 201, 201, 422, 422, 422, 422, 422, 422, 422])
            #expect(try await home.balance(home.ada) == 4_249)
        }
    }
}

@Suite("Rights and rules of payments")
struct PaymentsRightsTests {
    @Test(
        "The role that serves is denied", arguments: [
            "SELECT * FROM payments.bill", "SELECT * FROM payments.bill_line", "SELECT * FROM payments.payment",
            "INSERT INTO payments.bill SELECT * FROM payments.bill", "INSERT INTO payments.payment SELECT * FROM payments.payment",
            "UPDATE payments.bill SET amount = 1", "DELETE FROM payments.payment", "TRUNCATE payments.bill_line",
            "SELECT payments.issue_bill(gen_random_uuid(), gen_random_uuid(), 'fee', 'X-1', '{\"en\": \"x\"}', 'EUR', now()::date, now()::date, gen_random_uuid(), '{}', '{}')",
        ])
    func deniedToTheApp(statement: String) async throws {
        let home = try await shared.value
        let error = await #expect(throws: DatabaseError.self) { try await home.city.app.execute(SQL(unsafeRaw: statement)) }
        #expect(error?.isPermissionDenied == true, "\(statement)")
    }

    @Test("A bill whose lines do not add up, or that pays into another currency, is refused; a bill and a payment never change")
    func rules() async throws {
        let home = try await Household()
        let bill = try await home.bill(home.ada, "C-1")
        let dollars = LedgerAccountID.new()
        try await LedgerAdministration(owner: home.city.owner).open(dollars, kind: .revenue, currency: .usd)
        let refused: [(SQL, String?)] = [
            ("INSERT INTO payments.bill_line (bill_id, position, description, amount) VALUES (\(bill), 9, '{\"en\": \"x\"}', 1)", "bill_equals_lines"),
            (
                """
                SELECT payments.issue_bill(gen_random_uuid(), \(home.ada.id), 'fee', 'C-2', '{"en": "x"}', 'EUR', '2026-01-01', '2026-02-01',
                    \(dollars), ARRAY['{"en": "x"}']::jsonb[], '{5}')
                """, "bill_pays_into_currency"
            ),
            ("UPDATE payments.bill SET amount = 1", nil), ("DELETE FROM payments.bill_line", nil), ("TRUNCATE payments.payment", nil),
        ]
        for (statement, constraint) in refused {
            let error = await #expect(throws: DatabaseError.self) { try await home.city.owner.execute(statement) }
            #expect(error?.constraint == constraint, "\(statement)")
        }
    }

    @Test("A bill of the record that was replaced can be paid by whom it belongs to now")
    func followsTheResident() async throws {
        try await Household().serve { home, client in
            let bill = try await home.bill(home.eve, "F-1")
            try await home.city.owner.execute("UPDATE register.resident SET superseded_by = \(home.ada.id) WHERE id = \(home.eve.id)")
            let app = PayingApp(client: client, token: try await home.city.appToken(of: home.ada, scope: ["bills", "payments"]))
            #expect(try await app.pay(bill, key: "k").status == 201)
        }
    }
}

private let shared = Task { try await Household() }

extension JSONValue {
    var items: [JSONValue] {
        guard case .array(let items)? = self["items"] else { return [] }
        return items
    }
}
