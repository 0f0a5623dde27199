// The code by which a resident names themself at a counter, on a paper form or over the telephone. It says nothing about
// them, and a slip of the pen or the tongue is noticed before somebody else's record opens.

/// Why a typed code is not a public code.
public enum PublicCodeError: Error, Hashable, Sendable {
    /// Not nine characters once spaces and hyphens are gone.
    case wrongLength
    /// A character that the alphabet does not have (`U`, punctuation, another script).
    case unknownCharacter
    /// Nine good characters that do not belong together: one is wrong, or two are swapped.
    case checkFailed
}

/// Eight random characters and a check character, printed `XXX-XXX-XXX`.
///
/// The alphabet is Crockford's base 32 (`0–9 A–Z` without `I L O U`), each character a number from 0 to 31. Crockford's own check
/// character counts modulo 37 and needs `* ~ $ = U`, which are hard to say and to write; so the check here is an ordinary character
/// of the same alphabet, a weighted sum in the field GF(32) = GF(2)[x] / (x⁵ + x² + 1), where addition is exclusive or:
///
///     check = x¹·d₁ + x²·d₂ + … + x⁸·d₈
///
/// x generates the field's 31 non-zero elements, so the weights x¹ … x⁸ and the check character's own weight x⁰ are nine different
/// non-zero elements. A single error changes the sum by weight · difference, which is not zero. A swap of any two different
/// characters, neighbours or not, the check character included, changes it by (weight − weight′) · (d − d′), which is not zero. So
/// every single error and every swap is caught, and of random codes 31 in 32.
public struct PublicCode: Hashable, Sendable, Comparable, Codable, CustomStringConvertible, LosslessStringConvertible {
    /// 40 random bits: a city of a million residents that draws a new code when one is taken draws again once in a million times.
    private static let dataCharacters = 8
    /// What somebody may type around nine characters: spaces and hyphens between all of them, and some to spare.
    private static let typedCharactersMax = 64

    /// The eight data characters, five bits each, the first in the highest bits.
    private let data: UInt64

    private init(data: UInt64) {
        self.data = data & 0xFF_FFFF_FFFF
    }

    /// A code from a source of randomness. Whether it is taken already, the database's UNIQUE constraint says.
    public static func random(using generator: inout some RandomNumberGenerator) -> PublicCode {
        PublicCode(data: generator.next())
    }

    /// A code from the system's cryptographic randomness.
    public static func random() -> PublicCode {
        var generator = SystemRandomNumberGenerator()
        return random(using: &generator)
    }

    /// Reads what a person typed: either case, any hyphens, dashes and spaces, `O` for `0`, `I` and `L` for `1`.
    /// - Throws: `PublicCodeError`, which says what is wrong with it.
    public static func parse(_ typed: String) throws(PublicCodeError) -> PublicCode {
        guard typed.unicodeScalars.count <= typedCharactersMax else { throw .wrongLength }
        var values: [UInt8] = []
        for scalar in typed.unicodeScalars where !isSeparator(scalar) {
            guard let value = value(of: scalar) else { throw .unknownCharacter }
            values.append(value)
        }
        guard values.count == dataCharacters + 1, let check = values.popLast() else { throw .wrongLength }
        let data = values.reduce(UInt64(0)) { $0 << 5 | UInt64($1) }
        guard checkValue(data) == check else { throw .checkFailed }
        return PublicCode(data: data)
    }

    /// The same as `parse`, for those who need no reason.
    public init?(_ description: String) {
        guard let code = try? PublicCode.parse(description) else { return nil }
        self = code
    }

    /// `XXX-XXX-XXX`, the one form that is printed and stored.
    public var description: String {
        let characters = compact
        let third = characters.index(characters.startIndex, offsetBy: 3)
        let sixth = characters.index(third, offsetBy: 3)
        return "\(characters[..<third])-\(characters[third..<sixth])-\(characters[sixth...])"
    }

    /// The nine characters without hyphens, for a URL or a barcode.
    public var compact: String {
        var characters = ""
        for position in 0..<Self.dataCharacters {
            characters.unicodeScalars.append(Self.alphabet[Int(Self.character(position, of: data))])
        }
        characters.unicodeScalars.append(Self.alphabet[Int(Self.checkValue(data))])
        return characters
    }

    public static func < (left: PublicCode, right: PublicCode) -> Bool { left.data < right.data }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let code = PublicCode(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a public code")
        }
        self = code
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".unicodeScalars)

    private static func character(_ position: Int, of data: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: data >> UInt64(5 * (dataCharacters - 1 - position))) & 31
    }

    /// Horner's rule from the last character to the first: ((d₈·x + d₇)·x + … + d₁)·x = x¹·d₁ + … + x⁸·d₈.
    private static func checkValue(_ data: UInt64) -> UInt8 {
        var sum: UInt8 = 0
        for position in (0..<dataCharacters).reversed() {
            sum = timesX(sum ^ character(position, of: data))
        }
        return sum
    }

    /// Multiplication by x in GF(32): a shift, and x⁵ replaced by x² + 1.
    private static func timesX(_ element: UInt8) -> UInt8 {
        let shifted = element << 1
        return shifted & 32 == 0 ? shifted : shifted ^ 0b100101
    }

    private static func value(of scalar: Unicode.Scalar) -> UInt8? {
        switch scalar {
        case "O", "o": return 0
        case "I", "i", "L", "l": return 1
        default: break
        }
        let upper = ("a"..."z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) - 32) : scalar
        return alphabet.firstIndex(of: upper).map(UInt8.init)
    }

    /// Hyphen, the dashes that telephones put in its place, and every kind of space.
    private static func isSeparator(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "-", "\u{2010}"..."\u{2015}", "\u{2212}": true
        default: scalar.properties.isWhitespace
        }
    }
}
