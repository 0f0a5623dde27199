// What follows from a bill and a day, apart from everything that stores or shows it.
import Foundation
import Postgres
import Primitives

/// Where a bill stands. The words are those of the JSON interface.
enum BillStatus: String, Sendable, CaseIterable {
    case open
    case overdue
    case paid
}

/// Whether the wallet covers a bill.
enum Cover: Sendable, Hashable {
    /// What is left afterwards.
    case enough(left: Money)
    /// What is missing.
    case short(by: Money)
}

enum PaymentsRules {
    /// The whole due day belongs to the payer: a bill is overdue from the day after.
    static func status(isPaid: Bool, dueOn: CalendarDay, today: CalendarDay) -> BillStatus {
        if isPaid { return .paid }
        return today > dueOn ? .overdue : .open
    }

    /// - Parameter balance: nil for a wallet that no money ever came into.
    static func cover(of amount: Money, by balance: Money?) throws(MoneyError) -> Cover {
        let left = try (balance ?? .zero(amount.currency)).subtracting(amount)
        return left.isNegative ? .short(by: try left.negated()) : .enough(left: left)
    }

    /// The calendar day of a moment in the city.
    static func day(of moment: Date, in zone: TimeZone) -> CalendarDay? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = zone
        let parts = calendar.dateComponents([.year, .month, .day], from: moment)
        guard let year = parts.year, let month = parts.month, let day = parts.day else { return nil }
        return CalendarDay(year: year, month: month, day: day)
    }
}
