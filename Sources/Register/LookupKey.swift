// Exact look-ups without a readable index: what people type is brought into a normal form and keyed with a secret, so that the
// database can find it and nobody with the database alone can try names out.
import Crypto
import Foundation
public import Postgres

/// Makes the keyed HMACs (HMAC-SHA-256, RFC 2104) by which records and accounts are found.
public struct LookupKey: Sendable {
    private let key: SymmetricKey

    /// - Parameter secret: 32 bytes, from a file of mode 0600 or the environment. It can never change without re-importing.
    public init(secret: [UInt8]) {
        key = SymmetricKey(data: secret)
    }

    /// A national number: its digits, whatever stands between them.
    public func nationalNumber(_ typed: String) -> [UInt8] {
        hmac("national_number", typed.filter(\.isASCIIDigit))
    }

    /// All given names, the family name and the day of birth, exactly as in the record but for case, width and spaces.
    public func nameAndBirthDate(givenNames: String, familyName: String, born: CalendarDay) -> [UInt8] {
        hmac("name_and_birth_date", normalName(givenNames) + "\u{0}" + normalName(familyName) + "\u{0}" + born.description)
    }

    /// A name to sign in with. The kinds cannot collide: an e-mail has an @, a phone starts with + and a user name has neither.
    public func signInName(_ normalForm: String) -> [UInt8] {
        hmac("sign_in_name", normalForm)
    }

    /// A network address and the like, so that lists of failed attempts hold none.
    public func attempt(_ kind: String, _ value: String) -> [UInt8] {
        hmac("attempt/" + kind, value)
    }

    /// A code of somebody's list of one-time codes, hashed already: nothing can be tried out by whoever has the database alone.
    public func listedCode(_ hash: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Data("listed_code".utf8) + [0] + Data(hash), using: key))
    }

    /// The content of a register record, to tell whether an import would change it.
    public func recordContent(_ fields: [String]) -> [UInt8] {
        // Lengths first: ("ab", "c") and ("a", "bc") differ.
        hmac("record_content", fields.map { "\($0.utf8.count):\($0)" }.joined())
    }

    /// What the database keeps of this key, to tell it from another.
    var testValue: [UInt8] { hmac("key_check", "this key finds the people of this city") }

    private func hmac(_ purpose: String, _ normalForm: String) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Data(purpose.utf8) + [0] + Data(normalForm.utf8), using: key))
    }

    private func normalName(_ name: String) -> String {
        name.precomposedStringWithCompatibilityMapping.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
