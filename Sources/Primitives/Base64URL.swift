// Tokens, cookies and CSRF values travel as base64url (RFC 4648 §5) without padding: safe in cookies, URLs and forms.
import Foundation

/// Base64url without padding.
public enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    /// Encodes bytes; 32 bytes become 43 characters.
    public static func encode(_ bytes: some Collection<UInt8>) -> String {
        let standard = Data(bytes).base64EncodedString()
        var text = ""
        text.reserveCapacity(standard.utf8.count)
        for character in standard.unicodeScalars where character != "=" {
            text.unicodeScalars.append(character == "+" ? "-" : character == "/" ? "_" : character)
        }
        return text
    }

    /// Decodes the one canonical form only: no padding, no other alphabet, no stray bits. Nil for anything else, so
    /// that two different texts never name the same token.
    public static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count * 3 / 4)
        var buffer: UInt32 = 0
        var bits = 0
        for character in text.utf8 {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
            }
        }
        guard bits < 6, buffer & ((1 << UInt32(bits)) - 1) == 0 else { return nil }
        return bytes
    }

    /// Fresh unguessable bytes from the system's generator.
    /// - Parameter count: 32 unless given, beyond any guessing (NIST SP 800-63B asks for 64 bits).
    public static func randomBytes(count: Int = 32) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 7)
        // Eight at a time: each draw is a call into the kernel.
        while bytes.count < count { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
        return Array(bytes.prefix(count))
    }
}
