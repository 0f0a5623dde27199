// The reference by which money that comes from a bank finds its bill, whoever typed it and wherever.

/// A structured creditor reference (ISO 11649): `RF`, two check digits, and up to 21 letters and digits. The check is that of IBANs (ISO 7064,
/// MOD 97-10): it finds every single error and every swap of neighbours.
public struct CreditorReference: Hashable, Sendable, CustomStringConvertible, LosslessStringConvertible {
    private static let bodyCharactersMax = 21
    /// What somebody may type around 25 characters.
    private static let typedCharactersMax = 64

    /// Without spaces, as systems pass it on.
    public let description: String

    /// Reads what a person or a bank wrote: either case, with spaces between. Nil when it is none, or its check fails.
    public init?(_ typed: String) {
        guard typed.utf8.count <= Self.typedCharactersMax else { return nil }
        let text = typed.uppercased().filter { $0 != " " && $0 != "\u{A0}" }
        let characters = Array(text.utf8)
        guard text.hasPrefix("RF"), (5...4 + Self.bodyCharactersMax).contains(characters.count),
            characters[2...3].allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
            CheckDigits.areSound(text)
        else { return nil }
        description = text
    }

    /// In groups of four, as ISO 11649 prints it for people.
    public var printed: String {
        var groups = ""
        for (position, character) in description.enumerated() {
            if position > 0, position % 4 == 0 { groups += " " }
            groups.append(character)
        }
        return groups
    }

    /// The references in a text that people wrote, such as "Bill RF12 0000 0000 07, thank you": each that is sound, once. Letters and digits that
    /// follow without a gap belong to a word, so only whole groups are tried, the longest first.
    public static func found(in text: String) -> [CreditorReference] {
        let words = text.uppercased().split(whereSeparator: { !($0.isASCII && ($0.isLetter || $0.isNumber)) })
        var found: [CreditorReference] = []
        for start in words.indices where words[start].hasPrefix("RF") {
            let candidates = (start..<min(start + 8, words.endIndex)).map { words[start...$0].joined() }
            if let reference = candidates.reversed().lazy.compactMap({ CreditorReference($0) }).first, !found.contains(reference) { found.append(reference) }
        }
        return found
    }
}
