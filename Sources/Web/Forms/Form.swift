// First step of every form post and query: bytes become named values, or a refusal. Two readers of one body must never
// disagree, so nothing is guessed: bad escapes, invalid UTF-8 and NUL are refused here, before any handler.

/// The parameters of a form (`application/x-www-form-urlencoded`, WHATWG URL §5.1) or of a query.
public struct Form: Sendable {
    let fields: [(name: String, value: String)]

    /// No parameters: what a page has before anything was sent.
    public static let empty = Form(fields: [])

    init(fields: [(name: String, value: String)]) {
        self.fields = fields
    }

    /// - Parameters:
    ///   - bytes: the body or the query without its question mark.
    ///   - fieldsMax: more parameters are refused.
    /// - Throws: `Problem` 400 `malformed-form`.
    public init(bytes: some Collection<UInt8>, fieldsMax: Int = WebLimits().formFieldsMax) throws {
        var fields: [(name: String, value: String)] = []
        for pair in bytes.split(separator: UInt8(ascii: "&")) {
            guard fields.count < fieldsMax else { throw Problem.malformedForm("Send at most \(fieldsMax) parameters.") }
            let equals = pair.firstIndex(of: UInt8(ascii: "="))
            let name = try Self.decode(pair[..<(equals ?? pair.endIndex)])
            let value = try equals.map { try Self.decode(pair[pair.index(after: $0)...]) } ?? ""
            fields.append((name, value))
        }
        self.fields = fields
    }

    private static func decode(_ text: some Collection<UInt8>) throws -> String {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var bytes = text.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "+"):
                decoded.append(0x20)
            case UInt8(ascii: "%"):
                guard let high = bytes.next().flatMap(hexadecimalValue), let low = bytes.next().flatMap(hexadecimalValue) else {
                    throw Problem.malformedForm("A percent sign must be followed by two hexadecimal digits.")
                }
                decoded.append(high << 4 | low)
            default:
                decoded.append(byte)
            }
        }
        guard !decoded.contains(0) else { throw Problem.malformedForm("The character NUL is not accepted.") }
        guard let string = String(validating: decoded, as: UTF8.self) else { throw Problem.malformedForm("The text is not valid UTF-8.") }
        return string
    }

    /// The one value of a parameter, nil when it is absent.
    /// - Throws: `Problem` 400 `duplicate-parameter` when it was sent more than once.
    public func value(_ name: String) throws -> String? {
        let values = values(name)
        guard values.count < 2 else { throw Problem.duplicateParameter(name) }
        return values.first
    }

    /// Every value of a parameter, in the order sent.
    public func values(_ name: String) -> [String] {
        fields.lazy.filter { $0.name == name }.map(\.value)
    }

    /// The names of all parameters, in the order sent.
    public var names: [String] { fields.map(\.name) }
}
