// Start-up: the tags of a template, found without the template library, because the checks need what its parser hides.

/// Why a template is refused, with the place to mend.
public struct TemplateFailure: Error, Equatable, CustomStringConvertible {
    /// The file's name under `templates/`, without `.mustache`.
    public let template: String
    /// Counted from 1 in the file as it is loaded.
    public let line: Int
    public let reason: String

    public var description: String { "template \(template), line \(line): \(reason)" }
}

/// A piece of a template: text as it stands, or a Mustache tag.
enum TemplatePiece: Equatable {
    case text(ArraySlice<UInt8>)
    case variable(String)
    case section(String)
    case invertedSection(String)
    case end(String)
    case partial(String)
}

/// Cuts a template into its pieces and refuses the tags that would get round escaping or the checks.
struct TemplateScanner {
    let template: String
    private let bytes: [UInt8]

    /// Every file begins with this, partials too: without it the library would escape in its own way.
    static let pragma = "{{% CONTENT_TYPE:HTML}}"

    init(template: String, text: String) {
        self.template = template
        bytes = Array(text.utf8)
    }

    /// The pieces with the line on which each begins.
    func pieces() throws -> [(piece: TemplatePiece, line: Int)] {
        guard bytes.starts(with: Self.pragma.utf8) else {
            throw TemplateFailure(template: template, line: 1, reason: "must begin with \(Self.pragma)")
        }
        var pieces: [(TemplatePiece, Int)] = []
        var position = Self.pragma.utf8.count
        var line = 1
        while position < bytes.count {
            let open = firstIndex(of: "{{", from: position) ?? bytes.count
            if open > position { pieces.append((.text(bytes[position..<open]), line)) }
            line += lines(in: position..<open)
            guard open < bytes.count else { break }
            guard let close = firstIndex(of: "}}", from: open + 2) else { throw failure(line, "a tag is not closed") }
            let inside = String(decoding: bytes[open + 2..<close], as: UTF8.self)
            if let piece = try tag(inside, line: line) { pieces.append((piece, line)) }
            line += lines(in: open..<close)
            position = close + 2
        }
        return pieces
    }

    private func tag(_ inside: String, line: Int) throws -> TemplatePiece? {
        let mark = inside.first
        let name = String(inside.dropFirst(mark.map { "#^/>!%{&=<$".contains($0) } ?? false ? 1 : 0)).filter { $0 != " " }
        switch mark {
        case "!": return nil
        case "%": throw failure(line, "a second pragma is not allowed")
        case "{", "&": throw failure(line, "{{\(inside)}} would be shown unescaped; write {{…}}")
        case "=": throw failure(line, "changing the delimiters is not allowed")
        case "<", "$": throw failure(line, "template inheritance is not allowed; use a partial")
        default: break
        }
        if mark == ">" {
            guard isName(name, alsoAllowed: "/") else { throw failure(line, "{{\(inside)}} does not name a partial") }
            return .partial(name)
        }
        guard isName(name, alsoAllowed: ".") else {
            throw failure(line, "{{\(inside)}}: a name has small letters, digits, dots and _ only; transforms and lambdas are not allowed")
        }
        switch mark {
        case "#": return .section(name)
        case "^": return .invertedSection(name)
        case "/": return .end(name)
        default: return .variable(name)
        }
    }

    private func isName(_ name: String, alsoAllowed: Unicode.Scalar) -> Bool {
        !name.isEmpty
            && name.unicodeScalars.allSatisfy { $0 == alsoAllowed || "abcdefghijklmnopqrstuvwxyz0123456789_-".unicodeScalars.contains($0) }
    }

    private func failure(_ line: Int, _ reason: String) -> TemplateFailure {
        TemplateFailure(template: template, line: line, reason: reason)
    }

    private func lines(in range: Range<Int>) -> Int { bytes[range].lazy.filter { $0 == UInt8(ascii: "\n") }.count }

    private func firstIndex(of pair: StaticString, from start: Int) -> Int? {
        let first = pair.utf8Start[0]
        let second = pair.utf8Start[1]
        return (start..<max(start, bytes.count - 1)).first { bytes[$0] == first && bytes[$0 + 1] == second }
    }
}
