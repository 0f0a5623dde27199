// Which language a page speaks: the three catalogues that exist, and how a request's wish is read.

/// A language that the site speaks.
public enum Language: String, Sendable, CaseIterable, Hashable {
    case english = "en"
    case french = "fr"
    case arabic = "ar"

    /// The BCP 47 tag, as in `lang="…"` and in the folder names of `config/locales`.
    public var tag: String { rawValue }

    /// `ltr` or `rtl`, as in `dir="…"`.
    public var direction: String { self == .arabic ? "rtl" : "ltr" }

    /// The language's name in itself, as the switch in the page's footer shows it.
    public var ownName: String {
        switch self {
        case .english: "English"
        case .french: "Français"
        case .arabic: "العربية"
        }
    }

    /// The best of our languages for an `Accept-Language` value (RFC 9110 §12.5.4, basic filtering of RFC 4647 §3.3.1).
    /// - Parameter header: at most 20 ranges of it are read; a browser sends under ten.
    /// - Returns: nil when none of ours is acceptable.
    public static func preferred(acceptLanguage header: String) -> Language? {
        var best: (language: Language, quality: Double)?
        for range in header.split(separator: ",").prefix(20) {
            let parts = range.split(separator: ";")
            guard let tag = parts.first?.drop(while: { $0 == " " }).prefix(while: { $0 != " " && $0 != "-" }) else { continue }
            guard let language = Language(rawValue: tag.lowercased()) else { continue }
            let quality =
                parts.dropFirst().lazy.compactMap { part -> Double? in
                    let text = part.drop(while: { $0 == " " })
                    return text.hasPrefix("q=") ? Double(text.dropFirst(2)) : nil
                }.first ?? 1
            guard quality > 0, quality <= 1 else { continue }
            if best.map({ quality > $0.quality }) ?? true { best = (language, quality) }
        }
        return best?.language
    }

    /// The category of a whole number, by CLDR 48's cardinal rules.
    public func pluralCategory(of count: Int) -> PluralCategory {
        let number = count.magnitude
        switch self {
        case .english:
            return number == 1 ? .one : .other
        case .french:
            if number <= 1 { return .one }
            return number % 1_000_000 == 0 ? .many : .other
        case .arabic:
            switch (number, number % 100) {
            case (0, _): return .zero
            case (1, _): return .one
            case (2, _): return .two
            case (_, 3...10): return .few
            case (_, 11...99): return .many
            default: return .other
            }
        }
    }
}

/// The plural categories of CLDR; their names end the keys of texts that count something (`tasks.one`, `tasks.other`).
public enum PluralCategory: String, Sendable, CaseIterable {
    case zero, one, two, few, many, other
}
