// The pages about mandates, as what they show, and the form that gives one.
import Foundation
import Primitives
import Web

/// The form that gives a mandate, read.
struct MandateForm {
    var fields: FormReader
    /// Nil when something is wrong; the fields then say what.
    let mandate: NewMandate?

    init(_ form: Form) {
        var fields = FormReader(form)
        let typed = fields.text("helper", charactersMax: 40)
        let name = fields.text("name", charactersMax: Mandates.nameCharactersMax)
        let themes = MandateTheme.allCases.filter { fields.flag($0.rawValue) }
        let duration = fields.choice("duration", of: MandateDuration.self)
        let code = PublicCode(typed)
        if !typed.isEmpty, code == nil { fields.reject("helper", "mandates.new.code_malformed") }
        if themes.isEmpty { fields.reject(MandateTheme.allCases[0].rawValue, "mandates.new.themes_missing") }
        if fields.isValid, let code, let duration {
            mandate = NewMandate(helper: code, helperName: name, themes: themes, days: duration.days)
        } else {
            mandate = nil
        }
        self.fields = fields
    }
}

/// For how long: few choices, so that nobody has to count.
enum MandateDuration: String, Sendable, CaseIterable {
    case month
    case halfYear = "half_year"
    case year
    case twoYears = "two_years"

    var days: Int {
        switch self {
        case .month: 31
        case .halfYear: 183
        case .year: 366
        case .twoYears: Mandates.daysMax
        }
    }
}

/// `/mandates/new`.
struct NewMandatePage: PageModel {
    static let template = "mandates/new"

    var errors: ErrorSummary?
    var helper: TextField
    var name: TextField
    var themes: [TickField]
    var duration: ChoiceField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "helper": .model(\.helper), "name": .model(\.name), "themes": .list(\.themes), "duration": .model(\.duration),
    ]

    init(_ form: FormView, _ context: some PageContext) {
        errors = form.errors
        helper = form.text("helper", label: "mandates.new.helper", hint: "mandates.new.helper_hint", autocomplete: "off")
        name = form.text("name", label: "mandates.new.name", hint: "mandates.new.name_hint", autocomplete: "off")
        themes = MandateTheme.allCases.map { form.tick($0.rawValue, label: "mandates.theme.\($0.rawValue)") }
        duration = form.choices(
            "duration", label: "mandates.new.duration", options: MandateDuration.allCases.map { ($0.rawValue, context.text("mandates.duration.\($0.rawValue)")) })
    }
}

/// `/mandates`.
struct MandatesPage: PageModel {
    static let template = "mandates/list"

    var code: String
    var held: [Item]
    var given: [Item]

    static let fields: Fields<Self> = [
        "code": .text(\.code), "held": .list(\.held), "holds_none": .flag(\.held.isEmpty), "given": .list(\.given), "gave_none": .flag(\.given.isEmpty),
    ]

    init(_ mandates: [Mandate], code: String, _ context: some PageContext) {
        self.code = code
        held = mandates.filter { !$0.isGiven }.map { Item($0, context) }
        given = mandates.filter(\.isGiven).map { Item($0, context) }
    }

    /// One mandate, with what can be said about it now.
    struct Item: ViewModel {
        var name: String
        var code: String
        var reference: String
        var themes: String
        var until: String
        var state: String
        var isInForce: Bool
        var isWaiting: Bool
        var decision: Link
        var act: Link
        var canAct: Bool
        var canAnswer: Bool
        var canGiveUp: Bool
        var canWithdraw: Bool

        static let fields: Fields<Self> = [
            "name": .text(\.name), "code": .text(\.code), "reference": .text(\.reference), "themes": .text(\.themes), "until": .text(\.until), "state": .text(\.state),
            "is_in_force": .flag(\.isInForce), "is_waiting": .flag(\.isWaiting), "decision": .link(\.decision), "act": .link(\.act), "can_act": .flag(\.canAct),
            "can_answer": .flag(\.canAnswer), "can_give_up": .flag(\.canGiveUp), "can_withdraw": .flag(\.canWithdraw),
        ]

        init(_ mandate: Mandate, _ context: some PageContext) {
            name = mandate.otherName
            code = mandate.otherCode
            reference = mandate.reference
            themes = context.format.list(mandate.themes.map { context.text("mandates.theme.\($0.rawValue)") })
            until = context.format.day(mandate.until)
            state = context.text("mandates.state.\(mandate.state.rawValue)")
            isInForce = mandate.state == .inForce
            isWaiting = mandate.state == .waiting
            decision = Link("/mandates/\(mandate.id)/decision")
            act = Link("/mandates/\(mandate.id)/act")
            canAct = !mandate.isGiven && isInForce
            canAnswer = !mandate.isGiven && isWaiting
            canGiveUp = !mandate.isGiven && isInForce
            canWithdraw = mandate.isGiven && mandate.state.isOpen
        }
    }
}

/// `/acting`: where a helper stands.
struct ActingPage: PageModel {
    static let template = "mandates/acting"

    var name: String
    var reference: String
    var until: String
    var isInForce: Bool
    var themes: [Theme]

    static let fields: Fields<Self> = [
        "name": .text(\.name), "reference": .text(\.reference), "until": .text(\.until), "is_in_force": .flag(\.isInForce), "has_ended": .flag { !$0.isInForce },
        "themes": .list(\.themes),
    ]

    struct Theme: ViewModel {
        var name: String
        var link: Link
        static let fields: Fields<Self> = ["name": .text(\.name), "link": .link(\.link)]
    }

    init(_ represented: Represented, _ context: some PageContext) {
        name = represented.name
        reference = represented.reference
        until = context.format.day(represented.until)
        isInForce = represented.isInForce
        themes = represented.isInForce ? represented.themes.map { Theme(name: context.text("mandates.theme.\($0.rawValue)"), link: Link($0.path)) } : []
    }
}
