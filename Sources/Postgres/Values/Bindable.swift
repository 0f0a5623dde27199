// What may stand in a `\( )` of a statement: each type with its PostgreSQL type and its binary form.
// The arrays of these are in BindableArrays.swift, the way back in ColumnDecodable.swift.
public import Foundation
public import Primitives

/// A value that a statement can bind.
///
/// An enum with a raw value that is bindable needs no code: declare the conformance.
public protocol Bindable: Sendable {
    /// The type that the server is told; a column or function of another type needs a cast in the SQL text.
    static var postgresType: PostgresType { get }

    /// Appends the binary form. Returns false, having appended nothing, for NULL.
    func bind(into writer: inout BindWriter) -> Bool
}

extension Bool: Bindable {
    public static var postgresType: PostgresType { .bool }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(UInt8(self ? 1 : 0))
        return true
    }
}

extension Int: Bindable {
    public static var postgresType: PostgresType { .int8 }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(Int64(self))
        return true
    }
}

extension Int64: Bindable {
    public static var postgresType: PostgresType { .int8 }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(self)
        return true
    }
}

extension Int32: Bindable {
    public static var postgresType: PostgresType { .int4 }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(self)
        return true
    }
}

extension String: Bindable {
    public static var postgresType: PostgresType { .text }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(utf8: self)
        return true
    }
}

extension UUID: Bindable {
    public static var postgresType: PostgresType { .uuid }
    public func bind(into writer: inout BindWriter) -> Bool {
        withUnsafeBytes(of: uuid) { writer.append(contentsOf: Array($0)) }
        return true
    }
}

extension ID: Bindable {
    public static var postgresType: PostgresType { .uuid }
    public func bind(into writer: inout BindWriter) -> Bool { uuid.bind(into: &writer) }
}

/// A moment, as `timestamptz`: whole microseconds, to which a `Date` is rounded.
extension Date: Bindable {
    public static var postgresType: PostgresType { .timestamptz }
    public func bind(into writer: inout BindWriter) -> Bool {
        let microseconds = ((timeIntervalSinceReferenceDate + secondsFrom2000To2001) * 1_000_000).rounded()
        // The range of timestamptz: 4713 BC to 294276 AD, in microseconds from 2000-01-01.
        if microseconds >= -211_813_488_000_000_000, microseconds < 9_223_371_331_200_000_000 {
            writer.append(Int64(microseconds))
        } else {
            writer.refuse("a date is outside the range of timestamptz")
        }
        return true
    }
}

/// Foundation counts from 2001-01-01, PostgreSQL from 2000-01-01 (a leap year), both in UTC without leap seconds.
let secondsFrom2000To2001 = 366.0 * 86_400

extension CalendarDay: Bindable {
    public static var postgresType: PostgresType { .date }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(Int32(daysSince2000))
        return true
    }
}

/// JSON as `jsonb`: a version byte (1), then the text. The server parses it and refuses what is not JSON.
extension JSONText: Bindable {
    public static var postgresType: PostgresType { .jsonb }
    public func bind(into writer: inout BindWriter) -> Bool {
        writer.append(UInt8(1))
        writer.append(utf8: text)
        return true
    }
}

extension Optional: Bindable where Wrapped: Bindable {
    public static var postgresType: PostgresType { Wrapped.postgresType }
    public func bind(into writer: inout BindWriter) -> Bool {
        guard let self else { return false }
        return self.bind(into: &writer)
    }
}

/// An enum of strings or numbers binds as its raw value.
extension Bindable where Self: RawRepresentable, RawValue: Bindable {
    public static var postgresType: PostgresType { RawValue.postgresType }
    public func bind(into writer: inout BindWriter) -> Bool { rawValue.bind(into: &writer) }
}
