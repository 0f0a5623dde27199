// Start-up: the texts of config/locales/<language>/<slice>.yaml become one flat table a language. Templates take theirs
// at load time; Swift asks by key.
import Foundation
import Yams

/// Every text of the site in one language, by key. `consent.title` is `title` in `consent.yaml`; nested keys join with dots.
public struct Catalogue: Sendable {
    public let language: Language
    let texts: [String: String]

    /// Why the catalogues cannot be used; each message names the file or key to mend.
    public enum Failure: Error, Equatable, CustomStringConvertible {
        case unreadable(file: String, reason: String)
        case notText(file: String, key: String)
        case mustacheInText(key: String)
        case duplicateKey(String)
        case missingFolder(String)
        case missingText(key: String, language: String)

        public var description: String {
            switch self {
            case .unreadable(let file, let reason): "catalogue \(file) cannot be read: \(reason)"
            case .notText(let file, let key): "catalogue \(file): \"\(key)\" is neither text nor a group; quote numbers, yes and no"
            case .mustacheInText(let key): "catalogue text \(key) contains {{ or [[, which would become template code"
            case .duplicateKey(let key): "catalogue key \(key) is defined twice"
            case .missingFolder(let path): "catalogue folder \(path) is missing"
            case .missingText(let key, let language): "there is no text \(key) in language \(language)"
            }
        }
    }

    /// Reads every `*.yaml` of a folder.
    /// - Parameter directory: `config/locales/<language>`.
    /// - Throws: `Failure`.
    public init(language: Language, directory: String) throws {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else { throw Failure.missingFolder(directory) }
        var texts: [String: String] = [:]
        for name in names.sorted() where name.hasSuffix(".yaml") {
            let file = "\(directory)/\(name)"
            let node: Node?
            do {
                node = try Yams.compose(yaml: String(contentsOfFile: file, encoding: .utf8))
            } catch {
                throw Failure.unreadable(file: file, reason: "\(error)")
            }
            guard let node else { continue }
            try Self.flatten(node, prefix: String(name.dropLast(5)), file: file, into: &texts)
        }
        self.init(language: language, texts: texts)
    }

    /// A catalogue of given texts, for tests of pure code.
    init(language: Language, texts: [String: String]) {
        self.language = language
        self.texts = texts
    }

    private static func flatten(_ node: Node, prefix: String, file: String, into texts: inout [String: String]) throws {
        switch node {
        case .mapping(let mapping):
            for (key, value) in mapping {
                guard let name = key.scalar?.string else { throw Failure.notText(file: file, key: prefix) }
                try flatten(value, prefix: prefix + "." + name, file: file, into: &texts)
            }
        case .scalar(let scalar):
            // An unquoted `no` would be text here and a Boolean elsewhere; as texts are all we keep, the written form counts.
            let text = scalar.string
            guard !text.contains("{{"), !text.contains("[[") else { throw Failure.mustacheInText(key: prefix) }
            guard texts.updateValue(text, forKey: prefix) == nil else { throw Failure.duplicateKey(prefix) }
        default:
            throw Failure.notText(file: file, key: prefix)
        }
    }

    /// The text of a key as it is written, placeholders and all; nil when there is none.
    public func raw(_ key: String) -> String? { texts[key] }

    /// Every key, sorted.
    public var keys: [String] { texts.keys.sorted() }

    /// The text of a key with its placeholders filled in. Not escaped: it becomes a view model's String, which the template escapes.
    /// - Parameter parameters: values by placeholder name, for `{name}`.
    /// - Returns: the key itself in angle quotation marks when there is no such text; the catalogue test finds those.
    public func text(_ key: String, _ parameters: [String: String] = [:]) -> String {
        guard let text = texts[key] else { return "‹\(key)›" }
        guard !parameters.isEmpty, text.utf8.contains(UInt8(ascii: "{")) else { return text }
        return Self.fill(text) { parameters[$0] ?? "{\($0)}" }
    }

    /// The text of a key for a number: `key.one`, `key.other` and so on by the language's rules, with `{count}` filled in.
    /// - Parameters:
    ///   - parameters: further placeholders.
    ///   - shown: how the number is written; plain digits unless given.
    public func text(_ key: String, count: Int, _ parameters: [String: String] = [:]) -> String {
        var parameters = parameters
        if parameters["count"] == nil { parameters["count"] = String(count) }
        let category = language.pluralCategory(of: count).rawValue
        return text(texts["\(key).\(category)"] != nil ? "\(key).\(category)" : "\(key).other", parameters)
    }

    /// The names in curly brackets, in order of appearance.
    public static func placeholders(in text: String) -> [String] {
        var names: [String] = []
        _ = fill(text) { name in
            names.append(name)
            return ""
        }
        return names
    }

    /// Replaces each `{name}` of a text. A bracket that closes nothing stays as it is.
    static func fill(_ text: String, _ value: (String) -> String) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstIndex(of: "{") {
            guard let close = rest[open...].firstIndex(of: "}") else { break }
            result += rest[..<open]
            result += value(String(rest[rest.index(after: open)..<close]))
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }
}
