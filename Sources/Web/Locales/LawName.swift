// Names of laws for readers. Registers and log hold one name of each law, in English. What the city's own laws are called is the city's matter; the
// General Data Protection Regulation has a name in every language.

extension PageContext {
    /// A law's name in the reader's language where it has one, as in "GDPR Art. 15(1)"; any other name stays as it is.
    public func lawName(_ law: String) -> String {
        let regulation = "GDPR Art. "
        guard law.hasPrefix(regulation) else { return law }
        let article = law.dropFirst(regulation.count)
        // Read by hand: a regular expression is built anew at each call, which was a fourteenth of the consent dashboard.
        guard article.first?.isWholeNumber == true, article.utf8.allSatisfy({ $0.isArticleByte }) else { return law }
        return text("web.gdpr_article", ["article": String(article)])
    }
}

extension UInt8 {
    /// Of the name of an article: "15", "9(2)(a)".
    fileprivate var isArticleByte: Bool {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "("), UInt8(ascii: ")"): true
        default: false
        }
    }
}
