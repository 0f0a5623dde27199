// A text that the city keeps in the database in several languages: names of organisations, titles of purposes.
public import Postgres

/// `{"en": …, "fr": …, "ar": …}` as a register holds it. English is always there.
public struct LocalisedText: Sendable, Hashable {
    private let texts: [String: String]

    /// - Parameter json: a JSON object of language tags and texts; anything else counts as empty.
    public init(_ json: JSONText) {
        guard case .object(let members) = try? JSONScanner.scan(json.text.utf8) else {
            texts = [:]
            return
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

    /// For storing.
    public var json: JSONText {
        let members = texts.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }
        return JSONText(String(decoding: JSONValue.object(members).serialised(), as: UTF8.self))
    }
}
