// JSON as bytes in the one form that RFC 8785 defines, so that a signature over it can be checked by another program in another language.

/// A value that no signature can be made over.
public struct NotCanonical: Error, Sendable, Hashable {}

extension JSONValue {
    /// The value as RFC 8785 (JSON Canonicalization Scheme) writes it.
    /// - Throws: ``NotCanonical`` for a number that is no integer of at most 53 bits: its text would hang on how a program holds it.
    public func canonicalised() throws(NotCanonical) -> [UInt8] {
        var bytes: [UInt8] = []
        guard writeCanonical(into: &bytes) else { throw NotCanonical() }
        return bytes
    }

    private func writeCanonical(into bytes: inout [UInt8]) -> Bool {
        switch self {
        case .null, .bool: bytes += serialised()
        case .integer(let value):
            guard value.magnitude <= 1 << 53 else { return false }
            bytes += String(value).utf8
        case .number: return false
        case .string(let text): Self.writeCanonical(text, into: &bytes)
        case .array(let items):
            bytes.append(UInt8(ascii: "["))
            for (position, item) in items.enumerated() {
                if position > 0 { bytes.append(UInt8(ascii: ",")) }
                guard item.writeCanonical(into: &bytes) else { return false }
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            // §3.2.3: by the UTF-16 code units of the names.
            for (position, member) in members.sorted(by: { $0.name.utf16.lexicographicallyPrecedes($1.name.utf16) }).enumerated() {
                if position > 0 { bytes.append(UInt8(ascii: ",")) }
                Self.writeCanonical(member.name, into: &bytes)
                bytes.append(UInt8(ascii: ":"))
                guard member.value.writeCanonical(into: &bytes) else { return false }
            }
            bytes.append(UInt8(ascii: "}"))
        }
        return true
    }

    /// §3.2.2.2: the short escapes where there is one, `\u00xx` in small letters for other control characters, everything else as it is.
    private static func writeCanonical(_ text: String, into bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case 0x08: bytes += "\\b".utf8
            case 0x09: bytes += "\\t".utf8
            case 0x0A: bytes += "\\n".utf8
            case 0x0C: bytes += "\\f".utf8
            case 0x0D: bytes += "\\r".utf8
            case 0..<0x20: bytes += "\\u00\(byte < 0x10 ? "0" : "")\(String(byte, radix: 16))".utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
