// Start-up, rules 2 and 4 of the templates: every name that a template uses is in its view model, names inside sections
// do not climb, and values stand only where escaping protects them. A mistake stops the server instead of showing nothing.

/// Compares a template with the view model that it is rendered from.
public enum TemplateContract {
    /// - Parameters:
    ///   - template: the name of the page's template.
    ///   - model: the page model's type.
    ///   - sources: the text of every template by name, localised, each with its pragma.
    /// - Throws: `TemplateFailure`, naming the file, the line and the name that the model lacks.
    public static func check(_ template: String, _ model: any ViewModel.Type, sources: [String: String]) throws {
        try check(template, shapes: model.shapes, sources: sources)
    }

    static func check(_ template: String, shapes: [String: ViewShape], sources: [String: String]) throws {
        var walk = ContractWalk(sources: sources, template: template, isPartial: false, depth: 0)
        try walk.walk(scope: .model(shapes))
    }

    /// Names that every page may use bare, anywhere: the web layer answers them at the root.
    static let reserved: Set<String> = [CSRF.fieldName]
}

/// What names mean at a place of a template.
private enum Scope {
    case model([String: ViewShape])
    /// One text or address, shown by `{{.}}`.
    case text(ViewShape)
    /// Inside the `{{^…}}` of a list, where the library puts the empty list on the stack: nothing can be named.
    case nothing
}

/// Partials may nest this deep; a deeper nest is a partial that includes itself.
private let partialDepthMax = 8

private struct ContractWalk {
    let sources: [String: String]
    let template: String
    let isPartial: Bool
    let depth: Int
    private var line = 1
    private var markup = MarkupState()

    init(sources: [String: String], template: String, isPartial: Bool, depth: Int) {
        self.sources = sources
        self.template = template
        self.isPartial = isPartial
        self.depth = depth
    }

    private func failure(_ reason: String) -> TemplateFailure { TemplateFailure(template: template, line: line, reason: reason) }

    mutating func walk(scope: Scope) throws {
        guard let text = sources[template] else { throw failure("there is no such template") }
        var open: [(name: String, scope: Scope, place: MarkupState.Place)] = []
        var scope = scope
        for (piece, line) in try TemplateScanner(template: template, text: text).pieces() {
            self.line = line
            switch piece {
            case .text(let bytes):
                if let reason = markup.follow(bytes) { throw failure(reason) }
            case .variable(let name):
                try variable(name, in: scope, insideSection: !open.isEmpty)
            case .section(let name), .invertedSection(let name):
                if let reason = markup.followSectionEdge() { throw failure(reason) }
                let shape = try resolve(name, in: scope, insideSection: !open.isEmpty)
                open.append((name, scope, markup.place))
                if case .section = piece { scope = inner(of: shape, in: scope) } else { scope = invertedInner(of: shape, in: scope) }
            case .end(let name):
                if let reason = markup.followSectionEdge() { throw failure(reason) }
                guard let last = open.popLast(), last.name == name else { throw failure("{{/\(name)}} closes no section") }
                guard last.place == markup.place else { throw failure("section \(name) opens and closes at different places of a tag") }
                scope = last.scope
            case .partial(let name):
                guard markup.place == .text else { throw failure("a partial must not stand inside a tag") }
                guard depth < partialDepthMax else { throw failure("partials nest more than \(partialDepthMax) deep") }
                var inner = ContractWalk(sources: sources, template: name, isPartial: true, depth: depth + 1)
                try inner.walk(scope: scope)
            }
        }
        if let last = open.last { throw failure("section \(last.name) is not closed") }
        guard markup.place == .text else { throw failure("the file ends inside a tag") }
    }

    private mutating func variable(_ name: String, in scope: Scope, insideSection: Bool) throws {
        let shape = try resolve(name, in: scope, insideSection: insideSection)
        switch shape {
        case .text, .link: break
        case .flag, .texts, .model, .models: throw failure("{{\(name)}} is not a text and cannot be shown as one")
        }
        switch markup.place {
        case .text, .comment: break
        case .quoted:
            if markup.isAtValueStart, MarkupState.addressAttributes.contains(markup.attribute) {
                guard case .link = shape else {
                    throw failure(
                        "{{\(name)}} begins the address in \(markup.attribute); make the field a .link, or begin with a fixed path")
                }
            }
            markup.followValue()
        case .afterEquals: throw failure("the value of the attribute \(markup.attribute) must be quoted")
        case .tagName, .tag, .attributeName: throw failure("{{\(name)}} stands inside a tag and outside quotation marks")
        }
    }

    private func resolve(_ name: String, in scope: Scope, insideSection: Bool) throws -> ViewShape {
        if TemplateContract.reserved.contains(name) { return .text }
        if name == "." {
            guard case .text(let shape) = scope else { throw failure("{{.}} is not a text here") }
            return shape
        }
        let isDotted = name.hasPrefix(".")
        // A bare name that the inner model lacks would silently take the outer model's value.
        if !isDotted, insideSection || isPartial {
            throw failure("write {{.\(name)}} inside sections and partials: a bare name climbs to the outer model")
        }
        guard case .model(var shapes) = scope else { throw failure("{{\(name)}} has no model to come from here") }
        let parts = name.split(separator: ".").map(String.init)
        for (position, part) in parts.enumerated() {
            guard let shape = shapes[part] else { throw failure("the view model has no \"\(part)\" for {{\(name)}}") }
            if position == parts.count - 1 { return shape }
            guard case .model(let children) = shape else { throw failure("\"\(part)\" in {{\(name)}} has no fields of its own") }
            shapes = children()
        }
        throw failure("{{\(name)}} names nothing")
    }

    private func inner(of shape: ViewShape, in scope: Scope) -> Scope {
        switch shape {
        case .flag: scope
        case .text, .texts: .text(.text)
        case .link: .text(.link)
        case .model(let shapes), .models(let shapes): .model(shapes())
        }
    }

    private func invertedInner(of shape: ViewShape, in scope: Scope) -> Scope {
        switch shape {
        case .texts, .models: .nothing
        case .flag, .text, .link, .model: scope
        }
    }
}
