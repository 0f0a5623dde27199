// The pages of tills, as what they show.
import Foundation
import Primitives
import Web

/// `/staff/tills`
struct TillsPage: PageModel {
    static let template = "payments/tills"

    var errors: ErrorSummary?
    var tills: [Row]
    var open: OpenForm?

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "tills": .list(\.tills), "has_tills": .flag { !$0.tills.isEmpty }, "open": .optional(\.open),
    ]

    struct Row: ViewModel {
        var link: Link
        var counter: String
        var clerk: String
        var openedAt: String
        var taken: String
        var state: String
        var isWaiting: Bool
        var isClosed: Bool

        static let fields: Fields<Self> = [
            "link": .link(\.link), "counter": .text(\.counter), "clerk": .text(\.clerk), "opened_at": .text(\.openedAt), "taken": .text(\.taken),
            "state": .text(\.state), "is_waiting": .flag(\.isWaiting), "is_closed": .flag(\.isClosed),
        ]
    }

    struct OpenForm: ViewModel {
        var id: String
        var counter: TextField
        var currency: TextField
        var float: TextField

        static let fields: Fields<Self> = ["id": .text(\.id), "counter": .model(\.counter), "currency": .model(\.currency), "float": .model(\.float)]
    }

    init(_ found: [Till], mayOpen: Bool, _ form: FormView, _ context: some PageContext) {
        tills = found.map { till in
            Row(
                link: Link("/staff/tills/\(till.id)"), counter: till.counter, clerk: till.clerk, openedAt: context.format.dateTime(till.openedAt),
                taken: till.taken.formatted(locale: context.language.tag), state: context.text("till.state.\(till.state.rawValue)"),
                isWaiting: till.state == .differs, isClosed: till.state == .closed)
        }
        if mayOpen {
            open = OpenForm(
                id: TillID.new().description, counter: form.text("counter", label: "till.counter", hint: "till.counter_hint"),
                currency: form.text("currency", label: "till.currency", hint: "till.currency_hint"),
                float: form.text("float", label: "till.float", hint: "till.float_hint", inputMode: "decimal"))
        }
        errors = form.errors
    }
}

/// `/staff/tills/{id}`
struct TillPage: PageModel {
    static let template = "payments/till"

    var errors: ErrorSummary?
    var state: String
    var isWaiting: Bool
    var isClosed: Bool
    var facts: [Fact]
    var take: TakeForm?
    var close: CloseForm?
    var approve: Link?

    struct Fact: ViewModel {
        var name: String
        var value: String
        static let fields: Fields<Self> = ["name": .text(\.name), "value": .text(\.value)]
    }

    struct TakeForm: ViewModel {
        var address: Link
        var id: String
        var reference: TextField
        var amount: TextField

        static let fields: Fields<Self> = ["address": .link(\.address), "id": .text(\.id), "reference": .model(\.reference), "amount": .model(\.amount)]
    }

    struct CloseForm: ViewModel {
        var address: Link
        var counted: TextField
        var explanation: TextField

        static let fields: Fields<Self> = ["address": .link(\.address), "counted": .model(\.counted), "explanation": .model(\.explanation)]
    }

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "state": .text(\.state), "is_waiting": .flag(\.isWaiting), "is_closed": .flag(\.isClosed), "facts": .list(\.facts),
        "take": .optional(\.take), "close": .optional(\.close), "approve": .optionalLink(\.approve),
    ]

    init(_ till: Till, roles: Set<StaffRole>, _ form: FormView, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        state = context.text("till.state.\(till.state.rawValue)")
        isWaiting = till.state == .differs
        isClosed = till.state == .closed
        let difference = till.closing.flatMap { try? $0.counted.subtracting($0.expected) }
        let values: [(String, String?)] = [
            ("counter", till.counter), ("clerk", till.clerk), ("opened_at", context.format.dateTime(till.openedAt)), ("float", write(till.openingFloat)),
            ("taken", write(till.taken)), ("payments", context.format.number(Int(till.paymentCount))), ("holds", till.closing == nil ? write(till.holds) : nil),
            ("closed_at", till.closing.map { context.format.dateTime($0.at) }), ("expected", till.closing.map { write($0.expected) }),
            ("counted", till.closing.map { write($0.counted) }), ("difference", difference.map(write)), ("explanation", till.closing?.explanation),
            ("approved_by", till.closing?.approvedBy),
        ]
        facts = values.compactMap { name, value in value.map { Fact(name: context.text("till.fact.\(name)"), value: $0) } }
        let address = "/staff/tills/\(till.id)"
        if till.state == .open, till.isMine, roles.contains(.caseworker) {
            take = TakeForm(
                address: Link(address + "/payments"), id: PaymentID.new().description,
                reference: form.text("reference", label: "till.reference", hint: "till.reference_hint"),
                amount: form.text("amount", label: "till.amount", hint: "till.amount_hint", inputMode: "decimal"))
            close = CloseForm(
                address: Link(address + "/closing"), counted: form.text("counted", label: "till.counted", hint: "till.counted_hint", inputMode: "decimal"),
                explanation: form.area("explanation", label: "till.explanation", hint: "till.explanation_hint"))
        }
        if till.state == .differs, !till.isMine, !roles.isDisjoint(with: TillRoutes.mayApprove) { approve = Link(address + "/approval") }
        errors = form.errors
    }
}
