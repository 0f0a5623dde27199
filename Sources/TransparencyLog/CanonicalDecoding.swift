// The way back from a record's bytes to its fields, for whoever holds a proof and wants to read what it proves.
import Foundation

/// The bytes are not what `CanonicalEncoding` writes.
public struct CanonicalDecodingError: Error, Hashable, Sendable {
    public init() {}
}

/// Reads what `CanonicalEncoding` wrote, and nothing else: each record has one sequence of bytes.
public struct CanonicalDecoding: Sendable {
    private var rest: ArraySlice<UInt8>

    private init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The fields of a record by their numbers.
    public static func fields(of bytes: [UInt8]) throws(CanonicalDecodingError) -> [UInt8: CanonicalEncoding.Value] {
        var reader = CanonicalDecoding(bytes[...])
        var fields: [UInt8: CanonicalEncoding.Value] = [:]
        var lastNumber: UInt8 = 0
        while let number = reader.rest.popFirst() {
            guard number > lastNumber else { throw CanonicalDecodingError() }
            lastNumber = number
            fields[number] = try reader.value(depth: 0)
        }
        return fields
    }

    /// Lists hold plain values in every record that there is; deeper ones would only exhaust the stack.
    private static let depthMax = 1

    private mutating func value(depth: Int) throws(CanonicalDecodingError) -> CanonicalEncoding.Value {
        guard let tag = rest.popFirst() else { throw CanonicalDecodingError() }
        let payload = try take(Int(try count()))
        switch tag {
        case 0x00 where payload.isEmpty: return .nothing
        case 0x01:
            guard let text = String(validating: payload, as: UTF8.self) else { throw CanonicalDecodingError() }
            return .string(text)
        case 0x02 where payload.count == 8: return .integer(Self.integer(payload))
        case 0x03 where payload.count == 8: return .timestamp(Self.moment(microseconds: Self.integer(payload)))
        case 0x04: return .bytes(Array(payload))
        case 0x05 where depth < Self.depthMax:
            var list = CanonicalDecoding(payload)
            let count = try list.count()
            var elements: [CanonicalEncoding.Value] = []
            for _ in 0..<count { elements.append(try list.value(depth: depth + 1)) }
            guard list.rest.isEmpty else { throw CanonicalDecodingError() }
            return .list(elements)
        case 0x06 where payload.elementsEqual([0]): return .boolean(false)
        case 0x06 where payload.elementsEqual([1]): return .boolean(true)
        case 0x07 where payload.count == 16:
            var uuid = UUID().uuid
            withUnsafeMutableBytes(of: &uuid) { $0.copyBytes(from: payload) }
            return .uuid(UUID(uuid: uuid))
        default: throw CanonicalDecodingError()
        }
    }

    private mutating func count() throws(CanonicalDecodingError) -> UInt32 {
        try take(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    private mutating func take(_ count: Int) throws(CanonicalDecodingError) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw CanonicalDecodingError() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private static func integer(_ payload: ArraySlice<UInt8>) -> Int64 {
        Int64(bitPattern: payload.reduce(0) { $0 << 8 | UInt64($1) })
    }

    /// Whole seconds and their fraction apart, as the encoding takes them.
    private static func moment(microseconds: Int64) -> Date {
        let (seconds, fraction) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return Date(timeIntervalSince1970: Double(seconds) + Double(fraction) / 1_000_000)
    }
}
