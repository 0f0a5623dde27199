// Entries as bytes, so that a commitment can be computed again years later by another program in another language. JSON has many
// texts for one value; this has exactly one.
public import Foundation

/// Writes a record as bytes in one defined way.
///
/// A record is a sequence of fields; all integers are big endian:
///
///     field  = number (1 byte) ‖ value
///     value  = tag (1 byte) ‖ length of the payload in bytes (4 bytes, unsigned) ‖ payload
///
/// Field numbers rise strictly from 1 to 255. A field without a value is written with tag 0; so it differs from an empty
/// string, and from a field that the record's version does not have. Nothing is sorted, normalised or trimmed.
///
/// | tag  | value     | payload |
/// |------|-----------|---------|
/// | 0x00 | nothing   | none; the length is 0 |
/// | 0x01 | string    | its UTF-8 bytes as they are, without a terminator |
/// | 0x02 | integer   | 8 bytes, two's complement |
/// | 0x03 | timestamp | microseconds since 1970-01-01T00:00:00Z without leap seconds, 8 bytes, two's complement |
/// | 0x04 | bytes     | as they are |
/// | 0x05 | list      | the number of elements (4 bytes, unsigned), then each element as a value (tag, length, payload) |
/// | 0x06 | boolean   | 1 byte: 0x01 for true, 0x00 for false |
/// | 0x07 | UUID      | its 16 bytes in the order of its text form |
///
/// Example: number 1 string "é", number 2 integer −1, number 4 nothing, number 5 list of the strings "" and "a":
///
///     01 01 00000002 C3A9
///     02 02 00000008 FFFFFFFFFFFFFFFF
///     04 00 00000000
///     05 05 0000000F 00000002  01 00000000  01 00000001 61
public struct CanonicalEncoding: Sendable {
    /// A value of one of the types that the encoding knows.
    public enum Value: Hashable, Sendable {
        case nothing
        case string(String)
        case integer(Int64)
        /// Rounded to the nearest microsecond, which is what PostgreSQL stores. Beyond 64 bits of them the nearest end is taken,
        /// which are PostgreSQL's `-infinity` and `infinity`.
        case timestamp(Date)
        case bytes([UInt8])
        case list([Value])
        case boolean(Bool)
        case uuid(UUID)
    }

    /// What was written so far.
    public private(set) var bytes: [UInt8] = []
    private var lastNumber: UInt8 = 0

    public init() {
        // An access entry takes some 300 bytes: one allocation instead of six.
        bytes.reserveCapacity(512)
    }

    /// Writes a field.
    /// - Parameter number: greater than the one before; anything else is a programming error and stops the program.
    public mutating func add(_ number: UInt8, _ value: Value) {
        precondition(number > lastNumber, "field numbers rise strictly from 1")
        lastNumber = number
        bytes.append(number)
        append(value)
    }

    public mutating func add(_ number: UInt8, string: String?) { add(number, string.map(Value.string) ?? .nothing) }
    public mutating func add(_ number: UInt8, integer: Int64?) { add(number, integer.map(Value.integer) ?? .nothing) }
    public mutating func add(_ number: UInt8, timestamp: Date?) { add(number, timestamp.map(Value.timestamp) ?? .nothing) }
    public mutating func add(_ number: UInt8, bytes: [UInt8]?) { add(number, bytes.map(Value.bytes) ?? .nothing) }
    public mutating func add(_ number: UInt8, boolean: Bool?) { add(number, boolean.map(Value.boolean) ?? .nothing) }
    public mutating func add(_ number: UInt8, uuid: UUID?) { add(number, uuid.map(Value.uuid) ?? .nothing) }
    public mutating func add(_ number: UInt8, strings: [String]?) { add(number, strings.map { .list($0.map(Value.string)) } ?? .nothing) }

    private mutating func append(_ value: Value) {
        switch value {
        case .nothing: appendPayload(tag: 0x00, [])
        case .string(let text): appendPayload(tag: 0x01, text.utf8)
        case .integer(let number): appendPayload(tag: 0x02, Self.bigEndian(number))
        case .timestamp(let moment): appendPayload(tag: 0x03, Self.bigEndian(Self.microseconds(moment)))
        case .bytes(let payload): appendPayload(tag: 0x04, payload)
        case .list(let elements): appendList(elements)
        case .boolean(let truth): appendPayload(tag: 0x06, CollectionOfOne<UInt8>(truth ? 1 : 0))
        case .uuid(let uuid): withUnsafeBytes(of: uuid.uuid) { appendPayload(tag: 0x07, $0) }
        }
    }

    private mutating func appendPayload(tag: UInt8, _ payload: some Collection<UInt8>) {
        bytes.append(tag)
        // More than 4 GiB cannot come through any door of the service; the conversion would stop the program rather than write nonsense.
        bytes += bigEndianBytes(UInt32(payload.count))
        bytes += payload
    }

    private mutating func appendList(_ elements: [Value]) {
        bytes.append(0x05)
        let lengthPosition = bytes.count
        bytes += [0, 0, 0, 0]
        bytes += bigEndianBytes(UInt32(elements.count))
        for element in elements { append(element) }
        let length = bigEndianBytes(UInt32(bytes.count - lengthPosition - 4))
        bytes.replaceSubrange(lengthPosition..<(lengthPosition + 4), with: length)
    }

    private static func bigEndian(_ number: Int64) -> [UInt8] {
        let bits = UInt64(bitPattern: number)
        return bigEndianBytes(UInt32(truncatingIfNeeded: bits >> 32)) + bigEndianBytes(UInt32(truncatingIfNeeded: bits))
    }

    private static let secondsFrom1970To2001: Int64 = 978_307_200

    /// Whole seconds and their fraction apart: together they would need more bits than a `Double` has.
    static func microseconds(_ moment: Date) -> Int64 {
        let seconds = moment.timeIntervalSinceReferenceDate
        let whole = seconds.rounded(.down)
        guard abs(whole) < 9_000_000_000_000 else { return seconds < 0 ? .min : .max }
        return (Int64(whole) + secondsFrom1970To2001) * 1_000_000 + Int64(((seconds - whole) * 1_000_000).rounded())
    }
}
