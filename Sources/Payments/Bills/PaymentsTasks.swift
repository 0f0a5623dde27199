// What payments ask a resident to do: the open bills, for the home page.
import Foundation
import Postgres
import Primitives
import Web

/// Finds a resident's open bills.
struct OpenBills: Sendable {
    let database: Database
    let zone: TimeZone

    /// The one that is due soonest first; among those of one day, the oldest.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        let bills = try await database.query(BillsOf(credential: resident.credential, before: nil, count: PaymentsRoutes.billsPerPage))
        return bills.filter { !$0.isPaid }
            .sorted { ($0.dueOn, $0.createdAt, $0.id) < ($1.dueOn, $1.createdAt, $1.id) }
            .map { bill in
                let when = context.text("payments.when.\(bill.status(in: zone).rawValue)", ["day": context.format.date(bill.dueOn)])
                return HomeTask(
                    title: context.text("payments.bill.title", ["title": bill.title.text(context.language)]),
                    detail: context.text("payments.task", ["amount": bill.outstanding.formatted(locale: context.language.tag), "when": when]),
                    path: "/bills/\(bill.id)")
            }
    }
}
