// Bank account numbers as ISO 13616 writes them.
import Primitives

/// An International Bank Account Number that passed its check: country, length and check digits.
public struct IBAN: Hashable, Sendable {
    /// Without spaces, in capital letters.
    public let text: String

    /// Reads what people type: in groups or not, in either case. Nil unless country, length and the check digits fit (ISO 13616-1:2020 §5,
    /// ISO 7064 MOD 97-10). Only countries of the Single Euro Payments Area, whose lengths the IBAN registry of SWIFT lists: the city's bank pays to no others.
    public init?(_ typed: String) {
        let compact = typed.uppercased().unicodeScalars.filter { !$0.properties.isWhitespace }
        guard compact.count <= 34, compact.count > 4, compact.allSatisfy(\.isASCII) else { return nil }
        let characters = String(String.UnicodeScalarView(compact))
        guard let length = Self.lengths[String(characters.prefix(2))], compact.count == length else { return nil }
        let checkDigits = characters.dropFirst(2).prefix(2)
        guard checkDigits.allSatisfy({ $0.isASCII && $0.isNumber }), ("02"..."98").contains(String(checkDigits)) else { return nil }
        guard CheckDigits.areSound(characters) else { return nil }
        text = characters
    }

    /// ISO 3166-1 alpha-2 of the country that the account is kept in.
    public var country: String { String(text.prefix(2)) }

    /// In groups of four, as on paper.
    var grouped: String {
        var groups: [Substring] = []
        var rest = text[...]
        while !rest.isEmpty {
            groups.append(rest.prefix(4))
            rest = rest.dropFirst(4)
        }
        return groups.joined(separator: " ")
    }

    /// The last four characters: enough to tell one's own accounts apart.
    var ending: String { "…" + text.suffix(4) }

    private static let lengths: [String: Int] = {
        let registry = """
            AD24 AT20 BE16 BG22 CH21 CY28 CZ24 DE22 DK18 EE20 ES24 FI18 FR27 GB22 GI23 GR27 HR21 HU28 IE22 IS26 IT27 LI21 LT20 LU20 LV21 MC27 MT31 NL18 NO15 \
            PL28 PT25 RO24 SE24 SI19 SK24 SM27 VA22
            """
        var lengths: [String: Int] = [:]
        for entry in registry.split(separator: " ") { lengths[String(entry.prefix(2))] = Int(entry.dropFirst(2)) }
        return lengths
    }()
}
