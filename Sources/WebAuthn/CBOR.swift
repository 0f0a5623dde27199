// What authenticators write their answers in. Pure; a reader of the strict form that WebAuthn and CTAP2 prescribe, and of nothing more.

/// A value of CBOR (RFC 8949) in the canonical form of CTAP2 (§8): definite lengths, shortest heads, maps with sorted keys, four levels at most.
enum CBOR: Hashable, Sendable {
    case unsigned(UInt64)
    /// −1 − the argument.
    case negative(UInt64)
    case bytes([UInt8])
    case text(String)
    case array([CBOR])
    case map([CBOR: CBOR])
    case bool(Bool)
    case null

    struct Malformed: Error {}

    /// Reads one value from the front.
    /// - Returns: the value, and where it ended.
    static func read(_ bytes: ArraySlice<UInt8>) throws(Malformed) -> (value: CBOR, rest: ArraySlice<UInt8>) {
        var reader = Reader(rest: bytes)
        let value = try reader.value(depth: 0)
        return (value, reader.rest)
    }

    /// Reads one value that is all there is.
    static func readAll(_ bytes: [UInt8]) throws(Malformed) -> CBOR {
        let (value, rest) = try read(bytes[...])
        guard rest.isEmpty else { throw Malformed() }
        return value
    }

    subscript(_ key: String) -> CBOR? { self[.text(key)] }

    /// A member of a map whose keys are numbers, as COSE has them.
    subscript(_ key: Int) -> CBOR? { self[key < 0 ? .negative(UInt64(-1 - key)) : .unsigned(UInt64(key))] }

    private subscript(_ key: CBOR) -> CBOR? {
        if case .map(let members) = self { members[key] } else { nil }
    }

    var byteString: [UInt8]? {
        if case .bytes(let bytes) = self { bytes } else { nil }
    }

    var string: String? {
        if case .text(let text) = self { text } else { nil }
    }

    var integer: Int? {
        switch self {
        case .unsigned(let value): Int(exactly: value)
        case .negative(let value): Int(exactly: value).map { -1 - $0 }
        default: nil
        }
    }
}

private struct Reader {
    /// CTAP2 §8.
    static let depthMax = 4

    var rest: ArraySlice<UInt8>

    mutating func value(depth: Int) throws(CBOR.Malformed) -> CBOR {
        guard depth <= Self.depthMax else { throw CBOR.Malformed() }
        let head = try byte()
        let argument = try argument(head & 0x1F, isSimple: head >> 5 == 7)
        switch head >> 5 {
        case 0: return .unsigned(argument)
        case 1: return .negative(argument)
        case 2: return .bytes(try take(argument))
        case 3:
            guard let text = String(validating: try take(argument), as: UTF8.self) else { throw CBOR.Malformed() }
            return .text(text)
        case 4:
            var items: [CBOR] = []
            for _ in 0..<(try count(argument)) { items.append(try value(depth: depth + 1)) }
            return .array(items)
        case 5:
            var members: [CBOR: CBOR] = [:]
            var last: ArraySlice<UInt8>?
            for _ in 0..<(try count(argument)) {
                let before = rest
                let key = try value(depth: depth + 1)
                let written = before[before.startIndex..<rest.startIndex]
                if let last, !Self.precedes(last, written) { throw CBOR.Malformed() }
                last = written
                members[key] = try value(depth: depth + 1)
            }
            return .map(members)
        case 7:
            switch argument {
            case 20: return .bool(false)
            case 21: return .bool(true)
            case 22: return .null
            default: throw CBOR.Malformed()
            }
        default: throw CBOR.Malformed()
        }
    }

    /// The order of keys: by major type, then the shorter, then byte by byte. Equal ones are out of order too, so no key comes twice.
    private static func precedes(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
        let (typeA, typeB) = ((a.first ?? 0) >> 5, (b.first ?? 0) >> 5)
        if typeA != typeB { return typeA < typeB }
        return a.count == b.count ? a.lexicographicallyPrecedes(b) : a.count < b.count
    }

    private mutating func argument(_ short: UInt8, isSimple: Bool) throws(CBOR.Malformed) -> UInt64 {
        switch short {
        case 0..<24: return UInt64(short)
        case 24...27 where !isSimple:
            let width = 1 << (short - 24)
            var value: UInt64 = 0
            for _ in 0..<width { value = value << 8 | UInt64(try byte()) }
            // The shortest head that holds the number, or it is not canonical.
            guard value >= (short == 24 ? 24 : UInt64(1) << (width * 4)) else { throw CBOR.Malformed() }
            return value
        default: throw CBOR.Malformed()
        }
    }

    private mutating func byte() throws(CBOR.Malformed) -> UInt8 {
        guard let first = rest.popFirst() else { throw CBOR.Malformed() }
        return first
    }

    private mutating func take(_ length: UInt64) throws(CBOR.Malformed) -> [UInt8] {
        let length = try count(length)
        let taken = Array(rest.prefix(length))
        rest = rest.dropFirst(length)
        return taken
    }

    /// Every item takes a byte at least, so no count is larger than what is left.
    private func count(_ argument: UInt64) throws(CBOR.Malformed) -> Int {
        guard argument <= UInt64(rest.count) else { throw CBOR.Malformed() }
        return Int(argument)
    }
}
