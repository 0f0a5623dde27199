// The calendar, against Foundation's.
import Foundation
import Testing

@testable import Postgres

@Suite struct CalendarDayTests {
    @Test func everyDayOfFourCenturiesComesBack() throws {
        var previous: CalendarDay?
        for number in -73_050...73_100 {
            let day = try #require(CalendarDay(daysSince2000: number))
            #expect(day.daysSince2000 == number)
            #expect(CalendarDay(day.description) == day)
            if let previous { #expect(previous < day) }
            previous = day
        }
    }

    @Test func agreesWithFoundation() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(identifier: "UTC"))
        for number in stride(from: 0, through: 40_000, by: 37) {
            let date = Date(timeIntervalSinceReferenceDate: Double(number - 366) * 86_400)
            let parts = calendar.dateComponents([.year, .month, .day], from: date)
            let day = try #require(CalendarDay(daysSince2000: number))
            #expect((day.year, day.month, day.day) == (parts.year ?? 0, parts.month ?? 0, parts.day ?? 0))
        }
    }

    @Test(arguments: [
        "2023-02-29", "1900-02-29", "2023-13-01", "2023-00-01", "2023-04-31", "0000-01-01", "2023-1-01", "2023-01-01 ", "+023-01-01", "2023/01/01",
        "", "٢٠٢٣-٠١-٠١", "10000-01-01",
    ])
    func refuses(text: String) {
        #expect(CalendarDay(text) == nil)
    }

    @Test(arguments: ["2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"])
    func accepts(text: String) throws {
        #expect(try #require(CalendarDay(text)).description == text)
    }

    @Test func travelsAsJSONText() throws {
        let day = try #require(CalendarDay("1987-06-05"))
        let data = try JSONEncoder().encode([day])
        #expect(String(decoding: data, as: UTF8.self) == #"["1987-06-05"]"#)
        #expect(try JSONDecoder().decode([CalendarDay].self, from: data) == [day])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([CalendarDay].self, from: Data(#"["1987-06-31"]"#.utf8)) }
    }
}
