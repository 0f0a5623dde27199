// Names and addresses in the characters that every bank of the Single Euro Payments Area takes (EPC217-08, EPC132-08 §1.4): Latin letters without marks,
// digits, space and / - ? : ( ) . , ' +.
import Foundation

/// A text of those characters. It needs no escaping in XML, since it can hold no `<`, `>` or `&`.
public struct SEPAText: Hashable, Sendable {
    public let text: String

    /// Writes what was typed in these characters: marks are left off Latin letters (é becomes e), ligatures and special letters are written out (ß becomes ss,
    /// ø o), typographic quotes and dashes become plain ones, and & becomes +, as the best practices of EPC217-08 do.
    ///
    /// Nil for anything else: what is written in another script is not guessed. Whoever gives it writes it as their bank does.
    /// - Parameter charactersMax: of what is written.
    public init?(_ typed: String, charactersMax: Int) {
        var written = ""
        for scalar in typed.decomposedStringWithCompatibilityMapping.unicodeScalars {
            if Self.isPlain(scalar) {
                written.unicodeScalars.append(scalar)
            } else if let replacement = Self.replacements[scalar] {
                written += replacement
            } else if scalar.properties.isWhitespace {
                written += " "
            } else if scalar.properties.generalCategory != .nonspacingMark {
                return nil
            }
        }
        let words = written.split(separator: " ")
        let text = words.joined(separator: " ")
        guard !text.isEmpty, text.utf8.count <= charactersMax, text.contains(where: \.isLetter) || text.contains(where: \.isNumber) else { return nil }
        self.text = text
    }

    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", " ", "/", "-", "?", ":", "(", ")", ".", ",", "'", "+": true
        default: false
        }
    }

    private static let replacements: [Unicode.Scalar: String] = [
        "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH",
        "ł": "l", "Ł": "L", "ı": "i", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T", "ŋ": "n", "Ŋ": "N",
        "\u{2018}": "'", "\u{2019}": "'", "\u{02BC}": "'", "`": "'", "\u{2010}": "-", "\u{2011}": "-", "\u{2012}": "-", "\u{2013}": "-", "\u{2014}": "-",
        "&": "+",
    ]
}
