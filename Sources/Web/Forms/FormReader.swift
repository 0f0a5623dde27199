// Second step of every form post: fields are read by name and type, errors gathered beside what was typed, so that the
// page can come back with both.
public import Primitives

/// What is wrong with one field, as a key of the catalogue with its placeholders.
public struct FieldError: Sendable, Hashable {
    public let field: String
    public let messageKey: String
    public let parameters: [String: String]

    public init(field: String, messageKey: String, parameters: [String: String] = [:]) {
        self.field = field
        self.messageKey = messageKey
        self.parameters = parameters
    }
}

/// What a form page shows again: the typed values and the errors. Secrets are never in it.
public struct FormState: Sendable {
    public var typed: [String: [String]]
    public var errors: [FieldError]

    /// A form that nobody has filled in yet.
    public static let blank = FormState(typed: [:], errors: [])

    public init(typed: [String: [String]], errors: [FieldError]) {
        self.typed = typed
        self.errors = errors
    }

    /// A form that is filled in beforehand, to be changed.
    public static func filled(_ values: [String: String]) -> FormState {
        FormState(typed: values.mapValues { [$0] }, errors: [])
    }

    func value(_ name: String) -> String { typed[name]?.first ?? "" }
    func error(_ name: String) -> FieldError? { errors.first { $0.field == name } }
}

/// Reads the fields of a form. Each read returns a harmless value or nil when the field is bad; ask `isValid` before
/// acting on any of them.
public struct FormReader {
    private let form: Form
    private var secrets: Set<String> = [CSRF.fieldName]
    public private(set) var errors: [FieldError] = []

    public init(_ form: Form) {
        self.form = form
    }

    public var isValid: Bool { errors.isEmpty }

    /// What was typed and what is wrong with it, for showing the form again.
    public var state: FormState {
        var typed: [String: [String]] = [:]
        for field in form.fields where !secrets.contains(field.name) { typed[field.name, default: []].append(field.value) }
        return FormState(typed: typed, errors: errors)
    }

    /// Adds an error that only the use case could find, such as a name that is taken.
    public mutating func reject(_ field: String, _ messageKey: String, _ parameters: [String: String] = [:]) {
        errors.append(FieldError(field: field, messageKey: messageKey, parameters: parameters))
    }

    private mutating func single(_ name: String) -> String? {
        let values = form.values(name)
        guard values.count < 2 else {
            reject(name, "web.field.duplicate")
            return nil
        }
        return values.first
    }

    // MARK: Text

    /// One line of text without the space around it.
    /// - Parameter charactersMax: in Unicode scalars, as PostgreSQL counts them.
    /// - Returns: an empty text when the field is missing (an error is noted) or bad.
    public mutating func text(_ name: String, charactersMax: Int) -> String {
        let before = errors.count
        guard let text = optionalText(name, charactersMax: charactersMax) else {
            if errors.count == before { reject(name, "web.field.required") }
            return ""
        }
        return text
    }

    /// One line of text, nil when it is missing or only space.
    public mutating func optionalText(_ name: String, charactersMax: Int) -> String? {
        guard let typed = single(name) else { return nil }
        let text = trimmed(typed)
        guard !text.isEmpty else { return nil }
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            reject(name, "web.field.control_characters")
            return nil
        }
        return checkedLength(text, name, charactersMax)
    }

    /// Several lines of text; line ends become "\n" (browsers send CR LF). Empty with an error noted when missing.
    public mutating func longText(_ name: String, charactersMax: Int) -> String {
        let before = errors.count
        guard let text = optionalLongText(name, charactersMax: charactersMax) else {
            if errors.count == before { reject(name, "web.field.required") }
            return ""
        }
        return text
    }

    /// Several lines of text, nil when missing.
    public mutating func optionalLongText(_ name: String, charactersMax: Int) -> String? {
        guard let typed = single(name) else { return nil }
        var scalars = String.UnicodeScalarView()
        var afterReturn = false
        for scalar in typed.unicodeScalars {
            if scalar == "\n", afterReturn {
                afterReturn = false
                continue
            }
            afterReturn = scalar == "\r"
            scalars.append(afterReturn ? "\n" : scalar)
        }
        let text = trimmed(String(scalars))
        guard !text.isEmpty else { return nil }
        guard text.isVisibleText else {
            reject(name, "web.field.control_characters")
            return nil
        }
        return checkedLength(text, name, charactersMax)
    }

    /// A password or code: taken as it is typed, kept out of logs and of the page that comes back. Nil when missing.
    public mutating func secret(_ name: String, charactersMax: Int = 1_000) -> Redacted<String>? {
        secrets.insert(name)
        guard let typed = single(name), !typed.isEmpty else {
            if errors.last?.field != name { reject(name, "web.field.required") }
            return nil
        }
        return checkedLength(typed, name, charactersMax).map { Redacted($0) }
    }

    private mutating func checkedLength(_ text: String, _ name: String, _ charactersMax: Int) -> String? {
        guard text.unicodeScalars.count <= charactersMax else {
            reject(name, "web.field.too_long", ["max": String(charactersMax)])
            return nil
        }
        return text
    }

    // MARK: Choices

    /// One of the texts of an enumeration; nil with an error noted when missing or another.
    public mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, of type: Choice.Type) -> Choice?
    where Choice.RawValue == String {
        let before = errors.count
        guard let text = single(name), let choice = Choice(rawValue: text) else {
            if errors.count == before { reject(name, "web.field.choose") }
            return nil
        }
        return choice
    }

    /// One of given texts, such as the ids that the page offered; empty with an error noted otherwise.
    public mutating func choice(_ name: String, from offered: [String]) -> String {
        let before = errors.count
        guard let text = single(name), offered.contains(text) else {
            if errors.count == before { reject(name, "web.field.choose") }
            return ""
        }
        return text
    }

    /// Whether a tick box was ticked.
    public mutating func flag(_ name: String) -> Bool {
        single(name).map { !$0.isEmpty } ?? false
    }

    /// Every value of a group of tick boxes that was offered, none twice. Values that were not offered are refused.
    public mutating func list(_ name: String, from offered: [String]) -> [String] {
        let values = form.values(name)
        guard Set(values).count == values.count, values.allSatisfy(offered.contains) else {
            reject(name, "web.field.choose")
            return []
        }
        return values
    }

    /// A whole number within a range, in plain digits; nil with an error noted otherwise.
    public mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        let before = errors.count
        guard let text = single(name).map(trimmed), !text.isEmpty else {
            if errors.count == before { reject(name, "web.field.required") }
            return nil
        }
        guard text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") || $0 == UInt8(ascii: "-") }),
            let number = Int(text),
            range.contains(number)
        else {
            reject(name, "web.field.number", ["min": String(range.lowerBound), "max": String(range.upperBound)])
            return nil
        }
        return number
    }

    /// The three inputs of a date, as typed.
    mutating func dateParts(_ name: String) -> (day: String, month: String, year: String) {
        func part(_ suffix: String) -> String { single("\(name)-\(suffix)").map(trimmed) ?? "" }
        return (part("day"), part("month"), part("year"))
    }
}

/// Without white space at either end; Foundation's trimming works by Character and would miss a space before a combining mark.
func trimmed(_ text: String) -> String {
    var scalars = text.unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(String.UnicodeScalarView(scalars))
}
