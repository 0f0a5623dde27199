// Start-up: every template of `templates/` is read, its texts put in once a language, checked and parsed. Serving a page
// then only fills in values.
import Foundation
import Mustache

/// The parsed templates of the site, in every language.
public struct Templates: Sendable {
    /// The name of the layout that surrounds every page.
    static let layout = "base"
    /// Where the layout holds its place for the page.
    static let pageMarker = "[[page]]"

    private struct Parsed: Sendable {
        var library: MustacheLibrary
        var layoutTop: MustacheTemplate
        var layoutBottom: MustacheTemplate
        var sources: [String: String]
    }

    private let languages: [Language: Parsed]

    /// - Parameters:
    ///   - directory: the folder of `*.mustache` files, searched with its subfolders.
    ///   - catalogues: the texts of every language.
    /// - Throws: `TemplateFailure`, `Catalogue.Failure`, or the parser's error.
    public init(directory: String, catalogues: [Language: Catalogue]) throws {
        try self.init(sources: Self.read(directory), catalogues: catalogues)
    }

    /// Templates of given texts by name, for tests.
    init(sources: [String: String], catalogues: [Language: Catalogue]) throws {
        ByteLevelHTML.register()
        languages = try catalogues.mapValues { try Self.parse(sources, catalogue: $0) }
    }

    private static func read(_ directory: String) throws -> [String: String] {
        guard let files = FileManager.default.enumerator(atPath: directory) else {
            throw TemplateFailure(template: directory, line: 1, reason: "there is no such folder")
        }
        var sources: [String: String] = [:]
        for case let file as String in files where file.hasSuffix(".mustache") {
            let name = String(file.dropLast(".mustache".count))
            guard let text = try? String(contentsOfFile: directory + "/" + file, encoding: .utf8) else {
                throw TemplateFailure(template: name, line: 1, reason: "the file cannot be read as UTF-8")
            }
            sources[name] = text
        }
        return sources
    }

    private static func parse(_ sources: [String: String], catalogue: Catalogue) throws -> Parsed {
        var localised: [String: String] = [:]
        var library = MustacheLibrary()
        for (name, source) in sources {
            _ = try TemplateScanner(template: name, text: source).pieces()
            if name == layout { continue }
            let text = try localise(compact(source), template: name, catalogue: catalogue)
            localised[name] = text
            library.register(try MustacheTemplate(string: text), named: name)
        }
        guard let base = sources[layout] else { throw TemplateFailure(template: layout, line: 1, reason: "there is no layout") }
        let parts = try compact(base).components(separatedBy: pageMarker).map { try localise($0, template: layout, catalogue: catalogue) }
        guard parts.count == 2 else { throw TemplateFailure(template: layout, line: 1, reason: "must contain \(pageMarker) once") }
        let bottom = TemplateScanner.pragma + parts[1]
        // The page counts as text of its own, so the layout is checked as if the two halves stood together.
        try TemplateContract.check(
            layout, LayoutModel.self, sources: localised.merging([layout: parts[0] + parts[1]]) { $1 })
        return Parsed(
            library: library, layoutTop: try MustacheTemplate(string: parts[0]), layoutBottom: try MustacheTemplate(string: bottom),
            sources: localised)
    }

    /// Without indentation and empty lines: fewer bytes, and the library renders indented partials slowly.
    private static func compact(_ source: String) -> String {
        source.split(separator: "\n", omittingEmptySubsequences: true)
            .map { $0.drop { $0 == " " || $0 == "\t" } }
            .filter { !$0.isEmpty }
            .joined(separator: "\n")
    }

    /// Puts the texts in: `[[key]]` becomes the escaped text, whose `{name}` becomes `{{name}}`, or `{{.name}}` for `[[.key]]`.
    static func localise(_ source: String, template: String, catalogue: Catalogue) throws -> String {
        var result = ""
        var rest = source[...]
        while let open = rest.range(of: "[["), let close = rest[open.upperBound...].range(of: "]]") {
            result += rest[..<open.lowerBound]
            let marker = rest[open.upperBound..<close.lowerBound]
            rest = rest[close.upperBound...]
            if marker == "csrf" {
                result += "<input type=\"hidden\" name=\"\(CSRF.fieldName)\" value=\"{{\(CSRF.fieldName)}}\">"
                continue
            }
            let key = String(marker.hasPrefix(".") ? marker.dropFirst() : marker)
            guard let text = catalogue.raw(key) else { throw Catalogue.Failure.missingText(key: key, language: catalogue.language.tag) }
            let dot = marker.hasPrefix(".") ? "." : ""
            result += Catalogue.fill(ByteLevelHTML.escape(text)) { "{{\(dot)\($0)}}" }
        }
        return result + rest
    }

    /// Checks a page model against its template, in every language.
    func check(_ page: any PageModel.Type) throws {
        for (_, parsed) in languages { try TemplateContract.check(page.template, page, sources: parsed.sources) }
    }

    /// A page inside the layout.
    /// - Returns: nil when the template does not exist, which the start-up check excludes for declared pages.
    func render(_ template: String, _ page: some MustacheParent, layout: some MustacheParent, language: Language) -> String? {
        guard let parsed = languages[language], let body = parsed.library.getTemplate(named: template) else { return nil }
        return parsed.layoutTop.render(layout, library: parsed.library) + body.render(page, library: parsed.library)
            + parsed.layoutBottom.render(layout, library: parsed.library)
    }
}
