// When a year of life is completed, leap days included.
import Foundation
import Postgres
import Testing

@testable import Register

@Suite("Ages")
struct DerivedAttributeTests {
    @Test("A year of life is completed at midnight before the birthday, of a leap day on 1 March where there is none", arguments: [
        ("2008-05-17", "2026-05-16", 17), ("2008-05-17", "2026-05-17", 18), ("2008-05-17", "2026-04-30", 17), ("2008-05-17", "2027-01-01", 18),
        ("2008-12-31", "2026-12-30", 17), ("2008-12-31", "2026-12-31", 18), ("2008-01-01", "2025-12-31", 17), ("2008-01-01", "2026-01-01", 18),
        ("2008-02-29", "2026-02-28", 17), ("2008-02-29", "2026-03-01", 18), ("2008-02-28", "2026-02-28", 18), ("2008-03-01", "2026-02-28", 17),
        ("2004-02-29", "2024-02-28", 19), ("2004-02-29", "2024-02-29", 20), ("1896-02-29", "1914-02-28", 17), ("1896-02-29", "1914-03-01", 18),
        ("2026-01-01", "2025-01-01", -1),
    ])
    func ages(_ born: String, _ today: String, _ years: Int) throws {
        #expect(DerivationRules.age(of: try #require(CalendarDay(born)), on: try #require(CalendarDay(today))) == years)
    }

    @Test("Towns are compared as people write them", arguments: [
        ("Porto", true), (" porto\n", true), ("S\u{E3}o Jo\u{E3}o", true), ("SA\u{303}O JOA\u{303}O", true), ("Porto Alegre", false), ("", false), ("Sao Joao", false),
    ])
    func towns(_ town: String, _ isOurs: Bool) {
        let rules = DerivationRules(timeZone: .gmt, localities: ["Porto", "São João"])
        #expect(rules.answer(.localityOfCity, town, at: Date()) == isOurs)
        #expect(rules.answer(.localityOfCity, nil, at: Date()) == nil)
    }
}
