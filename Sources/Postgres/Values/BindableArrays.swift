// Arrays as binds: what set-based statements take as unnest($1). [UInt8] is the exception, a bytea and not an array.
public import Foundation
public import Primitives

/// A type of which PostgreSQL has arrays that we send; `UInt8` stands here because an array of it is a `bytea`.
public protocol ArrayBindable: Sendable {
    /// The type of `[Self]`.
    static var arrayType: PostgresType { get }

    /// Appends the binary form of the whole array.
    static func bind(array: [Self], into writer: inout BindWriter)
}

extension Array: Bindable where Element: ArrayBindable {
    public static var postgresType: PostgresType { Element.arrayType }
    public func bind(into writer: inout BindWriter) -> Bool {
        Element.bind(array: self, into: &writer)
        return true
    }
}

extension ArrayBindable where Self: Bindable {
    public static func bind(array: [Self], into writer: inout BindWriter) {
        bindArray(array, into: &writer)
    }
}

/// One dimension from subscript 1, the form that PostgreSQL's `array_recv` reads; an empty array has no dimension.
private func bindArray<Element: Bindable>(_ array: [Element], into writer: inout BindWriter) {
    writer.append(Int32(array.isEmpty ? 0 : 1))
    writer.append(Int32(Element.self is any OptionalBindable.Type ? 1 : 0))
    writer.append(Element.postgresType.oid)
    if array.isEmpty { return }
    writer.append(Int32(clamping: array.count))
    writer.append(Int32(1))
    for element in array { writer.append(element: element) }
}

/// Tells arrays that may hold NULL from those that cannot; the server recounts the NULLs anyway.
private protocol OptionalBindable {}
extension Optional: OptionalBindable {}

extension UInt8: ArrayBindable {
    public static var arrayType: PostgresType { .bytea }
    public static func bind(array: [UInt8], into writer: inout BindWriter) { writer.append(contentsOf: array) }
}

extension Array: ArrayBindable where Element == UInt8 {
    public static var arrayType: PostgresType { .byteaArray }
}

extension Bool: ArrayBindable { public static var arrayType: PostgresType { .boolArray } }
extension Int: ArrayBindable { public static var arrayType: PostgresType { .int8Array } }
extension Int64: ArrayBindable { public static var arrayType: PostgresType { .int8Array } }
extension Int32: ArrayBindable { public static var arrayType: PostgresType { .int4Array } }
extension String: ArrayBindable { public static var arrayType: PostgresType { .textArray } }
extension UUID: ArrayBindable { public static var arrayType: PostgresType { .uuidArray } }
extension ID: ArrayBindable { public static var arrayType: PostgresType { .uuidArray } }
extension Date: ArrayBindable { public static var arrayType: PostgresType { .timestamptzArray } }
extension CalendarDay: ArrayBindable { public static var arrayType: PostgresType { .dateArray } }
extension JSONText: ArrayBindable { public static var arrayType: PostgresType { .jsonbArray } }

/// Arrays with NULL elements.
extension Optional: ArrayBindable where Wrapped: ArrayBindable & Bindable {
    public static var arrayType: PostgresType { Wrapped.arrayType }
}

extension ArrayBindable where Self: RawRepresentable, RawValue: ArrayBindable {
    public static var arrayType: PostgresType { RawValue.arrayType }
}
