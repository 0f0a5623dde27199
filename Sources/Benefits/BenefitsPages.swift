// The pages of benefits, as what they show.
import Foundation
import Postgres
import Primitives
import Web

/// `/staff/benefits`
struct DisbursementsPage: PageModel {
    static let template = "benefits/list"

    var items: [Item]
    var older: Link?
    var mayPrepare: Bool

    static let fields: Fields<Self> = [
        "items": .list(\.items), "has_items": .flag { !$0.items.isEmpty }, "older": .optionalLink(\.older), "may_prepare": .flag(\.mayPrepare),
    ]

    struct Item: ViewModel {
        var link: Link
        var caseReference: String
        var programme: String
        var amount: String
        var preparedAt: String
        var preparedBy: String
        var state: String
        var isPrepared: Bool
        var isApproved: Bool

        static let fields: Fields<Self> = [
            "link": .link(\.link), "case_reference": .text(\.caseReference), "programme": .text(\.programme), "amount": .text(\.amount),
            "prepared_at": .text(\.preparedAt), "prepared_by": .text(\.preparedBy), "state": .text(\.state), "is_prepared": .flag(\.isPrepared),
            "is_approved": .flag(\.isApproved),
        ]
    }

    init(_ found: [Disbursement], next: MomentCursor?, mayPrepare: Bool, _ context: some PageContext) {
        items = found.map { one in
            Item(
                link: Link("/staff/benefits/\(one.id)"), caseReference: one.caseReference, programme: one.programme.text(context.language),
                amount: one.amount.formatted(locale: context.language.tag), preparedAt: context.format.dateTime(one.preparedAt),
                preparedBy: one.preparedBy, state: context.text("benefits.state.\(one.state.rawValue)"), isPrepared: one.state == .prepared,
                isApproved: one.state == .approved)
        }
        older = next.map { Link("/staff/benefits?before=\($0)") }
        self.mayPrepare = mayPrepare
    }
}

/// `/staff/benefits/new`
struct PreparePage: PageModel {
    static let template = "benefits/prepare"

    var errors: ErrorSummary?
    var id: String
    var publicCode: TextField
    var caseReference: TextField
    var programme: ChoiceField
    var amount: TextField
    var reason: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "id": .text(\.id), "public_code": .model(\.publicCode), "case_reference": .model(\.caseReference),
        "programme": .model(\.programme), "amount": .model(\.amount), "reason": .model(\.reason),
    ]

    init(_ form: FormView, _ programmes: [Programme], id: DisbursementID, _ context: some PageContext) {
        errors = form.errors
        self.id = id.description
        publicCode = form.text("public_code", label: "benefits.public_code", hint: "benefits.prepare.code_hint")
        caseReference = form.text("case_reference", label: "benefits.case_reference", hint: "benefits.prepare.case_hint")
        programme = form.choices(
            "programme", label: "benefits.programme",
            options: programmes.map { programme in
                let name = programme.name.text(context.language)
                let max = programme.paymentMax.formatted(locale: context.language.tag)
                return (programme.id, context.text("benefits.prepare.programme_option", ["name": name, "max": max]))
            })
        amount = form.text("amount", label: "benefits.amount", hint: "benefits.prepare.amount_hint", inputMode: "decimal")
        reason = form.area("reason", label: "benefits.reason", hint: "benefits.prepare.reason_hint")
    }
}

/// `/staff/benefits/{id}`
struct DisbursementPage: PageModel {
    static let template = "benefits/one"

    var problem: String?
    var errors: ErrorSummary?
    var facts: Facts
    var isDecidable: Bool
    var waitsForAnother: Bool
    var waitsForApprover: Bool
    var approve: Link
    var refuse: Link
    var refusalReason: TextField

    static let fields: Fields<Self> = [
        "problem": .optionalText(\.problem), "errors": .optional(\.errors), "facts": .model(\.facts), "is_decidable": .flag(\.isDecidable),
        "waits_for_another": .flag(\.waitsForAnother), "waits_for_approver": .flag(\.waitsForApprover), "approve": .link(\.approve),
        "refuse": .link(\.refuse), "refusal_reason": .model(\.refusalReason),
    ]

    struct Facts: ViewModel {
        var state: String
        var isApproved: Bool
        var isRefused: Bool
        var programme: String
        var law: String
        var publicCode: String
        var caseReference: String
        var amount: String
        var reason: String
        var preparedBy: String
        var preparedAt: String
        var decidedBy: String?
        var decidedAt: String?
        var refusalReason: String?

        static let fields: Fields<Self> = [
            "state": .text(\.state), "is_approved": .flag(\.isApproved), "is_refused": .flag(\.isRefused), "programme": .text(\.programme),
            "law": .text(\.law), "public_code": .text(\.publicCode), "case_reference": .text(\.caseReference), "amount": .text(\.amount),
            "reason": .text(\.reason), "prepared_by": .text(\.preparedBy), "prepared_at": .text(\.preparedAt),
            "decided_by": .optionalText(\.decidedBy), "decided_at": .optionalText(\.decidedAt), "refusal_reason": .optionalText(\.refusalReason),
        ]
    }

    init(_ one: Disbursement, roles: Set<StaffRole>, problem: String?, _ form: FormView, _ context: some PageContext) {
        self.problem = problem
        errors = form.errors
        facts = Facts(
            state: context.text("benefits.state.\(one.state.rawValue)"), isApproved: one.state == .approved, isRefused: one.state == .refused,
            programme: one.programme.text(context.language), law: one.law, publicCode: one.publicCode ?? "", caseReference: one.caseReference,
            amount: one.amount.formatted(locale: context.language.tag), reason: one.reason, preparedBy: one.preparedBy,
            preparedAt: context.format.dateTime(one.preparedAt), decidedBy: one.decidedBy, decidedAt: one.decidedAt.map(context.format.dateTime),
            refusalReason: one.refusalReason)
        let offer = BenefitsRules.offer(to: roles, preparedByThem: one.preparedByViewer, state: one.state)
        isDecidable = offer == .decide
        waitsForAnother = offer == .waitForAnother
        waitsForApprover = offer == .waitForApprover
        approve = Link("/staff/benefits/\(one.id)/approve")
        refuse = Link("/staff/benefits/\(one.id)/refuse")
        refusalReason = form.area("refusal_reason", label: "benefits.decide.refusal_reason", hint: "benefits.decide.refusal_hint")
    }
}
