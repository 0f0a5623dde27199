// What finance officers see of outgoing batches. BatchRoutes.swift fills these, templates/payouts writes them.
import Foundation
import Primitives
import Web

/// `/staff/payouts`: what waits (the dry run of a batch), and the batches.
struct BatchesPage: PageModel {
    static let template = "payouts/batches"

    var plans: [Plan]
    var isOfficer: Bool
    var hasReady: Bool
    var errors: ErrorSummary?
    var id: String
    var onlyCurrency: String?
    var currency: ChoiceField?
    var executeOn: DateField
    var batches: [Row]
    var older: Link?

    static let fields: Fields<Self> = [
        "plans": .list(\.plans), "has_plans": .flag { !$0.plans.isEmpty }, "is_officer": .flag(\.isOfficer), "has_ready": .flag(\.hasReady),
        "errors": .optional(\.errors), "id": .text(\.id), "only_currency": .optionalText(\.onlyCurrency), "currency": .optional(\.currency),
        "execute_on": .model(\.executeOn), "batches": .list(\.batches), "has_batches": .flag { !$0.batches.isEmpty }, "older": .optionalLink(\.older),
    ]

    struct Plan: ViewModel {
        var total: String
        var ready: String
        var cooling: String
        var missing: String
        var duplicates: String
        var hasDuplicates: Bool

        static let fields: Fields<Self> = [
            "total": .text(\.total), "ready": .text(\.ready), "cooling": .text(\.cooling), "missing": .text(\.missing), "duplicates": .text(\.duplicates),
            "has_duplicates": .flag(\.hasDuplicates),
        ]
    }

    struct Row: ViewModel {
        var link: Link
        var reference: String
        var count: String
        var total: String
        var prepared: String
        var state: String
        var isWaiting: Bool
        var isApproved: Bool

        static let fields: Fields<Self> = [
            "link": .link(\.link), "reference": .text(\.reference), "count": .text(\.count), "total": .text(\.total), "prepared": .text(\.prepared),
            "state": .text(\.state), "is_waiting": .flag(\.isWaiting), "is_approved": .flag(\.isApproved),
        ]
    }

    init(_ plans: [PayoutPlan], _ found: [PayoutBatch], next: MomentCursor?, isOfficer: Bool, _ form: FormView, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        self.plans = plans.map { plan in
            Plan(
                total: write(plan.total), ready: context.format.number(plan.readyCount), cooling: context.format.number(plan.coolingCount),
                missing: context.format.number(plan.missingCount), duplicates: context.format.number(plan.likelyDuplicates),
                hasDuplicates: plan.likelyDuplicates > 0)
        }
        self.isOfficer = isOfficer
        let ready = plans.filter { $0.readyCount > 0 }
        hasReady = !ready.isEmpty
        errors = form.errors
        id = PayoutBatchID.new().description
        onlyCurrency = ready.count == 1 ? ready[0].total.currency.code : nil
        currency = ready.count > 1
            ? form.choices("currency", label: "payouts.prepare.currency", options: ready.map { ($0.total.currency.code, write($0.total)) }) : nil
        executeOn = form.date("execute_on", label: "payouts.prepare.execute_on")
        batches = found.map { batch in
            Row(
                link: Link("/staff/payouts/\(batch.id)"), reference: batch.reference, count: context.format.number(batch.count), total: write(batch.controlSum),
                prepared: context.text("payouts.prepared_by", ["name": batch.preparedBy.isolated, "date": context.format.dateTime(batch.preparedAt)]),
                state: context.text("payouts.decision.\(batch.decision?.rawValue ?? "waiting")"), isWaiting: batch.decision == nil,
                isApproved: batch.decision == .approved)
        }
        older = next.map { Link("/staff/payouts?before=\($0)") }
    }
}

/// `/staff/payouts/{id}`
struct BatchPage: PageModel {
    static let template = "payouts/batch"

    var problem: String?
    var errors: ErrorSummary?
    var facts: Facts
    var isDecidable: Bool
    var waitsForAnother: Bool
    var approve: Link
    var refuse: Link
    var refusalReason: TextField
    var file: Link?
    var isFileWaited: Bool
    var mayReport: Bool

    static let fields: Fields<Self> = [
        "problem": .optionalText(\.problem), "errors": .optional(\.errors), "facts": .model(\.facts), "is_decidable": .flag(\.isDecidable),
        "waits_for_another": .flag(\.waitsForAnother), "approve": .link(\.approve), "refuse": .link(\.refuse), "refusal_reason": .model(\.refusalReason),
        "file": .optionalLink(\.file), "is_file_waited": .flag(\.isFileWaited), "may_report": .flag(\.mayReport),
    ]

    struct Facts: ViewModel {
        var reference: String
        var state: String
        var isApproved: Bool
        var isRefused: Bool
        var count: String
        var total: String
        var executeOn: String
        var prepared: String
        var decided: String?
        var refusalReason: String?
        var sha256: String?
        var outcomes: String?

        static let fields: Fields<Self> = [
            "reference": .text(\.reference), "state": .text(\.state), "is_approved": .flag(\.isApproved), "is_refused": .flag(\.isRefused),
            "count": .text(\.count), "total": .text(\.total), "execute_on": .text(\.executeOn), "prepared": .text(\.prepared),
            "decided": .optionalText(\.decided), "refusal_reason": .optionalText(\.refusalReason), "sha256": .optionalText(\.sha256),
            "outcomes": .optionalText(\.outcomes),
        ]
    }

    init(_ batch: PayoutBatch, roles: Set<StaffRole>, problem: String?, _ form: FormView, _ context: some PageContext) {
        self.problem = problem
        errors = form.errors
        let number = context.format.number
        facts = Facts(
            reference: batch.reference, state: context.text("payouts.decision.\(batch.decision?.rawValue ?? "waiting")"), isApproved: batch.decision == .approved,
            isRefused: batch.decision == .refused, count: number(batch.count), total: batch.controlSum.formatted(locale: context.language.tag),
            executeOn: context.format.date(batch.executeOn),
            prepared: context.text("payouts.prepared_by", ["name": batch.preparedBy.isolated, "date": context.format.dateTime(batch.preparedAt)]),
            decided: batch.decidedBy.flatMap { name in
                batch.decidedAt.map { context.text("payouts.prepared_by", ["name": name.isolated, "date": context.format.dateTime($0)]) }
            },
            refusalReason: batch.refusalReason, sha256: batch.sha256.map { $0.map { String(format: "%02x", $0) }.joined() },
            outcomes: batch.decision != .approved
                ? nil
                : context.text(
                    "payouts.one.outcomes",
                    [
                        "settled": number(batch.settled), "rejected": number(batch.rejected), "returned": number(batch.returned),
                        "open": number(batch.count - batch.settled - batch.rejected - batch.returned),
                    ]))
        let isOfficer = roles.contains(.financeOfficer)
        isDecidable = !roles.isDisjoint(with: PayoutBatchRoutes.mayDecide) && batch.decision == nil && !batch.preparedByViewer
        waitsForAnother = batch.decision == nil && !isDecidable
        approve = Link("/staff/payouts/\(batch.id)/approve")
        refuse = Link("/staff/payouts/\(batch.id)/refuse")
        refusalReason = form.area("refusal_reason", label: "payouts.decide.refusal_reason", hint: "payouts.decide.refusal_hint")
        file = isOfficer && batch.sha256 != nil ? Link("/staff/payouts/\(batch.id)/file.xml") : nil
        isFileWaited = batch.decision == .approved && batch.sha256 == nil
        mayReport = isOfficer && batch.decision == .approved
    }
}

/// `/staff/payouts/report`
struct ReportPage: PageModel {
    static let template = "payouts/report"

    var errors: ErrorSummary?
    var report: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "report": .model(\.report)]

    init(_ form: FormView) {
        errors = form.errors
        report = form.area("report", label: "payouts.report.label", hint: "payouts.report.hint")
    }
}
