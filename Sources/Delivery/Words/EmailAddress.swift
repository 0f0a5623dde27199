// Where a message goes, in a form that cannot be anything else: what is no such address never reaches a header, a command or a gateway. Pure.
import Foundation

/// An e-mail address that can be written into a header and an SMTP command as it is.
///
/// Narrower than RFC 5321 §4.1.2 on purpose: a dot-atom and a domain name, in ASCII. Quoted local parts, address literals and addresses that need SMTPUTF8
/// (RFC 6531) are refused, so no space, line end, angle bracket or comma can stand in one.
public struct EmailAddress: Hashable, Sendable, CustomStringConvertible {
    /// `local@domain`, the domain in small letters.
    public let text: String

    /// Longest local part, and longest path less its brackets, in bytes (RFC 5321 §4.5.3.1.1, §4.5.3.1.3).
    private static let localBytesMax = 64
    private static let bytesMax = 254

    /// - Returns: nil for whatever else was typed.
    public init?(_ typed: String) {
        let parts = typed.split(separator: "@", omittingEmptySubsequences: false)
        guard typed.utf8.count <= Self.bytesMax, parts.count == 2, parts[0].utf8.count <= Self.localBytesMax, Self.isDotAtom(parts[0]), Self.isDomain(parts[1])
        else { return nil }
        text = parts[0] + "@" + parts[1].lowercased()
    }

    /// The text is somebody's: it is not for logs.
    public var description: String { "[redacted]" }

    /// RFC 5322 §3.2.3.
    private static func isDotAtom(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && part.utf8.allSatisfy { isLetterOrDigit($0) || "!#$%&'*+-/=?^_`{|}~".utf8.contains($0) }
        }
    }

    /// Labels of letters, digits and inner hyphens (RFC 1123 §2.1), at least two of them.
    private static func isDomain(_ text: Substring) -> Bool {
        let labels = text.split(separator: ".", omittingEmptySubsequences: false)
        return labels.count >= 2
            && labels.allSatisfy { label in
                (1...63).contains(label.utf8.count) && label.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") } && label.first != "-" && label.last != "-"
            }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}

/// A phone number in international form (ITU-T E.164): + and 7 to 15 digits.
public struct PhoneNumber: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    public init?(_ normalForm: String) {
        let digits = normalForm.utf8.dropFirst()
        guard normalForm.hasPrefix("+"), (7...15).contains(digits.count), digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        text = normalForm
    }

    /// The number is somebody's: it is not for logs.
    public var description: String { "[redacted]" }
}
