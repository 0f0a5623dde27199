// The way back from PostgreSQL's binary format: each Swift type with the column types that it accepts, and nothing is guessed.
public import Foundation
public import Primitives

/// One value of a row while it is being decoded. Valid only inside the call that received it.
public struct Column {
    public let type: PostgresType
    /// The binary form; nil is NULL.
    public let bytes: UnsafeRawBufferPointer?

    /// The binary form of a column that is not NULL and of one of `types`.
    public func bytes(of types: PostgresType..., as swiftType: Any.Type) throws -> UnsafeRawBufferPointer {
        guard types.contains(type) else { throw ColumnMismatch(reason: "is \(type), which cannot be read as \(swiftType); cast it in the SQL") }
        guard let bytes else { throw ColumnMismatch(reason: "is NULL, but \(swiftType) is not optional") }
        return bytes
    }
}

/// Why a column could not be read, without its name, which `RowReader` adds.
public struct ColumnMismatch: Error {
    let reason: String

    /// - Parameter reason: reads on after the column's name ("is …"). It must not contain the value.
    public init(reason: String) {
        self.reason = reason
    }
}

/// A value that a column can be read as. An enum with a decodable raw value needs no code: declare the conformance.
public protocol ColumnDecodable {
    /// - Throws: `ColumnMismatch` when the column is of another type, NULL, or not a legal value.
    static func decode(_ column: Column) throws -> Self
}

extension UnsafeRawBufferPointer {
    /// A big-endian integer at `offset`; throws where the buffer is too short for it.
    func integer<Value: FixedWidthInteger>(at offset: Int = 0, as type: Value.Type = Value.self) throws -> Value {
        guard offset >= 0, offset + MemoryLayout<Value>.size <= count else { throw ColumnMismatch(reason: "is shorter than its type") }
        return Value(bigEndian: loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}

extension Bool: ColumnDecodable {
    public static func decode(_ column: Column) throws -> Bool {
        try column.bytes(of: .bool, as: Bool.self).integer(as: UInt8.self) != 0
    }
}

extension Int64: ColumnDecodable {
    /// From int8, int4 and int2. Not from numeric, which sum(bigint) gives: cast that in SQL.
    public static func decode(_ column: Column) throws -> Int64 {
        let bytes = try column.bytes(of: .int8, .int4, .int2, as: Int64.self)
        return switch column.type {
        case .int8: try bytes.integer(as: Int64.self)
        case .int4: Int64(try bytes.integer(as: Int32.self))
        default: Int64(try bytes.integer(as: Int16.self))
        }
    }
}

extension Int: ColumnDecodable {
    public static func decode(_ column: Column) throws -> Int { Int(try Int64.decode(column)) }
}

extension Int32: ColumnDecodable {
    public static func decode(_ column: Column) throws -> Int32 {
        let bytes = try column.bytes(of: .int4, .int2, as: Int32.self)
        return column.type == .int4 ? try bytes.integer(as: Int32.self) : Int32(try bytes.integer(as: Int16.self))
    }
}

extension String: ColumnDecodable {
    public static func decode(_ column: Column) throws -> String {
        guard column.type != .text else {
            return String(decoding: try column.bytes(of: .text, as: String.self), as: UTF8.self)
        }
        return String(decoding: try column.bytes(of: .varchar, .bpchar, .name, .unknown, as: String.self), as: UTF8.self)
    }
}

extension UUID: ColumnDecodable {
    public static func decode(_ column: Column) throws -> UUID {
        let bytes = try column.bytes(of: .uuid, as: UUID.self)
        guard bytes.count == 16 else { throw ColumnMismatch(reason: "is not 16 bytes long") }
        return UUID(uuid: bytes.loadUnaligned(as: uuid_t.self))
    }
}

extension ID: ColumnDecodable {
    public static func decode(_ column: Column) throws -> ID { ID(try UUID.decode(column)) }
}

extension Date: ColumnDecodable {
    public static func decode(_ column: Column) throws -> Date {
        let microseconds = try column.bytes(of: .timestamptz, as: Date.self).integer(as: Int64.self)
        guard microseconds != .max, microseconds != .min else { throw ColumnMismatch(reason: "is infinity, which no Date can say") }
        // Seconds and microseconds apart, so that no precision is lost that a Date can hold.
        let (seconds, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return Date(timeIntervalSinceReferenceDate: Double(seconds) - secondsFrom2000To2001 + Double(rest) / 1_000_000)
    }
}

extension CalendarDay: ColumnDecodable {
    public static func decode(_ column: Column) throws -> CalendarDay {
        let days = try column.bytes(of: .date, as: CalendarDay.self).integer(as: Int32.self)
        guard let day = CalendarDay(daysSince2000: Int(days)) else { throw ColumnMismatch(reason: "is outside the years 1 to 9999") }
        return day
    }
}

extension JSONText: ColumnDecodable {
    public static func decode(_ column: Column) throws -> JSONText {
        let bytes = try column.bytes(of: .jsonb, .json, as: JSONText.self)
        guard column.type == .jsonb else { return JSONText(String(decoding: bytes, as: UTF8.self)) }
        guard bytes.first == 1 else { throw ColumnMismatch(reason: "is jsonb of an unknown version") }
        return JSONText(String(decoding: bytes.dropFirst(), as: UTF8.self))
    }
}

extension Optional: ColumnDecodable where Wrapped: ColumnDecodable {
    public static func decode(_ column: Column) throws -> Wrapped? {
        column.bytes == nil ? nil : try Wrapped.decode(column)
    }
}

extension ColumnDecodable where Self: RawRepresentable, RawValue: ColumnDecodable {
    public static func decode(_ column: Column) throws -> Self {
        guard let value = Self(rawValue: try RawValue.decode(column)) else {
            throw ColumnMismatch(reason: "holds a value that \(Self.self) does not know")
        }
        return value
    }
}
