// Calendar days in forms and pages: three inputs, because a memorable date is typed faster and with fewer errors than
// it is picked, and needs no script (GOV.UK Design System, "Date input").
public import Postgres

extension FormReader {
    /// A date from the inputs `name-day`, `name-month` and `name-year`; nil with an error noted when missing or impossible.
    public mutating func date(_ name: String) -> CalendarDay? {
        let before = errors.count
        guard let day = optionalDate(name) else {
            if errors.count == before { reject(name, "web.field.required") }
            return nil
        }
        return day
    }

    /// A date as `date`, nil when all three inputs are empty.
    public mutating func optionalDate(_ name: String) -> CalendarDay? {
        let parts = dateParts(name)
        if parts.day.isEmpty, parts.month.isEmpty, parts.year.isEmpty { return nil }
        // Years before 1000 are typing errors: nobody is served who was born then.
        guard let day = Self.digits(parts.day, 2), let month = Self.digits(parts.month, 2), let year = Self.digits(parts.year, 4),
            year >= 1_000,
            let date = CalendarDay(year: year, month: month, day: day)
        else {
            reject(name, "web.field.date")
            return nil
        }
        return date
    }

    private static func digits(_ text: String, _ countMax: Int) -> Int? {
        guard text.utf8.count <= countMax, text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }) else { return nil }
        return Int(text)
    }
}

extension PageFormat {
    /// A calendar day, like "1 March 2026".
    public func date(_ day: CalendarDay) -> String {
        date(year: day.year, month: day.month, day: day.day)
    }
}
