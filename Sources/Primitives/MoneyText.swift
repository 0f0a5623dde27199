// Amounts as people write them: on a page in the reader's language, and in a form field in any of its habits.

extension Money {
    /// The amount for a page: `€1,234.50` in English, `1 234,50 €` in French, `1,234.50 €` in Arabic.
    ///
    /// Spaces inside are no-break spaces. Arabic keeps Western digits, as bills, cards and keypads do, so that an amount reads the same on
    /// the page, on paper and over the telephone; a left-to-right mark keeps a minus sign in front of its digits.
    /// - Parameter locale: a language tag; only its first part counts, and languages without rules here use the English form.
    public func formatted(locale: String) -> String {
        let language = locale.split(whereSeparator: { $0 == "-" || $0 == "_" }).first.map { $0.lowercased() }
        let sign = isNegative ? "-" : ""
        switch language {
        case "fr":
            return sign + digits(groupSeparator: "\u{202F}", decimalSeparator: ",") + "\u{A0}" + currency.symbol
        case "ar":
            let mark = isNegative ? "\u{200E}" : ""
            return mark + sign + digits(groupSeparator: ",", decimalSeparator: ".") + "\u{A0}" + currency.symbol
        default:
            // A code needs a space before the digits, a sign does not.
            let gap = currency.symbol == currency.code ? "\u{A0}" : ""
            return sign + currency.symbol + gap + digits(groupSeparator: ",", decimalSeparator: ".")
        }
    }

    /// Longer than any amount of 64 bits with groups, sign and symbol; refuses what is no amount before looking at it.
    private static let typedCharactersMax = 48

    /// Reads what a person typed into a form, or what `formatted` printed.
    ///
    /// Point and comma both serve as decimal separator; thousands may be grouped by the other of the two, by spaces or apostrophes, but
    /// then completely. Arabic digits and separators and the currency's own sign or code at either end are understood. A single point or comma
    /// before exactly three digits is the decimal separator of a currency with three decimals, a group separator in one without any, and
    /// refused as ambiguous in all others. A leading minus makes the amount negative: whoever wants a positive one checks that.
    /// - Throws: `MoneyParsingError`, which a form turns into a sentence beside the field.
    public static func parse(_ typed: String, _ currency: Currency) throws(MoneyParsingError) -> Money {
        guard typed.unicodeScalars.count <= typedCharactersMax else { throw .notANumber }
        var text = trimmed(typed)[...]
        guard !text.isEmpty else { throw .empty }

        // The sign may stand before or after the currency's sign: -€5 and €-5.
        var negative = dropMinus(&text)
        for label in [currency.symbol, currency.code] {
            if text.hasPrefix(label) { text = trimmed(text.dropFirst(label.count))[...] }
            if text.hasSuffix(label) { text = trimmed(text.dropLast(label.count))[...] }
        }
        if !negative { negative = dropMinus(&text) }

        let (whole, fraction) = try partition(text.map(westernForm), currency)
        guard fraction.count <= currency.minorUnits else { throw .tooManyDecimals }
        let padding = String(repeating: "0", count: currency.minorUnits - fraction.count)
        guard let minorUnits = Int64((negative ? "-" : "") + String(whole) + String(fraction) + padding) else { throw .outOfRange }
        return Money(minorUnits: minorUnits, currency: currency)
    }

    /// Finds the digits before and after the decimal separator.
    private static func partition(
        _ characters: [Character], _ currency: Currency
    ) throws(MoneyParsingError) -> (whole: [Character], fraction: [Character]) {
        guard let last = characters.lastIndex(where: { $0 == "." || $0 == "," }) else {
            return (try ungrouped(characters, separators: [" ", "'"]), [])
        }
        let separator = characters[last]
        let head = Array(characters[..<last])
        let tail = Array(characters[(last + 1)...])

        if head.contains(separator) || (tail.count == 3 && currency.minorUnits == 0) {
            // The same character twice groups thousands (1,234,567), and so does one where there are no decimals to separate.
            return (try ungrouped(characters, separators: [separator]), [])
        }
        guard !tail.isEmpty, tail.allSatisfy(isDigit) else { throw .notANumber }
        let groupSeparators = [" ", "'", separator == "." ? "," : "."] as [Character]
        let isGrouped = head.contains { groupSeparators.contains($0) }
        if tail.count == 3 && currency.minorUnits == 2 && !isGrouped { throw .ambiguousSeparator }
        return (try ungrouped(head, separators: groupSeparators), tail)
    }

    /// The digits without their separators, of which only one kind may occur, before groups of exactly three.
    private static func ungrouped(_ characters: [Character], separators: [Character]) throws(MoneyParsingError) -> [Character] {
        guard let separator = characters.first(where: { separators.contains($0) }) else {
            guard !characters.isEmpty, characters.allSatisfy(isDigit) else { throw .notANumber }
            return characters
        }
        let groups = characters.split(separator: separator, omittingEmptySubsequences: false)
        guard let first = groups.first, (1...3).contains(first.count), groups.dropFirst().allSatisfy({ $0.count == 3 }),
            groups.allSatisfy({ $0.allSatisfy(isDigit) })
        else { throw .notANumber }
        return groups.flatMap { $0 }
    }

    private static func isDigit(_ character: Character) -> Bool {
        ("0"..."9").contains(character) && character.utf8.count == 1
    }

    private static func dropMinus(_ text: inout Substring) -> Bool {
        guard text.hasPrefix("-") || text.hasPrefix("\u{2212}") else { return false }
        text = trimmed(text.dropFirst())[...]
        return true
    }

    /// Without spaces and direction marks at the ends.
    private static func trimmed(_ text: some StringProtocol) -> String {
        let isEdge = { (scalar: Unicode.Scalar) in
            scalar.properties.isWhitespace || scalar == "\u{200E}" || scalar == "\u{200F}" || scalar == "\u{061C}"
        }
        var scalars = Substring(text).unicodeScalars
        while let first = scalars.first, isEdge(first) { scalars.removeFirst() }
        while let last = scalars.last, isEdge(last) { scalars.removeLast() }
        return String(scalars)
    }

    /// Arabic-Indic (U+0660) and Eastern Arabic-Indic (U+06F0) digits, Arabic separators, and all spaces and apostrophes in one form.
    private static func westernForm(_ character: Character) -> Character {
        guard character.unicodeScalars.count == 1, let scalar = character.unicodeScalars.first else { return character }
        switch scalar {
        case "\u{0660}"..."\u{0669}": return Character(Unicode.Scalar(UInt8(scalar.value - 0x0660) + UInt8(ascii: "0")))
        case "\u{06F0}"..."\u{06F9}": return Character(Unicode.Scalar(UInt8(scalar.value - 0x06F0) + UInt8(ascii: "0")))
        case "\u{066B}": return "."
        case "\u{066C}": return ","
        case "\u{2019}": return "'"
        default: return scalar.properties.isWhitespace ? " " : character
        }
    }
}
