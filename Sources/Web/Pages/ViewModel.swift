// Rule 3 of the templates: what a page shows is a struct of formatted texts, flags and lists, which names its fields
// once. Rendering reads through the same table that the start-up check reads, so the two cannot differ.
public import Mustache

/// Something that a template can show. Write the table once and nothing else:
///
///     struct Switch: ViewModel {
///         var title: String
///         var isOn: Bool
///         static let fields: Fields<Self> = ["title": .text(\.title), "is_on": .flag(\.isOn)]
///     }
public protocol ViewModel: MustacheParent, Sendable {
    /// The names that templates may use, and where their values come from.
    static var fields: [String: ViewField<Self>] { get }
}

/// A view model that is a whole page, with the template that shows it.
public protocol PageModel: ViewModel {
    /// The file under `templates/`, without `.mustache`: `consent/dashboard`.
    static var template: String { get }
}

public typealias Fields<Model> = [String: ViewField<Model>]

extension ViewModel {
    public func child(named name: String) -> Any? { Self.fields[name]?.read(self) }
}

/// One field of a view model: how to read it, and what a template may do with it.
public struct ViewField<Model>: Sendable {
    let shape: ViewShape
    let read: @Sendable (Model) -> Any?

    /// A text; always shown escaped. In a section it is always shown, even when empty: use `optionalText` for that.
    public static func text(_ value: @escaping @Sendable (Model) -> String) -> ViewField {
        ViewField(shape: .text) { ShownText(renderText: value($0)) }
    }

    /// A text that may be absent: `{{#name}}…{{.}}…{{/name}}` shows its part only when there is one.
    public static func optionalText(_ value: @escaping @Sendable (Model) -> String?) -> ViewField {
        ViewField(shape: .text) { value($0).map(ShownText.init) }
    }

    /// A yes or no, for sections.
    public static func flag(_ value: @escaping @Sendable (Model) -> Bool) -> ViewField {
        ViewField(shape: .flag) { value($0) }
    }

    /// An address: the only kind of field that may begin an `href`, `src` or `action`.
    public static func link(_ value: @escaping @Sendable (Model) -> Link) -> ViewField {
        ViewField(shape: .link) { ShownText(renderText: value($0).text) }
    }

    /// An address that may be absent.
    public static func optionalLink(_ value: @escaping @Sendable (Model) -> Link?) -> ViewField {
        ViewField(shape: .link) { value($0).map { ShownText(renderText: $0.text) } }
    }

    /// A list of texts: `{{#names}}…{{.}}…{{/names}}`.
    public static func texts(_ value: @escaping @Sendable (Model) -> [String]) -> ViewField {
        ViewField(shape: .texts) { value($0).map(ShownText.init) }
    }

    /// A list of view models: `{{#items}}…{{.title}}…{{/items}}`.
    public static func list<Child: ViewModel>(_ value: @escaping @Sendable (Model) -> [Child]) -> ViewField {
        ViewField(shape: .models { Child.shapes }) { value($0) }
    }

    /// One view model, always there.
    public static func model<Child: ViewModel>(_ value: @escaping @Sendable (Model) -> Child) -> ViewField {
        ViewField(shape: .model { Child.shapes }) { value($0) }
    }

    /// One view model that may be absent; its section shows only when it is there.
    public static func optional<Child: ViewModel>(_ value: @escaping @Sendable (Model) -> Child?) -> ViewField {
        ViewField(shape: .model { Child.shapes }) { value($0).map { $0 as Any } }
    }
}

/// A text on its way into a page. A bare String would be tried against everything that Mustache can render, at each name.
struct ShownText: MustacheCustomRenderable {
    let renderText: String
    var isNull: Bool { false }
}

/// What a template may do with a name. Children are looked up late, so that models may nest in themselves.
enum ViewShape: Sendable {
    case text
    case flag
    case link
    case texts
    case model(@Sendable () -> [String: ViewShape])
    case models(@Sendable () -> [String: ViewShape])
}

extension ViewModel {
    static var shapes: [String: ViewShape] { fields.mapValues(\.shape) }
}

/// An address that is safe to follow: a path of this site, a fragment, or one with a scheme that people expect.
public struct Link: Sendable, Hashable, ExpressibleByStringLiteral, ExpressibleByStringInterpolation, CustomStringConvertible {
    /// What stands in the attribute; `#` when the given address was not safe, which leads nowhere.
    public let text: String

    /// - Parameter address: `/path`, `#fragment`, `?query`, `https:`, `mailto:`, `tel:`, `otpauth:` (an authenticator app), or `http:` for loopback clients.
    public init(_ address: String) {
        text = Self.isSafe(address) ? address : "#"
    }

    public init(stringLiteral value: String) { self.init(value) }

    public var description: String { text }

    private static func isSafe(_ address: String) -> Bool {
        guard address.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }) else { return false }
        if address.hasPrefix("/") { return !address.hasPrefix("//") }
        if address.hasPrefix("#") || address.hasPrefix("?") { return true }
        let lowered = address.lowercased()
        return ["https://", "http://", "mailto:", "tel:", "otpauth://"].contains { lowered.hasPrefix($0) }
    }

    /// A path of this site that may be returned to after a detour (`?next=…`), nil for anything else.
    public static func localPath(_ candidate: String?) -> String? {
        guard let candidate, candidate.hasPrefix("/"), candidate.utf8.count <= 2_000, isSafe(candidate),
            candidate.utf8.allSatisfy({ $0 < 0x80 })
        else { return nil }
        return candidate
    }
}
