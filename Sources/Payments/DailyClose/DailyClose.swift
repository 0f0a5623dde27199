// Closing the day: whether bank, ledger and bills agree, and why not where they do not. Decided in `payments.close_day` (0046_overviews.sql).
import Foundation
import Ledger
import Postgres
import Primitives
import Web

/// One thing that must agree: lines that sum to what is expected, and what the ledger has.
struct DayFigure: Sendable {
    struct Line: Sendable {
        let word: String
        let amount: Money
        let day: CalendarDay?
    }

    /// `bank`, `suspense`, `provider` or `bills`.
    let kind: String
    let name: String
    let lines: [Line]
    let expected: Money
    let found: Money
    let difference: Money
}

/// `payments.day_figures_for`. Nil for whom they are not for.
struct DayFigures: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT payments.day_figures_for(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> [DayFigure]? {
        guard let text = try row.next(JSONText?.self) else { return nil }
        guard case .array(let figures) = try JSONScanner.scan(text.text.utf8) else { throw DatabaseError.decoding(column: "figures", reason: "are no list") }
        return try figures.map { try DayFigure(BankAnswer($0)) }
    }
}

extension DayFigure {
    init(_ answer: BankAnswer) throws {
        let currency = try Currency(column: answer["currency"]?.text ?? "")
        let money = { (one: BankAnswer, name: String) in Money(minorUnits: Int64(one.integer(name)), currency: currency) }
        kind = answer["kind"]?.text ?? ""
        name = answer["name"]?.text ?? ""
        lines = answer.list("lines").map(BankAnswer.init).map { line in
            Line(word: line["word"]?.text ?? "", amount: money(line, "amount"), day: line["day"]?.text.flatMap { CalendarDay($0) })
        }
        expected = money(answer, "expected")
        found = money(answer, "found")
        difference = money(answer, "difference")
    }
}

/// `payments.close_day`. In a transaction: it reads much.
struct CloseDay: Query {
    let credential: CredentialHash
    let id: UUID
    let explanation: String?

    var sql: SQL { "SELECT payments.close_day(\(credential.bytes), \(id), \(explanation as String?))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// A day that was closed.
struct ClosedDay: Sendable {
    let differences: Int
    let explanation: String?
    let closedBy: String
    let closedAt: Date
}

/// `payments.closed_days_for`, newest first.
struct ClosedDays: Query {
    let credential: CredentialHash
    let count: Int

    var sql: SQL { "SELECT differences, explanation, closed_by, closed_at FROM payments.closed_days_for(\(credential.bytes), \(Int32(clamping: count)))" }

    func decode(_ row: inout RowReader) throws -> ClosedDay {
        ClosedDay(differences: try row.next(), explanation: try row.next(), closedBy: try row.next(), closedAt: try row.next())
    }
}
