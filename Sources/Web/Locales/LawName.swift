// Names of laws for readers. Registers and log hold one name of each law, in English. What the city's own laws are called is the city's matter; the
// General Data Protection Regulation has a name in every language.

extension PageContext {
    /// A law's name in the reader's language where it has one, as in "GDPR Art. 15(1)"; any other name stays as it is.
    public func lawName(_ law: String) -> String {
        guard let article = law.wholeMatch(of: /GDPR Art\. ([0-9]+(?:\([0-9a-z]+\))*)/)?.1 else { return law }
        return text("web.gdpr_article", ["article": String(article)])
    }
}
