// How long a short message is (3GPP TS 23.038): one message, or it is refused. Pure.

/// The text of one short message.
///
/// In the GSM 7-bit default alphabet one message holds 160 septets, and a character of its extension table takes two. A text with any other character, as all Arabic is,
/// goes in UCS-2 and holds 70 units. Longer texts would travel in parts, cost more, and arrive in any order.
public struct ShortMessage: Hashable, Sendable {
    public let text: String

    /// Septets of one message: 140 octets (3GPP TS 23.040 §9.2.3.24).
    public static let septetsMax = 160
    /// UCS-2 units of one message: the same 140 octets.
    public static let unitsMax = 70

    /// - Parameter text: typographer's spaces and quotation marks become those of the alphabet, so that a catalogue may be typeset as it should be.
    /// - Returns: nil when it is longer than one message, or empty.
    public init?(_ text: String) {
        let plain = Self.plain(text)
        guard !plain.isEmpty else { return nil }
        if let septets = Self.septets(of: plain) {
            guard septets <= Self.septetsMax else { return nil }
        } else {
            guard plain.utf16.count <= Self.unitsMax else { return nil }
        }
        self.text = plain
    }

    /// How many septets a text takes; nil when a character is not in the alphabet or its extension table.
    public static func septets(of text: String) -> Int? {
        var count = 0
        for scalar in text.unicodeScalars {
            if alphabet.contains(scalar) { count += 1 } else if extensionTable.contains(scalar) { count += 2 } else { return nil }
        }
        return count
    }

    private static func plain(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { substitutes[$0] ?? $0 }))
    }

    private static let substitutes: [Unicode.Scalar: Unicode.Scalar] = [
        "\u{A0}": " ", "\u{202F}": " ", "\u{2019}": "'", "\u{2018}": "'", "\u{201C}": "\"", "\u{201D}": "\"", "\u{2013}": "-", "\u{2011}": "-",
    ]

    /// 3GPP TS 23.038 §6.2.1, without the escape to the extension table.
    private static let alphabet = Set(
        """
        @£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà
        """.unicodeScalars
    ).union(["\n", "\r"])

    /// 3GPP TS 23.038 §6.2.1.1: each behind an escape.
    private static let extensionTable = Set("^{}\\[~]|€\u{C}".unicodeScalars)
}
