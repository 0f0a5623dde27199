// What the home page shows of a resident's bills.
import City
import Foundation
import Hummingbird
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Open bills as tasks")
struct OpenBillsTests {
    @Test("The open bills, soonest due first, with amount and day; no paid one and nobody else's")
    func tasks() async throws {
        let home = try await Household()
        let late = try await home.bill(home.ada, "W-1", 1_000, dueInDays: 30)
        let overdue = try await home.bill(home.ada, "W-2", 2_000, dueInDays: -3)
        let soon = try await home.bill(home.ada, "W-3", 3_000, dueInDays: 5)
        let paid = try await home.bill(home.ada, "W-4", 4_000, dueInDays: 1)
        _ = try await home.bill(home.eve, "W-5")
        _ = try await PayBill(database: home.city.app).perform(paid, by: home.ada.session.hash, key: nil, language: .english)
        let open = OpenBills(database: home.city.app, zone: .gmt)
        try await home.city.serve { site in
            site.resident.get("/tasks") { _, context in
                let tasks = try await open.tasks(of: context.resident, context.web)
                return Response.json(["tasks": .string(tasks.map { "\($0.path)|\($0.title)|\($0.detail)" }.joined(separator: "\n"))] as JSONValue)
            }
        } _: { client in
            let text = try #require(try await CityBrowser(client, session: home.ada.session).get("/tasks").json["tasks"]?.text)
            let tasks = text.split(separator: "\n").map { $0.split(separator: "|").map(String.init) }
            try #require(tasks.map(\.count) == [3, 3, 3])
            #expect(tasks.map { $0[0] } == ["/bills/\(overdue)", "/bills/\(soon)", "/bills/\(late)"])
            #expect(tasks[0][1] == "Bill: Waste <b>collection</b>")
            #expect(tasks[0][2].hasPrefix("€20.00 · Was due on") && tasks[1][2].hasPrefix("€30.00 · Please pay by"))
        }
    }
}
