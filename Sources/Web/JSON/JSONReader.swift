// Second step of every JSON body: fields are read by name and type, errors gathered, and `finish` throws them all at
// once together with the fields that nobody asked for.
public import Foundation
import Primitives

/// Reads the fields of one JSON object. Each read returns a harmless value when the field is bad; call `finish()`
/// before acting on any of them.
public struct JSONReader {
    private let members: [JSONMember]
    private var known: Set<String> = []
    /// What is wrong so far.
    public private(set) var errors: [FieldProblem] = []

    /// - Throws: `Problem` when the value is no object.
    public init(_ value: JSONValue) throws {
        guard case .object(let members) = value else { throw Problem.malformedJSON("Send one JSON object.") }
        self.members = members
    }

    /// Throws one problem that lists every bad field and every unknown one; returns when there is none.
    public mutating func finish() throws {
        refuseUnknown()
        guard errors.isEmpty else { throw Problem.invalidBody(errors) }
    }

    private mutating func refuseUnknown() {
        for member in members where !known.contains(member.name) {
            let name = String(member.name.prefix(100))
            errors.append(FieldProblem(field: name, code: "unknown", detail: "There is no such field; remove it."))
            known.insert(member.name)
        }
    }

    /// Adds an error that only the caller could find, such as a value outside its list.
    public mutating func reject(_ name: String, code: String, detail: String) {
        errors.append(FieldProblem(field: name, code: code, detail: detail))
    }

    /// The raw value of a field; absent and null are both nil.
    public mutating func value(_ name: String) -> JSONValue? {
        known.insert(name)
        guard let value = members.first(where: { $0.name == name })?.value, value != .null else { return nil }
        return value
    }

    private mutating func required(_ name: String) -> JSONValue? {
        let value = value(name)
        if value == nil { reject(name, code: "missing", detail: "This field is required.") }
        return value
    }

    // MARK: Text

    /// A text of 1 to `charactersMax` characters (Unicode scalars, as PostgreSQL counts them).
    public mutating func string(_ name: String, charactersMax: Int) -> String {
        guard let value = required(name) else { return "" }
        return checkedString(value, name, charactersMax: charactersMax) ?? ""
    }

    private mutating func checkedString(_ value: JSONValue, _ name: String, charactersMax: Int) -> String? {
        guard case .string(let text) = value else {
            reject(name, code: "wrong_type", detail: "Send a text.")
            return nil
        }
        guard !text.isEmpty else {
            reject(name, code: "empty", detail: "Send at least one character.")
            return nil
        }
        guard text.unicodeScalars.count <= charactersMax else {
            reject(name, code: "too_long", detail: "Send at most \(charactersMax) characters.")
            return nil
        }
        return text
    }

    /// One of the texts of an enumeration.
    public mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, of type: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        guard let value = required(name) else { return nil }
        guard case .string(let text) = value, let choice = Choice(rawValue: text) else {
            reject(name, code: "not_a_choice", detail: "Send one of: " + Choice.allCases.map(\.rawValue).joined(separator: ", ") + ".")
            return nil
        }
        return choice
    }

    /// A list of texts, each of 1 to `charactersMax` characters, no text twice.
    public mutating func strings(_ name: String, countMax: Int, charactersMax: Int) -> [String] {
        guard let value = required(name) else { return [] }
        return checkedStrings(value, name, countMax: countMax, charactersMax: charactersMax) ?? []
    }

    /// A list of texts as `strings`, nil when the field is absent or null.
    public mutating func optionalStrings(_ name: String, countMax: Int, charactersMax: Int) -> [String]? {
        value(name).flatMap { checkedStrings($0, name, countMax: countMax, charactersMax: charactersMax) }
    }

    /// A list of values that the caller reads one by one.
    public mutating func values(_ name: String, countMax: Int) -> [JSONValue] {
        guard let value = required(name) else { return [] }
        guard case .array(let items) = value else {
            reject(name, code: "wrong_type", detail: "Send a list.")
            return []
        }
        guard !items.isEmpty else {
            reject(name, code: "empty", detail: "Send at least one item.")
            return []
        }
        guard items.count <= countMax else {
            reject(name, code: "too_many", detail: "Send at most \(countMax) items.")
            return []
        }
        return items
    }

    /// `true` or `false`, nil when the field is absent or null.
    public mutating func optionalBool(_ name: String) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let answer) = value else {
            reject(name, code: "wrong_type", detail: "Send true or false.")
            return nil
        }
        return answer
    }

    private mutating func checkedStrings(_ value: JSONValue, _ name: String, countMax: Int, charactersMax: Int) -> [String]? {
        guard case .array(let items) = value else {
            reject(name, code: "wrong_type", detail: "Send a list of texts.")
            return nil
        }
        guard items.count <= countMax else {
            reject(name, code: "too_many", detail: "Send at most \(countMax) items.")
            return nil
        }
        let before = errors.count
        let texts = items.enumerated().compactMap { checkedString($1, "\(name)[\($0)]", charactersMax: charactersMax) }
        guard errors.count == before else { return nil }
        guard Set(texts).count == texts.count else {
            reject(name, code: "duplicate", detail: "Send each item once.")
            return nil
        }
        return texts
    }

    // MARK: Moments

    /// A moment as RFC 3339 writes it; nil when the field is absent or null.
    public mutating func optionalMoment(_ name: String) -> Date? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value, let moment = RFC3339.date(text) else {
            reject(name, code: "wrong_type", detail: "Send a moment of RFC 3339, such as 2026-11-21T04:39:00Z.")
            return nil
        }
        return moment
    }

    // MARK: Numbers and ids

    /// A whole number within a range, written without fraction or exponent.
    public mutating func integer(_ name: String, in range: ClosedRange<Int64> = Int64.min...Int64.max) -> Int64 {
        guard let value = required(name) else { return 0 }
        return checkedInteger(value, name, in: range) ?? 0
    }

    /// A whole number as `integer`, nil when the field is absent or null.
    public mutating func optionalInteger(_ name: String, in range: ClosedRange<Int64> = Int64.min...Int64.max) -> Int64? {
        value(name).flatMap { checkedInteger($0, name, in: range) }
    }

    private mutating func checkedInteger(_ value: JSONValue, _ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard case .integer(let number) = value else {
            reject(name, code: "wrong_type", detail: "Send a whole number without fraction or exponent, within 64 bits.")
            return nil
        }
        guard range.contains(number) else {
            reject(name, code: "out_of_range", detail: "Send a number from \(range.lowerBound) to \(range.upperBound).")
            return nil
        }
        return number
    }

    /// A UUID of 36 characters.
    public mutating func uuid(_ name: String) -> UUID {
        guard let value = required(name) else { return noUUID }
        return checkedUUID(value, name) ?? noUUID
    }

    private mutating func checkedUUID(_ value: JSONValue, _ name: String) -> UUID? {
        guard case .string(let text) = value, let uuid = UUID(text: text) else {
            reject(name, code: "wrong_type", detail: "Send a UUID of 36 characters.")
            return nil
        }
        return uuid
    }
}

private let noUUID = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
