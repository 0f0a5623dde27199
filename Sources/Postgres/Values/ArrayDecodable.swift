// Arrays as columns. [UInt8] is the exception again: it is a bytea.
public import Foundation
public import Primitives

/// A type that `[Self]` can be read of; `UInt8` stands here because an array of it is a `bytea`.
public protocol ArrayDecodable {
    static func decode(array column: Column) throws -> [Self]
}

extension Array: ColumnDecodable where Element: ArrayDecodable {
    public static func decode(_ column: Column) throws -> [Element] { try Element.decode(array: column) }
}

extension ArrayDecodable where Self: ColumnDecodable {
    /// Reads one dimension, from whichever subscript, as `array_send` writes it: the elements carry their own type.
    public static func decode(array column: Column) throws -> [Self] {
        guard let bytes = column.bytes else { throw ColumnMismatch(reason: "is NULL, but [\(Self.self)] is not optional") }
        guard column.type.isArray else {
            throw ColumnMismatch(reason: "is \(column.type), which cannot be read as [\(Self.self)]; cast it in the SQL")
        }
        let dimensions = try bytes.integer(at: 0, as: Int32.self)
        let type = PostgresType(oid: try bytes.integer(at: 8, as: UInt32.self))
        if dimensions == 0 { return [] }
        guard dimensions == 1 else { throw ColumnMismatch(reason: "is an array of \(dimensions) dimensions, not one") }
        let count = Int(try bytes.integer(at: 12, as: Int32.self))
        // Every element takes at least four bytes: a count beyond that is a lie, and not memory to reserve.
        guard count >= 0, count <= bytes.count / 4 else { throw ColumnMismatch(reason: "is an array with an impossible length") }
        var elements: [Self] = []
        elements.reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            let length = Int(try bytes.integer(at: offset, as: Int32.self))
            offset += 4
            guard length >= 0 else {
                elements.append(try Self.decode(Column(type: type, bytes: nil)))
                continue
            }
            guard offset + length <= bytes.count else { throw ColumnMismatch(reason: "is an array shorter than it says") }
            elements.append(try Self.decode(Column(type: type, bytes: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length]))))
            offset += length
        }
        return elements
    }
}

extension PostgresType {
    /// The array types of the element types that we read.
    fileprivate var isArray: Bool {
        switch oid {
        case 199, 1000, 1001, 1003, 1005, 1007, 1009, 1014, 1015, 1016, 1182, 1185, 2951, 3807: true
        default: false
        }
    }
}

extension UInt8: ArrayDecodable {
    public static func decode(array column: Column) throws -> [UInt8] {
        Array(try column.bytes(of: .bytea, as: [UInt8].self))
    }
}

extension Array: ArrayDecodable where Element == UInt8 {}
extension Bool: ArrayDecodable {}
extension Int: ArrayDecodable {}
extension Int64: ArrayDecodable {}
extension Int32: ArrayDecodable {}
extension String: ArrayDecodable {}
extension UUID: ArrayDecodable {}
extension ID: ArrayDecodable {}
extension Date: ArrayDecodable {}
extension CalendarDay: ArrayDecodable {}
extension JSONText: ArrayDecodable {}
extension Optional: ArrayDecodable where Wrapped: ArrayDecodable & ColumnDecodable {}
