// Reads settings from where they may stand, the first that has one wins: the command line, the environment, the YAML file. A
// setting that nobody knows and a value that makes no sense are refused, because a city must not run on a misspelling.
import Configuration
import Foundation
import Yams

/// One setting by its key in the file; in the environment it is `STOA_` and the key in capitals with underscores.
struct Setting: Sendable, Hashable {
    let key: String
    /// Secrets come from the environment (or a file that a setting names), never from the YAML file or the command line, which others can read.
    let isSecret: Bool
    /// Another variable that means the same, as the documentation of `make run` names it.
    let shortVariable: String?

    init(_ key: String, isSecret: Bool = false, shortVariable: String? = nil) {
        self.key = key
        self.isSecret = isSecret
        self.shortVariable = shortVariable
    }

    var variable: String { "STOA_" + key.replacingOccurrences(of: ".", with: "_").uppercased() }
}

/// Typed access to settings, with errors that name the setting and where else it can be set.
struct SettingsReader: Sendable {
    private let reader: ConfigReader

    /// - Parameters:
    ///   - file: the YAML file; a missing one is an error only if it was asked for.
    ///   - environment: of the process.
    ///   - overrides: from the command line, by key.
    ///   - known: every setting there is.
    init(file: String, fileIsRequired: Bool, environment: [String: String], overrides: [String: String], known: [Setting]) async throws {
        try Self.refuseUnknown(overrides.keys, known: known.filter { !$0.isSecret }, place: "the command line")
        try Self.refuseUnknownVariables(environment, known)
        var providers: [any ConfigProvider] = [Self.provider("command line", overrides), Self.environment(environment, known)]
        let lines = try Self.settings(inFile: file, isRequired: fileIsRequired)
        try Self.refuseUnknown(lines, known: known.filter { !$0.isSecret }, place: file)
        if !lines.isEmpty {
            let place = ConfigReader(provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(file), isSecret: false)]))
            providers.append(try await FileProvider<YAMLSnapshot>(config: place))
        }
        reader = ConfigReader(providers: providers)
    }

    /// The text of a setting; nil where it is set nowhere or empty.
    func text(_ setting: Setting) -> String? {
        // As text whatever it is: the conversions below then say in words what is wrong.
        let text = reader.string(forKey: ConfigKey(setting.key), isSecret: setting.isSecret)
        return text?.isEmpty == true ? nil : text
    }

    func integer(_ setting: Setting, in range: ClosedRange<Int>) throws -> Int? {
        guard let text = text(setting) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw SetupError(
                "The setting \(setting.key) (\(setting.variable)) is \"\(text)\". It must be a whole number from \(range.lowerBound) to \(range.upperBound).")
        }
        return number
    }

    /// A value that `convert` understands.
    func value<Value>(_ setting: Setting, _ meaning: String, _ convert: (String) throws -> Value?) throws -> Value? {
        guard let text = text(setting) else { return nil }
        guard let value = try convert(text) else {
            throw SetupError("The setting \(setting.key) (\(setting.variable)) is \"\(text)\". It must be \(meaning).")
        }
        return value
    }

    // MARK: Sources

    private static func provider(_ name: String, _ values: [String: String]) -> InMemoryProvider {
        let pairs = values.map { (AbsoluteConfigKey(ConfigKey($0.key)), ConfigValue(.string($0.value), isSecret: false)) }
        return InMemoryProvider(name: name, values: Dictionary(uniqueKeysWithValues: pairs))
    }

    /// Variables of the name that are no settings: those of the scripts that build, test and measure.
    private static let variablesOfScripts: Set<String> = ["STOA_BINARY", "STOA_SHOTS", "STOA_WRITE_SCHEMA"]

    /// What begins like one of ours and is none is a misspelling, and a city must not run on the default that it was meant to replace.
    private static func refuseUnknownVariables(_ environment: [String: String], _ known: [Setting]) throws {
        let names = Set(known.flatMap { [$0.variable, $0.shortVariable].compactMap { $0 } })
        let strangers = environment.filter { name, value in
            name.hasPrefix("STOA_") && !value.isEmpty && !names.contains(name) && !variablesOfScripts.contains(name) && !isServiceLink(name, value)
        }
        guard let stranger = strangers.keys.min() else { return }
        // Without the beginning that nearly all share, so that PORT is next to STOA_PORT.
        let core = { (name: String) in name.hasPrefix("STOA_") ? String(name.dropFirst(5)) : name }
        let nearest = names.sorted().min { distance(core($0), core(stranger)) < distance(core($1), core(stranger)) } ?? ""
        throw SetupError("There is no setting \(stranger). Did you mean \(nearest)? config/stoa.yaml lists them all.")
    }

    /// Kubernetes sets these in every container beside a service that is called stoa.
    private static func isServiceLink(_ name: String, _ value: String) -> Bool {
        name.wholeMatch(of: /STOA_(SERVICE_(HOST|PORT(_.+)?)|PORT_[0-9]+_(TCP|UDP|SCTP)(_.+)?)/) != nil || (name == "STOA_PORT" && value.contains("://"))
    }

    /// How many letters are to be added, removed or replaced to make one name of the other (Levenshtein).
    private static func distance(_ one: String, _ other: String) -> Int {
        let letters = Array(other.utf8)
        var row = Array(0...letters.count)
        for (index, letter) in one.utf8.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in letters.indices {
                let replaced = diagonal + (letters[column] == letter ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(replaced, diagonal + 1, row[column] + 1)
            }
        }
        return row[letters.count]
    }

    /// Variables are found by the settings and not the other way round: the environment holds much that is not ours.
    private static func environment(_ environment: [String: String], _ known: [Setting]) -> InMemoryProvider {
        var values: [String: String] = [:]
        for setting in known {
            let text = environment[setting.variable] ?? setting.shortVariable.flatMap { environment[$0] }
            if let text, !text.isEmpty { values[setting.key] = text }
        }
        return provider("environment", values)
    }

    /// The keys that a YAML file sets.
    private static func settings(inFile file: String, isRequired: Bool) throws -> [String] {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
            if isRequired { throw SetupError("The configuration file \(file) cannot be read.") }
            return []
        }
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw SetupError("The configuration file \(file) is not YAML: \(error)")
        }
        guard let node, node.null == nil else { return [] }
        guard let mapping = node.mapping else { throw SetupError("The configuration file \(file) is not a list of settings.") }
        return try keys(of: mapping, under: "")
    }

    private static func keys(of mapping: Node.Mapping, under prefix: String) throws -> [String] {
        try mapping.flatMap { key, value -> [String] in
            let name = prefix + (key.string ?? "")
            if let inner = value.mapping { return try keys(of: inner, under: name + ".") }
            // Read as no value at all otherwise.
            if value.sequence != nil { throw SetupError("The setting \(name) is a list. It must be one text, with commas between its parts.") }
            // A group whose settings are all commented out.
            if value.null != nil { return [] }
            return [name]
        }
    }

    private static func refuseUnknown(_ keys: some Sequence<String>, known: [Setting], place: String) throws {
        let names = Set(known.map(\.key))
        guard let stranger = keys.sorted().first(where: { !names.contains($0) }) else { return }
        throw SetupError("There is no setting \"\(stranger)\" that may stand in \(place). config/stoa.yaml lists them all.")
    }
}
