// The bank's pages for staff, as what they show.
import Foundation
import Postgres
import Primitives
import Web

/// `/staff/bank`
struct BankPage: PageModel {
    static let template = "bank/list"

    var items: [Item]
    var reports: [Report]
    var mayImport: Bool

    static let fields: Fields<Self> = [
        "items": .list(\.items), "has_items": .flag { !$0.items.isEmpty }, "reports": .list(\.reports), "has_reports": .flag { !$0.reports.isEmpty },
        "may_import": .flag(\.mayImport),
    ]

    struct Item: ViewModel {
        var link: Link
        var amount: String
        var bookedOn: String
        var payer: String
        var text: String
        var isProposed: Bool

        static let fields: Fields<Self> = [
            "link": .link(\.link), "amount": .text(\.amount), "booked_on": .text(\.bookedOn), "payer": .text(\.payer), "text": .text(\.text),
            "is_proposed": .flag(\.isProposed),
        ]
    }

    struct Report: ViewModel {
        var link: Link
        var name: String
        var account: String
        var importedAt: String
        var state: String
        var isOpen: Bool

        static let fields: Fields<Self> = [
            "link": .link(\.link), "name": .text(\.name), "account": .text(\.account), "imported_at": .text(\.importedAt), "state": .text(\.state),
            "is_open": .flag(\.isOpen),
        ]
    }

    init(_ items: [BankItem], _ reports: [BankReportRow], mayImport: Bool, _ context: some PageContext) {
        self.items = items.map { item in
            Item(
                link: Link("/staff/bank/items/\(item.id.uuidString.lowercased())"), amount: (item.proposal?.amount ?? item.rest).formatted(locale: context.language.tag),
                bookedOn: context.format.date(item.bookedOn), payer: item.payerName ?? item.payerAccount ?? context.text("bank.unknown"),
                text: item.text ?? item.creditorReference ?? context.text("bank.nothing_said"), isProposed: item.proposal != nil)
        }
        self.reports = reports.map { report in
            Report(
                link: Link("/staff/bank/reports/\(report.id.uuidString.lowercased())"), name: report.reportedID, account: report.account,
                importedAt: context.format.dateTime(report.importedAt), state: context.text("bank.report.state.\(report.state)"), isOpen: report.state == "open")
        }
        self.mayImport = mayImport
    }
}

extension BankReportRow {
    /// `booked`, `open` (it waits for a decision) or `discarded`.
    var state: String { problems.isEmpty ? "booked" : decision ?? "open" }
}

/// `/staff/bank/import`
struct BankImportPage: PageModel {
    static let template = "bank/import"

    var problem: String?
    var errors: ErrorSummary?
    var file: TextField

    static let fields: Fields<Self> = ["problem": .optionalText(\.problem), "errors": .optional(\.errors), "file": .model(\.file)]

    init(_ form: FormView, problem: String?) {
        self.problem = problem
        errors = form.errors
        file = form.area("file", label: "bank.import.file", hint: "bank.import.hint")
    }
}

/// `/staff/bank/items/{id}`
struct BankItemPage: PageModel {
    static let template = "bank/item"

    var errors: ErrorSummary?
    var facts: [Fact]
    var history: [Step]
    var assign: AssignForm?
    var propose: ProposeForm?
    var decide: DecideForm?
    var payout: PayoutForm?
    /// A return waits for somebody else than the viewer.
    var waitsForAnother: Bool

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "facts": .list(\.facts), "history": .list(\.history), "assign": .optional(\.assign), "propose": .optional(\.propose),
        "decide": .optional(\.decide), "payout": .optional(\.payout), "waits_for_another": .flag(\.waitsForAnother),
    ]

    /// What came in may be a payout of the city that came back.
    struct PayoutForm: ViewModel {
        var address: Link
        var text: String
        static let fields: Fields<Self> = ["address": .link(\.address), "text": .text(\.text)]
    }

    struct Fact: ViewModel {
        var name: String
        var value: String
        static let fields: Fields<Self> = ["name": .text(\.name), "value": .text(\.value)]
    }

    struct Step: ViewModel {
        var text: String
        var reason: String?
        var at: String
        var timestamp: String

        static let fields: Fields<Self> = [
            "text": .text(\.text), "reason": .optionalText(\.reason), "at": .text(\.at), "timestamp": .text(\.timestamp),
        ]
    }

    struct AssignForm: ViewModel {
        var address: Link
        var reference: TextField
        static let fields: Fields<Self> = ["address": .link(\.address), "reference": .model(\.reference)]
    }

    struct ProposeForm: ViewModel {
        var address: Link
        var id: String
        var reason: TextField
        static let fields: Fields<Self> = ["address": .link(\.address), "id": .text(\.id), "reason": .model(\.reason)]
    }

    struct DecideForm: ViewModel {
        var address: Link
        var id: String
        var amount: String
        var reason: String
        static let fields: Fields<Self> = ["address": .link(\.address), "id": .text(\.id), "amount": .text(\.amount), "reason": .text(\.reason)]
    }

    init(_ item: BankItem, _ steps: [BankItemStep], roles: Set<StaffRole>, _ form: FormView, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        let address = "/staff/bank/items/\(item.id.uuidString.lowercased())"
        let values: [(String, String?)] = [
            ("amount", write(item.amount)), ("rest", write(item.rest)), ("booked_on", context.format.date(item.bookedOn)), ("account", item.account),
            ("payer", item.payerName), ("payer_account", item.payerAccount), ("text", item.text), ("creditor_reference", item.creditorReference),
            ("bank_reference", item.bankReference),
        ]
        facts = values.compactMap { name, value in value.map { Fact(name: context.text("bank.fact.\(name)"), value: $0) } }
        history = steps.map { step in
            Step(
                text: context.text(
                    "bank.step.\(step.kind)",
                    ["amount": write(step.amount), "reference": step.reference ?? "", "name": step.staffName ?? context.text("bank.by_itself")]),
                reason: step.reason, at: context.format.dateTime(step.at), timestamp: RFC3339.text(step.at))
        }
        let isOfficer = roles.contains(.financeOfficer)
        if let awaited = item.awaitedPayout {
            payout = isOfficer ? PayoutForm(address: Link(address + "/payout"), text: context.text("bank.item.payout_text", ["reference": awaited.isolated])) : nil
        } else if isOfficer, item.direction == "credit", item.rest.isPositive {
            assign = AssignForm(address: Link(address + "/bill"), reference: form.text("reference", label: "bank.item.reference", hint: "bank.item.reference_hint"))
            propose = ProposeForm(
                address: Link(address + "/return"), id: UUID().uuidString.lowercased(), reason: form.area("reason", label: "bank.item.reason", hint: "bank.item.reason_hint"))
        }
        waitsForAnother = item.proposal?.isMine ?? false
        if let proposal = item.proposal, !proposal.isMine, !roles.isDisjoint(with: [.financeOfficer, .approver]) {
            decide = DecideForm(
                address: Link(address + "/return/decision"), id: proposal.id.uuidString.lowercased(), amount: write(proposal.amount), reason: proposal.reason)
        }
        errors = form.errors
    }
}

/// `/staff/bank/reports/{id}`
struct BankReportPage: PageModel {
    static let template = "bank/report"

    var errors: ErrorSummary?
    var state: String
    var isOpen: Bool
    var problems: [String]
    var facts: [BankItemPage.Fact]
    var decide: DecideForm?

    struct DecideForm: ViewModel {
        var address: Link
        var decision: ChoiceField
        var reason: TextField
        static let fields: Fields<Self> = ["address": .link(\.address), "decision": .model(\.decision), "reason": .model(\.reason)]
    }

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "state": .text(\.state), "is_open": .flag(\.isOpen), "problems": .texts(\.problems), "facts": .list(\.facts),
        "decide": .optional(\.decide),
    ]

    init(_ report: BankReportRow, mayDecide: Bool, _ form: FormView, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        state = context.text("bank.report.state.\(report.state)")
        isOpen = report.state == "open"
        problems = report.problems.map { context.text("bank.problem.\($0)") }
        let values: [(String, String?)] = [
            ("report", report.reportedID), ("kind", context.text("bank.kind.\(report.kind)")), ("account", report.account), ("imported_at", context.format.dateTime(report.importedAt)),
            ("imported_by", report.importedBy ?? context.text("bank.command_line")), ("opening", report.opening.map(write)), ("came_in", write(report.cameIn)),
            ("went_out", write(report.wentOut)), ("closing", report.closing.map(write)), ("entries", context.format.number(Int(report.entryCount))),
            ("decided_by", report.decidedBy), ("decided_at", report.decidedAt.map { context.format.dateTime($0) }), ("decision_reason", report.decisionReason),
        ]
        facts = values.compactMap { name, value in value.map { BankItemPage.Fact(name: context.text("bank.fact.\(name)"), value: $0) } }
        if isOpen, mayDecide {
            decide = DecideForm(
                address: Link("/staff/bank/reports/\(report.id.uuidString.lowercased())/decision"),
                decision: form.choices(
                    "decision", label: "bank.report.decision",
                    options: BankReportDecision.allCases.map { ($0.rawValue, context.text("bank.report.choice.\($0.rawValue)")) }),
                reason: form.area("reason", label: "bank.report.reason", hint: "bank.report.reason_hint"))
        }
        errors = form.errors
    }
}
