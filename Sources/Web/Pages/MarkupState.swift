// Start-up, rule 4 of the templates: where in the HTML a value would stand. Escaping makes a value safe in text and in
// quoted attributes, and nowhere else.

/// Follows the HTML of a template, byte by byte, as far as the checks need it.
struct MarkupState: Equatable {
    enum Place: Equatable {
        case text
        case comment
        case tagName
        /// Between the attributes of a tag.
        case tag
        case attributeName
        case afterEquals
        case quoted(UInt8)
    }

    private(set) var place = Place.text
    private var name: [UInt8] = []
    /// The attribute whose value is being read.
    private(set) var attribute = ""
    /// Whether nothing of the attribute's value has been seen yet.
    private(set) var isAtValueStart = false

    /// Attributes whose value is an address, which escaping cannot make safe: `javascript:` has nothing to escape.
    static let addressAttributes: Set<String> = ["href", "src", "action", "formaction", "poster", "cite", "data", "srcset"]

    /// Takes a piece of text.
    /// - Returns: why it is refused, nil when it is not.
    mutating func follow(_ text: ArraySlice<UInt8>) -> String? {
        for byte in text {
            if let reason = follow(byte) { return reason }
        }
        return nil
    }

    /// Notes that a value was put where the text stands now.
    mutating func followValue() {
        isAtValueStart = false
    }

    /// Notes that a section begins or ends here. Inside a tag that ends the name being read, so that no section can
    /// complete a name that was accepted.
    /// - Returns: why it is refused, nil when it is not.
    mutating func followSectionEdge() -> String? {
        switch place {
        case .tagName: name.isEmpty ? "a section must not hold the name of a tag" : followTagName(UInt8(ascii: " "))
        case .attributeName: followAttributeName(UInt8(ascii: " "))
        case .afterEquals: "the value of the attribute \(attribute) must be quoted"
        case .text, .comment, .tag, .quoted: nil
        }
    }

    private mutating func follow(_ byte: UInt8) -> String? {
        switch place {
        case .text:
            if byte == UInt8(ascii: "<") { (place, name) = (.tagName, []) }
        case .comment:
            name = name.suffix(2) + [byte]
            if name.elementsEqual("-->".utf8) { place = .text }
        case .tagName:
            return followTagName(byte)
        case .tag, .attributeName:
            return followAttributeName(byte)
        case .afterEquals:
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                (place, isAtValueStart) = (.quoted(byte), true)
            } else {
                return "the value of the attribute \(attribute) must be quoted"
            }
        case .quoted(let quote):
            isAtValueStart = false
            if byte == quote { (place, attribute) = (.tag, "") }
        }
        return nil
    }

    private mutating func followTagName(_ byte: UInt8) -> String? {
        if name.isEmpty, !isNameStart(byte) {
            // A lone < is text.
            place = .text
            return nil
        }
        if name.elementsEqual("!--".utf8) {
            (place, name) = (.comment, [byte])
            return nil
        }
        guard isSpace(byte) || byte == UInt8(ascii: ">") || (byte == UInt8(ascii: "/") && !name.isEmpty) else {
            name.append(byte)
            return nil
        }
        let element = String(decoding: name, as: UTF8.self).lowercased()
        guard !["script", "style", "iframe", "object", "embed"].contains(element) else { return "the element \(element) is not allowed" }
        (place, name) = (byte == UInt8(ascii: ">") ? .text : .tag, [])
        return nil
    }

    private mutating func followAttributeName(_ byte: UInt8) -> String? {
        switch byte {
        case UInt8(ascii: "="):
            guard !name.isEmpty else { return "an attribute must have its whole name in one place" }
            attribute = String(decoding: name, as: UTF8.self).lowercased()
            (place, name) = (.afterEquals, [])
            if attribute.hasPrefix("on") || attribute == "style" || attribute == "srcdoc" {
                return "the attribute \(attribute) is not allowed; the Content-Security-Policy would stop it"
            }
        case UInt8(ascii: ">"):
            (place, name) = (.text, [])
        case _ where isSpace(byte) || byte == UInt8(ascii: "/"):
            (place, name) = (.tag, [])
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "<"):
            return "a quotation mark or < stands where an attribute's name should"
        default:
            place = .attributeName
            name.append(byte)
        }
        return nil
    }

    private func isNameStart(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "!") || byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?")
            || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }
}
