// What people type to say who they are, in its normal form. Pure.
import Foundation

/// A user name, e-mail address or phone number to sign in with.
public struct SignInName: Hashable, Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        case username, email, phone
    }

    public let kind: Kind
    /// Lower case, without spaces around it; a phone as + and digits.
    public let normalForm: String

    /// Longest name of any kind, in characters: the longest e-mail address (RFC 5321 §4.5.3.1.3).
    public static let charactersMax = 254
    /// Of residents and staff alike.
    static let usernameCharacters = 3...64

    /// Reads a user name: 3 to 64 letters, digits, dots, hyphens or underscores of any script, beginning with a letter.
    public static func username(_ typed: String) -> SignInName? {
        let name = trimmed(typed).precomposedStringWithCompatibilityMapping.lowercased()
        guard usernameCharacters.contains(name.count), name.first?.isLetter == true,
            name.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_" })
        else { return nil }
        return SignInName(kind: .username, normalForm: name)
    }

    /// Reads an e-mail address: something, an @, and a domain with a dot. Whether it works shows when a message is sent.
    public static func email(_ typed: String) -> SignInName? {
        let address = trimmed(typed).lowercased()
        let parts = address.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, parts[1].contains("."), !parts[1].hasPrefix("."), !parts[1].hasSuffix("."),
            address.count <= charactersMax, !address.contains(where: \.isWhitespace), !address.unicodeScalars.contains(where: { $0.value < 0x20 })
        else { return nil }
        return SignInName(kind: .email, normalForm: address)
    }

    /// Reads a phone number in international form (E.164): + and 7 to 15 digits; spaces, dots, hyphens and brackets are ignored.
    public static func phone(_ typed: String) -> SignInName? {
        var number = trimmed(typed).filter { !" .-()/\u{a0}".contains($0) }
        if number.hasPrefix("00") { number = "+" + number.dropFirst(2) }
        let digits = number.dropFirst()
        guard number.hasPrefix("+"), (7...15).contains(digits.count), digits.allSatisfy({ ("0"..."9").contains($0) }) else { return nil }
        return SignInName(kind: .phone, normalForm: number)
    }

    /// Reads whichever of the three was typed at sign-in. Nil for what can be none of them; the answer is the same as for a wrong password.
    public static func any(_ typed: String) -> SignInName? {
        if typed.contains("@") { return email(typed) }
        return phone(typed) ?? username(typed)
    }

    private static func trimmed(_ typed: String) -> String { typed.trimmingCharacters(in: .whitespacesAndNewlines) }
}
