// First step of every JSON body: bytes become a value tree, or a reason why not. Stricter than Foundation's decoder,
// which accepts duplicate keys and reads 1.0 or 1e3 as a whole number: two readers of one body must never disagree.

/// Reads one JSON document (RFC 8259) and refuses what is ambiguous: duplicate names, lone surrogates, NUL, invalid
/// UTF-8, bytes after the end, and nesting beyond a limit.
public struct JSONScanner {
    /// Why a body is refused; `reason` says it in words, with the byte's position.
    public struct Refusal: Error, Equatable {
        public let reason: String
        public let offset: Int
    }

    /// - Parameters:
    ///   - bytes: the whole body. A byte order mark is refused, as RFC 8259 §8.1 wants.
    ///   - depthMax: how many arrays and objects may stand inside one another.
    public static func scan(_ bytes: some Collection<UInt8>, depthMax: Int = WebLimits().jsonDepthMax) throws(Refusal) -> JSONValue {
        var scanner = JSONScanner(bytes: Array(bytes), depthMax: depthMax)
        scanner.skipSpace()
        let value = try scanner.value(depth: 0)
        scanner.skipSpace()
        guard scanner.position == scanner.bytes.count else { throw scanner.refuse("There is something after the end of the document") }
        return value
    }

    private let bytes: [UInt8]
    private let depthMax: Int
    private var position = 0

    private init(bytes: [UInt8], depthMax: Int) {
        self.bytes = bytes
        self.depthMax = depthMax
    }

    private func refuse(_ reason: String) -> Refusal {
        Refusal(reason: "\(reason) (byte \(position)).", offset: position)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(Refusal) -> JSONValue {
        guard let byte = current else { throw refuse("The document ends too early") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw refuse("A value was expected here")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(Refusal) -> JSONValue {
        let matches = word.withUTF8Buffer { letters in bytes[position...].starts(with: letters) }
        guard matches else { throw refuse("A value was expected here") }
        position += word.utf8CodeUnitCount
        return value
    }

    private mutating func array(depth: Int) throws(Refusal) -> JSONValue {
        guard depth <= depthMax else { throw refuse("The document nests more than \(depthMax) levels deep") }
        position += 1
        var items: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array([]) }
        while true {
            skipSpace()
            items.append(try value(depth: depth))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(items) }
            guard take(UInt8(ascii: ",")) else { throw refuse("A comma or ] was expected here") }
        }
    }

    private mutating func object(depth: Int) throws(Refusal) -> JSONValue {
        guard depth <= depthMax else { throw refuse("The document nests more than \(depthMax) levels deep") }
        position += 1
        var members: [JSONMember] = []
        var names: Set<String> = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object([]) }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw refuse("A name in double quotes was expected here") }
            let name = try string()
            guard names.insert(name).inserted else { throw refuse("The name \"\(name.prefix(40))\" appears twice") }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw refuse("A colon was expected here") }
            skipSpace()
            members.append(JSONMember(name, try value(depth: depth)))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw refuse("A comma or } was expected here") }
        }
    }

    /// RFC 8259 §6: no leading zeros, no plus sign, digits on both sides of a point.
    private mutating func number() throws(Refusal) -> JSONValue {
        let start = position
        var isWhole = true
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) {
            isWhole = false
            try digits()
        }
        if let byte = current, byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        if let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { throw refuse("A number must not begin with 0") }
        let written = String(decoding: bytes[start..<position], as: UTF8.self)
        guard isWhole, let integer = Int64(written) else { return .number(written) }
        return .integer(integer)
    }

    private mutating func digits() throws(Refusal) {
        let start = position
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw refuse("A digit was expected here") }
    }

    private mutating func string() throws(Refusal) -> String {
        position += 1
        let start = position
        // Most strings have no escape: they are taken as one slice.
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if current == UInt8(ascii: "\"") {
            let text = try utf8(bytes[start..<position])
            position += 1
            return text
        }
        var unescaped = Array(bytes[start..<position])
        while true {
            guard let byte = current else { throw refuse("A string is not closed") }
            switch byte {
            case UInt8(ascii: "\""):
                let text = try utf8(unescaped[...])
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &unescaped)
            case 0..<0x20:
                throw refuse("A control character in a string must be escaped")
            default:
                unescaped.append(byte)
                position += 1
            }
        }
    }

    private func utf8(_ slice: ArraySlice<UInt8>) throws(Refusal) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else { throw refuse("A string is not valid UTF-8") }
        return text
    }

    private mutating func escape(into text: inout [UInt8]) throws(Refusal) {
        guard let byte = current else { throw refuse("A string is not closed") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): try unicodeEscape(into: &text)
        default: throw refuse("This escape does not exist")
        }
    }

    private mutating func unicodeEscape(into text: inout [UInt8]) throws(Refusal) {
        var code = try hexadecimal()
        if (0xD800..<0xDC00).contains(code) {
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw refuse("Half of a surrogate pair is missing") }
            let low = try hexadecimal()
            guard (0xDC00..<0xE000).contains(low) else { throw refuse("Half of a surrogate pair is missing") }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        // PostgreSQL's text cannot hold NUL: refusing it here keeps one bad string from failing a whole batch.
        guard code != 0 else { throw refuse("The character NUL is not accepted") }
        guard let scalar = Unicode.Scalar(code) else { throw refuse("Half of a surrogate pair is missing") }
        text.append(contentsOf: Array(String(Character(scalar)).utf8))
    }

    private mutating func hexadecimal() throws(Refusal) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = hexadecimalValue(byte) else { throw refuse("Four hexadecimal digits were expected here") }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}

/// The value of a hexadecimal digit in either case.
func hexadecimalValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
