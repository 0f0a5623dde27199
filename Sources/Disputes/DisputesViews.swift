// Disputes as JSON and as pages.
import Foundation
import Primitives
import Web

/// A dispute of the resident who asks. `words` are there in the answer about one dispute alone.
struct DisputeBody: Encodable, Sendable {
    let id: String
    let reference: String
    let about: String
    let aboutId: String
    let category: String
    let openedAt: Date
    let dueAt: Date
    let state: String
    let isOverdue: Bool
    let closedAt: Date?
    let refunded: Int64?
    let currency: String
    let words: [WordsBody]?

    struct WordsBody: Encodable, Sendable {
        let from: String
        let isDecision: Bool
        let text: String
        let at: Date
    }

    enum CodingKeys: String, CodingKey {
        case id, reference, about, aboutId, category, openedAt, dueAt, state, isOverdue, closedAt, refunded, currency, words
    }

    init(_ dispute: Dispute, words: [DisputeWords]? = nil) {
        id = dispute.id.description
        reference = dispute.reference
        about = dispute.about.kind.rawValue
        aboutId = dispute.about.id.uuidString.lowercased()
        category = dispute.category
        openedAt = dispute.openedAt
        dueAt = dispute.dueAt
        state = dispute.state.rawValue
        isOverdue = dispute.isLate
        closedAt = dispute.closedAt
        refunded = dispute.refunded?.minorUnits
        currency = dispute.about.amount.currency.code
        self.words = words?.map { WordsBody(from: $0.isFromCity ? "city" : "resident", isDecision: $0.isDecision, text: $0.text, at: $0.at) }
    }

    /// Every member but `words` is always there, null where there is nothing to say.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(reference, forKey: .reference)
        try container.encode(about, forKey: .about)
        try container.encode(aboutId, forKey: .aboutId)
        try container.encode(category, forKey: .category)
        try container.encode(openedAt, forKey: .openedAt)
        try container.encode(dueAt, forKey: .dueAt)
        try container.encode(state, forKey: .state)
        try container.encode(isOverdue, forKey: .isOverdue)
        try container.encode(closedAt, forKey: .closedAt)
        try container.encode(refunded, forKey: .refunded)
        try container.encode(currency, forKey: .currency)
        try container.encodeIfPresent(words, forKey: .words)
    }
}

/// What a dispute is about, as every page of it shows it.
struct ThingView: ViewModel {
    var kind: String
    var title: String
    var reference: String
    var amount: String

    static let fields: Fields<Self> = [
        "kind": .text(\.kind), "title": .text(\.title), "reference": .text(\.reference), "amount": .text(\.amount),
    ]

    init(_ thing: DisputedThing, _ context: some PageContext) {
        kind = context.text("disputes.about.\(thing.kind.rawValue)")
        title = thing.title.text(context.language)
        reference = thing.reference
        amount = thing.amount.formatted(locale: context.language.tag)
    }
}

/// `/disputes/new`
struct NewDisputePage: PageModel {
    static let template = "disputes/new"

    var errors: ErrorSummary?
    var thing: ThingView
    /// The form sent twice is one dispute.
    var id: String
    var kind: String
    var about: String
    var category: ChoiceField
    var words: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "thing": .model(\.thing), "id": .text(\.id), "kind": .text(\.kind), "about": .text(\.about),
        "category": .model(\.category), "words": .model(\.words),
    ]

    init(_ thing: DisputedThing, _ categories: [DisputeCategories.Row], id: DisputeID, _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        self.thing = ThingView(thing, context)
        self.id = id.description
        kind = thing.kind.rawValue
        about = thing.id.uuidString.lowercased()
        category = form.choices(
            "category", label: "disputes.new.category",
            options: categories.map { category in
                let name = context.text("disputes.category.\(category.id)")
                return (category.id, context.text("disputes.new.option", ["name": name, "days": context.text("disputes.days", count: category.daysMax)]))
            })
        words = form.area("words", label: "disputes.new.words", hint: "disputes.words_hint")
    }
}

/// A dispute in the resident's list.
struct DisputeSummary: ViewModel {
    var page: Link
    var title: String
    var category: String
    var state: String
    var isOpen: Bool
    var isLate: Bool
    var isUpheld: Bool
    var when: String

    static let fields: Fields<Self> = [
        "page": .link(\.page), "title": .text(\.title), "category": .text(\.category), "state": .text(\.state), "is_open": .flag(\.isOpen),
        "is_late": .flag(\.isLate), "is_upheld": .flag(\.isUpheld), "when": .text(\.when),
    ]

    init(_ dispute: Dispute, _ context: some PageContext) {
        page = Link("/disputes/\(dispute.id)")
        title = dispute.about.title.text(context.language)
        category = context.text("disputes.category.\(dispute.category)")
        isOpen = dispute.closedAt == nil
        isLate = dispute.isLate
        isUpheld = !isOpen && dispute.state != .rejected
        state = context.text("disputes.state.\(dispute.state.rawValue)")
        when = dispute.closedAt.map { context.text("disputes.closed_on", ["date": context.format.day($0)]) }
            ?? context.text(isLate ? "disputes.late_since" : "disputes.due_on", ["date": context.format.day(dispute.dueAt)])
    }
}

/// `/disputes`
struct DisputesPage: PageModel {
    static let template = "disputes/list"

    var disputes: [DisputeSummary]
    var isEmpty: Bool
    var older: Link?

    static let fields: Fields<Self> = ["disputes": .list(\.disputes), "is_empty": .flag(\.isEmpty), "older": .optionalLink(\.older)]

    init(_ disputes: [Dispute], next: MomentCursor?, _ context: some PageContext) {
        self.disputes = disputes.map { DisputeSummary($0, context) }
        isEmpty = disputes.isEmpty
        older = next.map { Link("/disputes?before=\($0)") }
    }
}

/// One turn of the conversation.
struct WordsView: ViewModel {
    var who: String
    var text: String
    var at: String
    var timestamp: String
    var isDecision: Bool

    static let fields: Fields<Self> = [
        "who": .text(\.who), "text": .text(\.text), "at": .text(\.at), "timestamp": .text(\.timestamp), "is_decision": .flag(\.isDecision),
    ]

    init(_ words: DisputeWords, who: (isFromCity: String, isFromResident: String), _ context: some PageContext) {
        self.who = context.text(words.isDecision ? "disputes.decision" : words.isFromCity ? who.isFromCity : who.isFromResident)
        text = words.text
        at = context.format.dateTime(words.at)
        timestamp = RFC3339.text(words.at)
        isDecision = words.isDecision
    }
}

/// `/disputes/{id}`
struct OwnDisputePage: PageModel {
    static let template = "disputes/own"

    var errors: ErrorSummary?
    var summary: DisputeSummary
    var thing: ThingView
    var reference: String
    var openedAt: String
    var law: String
    var words: [WordsView]
    var refunded: String?
    /// To write more; nil when it is closed.
    var reply: ReplyForm?

    struct ReplyForm: ViewModel {
        var action: Link
        var message: String
        var text: TextField
        static let fields: Fields<Self> = ["action": .link(\.action), "message": .text(\.message), "text": .model(\.text)]
    }

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "summary": .model(\.summary), "thing": .model(\.thing), "reference": .text(\.reference),
        "opened_at": .text(\.openedAt), "law": .text(\.law), "words": .list(\.words), "refunded": .optionalText(\.refunded), "reply": .optional(\.reply),
        "is_closed": .flag { $0.reply == nil }, "is_late": .flag { $0.summary.isLate },
    ]

    init(_ dispute: Dispute, _ words: [DisputeWords], _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        summary = DisputeSummary(dispute, context)
        thing = ThingView(dispute.about, context)
        reference = dispute.reference
        openedAt = context.format.dateTime(dispute.openedAt)
        law = dispute.law
        self.words = words.map { WordsView($0, who: ("disputes.city", "disputes.you"), context) }
        refunded = dispute.refunded?.formatted(locale: context.language.tag)
        guard dispute.closedAt == nil else { return }
        reply = ReplyForm(
            action: Link("/disputes/\(dispute.id)"), message: DisputeMessageID.new().description,
            text: form.area("words", label: "disputes.more", hint: "disputes.words_hint"))
    }
}

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

/// `/disputes/figures`, for everybody.
struct FiguresPage: PageModel {
    static let template = "disputes/figures"

    var categories: [Item]
    var countMin: String

    static let fields: Fields<Self> = ["categories": .list(\.categories), "count": .text(\.countMin)]

    struct Item: ViewModel {
        var name: String
        var days: String
        /// Nil where there were too few.
        var counts: Counts?

        static let fields: Fields<Self> = [
            "name": .text(\.name), "days": .text(\.days), "counts": .optional(\.counts), "too_few": .flag { $0.counts == nil },
            "count": .text { _ in String(FiguresPage.countMin) },
        ]
    }

    struct Counts: ViewModel {
        var opened: String
        var waiting: String
        var late: String
        var median: String
        var upheld: String
        var partly: String
        var rejected: String

        static let fields: Fields<Self> = [
            "opened": .text(\.opened), "waiting": .text(\.waiting), "late": .text(\.late), "median": .text(\.median), "upheld": .text(\.upheld),
            "partly": .text(\.partly), "rejected": .text(\.rejected),
        ]

        init(_ counts: DisputeFigures.Counts, _ context: some PageContext) {
            opened = context.format.number(counts.opened)
            waiting = context.format.number(counts.waiting)
            late = context.format.number(counts.late)
            // Whole days, rounded up: half a day of waiting is a day.
            median = counts.medianDays.map { context.text("disputes.days", count: Int($0.rounded(.up))) } ?? "–"
            upheld = context.format.number(counts.upheld)
            partly = context.format.number(counts.partlyUpheld)
            rejected = context.format.number(counts.rejected)
        }
    }

    /// Fewer than this are not told (`disputes.count_min`).
    static let countMin = 5

    init(_ figures: [DisputeFigures], _ context: some PageContext) {
        countMin = context.format.number(Self.countMin)
        categories = figures.map { figure in
            Item(
                name: context.text("disputes.category.\(figure.category)"), days: context.text("disputes.days", count: figure.daysMax),
                counts: figure.counts.map { Counts($0, context) })
        }
    }
}
