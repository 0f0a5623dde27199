// Rule 1 of the templates: every value is escaped byte by byte. swift-mustache's own escaping compares Characters, and a
// quotation mark followed by a combining accent is another Character, which it lets through.
import Mustache
import Synchronization

/// Escapes for HTML text and quoted attributes alike (WHATWG HTML §13.1.2.3 and §13.3).
struct ByteLevelHTML: MustacheContentType {
    /// The name in the pragma `{{% CONTENT_TYPE:HTML}}`; it replaces the library's own type of that name.
    static let name = "HTML"

    /// Must run before any template is parsed, because the pragma resolves at parse time.
    static func register() {
        isRegistered.withLock { registered in
            guard !registered else { return }
            MustacheContentTypes.register(ByteLevelHTML(), named: name)
            registered = true
        }
    }

    func escapeText(_ text: String) -> String { Self.escape(text) }

    /// The text with the five characters that mean something to HTML replaced.
    static func escape(_ text: String) -> String {
        guard text.utf8.contains(where: isSpecial) else { return text }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "<"): bytes.append(contentsOf: "&lt;".utf8)
            case UInt8(ascii: ">"): bytes.append(contentsOf: "&gt;".utf8)
            case UInt8(ascii: "&"): bytes.append(contentsOf: "&amp;".utf8)
            case UInt8(ascii: "\""): bytes.append(contentsOf: "&quot;".utf8)
            case UInt8(ascii: "'"): bytes.append(contentsOf: "&#39;".utf8)
            default: bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "<") || byte == UInt8(ascii: ">") || byte == UInt8(ascii: "&") || byte == UInt8(ascii: "\"")
            || byte == UInt8(ascii: "'")
    }
}

private let isRegistered = Mutex(false)
