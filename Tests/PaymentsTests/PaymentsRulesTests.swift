// The rules of payments alone: no database, no pages.
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

@Suite("Rules of payments")
struct PaymentsRulesTests {
    @Test("The whole due day belongs to the payer")
    func dueDay() throws {
        let due = try #require(CalendarDay("2026-03-31"))
        let after = try #require(CalendarDay("2026-04-01"))
        #expect(PaymentsRules.status(isPaid: false, dueOn: due, today: due) == .open)
        #expect(PaymentsRules.status(isPaid: false, dueOn: due, today: after) == .overdue)
        #expect(PaymentsRules.status(isPaid: true, dueOn: due, today: after) == .paid)
    }

    @Test("The city's midnight decides, not Greenwich's")
    func cityMidnight() throws {
        let moment = Date(timeIntervalSince1970: 1_774_996_200)  // 2026-03-31 22:30 UTC
        let nairobi = try #require(TimeZone(secondsFromGMT: 3 * 3_600))
        #expect(PaymentsRules.day(of: moment, in: .gmt)?.description == "2026-03-31")
        #expect(PaymentsRules.day(of: moment, in: nairobi)?.description == "2026-04-01")
    }

    @Test("A wallet covers a bill to the last unit, and what is missing is said exactly")
    func cover() throws {
        let euros = { (minorUnits: Int64) in Money(minorUnits: minorUnits, currency: .eur) }
        #expect(try PaymentsRules.cover(of: euros(500), by: euros(500)) == .enough(left: euros(0)))
        #expect(try PaymentsRules.cover(of: euros(500), by: euros(499)) == .short(by: euros(1)))
        #expect(try PaymentsRules.cover(of: euros(500), by: nil) == .short(by: euros(500)))
        #expect(throws: MoneyError.currencyMismatch) {
            try PaymentsRules.cover(of: euros(500), by: Money(minorUnits: 900, currency: .usd))
        }
    }

    @Test("A key is 1 to 255 printable ASCII characters")
    func keys() {
        #expect(IdempotencyKey.isKey("a"))
        #expect(IdempotencyKey.isKey(String(repeating: "k", count: 255)))
        for key in ["", String(repeating: "k", count: 256), "a b", "a\u{7F}", "é", "a\tb"] { #expect(!IdempotencyKey.isKey(key), "\(key)") }
    }

    @Test("A key stands for the address and the bytes of its request")
    func requestHash() {
        let first = IdempotencyKey("k", path: "/a", body: Array("{}".utf8))
        #expect(first == IdempotencyKey("k", path: "/a", body: Array("{}".utf8)))
        #expect(first != IdempotencyKey("k", path: "/b", body: Array("{}".utf8)))
        #expect(first != IdempotencyKey("k", path: "/a", body: Array("{ }".utf8)))
    }

    @Test("A cursor survives being written and read")
    func cursor() throws {
        let cursor = MomentCursor(at: Date(timeIntervalSince1970: 1_774_996_200.123456), id: UUID())
        let read = try #require(MomentCursor(cursor.description))
        #expect(read.description == cursor.description && read.id == cursor.id)
        for text in [
            "", "1", "1_", "_x", "x_00000000-0000-0000-0000-000000000000", "1_2_3", "-9000000000000000000_00000000-0000-0000-0000-000000000000",
        ] { #expect(MomentCursor(text) == nil, "\(text)") }
    }
}
