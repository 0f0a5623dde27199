// Disputes as caseworkers, finance officers and auditors see them.
import Foundation
import Primitives
import Web

/// `/staff/disputes`
struct DisputeQueuePage: PageModel {
    static let template = "disputes/queue"

    var disputes: [Item]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["disputes": .list(\.disputes), "is_empty": .flag(\.isEmpty)]

    struct Item: ViewModel {
        var page: Link
        var reference: String
        var about: String
        var category: String
        var openedAt: String
        var due: String
        var isLate: Bool
        var waitsForResident: Bool

        static let fields: Fields<Self> = [
            "page": .link(\.page), "reference": .text(\.reference), "about": .text(\.about), "category": .text(\.category),
            "opened_at": .text(\.openedAt), "due": .text(\.due), "is_late": .flag(\.isLate), "waits_for_resident": .flag(\.waitsForResident),
        ]
    }

    init(_ waiting: [WaitingDispute], _ context: some PageContext) {
        disputes = waiting.map { dispute in
            Item(
                page: Link("/staff/disputes/\(dispute.reference)"), reference: dispute.reference,
                about: context.text("disputes.about.\(dispute.kind.rawValue)"), category: context.text("disputes.category.\(dispute.category)"),
                openedAt: context.format.day(dispute.openedAt), due: context.format.day(dispute.dueAt), isLate: dispute.isLate,
                waitsForResident: dispute.waitsForResident)
        }
        isEmpty = waiting.isEmpty
    }
}

/// `/staff/disputes/{reference}`
struct HandleDisputePage: PageModel {
    static let template = "disputes/handle"

    var errors: ErrorSummary?
    var thing: ThingView
    var reference: String
    var category: String
    var law: String
    var due: String
    var isLate: Bool
    var waitsForApproval: Bool
    var words: [WordsView]
    var refused: [Refused]
    /// The two forms; nil while a refund waits for its approval.
    var forms: Forms?

    struct Refused: ViewModel {
        var amount: String
        var reason: String
        var at: String
        static let fields: Fields<Self> = ["amount": .text(\.amount), "reason": .text(\.reason), "at": .text(\.at)]
    }

    struct Forms: ViewModel {
        var reply: Link
        var message: String
        var text: TextField
        var decide: Link
        var decision: String
        var finding: ChoiceField
        var answer: TextField
        var refund: RefundFields?

        static let fields: Fields<Self> = [
            "reply": .link(\.reply), "message": .text(\.message), "text": .model(\.text), "decide": .link(\.decide), "decision": .text(\.decision),
            "finding": .model(\.finding), "answer": .model(\.answer), "refund": .optional(\.refund),
        ]
    }

    struct RefundFields: ViewModel {
        var amount: TextField
        var grounds: TextField
        static let fields: Fields<Self> = ["amount": .model(\.amount), "grounds": .model(\.grounds)]
    }

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "thing": .model(\.thing), "reference": .text(\.reference), "category": .text(\.category), "law": .text(\.law),
        "due": .text(\.due), "is_late": .flag(\.isLate), "waits_for_approval": .flag(\.waitsForApproval), "words": .list(\.words),
        "refused": .list(\.refused), "has_refused": .flag { !$0.refused.isEmpty }, "forms": .optional(\.forms),
    ]

    init(_ atHand: DisputeAtHand, _ form: FormView, _ context: some PageContext) {
        let dispute = atHand.dispute
        errors = form.errors
        thing = ThingView(dispute.about, context)
        reference = dispute.reference
        category = context.text("disputes.category.\(dispute.category)")
        law = dispute.law
        due = context.format.day(dispute.dueAt)
        isLate = dispute.isLate
        waitsForApproval = dispute.state == .approval
        words = atHand.words.map { WordsView($0, who: ("disputes.city", "disputes.resident"), context) }
        refused = atHand.refused.map {
            Refused(amount: $0.amount.formatted(locale: context.language.tag), reason: $0.reason, at: context.format.dateTime($0.at))
        }
        guard dispute.state == .open else { return }
        forms = Forms(
            reply: Link("/staff/disputes/\(reference)/messages"), message: DisputeMessageID.new().description,
            text: form.area("words", label: "disputes.handle.words", hint: "disputes.words_hint"),
            decide: Link("/staff/disputes/\(reference)/decision"), decision: DisputeDecisionID.new().description,
            finding: form.choices(
                "finding", label: "disputes.handle.finding",
                options: DisputeFinding.allCases.map { ($0.rawValue, context.text("disputes.finding.\($0.rawValue)")) }),
            answer: form.area("answer", label: "disputes.handle.answer", hint: "disputes.handle.answer_hint"),
            refund: dispute.about.kind == .payment
                ? RefundFields(
                    amount: form.text("refund", label: "disputes.handle.refund", hint: "disputes.handle.refund_hint", inputMode: "decimal"),
                    grounds: form.area("grounds", label: "disputes.handle.grounds", hint: "disputes.handle.grounds_hint"))
                : nil)
    }
}

/// `/staff/disputes/refunds`
struct RefundsPage: PageModel {
    static let template = "disputes/refunds"

    var refunds: [Item]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["refunds": .list(\.refunds), "is_empty": .flag(\.isEmpty)]

    struct Item: ViewModel {
        var page: Link
        var reference: String
        var amount: String
        var decidedBy: String
        var decidedAt: String

        static let fields: Fields<Self> = [
            "page": .link(\.page), "reference": .text(\.reference), "amount": .text(\.amount), "decided_by": .text(\.decidedBy),
            "decided_at": .text(\.decidedAt),
        ]
    }

    init(_ waiting: [WaitingRefund], _ context: some PageContext) {
        refunds = waiting.map { refund in
            Item(
                page: Link("/staff/disputes/refunds/\(refund.reference)"), reference: refund.reference,
                amount: refund.refund.formatted(locale: context.language.tag), decidedBy: refund.decidedBy,
                decidedAt: context.format.dateTime(refund.decidedAt))
        }
        isEmpty = waiting.isEmpty
    }
}

/// `/staff/disputes/refunds/{reference}`
struct RefundPage: PageModel {
    static let template = "disputes/refund"

    var problem: String?
    var errors: ErrorSummary?
    var reference: String
    var category: String
    var finding: String
    var receiptCode: String
    var paid: String
    var refund: String
    var grounds: String
    var decidedBy: String
    var decidedAt: String
    var isOwn: Bool
    /// To approve and to refuse; nil for whoever decided.
    var forms: Forms?

    struct Forms: ViewModel {
        var decision: String
        var approve: Link
        var refuse: Link
        var reason: TextField
        static let fields: Fields<Self> = [
            "decision": .text(\.decision), "approve": .link(\.approve), "refuse": .link(\.refuse), "reason": .model(\.reason),
        ]
    }

    static let fields: Fields<Self> = [
        "problem": .optionalText(\.problem), "errors": .optional(\.errors), "reference": .text(\.reference), "category": .text(\.category),
        "finding": .text(\.finding), "receipt_code": .text(\.receiptCode), "paid": .text(\.paid), "refund": .text(\.refund), "grounds": .text(\.grounds),
        "decided_by": .text(\.decidedBy), "decided_at": .text(\.decidedAt), "is_own": .flag(\.isOwn), "forms": .optional(\.forms),
    ]

    init(_ waiting: WaitingRefund, problem: String?, _ form: FormView, _ context: some PageContext) {
        self.problem = problem
        errors = form.errors
        reference = waiting.reference
        category = context.text("disputes.category.\(waiting.category)")
        finding = context.text("disputes.finding.\(waiting.finding.rawValue)")
        receiptCode = waiting.receiptCode
        paid = waiting.paid.formatted(locale: context.language.tag)
        refund = waiting.refund.formatted(locale: context.language.tag)
        grounds = waiting.grounds
        decidedBy = waiting.decidedBy
        decidedAt = context.format.dateTime(waiting.decidedAt)
        isOwn = waiting.decidedByViewer
        guard !isOwn else { return }
        forms = Forms(
            decision: waiting.decision.description, approve: Link("/staff/disputes/refunds/\(waiting.reference)/approve"),
            refuse: Link("/staff/disputes/refunds/\(waiting.reference)/refuse"),
            reason: form.area("reason", label: "disputes.refund.reason", hint: "disputes.refund.reason_hint"))
    }
}

/// `/staff/disputes/late`, for auditors.
struct LateDisputesPage: PageModel {
    static let template = "disputes/late"

    var disputes: [Item]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["disputes": .list(\.disputes), "is_empty": .flag(\.isEmpty)]

    struct Item: ViewModel {
        var reference: String
        var category: String
        var due: String
        var waitsForApproval: Bool
        static let fields: Fields<Self> = [
            "reference": .text(\.reference), "category": .text(\.category), "due": .text(\.due), "waits_for_approval": .flag(\.waitsForApproval),
        ]
    }

    init(_ late: [LateDispute], _ context: some PageContext) {
        disputes = late.map {
            Item(
                reference: $0.reference, category: context.text("disputes.category.\($0.category)"), due: context.format.day($0.dueAt),
                waitsForApproval: $0.state == .approval)
        }
        isEmpty = late.isEmpty
    }
}
