// A statement as it is written in a slice: text and binds together. The journey of a statement starts here and goes on in
// Query.swift (what its rows mean), Request.swift (one caller waiting) and Connection.swift (the wire).

/// SQL text in which every interpolation is a bind.
///
/// ```swift
/// let open: SQL = "SELECT id, title FROM task.item WHERE resident_id = \(resident) AND state = \(state)"
/// ```
/// Fragments join with `+` or by interpolating one into another; their binds are renumbered. Text that cannot be bound, such as a table's
/// name, goes in by `\(unsafeRaw:)`, and whoever writes that answers for where the text came from.
public struct SQL: Sendable, ExpressibleByStringInterpolation, CustomStringConvertible, CustomReflectable {
    /// The text with `$1`, `$2` … where the binds stand.
    public private(set) var text: String
    private(set) var binds: BindWriter

    public init(stringLiteral text: String) {
        self.init(text: text, binds: BindWriter())
        refuseNUL(in: text)
    }

    public init(stringInterpolation: StringInterpolation) {
        self = stringInterpolation.sql
    }

    /// Text from elsewhere, such as a migration's file. Nothing is bound.
    public init(unsafeRaw text: String) {
        self.init(stringLiteral: text)
    }

    public static func + (left: SQL, right: SQL) -> SQL {
        var joined = left
        joined.append(right)
        return joined
    }

    public static func += (left: inout SQL, right: SQL) {
        left.append(right)
    }

    /// The text alone: binds are people's data.
    public var description: String { text }
    public var customMirror: Mirror { Mirror(self, children: ["text": text]) }

    private mutating func append(_ other: SQL) {
        let utf8 = other.text.utf8
        var placeholders: [Int] = []
        var copied = 0
        for (index, bind) in other.binds.binds.enumerated() {
            text += Self.slice(utf8, copied, bind.placeholder)
            placeholders.append(text.utf8.count)
            text += "$\(binds.binds.count + index + 1)"
            copied = bind.placeholder + "$\(index + 1)".utf8.count
        }
        text += Self.slice(utf8, copied, utf8.count)
        binds.add(contentsOf: other.binds, placeholders: placeholders)
    }

    private static func slice(_ utf8: String.UTF8View, _ from: Int, _ to: Int) -> Substring {
        Substring(utf8[utf8.index(utf8.startIndex, offsetBy: from)..<utf8.index(utf8.startIndex, offsetBy: to)])
    }

    private mutating func refuseNUL(in text: String) {
        if text.utf8.contains(0) { binds.refuse("the SQL text contains a NUL character") }
    }

    fileprivate init(text: String, binds: BindWriter) {
        self.text = text
        self.binds = binds
    }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var sql: SQL

        public init(literalCapacity: Int, interpolationCount: Int) {
            sql = SQL(text: "", binds: BindWriter())
            sql.text.reserveCapacity(literalCapacity + 3 * interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) {
            sql.text += literal
        }

        /// Binds the value.
        public mutating func appendInterpolation<Value: Bindable>(_ value: Value) {
            sql.binds.add(value, placeholder: sql.text.utf8.count)
            sql.text += "$"
            sql.text += String(sql.binds.binds.count)
        }

        /// Puts another piece of SQL here, binds and all.
        public mutating func appendInterpolation(_ fragment: SQL) {
            sql.append(fragment)
        }

        /// Puts text into the statement as it is. Never for anything that a person or another system sent.
        public mutating func appendInterpolation(unsafeRaw text: String) {
            sql.refuseNUL(in: text)
            sql.text += text
        }
    }
}
