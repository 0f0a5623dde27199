// Wraps what must never reach a log line, an error text or a debugger's dump: passwords, tokens, keys, personal data.

/// A value that prints as `[redacted]` however it is printed: by interpolation, `print`, `debugPrint`, `dump` or a mirror.
///
/// It can be decoded and compared but not encoded: writing it out again must be a visible `reveal()`.
public struct Redacted<Value> {
    private let value: Value

    public init(_ value: Value) {
        self.value = value
    }

    /// The value itself. A reviewer looks for this word.
    public func reveal() -> Value { value }
}

extension Redacted: Sendable where Value: Sendable {}
extension Redacted: Equatable where Value: Equatable {}
extension Redacted: Hashable where Value: Hashable {}

extension Redacted: Decodable where Value: Decodable {
    public init(from decoder: any Decoder) throws {
        self.init(try Value(from: decoder))
    }
}

extension Redacted: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "[redacted]" }
    public var debugDescription: String { "[redacted]" }

    /// No children: `dump` and test failure messages walk the mirror and would otherwise print what is inside.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
