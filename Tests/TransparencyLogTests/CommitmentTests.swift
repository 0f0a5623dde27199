// Entries have one encoding that can be read back without doubt, and a commitment binds to all of it.
import Crypto
import Foundation
import Testing

@testable import TransparencyLog

/// Reads the encoding as its documentation describes it, sharing no code with the writer.
private struct Reader {
    var rest: ArraySlice<UInt8>

    mutating func take(_ count: Int) throws -> ArraySlice<UInt8> {
        try #require(rest.count >= count)
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func number(_ count: Int) throws -> UInt64 { try take(count).reduce(0) { $0 << 8 | UInt64($1) } }

    mutating func value() throws -> CanonicalEncoding.Value {
        let tag = try number(1)
        var payload = Reader(rest: try take(Int(number(4))))
        defer { #expect(payload.rest.isEmpty) }
        switch tag {
        case 0: return .nothing
        case 1: return .string(try #require(String(validating: try payload.take(payload.rest.count), as: UTF8.self)))
        case 2: return .integer(Int64(bitPattern: try payload.number(8)))
        case 3: return .timestamp(Date(timeIntervalSince1970: Double(Int64(bitPattern: try payload.number(8))) / 1_000_000))
        case 4: return .bytes(Array(try payload.take(payload.rest.count)))
        case 5:
            let count = try payload.number(4)
            return .list(try (0..<count).map { _ in try payload.value() })
        case 6: return .boolean(try payload.number(1) == 1)
        default:
            #expect(tag == 7)
            let text = try payload.take(16).map { String(format: "%02x", $0) }.joined()
            let parts = [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { text.dropFirst($0.lowerBound).prefix($0.count) }
            return .uuid(try #require(UUID(uuidString: parts.joined(separator: "-"))))
        }
    }

    static func fields(_ bytes: [UInt8]) throws -> [UInt8: CanonicalEncoding.Value] {
        var reader = Reader(rest: bytes[...])
        var fields: [UInt8: CanonicalEncoding.Value] = [:]
        while !reader.rest.isEmpty {
            let number = UInt8(try reader.number(1))
            #expect(fields.keys.allSatisfy { $0 < number })
            fields[number] = try reader.value()
        }
        return fields
    }
}

private func encoded(_ value: CanonicalEncoding.Value) -> [UInt8] {
    var encoding = CanonicalEncoding()
    encoding.add(1, value)
    return encoding.bytes
}

@Suite("Canonical encoding")
struct CanonicalEncodingTests {
    @Test("writes the documented example byte for byte")
    func documentedExample() {
        var encoding = CanonicalEncoding()
        encoding.add(1, string: "é")
        encoding.add(2, integer: -1)
        encoding.add(4, string: nil)
        encoding.add(5, strings: ["", "a"])
        let expected =
            "0101 00000002 c3a9" + "0202 00000008 ffffffffffffffff" + "0400 00000000"
            + "0505 0000000f 00000002 01 00000000 01 00000001 61"
        #expect(encoding.bytes == bytes(hex: expected.replacing(" ", with: "")))
    }

    @Test(
        "writes each type as documented",
        arguments: [
            (.nothing, "0100 00000000"), (.string(""), "0101 00000000"), (.integer(.min), "0102 00000008 8000000000000000"),
            (.integer(258), "0102 00000008 0000000000000102"),
            (.timestamp(Date(timeIntervalSince1970: 0)), "0103 00000008 0000000000000000"),
            (.timestamp(Date(timeIntervalSince1970: -1)), "0103 00000008 fffffffffff0bdc0"),
            (.timestamp(Date(timeIntervalSince1970: 1_645_557_742)), "0103 00000008 0005d8a044ab5780"),
            (.timestamp(Date(timeIntervalSinceReferenceDate: .infinity)), "0103 00000008 7fffffffffffffff"),
            (.timestamp(Date(timeIntervalSinceReferenceDate: -.infinity)), "0103 00000008 8000000000000000"),
            (.bytes([0, 255]), "0104 00000002 00ff"), (.bytes([]), "0104 00000000"), (.list([]), "0105 00000004 00000000"),
            (.list([.list([.boolean(true)]), .nothing]), "0105 00000018 00000002 05 0000000a 00000001 06 00000001 01 00 00000000"),
            (.boolean(true), "0106 00000001 01"), (.boolean(false), "0106 00000001 00"),
            (.uuid(UUID(uuid: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))), "0107 00000010 000102030405060708090a0b0c0d0e0f"),
        ] as [(CanonicalEncoding.Value, String)])
    func types(value: CanonicalEncoding.Value, expected: String) {
        #expect(encoded(value) == bytes(hex: expected.replacing(" ", with: "")))
    }

    @Test("is read back completely by an independent reader")
    func readBack() throws {
        let values: [CanonicalEncoding.Value] = [
            .nothing, .string("a\0b\u{1F3DB}\u{301}"), .integer(.max), .timestamp(Date(timeIntervalSince1970: 1_700_000_000.5)),
            .bytes(Array(0...255)), .list([.string("x"), .nothing, .list([.integer(1), .list([])]), .bytes([5])]), .boolean(false),
            .uuid(UUID()), .list(Array(repeating: .string("long"), count: 1000)),
        ]
        var encoding = CanonicalEncoding()
        for (index, value) in values.enumerated() { encoding.add(UInt8(index * 7 + 1), value) }
        let fields = try Reader.fields(encoding.bytes)
        #expect(fields.count == values.count)
        for (index, value) in values.enumerated() { #expect(fields[UInt8(index * 7 + 1)] == value) }
    }

    @Test("gives different bytes to values that are easily confused")
    func distinct() {
        let values: [CanonicalEncoding.Value] = [
            .nothing, .string(""), .bytes([]), .list([]), .list([.nothing]), .list([.string("")]), .list([.list([])]), .boolean(false),
            .string("1"), .integer(1), .bytes([0x31]), .boolean(true), .integer(0), .timestamp(Date(timeIntervalSince1970: 0)),
            .list([.string("ab"), .string("c")]), .list([.string("a"), .string("bc")]), .list([.string("abc")]), .string("abc"),
        ]
        #expect(Set(values.map(encoded)).count == values.count)
        // The same to a reader, and to Swift's ==, but not the same bytes: nothing is normalised.
        #expect(encoded(.string("caf\u{E9}")) != encoded(.string("cafe\u{301}")))
    }

    @Test("keeps every microsecond that a date came from")
    func microseconds() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            // 1900 to 2100, as a database client turns PostgreSQL's microseconds since 2000 into a date.
            let expected = Int64.random(in: -2_208_988_800_000_000...4_102_444_800_000_000, using: &generator)
            let since2001 = Double(expected - 978_307_200_000_000) / 1_000_000
            #expect(CanonicalEncoding.microseconds(Date(timeIntervalSinceReferenceDate: since2001)) == expected)
        }
    }
}

@Suite("Commitments")
struct CommitmentTests {
    private let label = CommitmentLabel("stoa access entry v1")
    private let salt = Array(UInt8(0)..<32)
    private let entry = Array("an entry".utf8)

    @Test("is label, then SHA-256 of label, salt and entry")
    func form() throws {
        let commitment = try Commitment(label: label, salt: salt, canonicalEntry: entry)
        let labelBytes = Array("stoa access entry v1\n".utf8)
        #expect(commitment.leafData == labelBytes + Array(SHA256.hash(data: labelBytes + salt + entry)))
    }

    @Test("changes with any bit of the salt or the entry, and with the label")
    func binding() throws {
        var leaves: Set<[UInt8]> = [try Commitment(label: label, salt: salt, canonicalEntry: entry).leafData]
        for bit in 0..<(salt.count * 8) {
            var wrong = salt
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            leaves.insert(try Commitment(label: label, salt: wrong, canonicalEntry: entry).leafData)
        }
        for bit in 0..<(entry.count * 8) {
            var wrong = entry
            wrong[bit / 8] ^= 1 << UInt8(bit % 8)
            leaves.insert(try Commitment(label: label, salt: salt, canonicalEntry: wrong).leafData)
        }
        let other = try Commitment(label: CommitmentLabel("stoa access entry v2"), salt: salt, canonicalEntry: entry)
        #expect(other.leafData.suffix(32) != Array(leaves.first ?? []).suffix(32))
        leaves.insert(other.leafData)
        #expect(leaves.count == 1 + 256 + 64 + 1)
    }

    @Test("needs a whole salt", arguments: [0, 16, 31, 33])
    func salts(count: Int) {
        #expect(throws: CommitmentError.saltLength(count)) {
            try Commitment(label: label, salt: [UInt8](repeating: 1, count: count), canonicalEntry: entry)
        }
    }
}
