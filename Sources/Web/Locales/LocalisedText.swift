// A text that the city keeps in the database in several languages: names of organisations, titles of purposes.
import Foundation
public import Postgres

/// `{"en": …, "fr": …, "ar": …}` as a register holds it. English is always there.
public struct LocalisedText: Sendable, Hashable {
    private let texts: [String: String]

    /// - Parameter json: a JSON object of language tags and texts; anything else counts as empty.
    public init(_ json: JSONText) {
        texts = (try? JSONDecoder().decode([String: String].self, from: Data(json.text.utf8))) ?? [:]
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
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return JSONText((try? encoder.encode(texts)).map { String(decoding: $0, as: UTF8.self) } ?? "{}")
    }
}
