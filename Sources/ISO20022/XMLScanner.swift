// First step into a bank's file: its bytes as a stream of tags and texts, of which only one is in memory at a time besides the bytes.
//
// It reads what ISO 20022 messages are written in, which is little of XML: UTF-8, elements, attributes, texts, CDATA, comments and the five
// entities that XML itself names. There is no document type, so no entity that grows and none that fetches. Foundation's XMLParser was looked
// at first, and XMLCoder, which stands on it: on Linux it takes a document with open elements for a whole one (swift-corelibs-foundation
// issue 5281) and ends the process on a name that is not UTF-8 (its pull request 5536). Neither may happen where money is booked.

/// What the scanner meets next.
enum XMLEvent: Equatable {
    case start(name: String, attributes: [XMLAttribute])
    case text(String)
    case end(name: String)
    /// After the root element; nothing but space and comments followed it.
    case finished
}

struct XMLAttribute: Equatable {
    let name: String
    let value: String
}

/// Reads a document once, from its first byte to its last.
struct XMLScanner {
    /// A bank's day of some 20,000 movements, with everything that it says about each.
    static let documentBytesMax = 16 * 1024 * 1024
    /// The deepest element of camt.053 stands some 15 deep; recursion must not exhaust a 512 KiB stack.
    static let depthMax = 32
    /// The longest text of the messages has 500 characters (Max500Text), which is 2,000 bytes, or 3,000 as escapes.
    static let textBytesMax = 8 * 1024
    /// An element has one attribute, the root some four.
    static let attributesMax = 16
    /// The longest element name of the messages has 16 letters, and a prefix may stand before it.
    static let nameBytesMax = 64

    private let bytes: [UInt8]
    private var position = 0
    /// Lines are counted as the position moves on: `lineCount` is that of `lineCountedTo`.
    private var lineCount = 1
    private var lineCountedTo = 0
    private var open: [String] = []
    /// The end of an element that was written `<so/>`.
    private var pendingEnd: String?
    private var hasSeenRoot = false

    /// - Throws: ``BankFileFault`` when the bytes cannot be such a document: empty, too many, not UTF-8.
    init(_ bytes: [UInt8], bytesMax: Int = documentBytesMax) throws(BankFileFault) {
        guard !bytes.isEmpty else { throw BankFileFault(line: 1, .empty) }
        guard bytes.count <= bytesMax else { throw BankFileFault(line: 1, .tooLarge(bytesMax: bytesMax)) }
        self.bytes = bytes
        try checkCharacters()
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        try readDeclaration()
    }

    /// The line that the scanner has come to, from 1.
    var line: Int {
        mutating get {
            let end = min(position, bytes.count)
            while lineCountedTo < end {
                if bytes[lineCountedTo] == newline { lineCount += 1 }
                lineCountedTo += 1
            }
            return lineCount
        }
    }

    mutating func next() throws(BankFileFault) -> XMLEvent {
        if let name = pendingEnd {
            pendingEnd = nil
            open.removeLast()
            return .end(name: name)
        }
        while position < bytes.count {
            guard bytes[position] == lessThan else {
                let text = try readText()
                guard open.isEmpty else { return .text(text) }
                guard text.unicodeScalars.allSatisfy(isSpace) else { throw fault(.malformed("text outside of the document element")) }
                continue
            }
            switch try byte(1) {
            case UInt8(ascii: "/"): return try readEndTag()
            case UInt8(ascii: "!"):
                if let text = try readMarkupDeclaration() { return .text(text) }
            case UInt8(ascii: "?"): try skipInstruction()
            default: return try readStartTag()
            }
        }
        guard open.isEmpty, hasSeenRoot else { throw fault(.truncated) }
        return .finished
    }

    // MARK: Characters

    /// Every line is UTF-8 and holds only what XML 1.0 §2.2 calls a character. (The byte of a line's end is part of no other character.)
    private func checkCharacters() throws(BankFileFault) {
        var line = 1
        var start = bytes.startIndex
        while start <= bytes.endIndex {
            let end = bytes[start...].firstIndex(of: newline) ?? bytes.endIndex
            let content = bytes[start..<end]
            guard let text = String(validating: content, as: UTF8.self), text.unicodeScalars.allSatisfy(isXMLCharacter) else {
                throw BankFileFault(line: line, .notUTF8)
            }
            start = end + 1
            line += 1
        }
    }

    private func isXMLCharacter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x9, 0xA, 0xD: true
        case 0..<0x20, 0xFFFE, 0xFFFF: false
        default: true
        }
    }

    // MARK: Tags

    private mutating func readStartTag() throws(BankFileFault) -> XMLEvent {
        if open.isEmpty, hasSeenRoot { throw fault(.malformed("a second document element")) }
        position += 1
        let name = try readName()
        var attributes: [XMLAttribute] = []
        while true {
            let hadSpace = try skipSpace()
            switch try byte(0) {
            case greaterThan:
                position += 1
            case UInt8(ascii: "/"):
                guard try byte(1) == greaterThan else { throw fault(.malformed("the tag \(name) does not end")) }
                position += 2
                pendingEnd = name
            default:
                guard hadSpace else { throw fault(.malformed("the tag \(name) does not end")) }
                let attribute = try readAttribute()
                guard !attributes.contains(where: { $0.name == attribute.name }) else { throw fault(.malformed("the attribute \(attribute.name) stands twice")) }
                guard attributes.count < Self.attributesMax else { throw fault(.malformed("too many attributes")) }
                attributes.append(attribute)
                continue
            }
            break
        }
        guard open.count < Self.depthMax else { throw fault(.tooDeep(Self.depthMax)) }
        open.append(name)
        hasSeenRoot = true
        return .start(name: name, attributes: attributes)
    }

    private mutating func readEndTag() throws(BankFileFault) -> XMLEvent {
        position += 2
        let name = try readName()
        _ = try skipSpace()
        guard try byte(0) == greaterThan else { throw fault(.malformed("the tag /\(name) does not end")) }
        position += 1
        guard let expected = open.last else { throw fault(.malformed("/\(name) ends nothing")) }
        guard expected == name else { throw fault(.malformed("/\(name) where /\(expected) is due")) }
        open.removeLast()
        return .end(name: name)
    }

    private mutating func readAttribute() throws(BankFileFault) -> XMLAttribute {
        let name = try readName()
        _ = try skipSpace()
        guard try byte(0) == UInt8(ascii: "=") else { throw fault(.malformed("the attribute \(name) has no value")) }
        position += 1
        _ = try skipSpace()
        let quote = try byte(0)
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { throw fault(.malformed("the attribute \(name) is not quoted")) }
        position += 1
        let start = position
        while try byte(0) != quote {
            guard bytes[position] != lessThan else { throw fault(.malformed("< in the attribute \(name)")) }
            position += 1
            guard position - start <= Self.textBytesMax else { throw fault(.textTooLong(Self.textBytesMax)) }
        }
        let value = try unescape(bytes[start..<position])
        position += 1
        return XMLAttribute(name: name, value: value)
    }

    /// Names of the messages and their prefixes are ASCII; a name in other letters is none of theirs.
    private mutating func readName() throws(BankFileFault) -> String {
        let start = position
        while isNameByte(try byte(0), isFirst: position == start) {
            position += 1
            guard position - start <= Self.nameBytesMax else { throw fault(.malformed("a name of more than \(Self.nameBytesMax) letters")) }
        }
        guard position > start else { throw fault(.malformed("a name is due after <")) }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private func isNameByte(_ byte: UInt8, isFirst: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "_"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: ":"): !isFirst
        default: false
        }
    }

    // MARK: Texts

    private mutating func readText() throws(BankFileFault) -> String {
        let start = position
        while position < bytes.count, bytes[position] != lessThan { position += 1 }
        // Between elements any amount of indentation may stand.
        let isBlank = bytes[start..<position].allSatisfy { isSpace(Unicode.Scalar($0)) }
        if isBlank { return " " }
        guard position - start <= Self.textBytesMax else { throw fault(.textTooLong(Self.textBytesMax)) }
        return try unescape(bytes[start..<position])
    }

    /// A comment is passed over, CDATA gives its text, and everything else, a document type above all, is refused.
    private mutating func readMarkupDeclaration() throws(BankFileFault) -> String? {
        if bytes[position...].starts(with: "<!--".utf8) {
            guard let end = find("--", from: position + 4) else { throw fault(.truncated) }
            position = end + 2
            guard try byte(0) == greaterThan else { throw fault(.malformed("-- inside a comment")) }
            position += 1
            return nil
        }
        guard bytes[position...].starts(with: "<![CDATA[".utf8) else { throw fault(.documentType) }
        guard !open.isEmpty else { throw fault(.malformed("text outside of the document element")) }
        let start = position + 9
        guard let end = find("]]>", from: start) else { throw fault(.truncated) }
        guard end - start <= Self.textBytesMax else { throw fault(.textTooLong(Self.textBytesMax)) }
        position = end + 3
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    /// Processing instructions, such as the name of a style sheet, mean nothing here.
    private mutating func skipInstruction() throws(BankFileFault) {
        guard !bytes[position...].starts(with: "<?xml ".utf8) else { throw fault(.malformed("<?xml inside the document")) }
        guard let end = find("?>", from: position + 2) else { throw fault(.truncated) }
        position = end + 2
    }

    /// `<?xml version="1.0" encoding="UTF-8"?>`, where there is one: another encoding is said here and refused.
    private mutating func readDeclaration() throws(BankFileFault) {
        guard bytes[position...].starts(with: "<?xml ".utf8) else { return }
        position += 5
        while try skipSpace(), try byte(0) != UInt8(ascii: "?") {
            let attribute = try readAttribute()
            switch attribute.name {
            case "version": guard attribute.value == "1.0" else { throw fault(.malformed("XML \(attribute.value)")) }
            case "encoding": guard attribute.value.lowercased() == "utf-8" else { throw fault(.notUTF8) }
            case "standalone": continue
            default: throw fault(.malformed("\(attribute.name) in the XML declaration"))
            }
        }
        guard bytes[position...].starts(with: "?>".utf8) else { throw fault(.malformed("the XML declaration does not end")) }
        position += 2
    }

    private func unescape(_ raw: ArraySlice<UInt8>) throws(BankFileFault) -> String {
        guard raw.contains(UInt8(ascii: "&")) || raw.contains(UInt8(ascii: "]")) else { return String(decoding: raw, as: UTF8.self) }
        guard raw.firstRange(of: "]]>".utf8) == nil else { throw fault(.malformed("]]> in a text")) }
        var decoded: [UInt8] = []
        var rest = raw
        while let ampersand = rest.firstIndex(of: UInt8(ascii: "&")) {
            decoded += rest[..<ampersand]
            let start = ampersand + 1
            // The longest is &#x10FFFF;
            guard let end = rest[start...].prefix(9).firstIndex(of: UInt8(ascii: ";")),
                let scalar = character(String(decoding: rest[start..<end], as: UTF8.self))
            else { throw fault(.malformed("& that begins no known character")) }
            decoded += Array(String(scalar).utf8)
            rest = rest[(end + 1)...]
        }
        return String(decoding: decoded + rest, as: UTF8.self)
    }

    /// Of the five entities and the numbered characters (XML 1.0 §4.6, §4.1).
    private func character(_ reference: String) -> Unicode.Scalar? {
        switch reference {
        case "lt": return "<"
        case "gt": return ">"
        case "amp": return "&"
        case "apos": return "'"
        case "quot": return "\""
        default:
            let digits = reference.dropFirst(reference.hasPrefix("#x") ? 2 : 1)
            guard reference.hasPrefix("#"), digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
                let number = UInt32(digits, radix: reference.hasPrefix("#x") ? 16 : 10),
                let scalar = Unicode.Scalar(number), isXMLCharacter(scalar)
            else { return nil }
            return scalar
        }
    }

    // MARK: Bytes

    private func byte(_ ahead: Int) throws(BankFileFault) -> UInt8 {
        guard position + ahead < bytes.count else { throw fault(.truncated) }
        return bytes[position + ahead]
    }

    private func find(_ text: String, from start: Int) -> Int? {
        guard start <= bytes.count else { return nil }
        return bytes[start...].firstRange(of: text.utf8)?.lowerBound
    }

    private mutating func skipSpace() throws(BankFileFault) -> Bool {
        let start = position
        while isSpace(Unicode.Scalar(try byte(0))) { position += 1 }
        return position > start
    }

    private func fault(_ reason: BankFileFault.Reason) -> BankFileFault {
        var copy = self
        return BankFileFault(line: copy.line, reason)
    }
}

private let newline = UInt8(ascii: "\n")
private let lessThan = UInt8(ascii: "<")
private let greaterThan = UInt8(ascii: ">")

/// White space of XML 1.0 §2.3, which is less than Unicode's.
func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    scalar == " " || scalar == "\t" || scalar == "\r" || scalar == "\n"
}
