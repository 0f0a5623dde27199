// Between a use case and its view model: dates, times and numbers as readers of each language write them. Hand-made,
// because a DateFormatter costs 28 µs and every page shows several moments.
public import Foundation
import Synchronization

/// Writes values for people, in one language and in the city's time zone.
public struct PageFormat: Sendable {
    let catalogue: Catalogue
    let zone: CityTime

    /// A moment, like "21 November 2026, 16:05".
    public func dateTime(_ moment: Date) -> String {
        let parts = zone.parts(of: moment)
        let clock = Self.clock(parts)
        return catalogue.text("web.format.date_time", ["date": date(year: parts.year, month: parts.month, day: parts.day), "time": clock])
    }

    /// The time of day of a moment in the city, like "16:05".
    public func time(_ moment: Date) -> String { Self.clock(zone.parts(of: moment)) }

    /// The day of a moment in the city, like "21 November 2026".
    public func day(_ moment: Date) -> String {
        let parts = zone.parts(of: moment)
        return date(year: parts.year, month: parts.month, day: parts.day)
    }

    /// A calendar day, like "1 March 2026"; French writes its first as "1er".
    public func date(year: Int, month: Int, day: Int) -> String {
        let dayText = day == 1 ? catalogue.text("web.format.first_day") : String(day)
        return catalogue.text(
            "web.format.date", ["day": dayText, "month": catalogue.text("web.format.month_\(month)"), "year": String(year)])
    }

    /// A whole number with its thousands grouped: 12,345 in English, 12 345 in French (narrow no-break space), 12,345 in Arabic.
    public func number(_ value: Int) -> String {
        let digits = Array(String(value.magnitude))
        let separator = catalogue.language == .french ? "\u{202F}" : ","
        var text = value < 0 ? "-" : ""
        for (position, digit) in digits.enumerated() {
            if position > 0, (digits.count - position).isMultiple(of: 3) { text += separator }
            text.append(digit)
        }
        return text
    }

    /// Names joined as the language joins them: "a, b and c".
    public func list(_ items: [String]) -> String {
        guard items.count > 1, let last = items.last else { return items.first ?? "" }
        let separator = catalogue.text("web.format.list_separator") + (catalogue.language == .arabic ? "" : " ")
        return catalogue.text("web.format.list_end", ["items": items.dropLast().joined(separator: separator), "last": last])
    }

    private static func clock(_ parts: CityTime.Parts) -> String { two(parts.hour) + ":" + two(parts.minute) }
    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
}

/// The city's wall clock. Remembers the stretch between two changes of the clock, because asking Foundation for the
/// offset of every moment takes a lock and a table search.
final class CityTime: Sendable {
    private struct Stretch {
        var from: TimeInterval
        var until: TimeInterval
        var offsetSeconds: Int
    }

    private let timeZone: TimeZone
    private let last: Mutex<Stretch>

    init(_ timeZone: TimeZone) {
        self.timeZone = timeZone
        last = Mutex(Stretch(from: 0, until: 0, offsetSeconds: 0))
    }

    struct Parts: Equatable {
        var year: Int
        var month: Int
        var day: Int
        var hour: Int
        var minute: Int
    }

    func parts(of moment: Date) -> Parts {
        let local = Int(moment.timeIntervalSince1970.rounded(.down)) + offsetSeconds(at: moment)
        let dayNumber = Int((Double(local) / 86_400).rounded(.down))
        let secondOfDay = local - dayNumber * 86_400
        let (year, month, day) = Self.civil(fromDayNumber: dayNumber)
        return Parts(year: year, month: month, day: day, hour: secondOfDay / 3_600, minute: secondOfDay % 3_600 / 60)
    }

    /// The city's distance from UTC at a moment, in seconds east.
    func offsetSeconds(at moment: Date) -> Int {
        let instant = moment.timeIntervalSince1970
        return last.withLock { stretch in
            if instant >= stretch.from && instant < stretch.until { return stretch.offsetSeconds }
            let offset = timeZone.secondsFromGMT(for: moment)
            // Without a known next change, the answer is kept for an hour's stretch of moments only.
            let change = timeZone.nextDaylightSavingTimeTransition(after: moment)?.timeIntervalSince1970 ?? instant + 3_600
            stretch = Stretch(from: instant, until: change, offsetSeconds: offset)
            return offset
        }
    }

    /// Days since 1970-01-01 to the Gregorian calendar (H. Hinnant, "chrono-compatible low-level date algorithms").
    static func civil(fromDayNumber number: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}
