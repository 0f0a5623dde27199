// The reader of register extracts, byte by byte, and the judgement of what it reads. Pure.
import Foundation
import Postgres
import Testing

@testable import Register

@Suite("Resident CSV")
struct ResidentCSVTests {
    static let header = ResidentCSV.columns.joined(separator: ",")

    private func records(_ body: String) throws -> [RawRecord] {
        Array(try ResidentCSV(Array((Self.header + "\r\n" + body).utf8)))
    }

    private func fields(_ record: RawRecord) throws -> [String] {
        try record.content.get().map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func dividesRecordsAndFieldsAsRFC4180Says() throws {
        let read = try records("a,b\r\n\"quoted, with comma\",\"a \"\"word\"\"\"\r\n\"two\r\nlines\",\r\nlast,without end")
        #expect(try read.map(fields) == [["a", "b"], ["quoted, with comma", "a \"word\""], ["two\r\nlines", ""], ["last", "without end"]])
        #expect(read.map(\.number) == [1, 2, 3, 4])
        #expect(read.map(\.line) == [2, 3, 4, 6])
    }

    @Test func takesLinesThatEndInLineFeedAloneAndPassesOverBlankOnes() throws {
        let read = try records("a\n\n\r\nb\n")
        #expect(try read.map(fields) == [["a"], ["b"]])
        #expect(read.map(\.line) == [2, 5])
    }

    @Test func passesOverAByteOrderMark() throws {
        let file = [0xEF, 0xBB, 0xBF] + Array((Self.header + "\r\na\r\n").utf8)
        #expect(Array(try ResidentCSV(file)).count == 1)
    }

    @Test(arguments: [
        ("ab\"c,d", CSVDefect.quoteInsideField), ("\"ab\"c,d", .textAfterClosingQuote), ("\"ab", .quoteNeverClosed), ("\"ab\"\"", .quoteNeverClosed),
    ])
    func aBrokenRecordCostsNothingButItself(broken: String, defect: CSVDefect) throws {
        let read = try records("before\r\n\(broken)\r\nafter,\"quoted\"\r\nlast\r\n")
        #expect(read.map { String(decoding: $0.bytes, as: UTF8.self) } == ["before", broken, "after,\"quoted\"", "last"])
        #expect(read[1].content == .failure(defect))
        #expect(read.map(\.line) == [2, 3, 4, 5])
    }

    @Test func aMissingQuoteNeverSwallowsTheRestOfAFile() throws {
        let rest = String(repeating: "x,y\r\n", count: 100_000)
        let read = try records("\"open\r\n" + rest)
        #expect(read.count == 100_001)
        #expect(read[0].content == .failure(.quoteNeverClosed))
        #expect(read.dropFirst().allSatisfy { (try? $0.content.get().count) == 2 })
    }

    @Test func aRecordWithoutEndIsBounded() throws {
        let read = try records(String(repeating: "x", count: 70_000) + "\r\nafter\r\n")
        #expect(read.map(\.content) == [.failure(.recordTooLong), .success([Array("after".utf8)])])
    }

    @Test func refusesAFileThatIsNone() {
        #expect(throws: ResidentFileError.empty) { try ResidentCSV([]) }
        #expect(throws: ResidentFileError.wrongHeader) { try ResidentCSV(Array("name,age\nA,1\n".utf8)) }
        #expect(throws: ResidentFileError.wrongHeader) { try ResidentCSV(Array("\"national_number".utf8)) }
    }

    @Test func readsItsOwnFileOfRejectedRecords() throws {
        let header = (ResidentCSV.rejectionColumns + ResidentCSV.columns).joined(separator: ",")
        let read = Array(try ResidentCSV(Array("\(header)\r\n7,8,\"why, exactly\",a,\"b,\"\"c\"\r\n".utf8)))
        #expect(try read.map(fields) == [["a", "b,\"c"]])
        #expect(read.map(\.bytes) == [Array("a,\"b,\"\"c\"".utf8)])
    }
}

@Suite("Resident record")
struct ResidentRecordTests {
    private let rules = ResidentRecordRules(today: CalendarDay("2026-11-21")!)
    private static let good = [
        "570504368210", "Валерій", "Семенченко", "1957-05-04", "провулок Морський, буд. 018 кв. 5", "55810", "село Бахмут", "+254781758617", "", "uk",
    ]

    private func reasons(_ change: (inout [[UInt8]]) -> Void) -> [String] {
        var fields = Self.good.map { Array($0.utf8) }
        change(&fields)
        do {
            _ = try rules.judge(fields)
            return []
        } catch let defects as RecordDefects {
            return defects.reasons
        } catch {
            return ["\(error)"]
        }
    }

    private func reasons(_ column: Int, _ value: String) -> [String] { reasons { $0[column] = Array(value.utf8) } }

    @Test func keepsEveryValueAsItIs() throws {
        let record = try rules.judge(Self.good.map { Array($0.utf8) })
        #expect(record.values == Self.good)
    }

    @Test(arguments: [
        "<script>alert(1)</script>", "O’Brien", "Ana \"Nani\"\u{301}", "  spaced  ", "Марʼяна", "张", "عبد الله", "क्‍ष", "=1+1", "A\u{301}", "Robert'); DROP TABLE",
    ])
    func namesAreData(name: String) {
        #expect(reasons(1, name) == [])
        #expect(reasons(2, name) == [])
    }

    @Test func whatAPersonMayLack() {
        #expect(reasons(2, "") == [])
        for column in [4, 5, 6, 7, 8, 9] { #expect(reasons(column, "") == []) }
        #expect(reasons(4, "Line one\r\nLine two") == [])
        #expect(reasons(8, "RESIDENT@EXAMPLE.ORG") == [])
    }

    @Test(arguments: [
        (0, "570504368211", "the check digit of national_number is wrong"),
        (0, "57050436821", "national_number is not 12 digits"),
        (0, "=1+1", "national_number is not 12 digits"),
        (0, "٥٧٠٥٠٤٣٦٨٢١٠", "national_number is not 12 digits"),
        (1, "", "given_names is empty (for a person with one name only, leave family_name empty instead)"),
        (1, "  ", "given_names is empty (for a person with one name only, leave family_name empty instead)"),
        (2, "O’Brien-\u{202E}evil", "family_name holds a control character that reverses the text shown after it (U+202E)"),
        (2, "a\u{2067}b", "family_name holds a control character that reverses the text shown after it (U+2067)"),
        (1, "a\tb", "given_names holds the control character U+0009"),
        (1, "a\nb", "given_names holds the control character U+000A"),
        (1, "a\0b", "given_names holds a NUL byte"),
        (2, String(repeating: "A", count: 201), "family_name has 201 characters, more than 200"),
        (3, "1987-02-30", "date_of_birth is a day that does not exist"),
        (3, "12/31/1990", "date_of_birth is not a day in the form YYYY-MM-DD"),
        (3, "", "date_of_birth is not a day in the form YYYY-MM-DD"),
        (3, "2057-05-04", "date_of_birth is in the future"),
        (3, "2026-11-22", "date_of_birth is in the future"),
        (3, "1857-05-04", "date_of_birth is more than 125 years ago"),
        (3, "1957-05-05", "date_of_birth is not the day that national_number begins with"),
        (7, "call me", "phone is not an international number such as +254712345678"),
        (8, "not an address", "email is not an e-mail address"),
        (9, "xx-not", "preferred_language is not a language code of ISO 639 such as en"),
    ])
    func saysWhatIsWrong(column: Int, value: String, reason: String) {
        #expect(reasons(column, value) == [reason])
    }

    @Test func refusesWhatIsNotUTF8() {
        let found = reasons { $0[1] = Array("Jos".utf8) + [0xE9] }
        #expect(found == ["given_names is not UTF-8"])
    }

    @Test func countsFields() {
        let short = reasons { $0.removeLast(3) }
        #expect(short == ["it has 7 fields, not 10"])
        let long = reasons { $0.append([]) }
        #expect(long == ["it has 11 fields, not 10"])
        let truncated = reasons { $0 = [Array("850101".utf8)] }
        #expect(truncated == ["it has 1 field, not 10"])
    }

    @Test func namesEveryDefectOfARecord() {
        let all = reasons { fields in
            fields[0] = Array("1".utf8)
            fields[8] = Array("nobody".utf8)
        }
        #expect(all == ["national_number is not 12 digits", "email is not an e-mail address"])
    }

    /// The century is in the date alone: the same number begins with either.
    @Test func acceptsBothCenturies() {
        for born in ["1926-06-11", "2026-06-11"] {
            let found = reasons { fields in
                fields[0] = Array("260611460411".utf8)
                fields[3] = Array(born.utf8)
            }
            #expect(found == [])
        }
    }
}
