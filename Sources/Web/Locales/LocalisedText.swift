// A text that the city keeps in the database in several languages: names of organisations, titles of purposes.
public import Postgres

/// `{"en": …, "fr": …, "ar": …}` as a register holds it. English is always there.
public struct LocalisedText: Sendable, Hashable {
    private let texts: [String: String]

    /// - Parameter json: a JSON object of texts by language tag.
    /// - Throws: `DatabaseError.decoding` when the column holds anything else.
    public init(_ json: JSONText) throws {
        guard case .object(let members)? = try? JSONScanner.scan(json.text.utf8) else {
            throw DatabaseError.decoding(column: "a text in several languages", reason: "is no JSON object")
        }
        texts = Dictionary(members.compactMap { member in member.value.text.map { (member.name, $0) } }) { first, _ in first }
    }

    public init(_ texts: [Language: String]) {
        self.texts = Dictionary(uniqueKeysWithValues: texts.map { ($0.key.tag, $0.value) })
    }

    /// The text in this language, or in English where there is none.
    public func text(_ language: Language) -> String {
        texts[language.tag] ?? texts["en"] ?? ""
    }

    /// The language that `text` comes in: this one, or English where it has none.
    public func language(for language: Language) -> Language {
        texts[language.tag] == nil ? .english : language
    }

    /// For storing.
    public var json: JSONText {
        let members = texts.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }
        return JSONText(String(decoding: JSONValue.object(members).serialised(), as: UTF8.self))
    }
}
