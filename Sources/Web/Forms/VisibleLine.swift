// Texts that somebody sends and others read: what they seem to be, and nothing that disguises the page around them.

extension String {
    /// Whether people can read it on one line: no control characters or breaks, and something besides space.
    public var isOneVisibleLine: Bool {
        let asciiOnly = utf8.allSatisfy { $0 < 0x7F && $0 >= 0x20 }
        if asciiOnly { return utf8.contains { $0 > 0x20 } }
        var isVisible = false
        for scalar in unicodeScalars {
            // Letters that look like nothing (the Hangul fillers, and the empty Braille cell) could hide a second reference in one that is known.
            if scalar.properties.isDefaultIgnorableCodePoint || scalar == "\u{2800}" { return false }
            switch scalar.properties.generalCategory {
            // Format characters include those that turn the direction of what follows, and so could disguise the page around them.
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: return false
            case .spaceSeparator: continue
            default: isVisible = true
            }
        }
        return isVisible
    }

    /// Whether people can read it on several lines: besides line breaks and tabs no control characters, nothing that turns the direction of what
    /// follows, and something besides space. The marks and joiners that Arabic and other scripts need are fine.
    public var isVisibleText: Bool {
        var isVisible = false
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control: guard scalar == "\n" || scalar == "\t" else { return false }
            // Embeddings, overrides and isolates (Unicode Standard Annex 9).
            case .format: if turningScalars.contains(scalar) { return false }
            case .surrogate, .privateUse, .unassigned: return false
            case .spaceSeparator, .lineSeparator, .paragraphSeparator: continue
            default: isVisible = isVisible || !(scalar.properties.isDefaultIgnorableCodePoint || scalar == "\u{2800}")
            }
        }
        return isVisible
    }
}

private let turningScalars: Set<Unicode.Scalar> = [
    "\u{202A}", "\u{202B}", "\u{202C}", "\u{202D}", "\u{202E}", "\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}",
]
