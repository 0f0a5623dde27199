// Texts that programs send and people read: one line that is what it seems to be.

extension String {
    /// Whether people can read it on one line: no control characters or breaks, and something besides space.
    public var isOneVisibleLine: Bool {
        let asciiOnly = utf8.allSatisfy { $0 < 0x7F && $0 >= 0x20 }
        if asciiOnly { return utf8.contains { $0 > 0x20 } }
        var isVisible = false
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            // Format characters include those that turn the direction of what follows, and so could disguise the page around them.
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: return false
            case .spaceSeparator: continue
            default: isVisible = true
            }
        }
        return isVisible
    }
}
