// Amounts that always add up, and their written forms.
import Foundation
import Primitives
import Testing

private func currency(_ code: String) throws -> Currency { try #require(Currency(code: code)) }

@Suite("Currency")
struct CurrencyTests {
    @Test("knows the decimals of ISO 4217", arguments: [("EUR", 2), ("XOF", 0), ("JPY", 0), ("KWD", 3), ("TND", 3), ("KES", 2)])
    func decimals(code: String, digits: Int) throws {
        #expect(try currency(code).minorUnits == digits)
    }

    @Test(
        "refuses a code that is not in circulation or not written in capitals", arguments: ["", "eur", "EU", "XXX", "XAU", "DEM", "EURO"])
    func unknown(code: String) {
        #expect(Currency(code: code) == nil)
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([Currency].self, from: Data("[\"\(code)\"]".utf8)) }
    }

    @Test("travels through JSON as its code")
    func coding() throws {
        let data = try JSONEncoder().encode([Currency.eur])
        #expect(String(decoding: data, as: UTF8.self) == #"["EUR"]"#)
        #expect(try JSONDecoder().decode([Currency].self, from: data) == [.eur])
    }
}

@Suite("Money")
struct MoneyTests {
    @Test("adds and subtracts, and refuses another currency and what does not fit")
    func arithmetic() throws {
        let ten = Money(minorUnits: 1000, currency: .eur)
        #expect(try ten.adding(Money(minorUnits: -1, currency: .eur)).minorUnits == 999)
        #expect(try ten.subtracting(Money(minorUnits: 1001, currency: .eur)).minorUnits == -1)
        let largest = Money(minorUnits: .max, currency: .eur)
        let smallest = Money(minorUnits: .min, currency: .eur)
        #expect(throws: MoneyError.currencyMismatch) { try ten.adding(Money(minorUnits: 1, currency: .usd)) }
        #expect(throws: MoneyError.currencyMismatch) { try ten.subtracting(Money(minorUnits: 1, currency: .usd)) }
        #expect(throws: MoneyError.overflow) { try largest.adding(Money(minorUnits: 1, currency: .eur)) }
        #expect(throws: MoneyError.overflow) { try smallest.subtracting(Money(minorUnits: 1, currency: .eur)) }
        #expect(throws: MoneyError.overflow) { try smallest.negated() }
    }

    @Test(
        "splits by largest remainder",
        arguments: [
            (100, [1, 1, 1], [34, 33, 33]), (-100, [1, 1, 1], [-34, -33, -33]), (5, [3, 7], [2, 3]), (1, [1, 1], [1, 0]),
            (10, [0, 5, 0], [0, 10, 0]), (0, [2, 3], [0, 0]), (100, [21, 79], [21, 79]), (7, [10, 20, 30, 40], [1, 1, 2, 3]),
        ] as [(Int64, [Int], [Int64])])
    func split(amount: Int64, weights: [Int], expected: [Int64]) throws {
        #expect(try Money(minorUnits: amount, currency: .eur).split(into: weights).map(\.minorUnits) == expected)
    }

    @Test("splits of any amount sum to it and stray less than one unit from proportion")
    func splitInvariants() throws {
        for amount in [Int64.min, -12_345_679, -1, 0, 1, 99, 1_000_003, .max] {
            for weights in [[1], [1, 2, 3], [7, 0, 11, 13], [Int.max, Int.max, 1], Array(repeating: 1, count: 97)] {
                let parts = try Money(minorUnits: amount, currency: .eur).split(into: weights)
                #expect(parts.reduce(Int128(0)) { $0 + Int128($1.minorUnits) } == Int128(amount))
                let total = weights.reduce(Int128(0)) { $0 + Int128($1) }
                for (part, weight) in zip(parts, weights) {
                    let exact = (Int128(amount) * Int128(weight)).quotientAndRemainder(dividingBy: total).quotient
                    #expect(abs(Int128(part.minorUnits) - exact) <= 1)
                }
            }
        }
    }

    @Test("refuses weights that divide nothing", arguments: [[], [0, 0], [1, -1], [3, -1]])
    func invalidWeights(weights: [Int]) {
        #expect(throws: MoneyError.invalidWeights) { try Money(minorUnits: 1, currency: .eur).split(into: weights) }
    }

    @Test(
        "is written in the reader's language",
        arguments: [
            ("EUR", 123_456_789, "€1,234,567.89", "1\u{202F}234\u{202F}567,89\u{A0}€", "1,234,567.89\u{A0}€"),
            ("EUR", 1250, "€12.50", "12,50\u{A0}€", "12.50\u{A0}€"),
            ("EUR", -5, "-€0.05", "-0,05\u{A0}€", "\u{200E}-0.05\u{A0}€"),
            ("XOF", 1500, "XOF\u{A0}1,500", "1\u{202F}500\u{A0}XOF", "1,500\u{A0}XOF"),
            ("TND", 12_005, "TND\u{A0}12.005", "12,005\u{A0}TND", "12.005\u{A0}TND"),
        ] as [(String, Int64, String, String, String)])
    func formatted(code: String, minorUnits: Int64, english: String, french: String, arabic: String) throws {
        let money = Money(minorUnits: minorUnits, currency: try currency(code))
        #expect(money.formatted(locale: "en") == english)
        #expect(money.formatted(locale: "fr-FR") == french)
        #expect(money.formatted(locale: "ar") == arabic)
        #expect(money.formatted(locale: "") == english)
    }

    @Test("is written plainly for machines")
    func decimal() {
        #expect(Money(minorUnits: -123_456, currency: .eur).decimal == "-1234.56")
        #expect(Money(minorUnits: .min, currency: .eur).decimal == "-92233720368547758.08")
        #expect("\(Money(minorUnits: 7, currency: .eur))" == "0.07 EUR")
    }

    @Test("reads back whatever it wrote")
    func roundTrip() throws {
        for code in ["EUR", "USD", "XOF", "TND", "KES"] {
            let currency = try currency(code)
            for minorUnits in [Int64.min, -1_234_567, -1, 0, 5, 99, 100, 123_456, 1_000_000, .max] {
                let money = Money(minorUnits: minorUnits, currency: currency)
                for locale in ["en", "fr", "ar"] {
                    #expect(try Money.parse(money.formatted(locale: locale), currency) == money)
                }
                #expect(try Money.parse(money.decimal, currency) == money)
                #expect(try Money.parse(money.description, currency) == money)
            }
        }
    }

    @Test(
        "reads the habits of many hands",
        arguments: [
            ("12.50", 1250), ("12,50", 1250), (" 12,5 ", 1250), ("1.234,50", 123_450), ("1,234.50", 123_450), ("1 234,50", 123_450),
            ("1'234.50", 123_450), ("1’234.50", 123_450), ("1,234,567", 123_456_700), ("€ 12", 1200), ("12 EUR", 1200), ("€-5", -500),
            ("−5", -500), ("٣٤٫٥٠", 3450), ("١٬٢٣٤٫٥٠", 123_450), ("۱۲", 1200), ("0", 0), ("007", 700),
        ] as [(String, Int64)])
    func parsing(typed: String, minorUnits: Int64) throws {
        #expect(try Money.parse(typed, .eur).minorUnits == minorUnits)
    }

    @Test(
        "refuses what it would have to guess",
        arguments: [
            ("", .empty), ("   ", .empty), ("€", .notANumber), ("-", .notANumber), ("--5", .notANumber), ("1,234", .ambiguousSeparator),
            ("1.234", .ambiguousSeparator), ("1.2345", .tooManyDecimals), ("1,234.567", .tooManyDecimals), ("12.", .notANumber),
            (".50", .notANumber), ("1,23,456", .notANumber), ("12 34", .notANumber), ("1,2,3.00", .notANumber), ("1e3", .notANumber),
            ("0x10", .notANumber), ("12.5O", .notANumber), ("$5", .notANumber), ("+5", .notANumber), ("5\0", .notANumber),
            ("½", .notANumber),
            ("1\u{0301}2", .notANumber), ("92233720368547758.08", .outOfRange), ("99999999999999999999", .outOfRange),
            (String(repeating: "1", count: 49), .notANumber), ("1 234'567", .notANumber), ("1.5,5", .notANumber), ("5.-1", .notANumber),
        ] as [(String, MoneyParsingError)])
    func refusing(typed: String, expected: MoneyParsingError) {
        #expect(throws: expected) { try Money.parse(typed, .eur) }
    }

    @Test("takes three decimals where the currency has three, and none where it has none")
    func otherDecimals() throws {
        #expect(try Money.parse("1,234", currency("TND")).minorUnits == 1234)
        #expect(try Money.parse("1.5", currency("KWD")).minorUnits == 1500)
        #expect(try Money.parse("1500", currency("XOF")).minorUnits == 1500)
        #expect(throws: MoneyParsingError.tooManyDecimals) { try Money.parse("1500.5", currency("XOF")) }
        #expect(try Money.parse("1.500", currency("XOF")).minorUnits == 1500)
        #expect(try Money.parse("1,234,500", currency("XOF")).minorUnits == 1_234_500)
        #expect(throws: MoneyParsingError.notANumber) { try Money.parse("1234.500", currency("XOF")) }
    }

    @Test("reads the decimals of files exactly, by the currency's digits, and nothing else")
    func decimals() throws {
        let read = { (text: String, code: String) in Money(decimal: text, currency: try currency(code))?.minorUnits }
        #expect(try read("12.5", "EUR") == 1250 && read("12", "EUR") == 1200 && read("12.50000", "EUR") == 1250 && read(".5", "EUR") == 50)
        #expect(try read("0.001", "TND") == 1 && read("7", "JPY") == 7 && read("7.0", "JPY") == 7 && read("999999999999999999", "JPY") == 999_999_999_999_999_999)
        for wrong in ["12.345", "-1", "+1", "1e3", "1,5", "", ".", "1.2.3", "9999999999999999999", "999999999999999999", "１２", " 1"] {
            #expect(try read(wrong, "EUR") == nil, "\(wrong)")
        }
        #expect(try read("0.5", "JPY") == nil)
    }
}
