// Codes on a list: a sheet of numbered ones for every sign-in, and recovery codes for the day on which all else is lost. They are shown once, when they are
// made; what is stored is a hash (look-up secrets, NIST SP 800-63B-4 §3.1.2).
import CArgon2
import Foundation
import Primitives
import Register

/// How the codes of a list are made and read.
enum ListedCodes {
    /// Sign-ins that one sheet lasts for: it fits a page, and a resident who signs in twice a week prints one each five months.
    static let sheetCount = 40
    /// §3.1.2.1 wants six digits at least; eight leave a guesser one chance in a million within the hundred failures that close the sheet.
    static let sheetDigits = 8
    /// Enough for a few bad days, few enough to be copied by hand.
    static let recoveryCount = 10
    /// In groups of four of Crockford's base 32: 80 bits, where §4.2.1.1 wants 64.
    static let recoveryCharacters = 16
    static let saltBytes = 16

    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    /// New codes for a list, in their normal form.
    static func random(for kind: FactorKind) -> [String] {
        switch kind {
        case .codeSheet: return (0..<sheetCount).map { _ in random(sheetDigits, of: alphabet[..<10]) }
        case .recoveryCodes: return (0..<recoveryCount).map { _ in randomRecoveryCode() }
        case .totp, .passkey: return []
        }
    }

    /// One code that stands in for a lost password or factor, in its normal form.
    static func randomRecoveryCode() -> String { random(recoveryCharacters, of: alphabet[...]) }

    private static func random(_ count: Int, of characters: ArraySlice<Character>) -> String {
        var generator = SystemRandomNumberGenerator()
        return String((0..<count).map { _ in characters[Int.random(in: characters.indices, using: &generator)] })
    }

    /// As it is printed: `1234 5678`, `ABCD-EFGH-JKMN-PQRS`.
    static func printed(_ code: String, of kind: FactorKind) -> String {
        let characters = Array(code)
        let groups = stride(from: 0, to: characters.count, by: 4).map { String(characters[$0..<min($0 + 4, characters.count)]) }
        return groups.joined(separator: kind == .codeSheet ? " " : "-")
    }

    /// The normal form of what was typed, nil for what can be no such code. Recovery codes are read as Crockford means: either case, `O` for `0`, `I` and
    /// `L` for `1`.
    static func read(_ typed: String, as kind: FactorKind) -> String? {
        switch kind {
        case .totp, .passkey: return nil
        case .codeSheet: return OneTimeDigits.read(typed, count: sheetDigits)
        case .recoveryCodes:
            guard typed.unicodeScalars.count <= 64 else { return nil }
            var code = ""
            for character in typed.uppercased() where !character.isWhitespace && character != "-" {
                let read: Character = character == "O" ? "0" : character == "I" || character == "L" ? "1" : character
                guard alphabet.contains(read) else { return nil }
                code.append(read)
            }
            return code.count == recoveryCharacters ? code : nil
        }
    }

    static func randomSalt() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}

extension PasswordHasher {
    /// What one code of a list costs to hash. §3.1.2.2 allows a small work factor for what a machine drew; the key that the hash is under besides is what
    /// keeps eight digits from being tried out.
    private static let listedCodeCost = PasswordCost(memoryKibibytes: 1024, passes: 1, lanes: 1)
    private static let listedCodeHashBytes = 32

    /// The hashes of codes as they are stored: argon2id under the list's salt, then HMAC-SHA-256 under the look-up key.
    func hash(listed codes: [String], salt: [UInt8], under lookup: LookupKey) async throws -> [[UInt8]] {
        try await onOwnThread {
            try codes.map { code in
                let bytes = Array(code.utf8)
                let cost = Self.listedCodeCost
                var hash = [UInt8](repeating: 0, count: Self.listedCodeHashBytes)
                let status = argon2id_hash_raw(
                    cost.passes, cost.memoryKibibytes, cost.lanes, bytes, bytes.count, salt, salt.count, &hash, hash.count)
                guard status == ARGON2_OK.rawValue else { throw PasswordHasherError.failed(status) }
                return lookup.listedCode(hash)
            }
        }
    }
}
