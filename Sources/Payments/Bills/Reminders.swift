// Reminds residents of bills: once before the due day, once after it. Run now and then by the server; many nodes at once remind once.
public import Foundation
import Ledger
import Messages
public import Postgres
import Primitives
import Web

public enum BillReminders {
    /// Before the due day: time for a bank transfer to arrive.
    static let daysBefore: Int32 = 3
    /// After it: an older bill that nobody reminded of (Stoa began later, say) is a letter's business.
    static let daysAfter: Int32 = 30
    /// In one transaction: a moment's work.
    static let billsPerRunMax: Int32 = 200

    /// - Parameter zone: the city's, whose midnight makes a bill overdue.
    /// - Returns: how many reminders were sent.
    @discardableResult
    public static func run(in database: Database, zone: TimeZone) async throws -> Int {
        try await database.transaction { transaction in
            let due = try await transaction.query(Remind(zone: zone))
            for reminder in due {
                try await Messages.send(
                    reminder.isOverdue ? .billOverdue : .billDueSoon, to: reminder.notice.resident,
                    ["amount": reminder.notice.amount.formatted(locale: reminder.notice.language.tag), "reference": reminder.notice.reference], on: transaction)
            }
            return due.count
        }
    }
}

/// `payments.remind`
private struct Remind: Query {
    let zone: TimeZone

    struct Row: Sendable {
        let isOverdue: Bool
        let notice: BillNotice
    }

    var sql: SQL {
        """
        SELECT kind, resident, reference, currency, amount, language
        FROM payments.remind(\(zone.identifier), \(BillReminders.daysBefore), \(BillReminders.daysAfter), \(BillReminders.billsPerRunMax))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let isOverdue = try row.next(String.self) == "overdue"
        guard let notice = try BillNotice(&row) else { throw DatabaseError.decoding(column: "resident", reason: "is NULL") }
        return Row(isOverdue: isOverdue, notice: notice)
    }
}
