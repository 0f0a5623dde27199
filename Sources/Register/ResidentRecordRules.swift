// Judges one record of the population register: what can be taken in, and in words what cannot. Names are data: markup,
// apostrophes, combining marks and any script are kept as they are; what deceives the eye or breaks a program is refused.
import Foundation
import Postgres

/// A record that holds what it must. Values are exactly those of the file.
struct ResidentRecord: Sendable, Equatable {
    let nationalNumber: String
    let givenNames: String
    let familyName: String
    let born: CalendarDay
    /// All ten values in the order of the columns, empty ones included.
    let values: [String]

    /// The attribute of each column; the columns are named after them.
    static let attributes = ResidentCSV.columns.map(Attribute.init(rawValue:))
}

/// Everything that is wrong with a record.
struct RecordDefects: Error, Equatable {
    let reasons: [String]
}

/// The rules of a record.
struct ResidentRecordRules: Sendable {
    /// Nobody is born after this day.
    let today: CalendarDay

    /// The longest values seen in population registers have under 100 characters; a value beyond this is an accident.
    static let charactersMax = 200
    /// One visible character may carry many combining marks; this bounds what one value costs.
    static let valueBytesMax = 1_000
    /// The oldest person whose age was verified was 122.
    static let ageYearsMax = 125

    /// - Throws: `RecordDefects` with a reason for each thing that is wrong.
    func judge(_ fields: [[UInt8]]) throws -> ResidentRecord {
        guard fields.count == ResidentCSV.columns.count else {
            throw RecordDefects(reasons: ["it has \(fields.count) field\(fields.count == 1 ? "" : "s"), not \(ResidentCSV.columns.count)"])
        }
        var reasons: [String] = []
        var values: [String] = []
        for (column, bytes) in zip(ResidentCSV.columns, fields) {
            switch text(bytes, column: column) {
            case .success(let value): values.append(value)
            case .failure(let defects): reasons += defects.reasons
            }
        }
        guard reasons.isEmpty else { throw RecordDefects(reasons: reasons) }

        let number = values[0]
        reasons += defects(ofNationalNumber: number)
        // A person with one name has it here, and the family name may be empty.
        if values[1].allSatisfy(\.isWhitespace) { reasons.append("given_names is empty (for a person with one name only, leave family_name empty instead)") }
        let born = CalendarDay(values[3])
        reasons += defects(ofBirthDate: values[3], born, nationalNumber: number)
        reasons += defects(ofPhone: values[7]) + defects(ofEmail: values[8]) + defects(ofLanguage: values[9])
        guard reasons.isEmpty, let born else { throw RecordDefects(reasons: reasons) }
        return ResidentRecord(nationalNumber: number, givenNames: values[1], familyName: values[2], born: born, values: values)
    }

    /// Whether one value could stand in a record: for a value that the counter corrects, by the rules of the import.
    func accepts(_ value: String, as attribute: Attribute) -> Bool {
        guard case .success = text(Array(value.utf8), column: attribute.rawValue) else { return false }
        switch attribute {
        case .dateOfBirth: return defects(ofBirthDate: value, CalendarDay(value), nationalNumber: "").isEmpty
        case .phone: return defects(ofPhone: value).isEmpty
        case .email: return defects(ofEmail: value).isEmpty
        case .preferredLanguage: return defects(ofLanguage: value).isEmpty
        default: return true
        }
    }

    // MARK: Text

    private func text(_ bytes: [UInt8], column: String) -> Result<String, RecordDefects> {
        guard !bytes.contains(0) else { return .failure(RecordDefects(reasons: ["\(column) holds a NUL byte"])) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return .failure(RecordDefects(reasons: ["\(column) is not UTF-8"]))
        }
        guard bytes.count <= Self.valueBytesMax, text.count <= Self.charactersMax else {
            return .failure(RecordDefects(reasons: ["\(column) has \(text.count) characters, more than \(Self.charactersMax)"]))
        }
        for scalar in text.unicodeScalars {
            if Self.turnsText(scalar) {
                return .failure(RecordDefects(reasons: ["\(column) holds a control character that reverses the text shown after it (\(Self.name(scalar)))"]))
            }
            // An address may stand on several lines.
            let isLineBreak = scalar == "\n" || scalar == "\r"
            if scalar.properties.generalCategory == .control, !(isLineBreak && ["street", "locality"].contains(column)) {
                return .failure(RecordDefects(reasons: ["\(column) holds the control character \(Self.name(scalar))"]))
            }
        }
        return .success(text)
    }

    /// Embeddings, overrides and isolates (UAX #9 §2). Marks (LRM, RLM, ALM) and joiners belong to the spelling of some languages.
    private static func turnsText(_ scalar: Unicode.Scalar) -> Bool {
        (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
    }

    private static func name(_ scalar: Unicode.Scalar) -> String {
        "U+" + String(repeating: "0", count: max(0, 4 - String(scalar.value, radix: 16).count)) + String(scalar.value, radix: 16, uppercase: true)
    }

    // MARK: Number and dates

    private func defects(ofNationalNumber number: String) -> [String] {
        let digits = number.utf8.compactMap { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) ? Int($0 - UInt8(ascii: "0")) : nil }
        guard digits.count == 12, number.utf8.count == 12 else { return ["national_number is not 12 digits"] }
        return luhnSum(digits).isMultiple(of: 10) ? [] : ["the check digit of national_number is wrong"]
    }

    /// ISO/IEC 7812-1, annex B: from the right, every second digit counts double, less nine when that is above nine.
    private func luhnSum(_ digits: [Int]) -> Int {
        digits.reversed().enumerated().reduce(0) { sum, digit in
            let value = digit.offset.isMultiple(of: 2) ? digit.element : digit.element * 2
            return sum + (value > 9 ? value - 9 : value)
        }
    }

    private func defects(ofBirthDate text: String, _ born: CalendarDay?, nationalNumber: String) -> [String] {
        guard let born else {
            let looksISO = text.utf8.count == 10 && text.utf8.enumerated().allSatisfy { [4, 7].contains($0.offset) == ($0.element == UInt8(ascii: "-")) }
            return [looksISO ? "date_of_birth is a day that does not exist" : "date_of_birth is not a day in the form YYYY-MM-DD"]
        }
        if born > today { return ["date_of_birth is in the future"] }
        if today.year - born.year > Self.ageYearsMax { return ["date_of_birth is more than \(Self.ageYearsMax) years ago"] }
        // The number holds the day without its century: 260611 is 1926 or 2026, and only the date says which.
        let digits = Array(born.description.utf8)
        let expected = digits[2...3] + digits[5...6] + digits[8...9]
        guard nationalNumber.utf8.count == 12, !nationalNumber.utf8.starts(with: expected) else { return [] }
        return ["date_of_birth is not the day that national_number begins with"]
    }

    // MARK: Ways to reach a person. All may be empty.

    private func defects(ofPhone phone: String) -> [String] {
        // E.164: a plus sign and at most 15 digits; spaces and hyphens are habits of writing.
        guard !phone.isEmpty else { return [] }
        let digits = phone.utf8.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
        let isPhone = phone.utf8.first == UInt8(ascii: "+") && (7...15).contains(digits)
            && phone.utf8.dropFirst().allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "-") }
        return isPhone ? [] : ["phone is not an international number such as +254712345678"]
    }

    private func defects(ofEmail email: String) -> [String] {
        guard !email.isEmpty else { return [] }
        let parts = email.split(separator: "@", omittingEmptySubsequences: false)
        let isAddress = parts.count == 2 && !parts[0].isEmpty && parts[1].contains(".") && !parts[1].hasPrefix(".") && !parts[1].hasSuffix(".")
            && !email.contains(where: \.isWhitespace)
        return isAddress ? [] : ["email is not an e-mail address"]
    }

    private func defects(ofLanguage language: String) -> [String] {
        guard !language.isEmpty else { return [] }
        let isCode = (2...3).contains(language.utf8.count) && language.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        return isCode ? [] : ["preferred_language is not a language code of ISO 639 such as en"]
    }
}
