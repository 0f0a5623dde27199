// From a form's state to what its page shows: each field with its label, hint, typed value and error, and the errors
// once more in a list on top. One view model and one part a kind of field keeps every form accessible in the same way.
import Synchronization

/// Makes the view models of a form's fields in the language of the answer.
public struct FormView {
    let state: FormState
    private let catalogue: Catalogue
    private let labels = FieldLabels()

    init(state: FormState, catalogue: Catalogue) {
        self.state = state
        self.catalogue = catalogue
    }

    /// The list of errors for the top of the page, nil when there is none: `{{#errors}}{{>parts/error-summary}}{{/errors}}`. It knows the
    /// labels of the fields that this view makes, whether before or after it.
    public var errors: ErrorSummary? {
        state.errors.isEmpty ? nil : ErrorSummary(errors: state.errors, catalogue: catalogue, labels: labels)
    }

    /// A line of text: `{{#username}}{{>parts/text-field}}{{/username}}`.
    /// - Parameters:
    ///   - label: catalogue key of the label; `hint` likewise, when there is one.
    ///   - type: `text`, `email`, `tel`, `password` or `search`.
    ///   - autocomplete: a token of WHATWG HTML §4.10.18.7, like `username`; `off` unless given.
    ///   - inputMode: `numeric` brings up digits on phones.
    public func text(
        _ name: String, label: String, hint: String? = nil, type: String = "text", autocomplete: String = "off", inputMode: String? = nil
    ) -> TextField {
        TextField(
            name: name, label: labelled(name, label), hint: hint.map { catalogue.text($0) }, type: type, autocomplete: autocomplete,
            inputMode: inputMode,
            value: type == "password" ? "" : state.value(name), error: error(name))
    }

    /// A password, never shown again. `autocomplete` is `current-password` or `new-password`.
    public func password(_ name: String, label: String, hint: String? = nil, autocomplete: String = "current-password") -> TextField {
        text(name, label: label, hint: hint, type: "password", autocomplete: autocomplete)
    }

    /// Several lines of text: `{{#note}}{{>parts/text-area}}{{/note}}`.
    public func area(_ name: String, label: String, hint: String? = nil) -> TextField {
        text(name, label: label, hint: hint)
    }

    /// One of several, as radio buttons: `{{#reason}}{{>parts/choices}}{{/reason}}`.
    /// - Parameter options: value and ready text of each, in order.
    public func choices(_ name: String, label: String, hint: String? = nil, options: [(value: String, text: String)]) -> ChoiceField {
        let chosen = state.typed[name] ?? []
        let items = options.enumerated().map { position, option in
            // The first option carries the field's own id, so that the summary's link lands on it.
            ChoiceField.Option(
                id: position == 0 ? name : "\(name)-\(position + 1)", name: name, value: option.value, text: option.text,
                isChosen: chosen.contains(option.value))
        }
        return ChoiceField(name: name, label: labelled(name, label), hint: hint.map { catalogue.text($0) }, options: items, error: error(name))
    }

    /// One tick box with its own label: `{{#read_back}}{{>parts/tick}}{{/read_back}}`.
    public func tick(_ name: String, label: String) -> TickField {
        TickField(name: name, label: labelled(name, label), isTicked: !state.value(name).isEmpty, error: error(name))
    }

    /// A date in three inputs: `{{#birth}}{{>parts/date-field}}{{/birth}}`.
    public func date(_ name: String, label: String, hint: String? = nil, isBirthDate: Bool = false) -> DateField {
        DateField(
            name: name, label: labelled(name, label), hint: hint.map { catalogue.text($0) }, day: state.value("\(name)-day"),
            month: state.value("\(name)-month"), year: state.value("\(name)-year"), isBirthDate: isBirthDate, error: error(name))
    }

    private func labelled(_ name: String, _ key: String) -> String {
        let label = catalogue.text(key)
        labels.note(label, of: name)
        return label
    }

    private func error(_ name: String) -> String? { state.error(name).map { catalogue.text($0.messageKey, $0.parameters) } }
}

/// The labels of one form's fields, gathered as the fields are made.
final class FieldLabels: Sendable {
    private let labels = Mutex<[String: String]>([:])

    func note(_ label: String, of field: String) { labels.withLock { $0[field] = label } }
    func label(of field: String) -> String? { labels.withLock { $0[field] } }
}

extension PageContext {
    /// The fields of a form page: `formView()` for a blank form, `formView(fields.state)` for one that comes back.
    public func formView(_ state: FormState = .blank) -> FormView {
        FormView(state: state, catalogue: web.services.catalogue(language))
    }
}

/// The errors of a form, each a link to its field.
public struct ErrorSummary: ViewModel {
    let errors: [FieldError]
    let catalogue: Catalogue
    let labels: FieldLabels

    /// "Fill in this field" serves beside the field; in the list it says which one. A slice's own words name what they are about.
    var items: [Item] {
        errors.map { error in
            var text = catalogue.text(error.messageKey, error.parameters)
            if error.messageKey.hasPrefix("web.field."), let label = labels.label(of: error.field) {
                text = catalogue.text("web.error_of_field", ["field": label, "message": text])
            }
            return Item(link: Link("#\(error.field)"), text: text)
        }
    }

    struct Item: ViewModel {
        var link: Link
        var text: String
        static let fields: Fields<Self> = ["link": .link(\.link), "text": .text(\.text)]
    }

    public static let fields: Fields<Self> = ["items": .list(\.items)]
}

/// A line or an area of text.
public struct TextField: ViewModel {
    var name: String
    var label: String
    var hint: String?
    var type: String
    var autocomplete: String
    var inputMode: String?
    var value: String
    var error: String?

    public static let fields: Fields<Self> = [
        "name": .text(\.name), "label": .text(\.label), "hint": .optionalText(\.hint), "type": .text(\.type),
        "autocomplete": .text(\.autocomplete), "input_mode": .optionalText(\.inputMode), "value": .text(\.value),
        "error": .optionalText(\.error),
        "has_error": .flag { $0.error != nil }, "has_hint": .flag { $0.hint != nil }, "is_code": .flag(\.isCode),
        "described_by": .optionalText { describedBy($0.name, hint: $0.hint, error: $0.error) },
    ]

    /// Whether a phone must not begin it with a capital or correct it: names to sign in with, addresses, passwords.
    var isCode: Bool { type != "text" && type != "search" || autocomplete == "username" }
}

/// One of several.
public struct ChoiceField: ViewModel {
    var name: String
    var label: String
    var hint: String?
    var options: [Option]
    var error: String?

    struct Option: ViewModel {
        var id: String
        var name: String
        var value: String
        var text: String
        var isChosen: Bool

        static let fields: Fields<Self> = [
            "id": .text(\.id), "name": .text(\.name), "value": .text(\.value), "text": .text(\.text), "is_chosen": .flag(\.isChosen),
        ]
    }

    public static let fields: Fields<Self> = [
        "name": .text(\.name), "label": .text(\.label), "hint": .optionalText(\.hint), "options": .list(\.options),
        "error": .optionalText(\.error), "has_error": .flag { $0.error != nil }, "has_hint": .flag { $0.hint != nil },
        "described_by": .optionalText { describedBy($0.name, hint: $0.hint, error: $0.error) },
    ]
}

/// One tick box.
public struct TickField: ViewModel {
    var name: String
    var label: String
    var isTicked: Bool
    var error: String?

    public static let fields: Fields<Self> = [
        "name": .text(\.name), "label": .text(\.label), "is_ticked": .flag(\.isTicked), "error": .optionalText(\.error),
        "has_error": .flag { $0.error != nil }, "described_by": .optionalText { describedBy($0.name, hint: nil, error: $0.error) },
    ]
}

/// A date in three inputs.
public struct DateField: ViewModel {
    var name: String
    var label: String
    var hint: String?
    var day: String
    var month: String
    var year: String
    var isBirthDate: Bool
    var error: String?

    public static let fields: Fields<Self> = [
        "name": .text(\.name), "label": .text(\.label), "hint": .optionalText(\.hint), "day": .text(\.day), "month": .text(\.month),
        "year": .text(\.year), "is_birth_date": .flag(\.isBirthDate), "error": .optionalText(\.error),
        "has_error": .flag { $0.error != nil },
        "has_hint": .flag { $0.hint != nil }, "described_by": .optionalText { describedBy($0.name, hint: $0.hint, error: $0.error) },
    ]
}

/// The ids that `aria-describedby` names, so that a screen reader says hint and error with the field.
private func describedBy(_ name: String, hint: String?, error: String?) -> String? {
    let ids = [hint.map { _ in "\(name)-hint" }, error.map { _ in "\(name)-error" }].compactMap { $0 }
    return ids.isEmpty ? nil : ids.joined(separator: " ")
}
