// Where caseworkers look into disputes and decide, finance officers approve refunds, and auditors see what is overdue.
import AccessLog
import HTTPTypes
import Hummingbird
import Postgres
import Primitives
public import Web

/// URL table of the staff's part.
public struct DisputeStaffRoutes: Sendable {
    private let disputes: Disputes

    public init(disputes: Disputes) {
        self.disputes = disputes
    }

    public func add(to site: Site) {
        site.declare(pages: [DisputeQueuePage.self, HandleDisputePage.self, RefundsPage.self, RefundPage.self, LateDisputesPage.self])
        site.addNavigation(.staff, path: "/staff/disputes", textKey: "disputes.navigation", roles: [.caseworker])
        site.addNavigation(.staff, path: "/staff/disputes/refunds", textKey: "disputes.refunds.navigation", roles: [.financeOfficer])
        site.addStaffTasks(tasks)
        let auditor = site.staff([.auditor])
        auditor.get("/staff/disputes/late", use: late)
        let finance = site.staff([.financeOfficer])
        finance.get("/staff/disputes/refunds", use: refunds)
        finance.get("/staff/disputes/refunds/{reference}", use: showRefund)
        finance.post("/staff/disputes/refunds/{reference}/approve", use: approve)
        finance.post("/staff/disputes/refunds/{reference}/refuse", use: refuse)
        let caseworker = site.staff([.caseworker])
        caseworker.get("/staff/disputes", use: queue)
        caseworker.get("/staff/disputes/{reference}", use: look)
        caseworker.post("/staff/disputes/{reference}/messages", use: reply)
        caseworker.post("/staff/disputes/{reference}/decision", use: decide)
    }

    static let groundsCharactersMax = 500
    private static let amountCharactersMax = 48

    /// One task for each role's queue.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        var tasks: [HomeTask] = []
        func task(_ key: String, _ count: Int, path: String, _ parameters: [String: String] = [:]) {
            guard count > 0 else { return }
            let detail = context.text("disputes.task.\(key)", parameters.merging(["count": context.format.number(count)]) { first, _ in first })
            tasks.append(HomeTask(title: context.text("disputes.task.\(key)_title"), detail: detail, path: path))
        }
        if staff.roles.contains(.caseworker) {
            let waiting = try await disputes.database.query(WaitingDisputes(credential: staff.credential))
            task("waiting", waiting.count, path: "/staff/disputes", waiting.first.map { ["date": context.format.day($0.dueAt)] } ?? [:])
        }
        if staff.roles.contains(.financeOfficer) {
            task("refunds", try await disputes.database.query(WaitingRefunds(credential: staff.credential)).count, path: "/staff/disputes/refunds")
        }
        if staff.roles.contains(.auditor) {
            task("late", try await disputes.database.query(LateDisputes(credential: staff.credential)).count, path: "/staff/disputes/late")
        }
        return tasks
    }

    // MARK: Caseworkers

    @Sendable func queue(_ request: Request, _ context: StaffContext) async throws -> Response {
        let waiting = try await disputes.database.query(WaitingDisputes(credential: context.staff.credential))
        return try context.page(DisputeQueuePage(waiting, context), title: "disputes.queue.title")
    }

    @Sendable func look(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        return try page(atHand, .blank, context)
    }

    @Sendable func reply(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        var fields = FormReader(context.form)
        let message = fields.optionalText("message", charactersMax: 36).flatMap { DisputeMessageID($0) } ?? .new()
        let words = fields.longText("words", charactersMax: Disputes.wordsCharactersMax)
        guard fields.isValid else { return try page(atHand, fields.state, context, status: .unprocessableContent) }
        switch try await disputes.reply(words, as: message, to: atHand, session: context.staff.credential) {
        case .written: context.notice("disputes.handle.written")
        case .closed, .disputeUnknown: return noLonger(context)
        case .tooMany:
            fields.reject("words", "disputes.too_many_messages")
            return try page(atHand, fields.state, context, status: .unprocessableContent)
        case .notAllowed: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/disputes/\(atHand.dispute.reference)")
    }

    @Sendable func decide(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        var fields = FormReader(context.form)
        guard let decision = decision(&fields, about: atHand.dispute) else {
            return try page(atHand, fields.state, context, status: .unprocessableContent)
        }
        switch try await disputes.decide(decision, about: atHand, session: context.staff.credential) {
        case .decided: context.notice("disputes.handle.decided")
        case .approvalNeeded: context.notice("disputes.handle.approval_needed")
        case .alreadyDecided: return noLonger(context)
        case .refundTooHigh:
            fields.reject("refund", "disputes.handle.refund_too_high")
            return try page(atHand, fields.state, context, status: .unprocessableContent)
        case .notAllowed: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/disputes")
    }

    // MARK: Finance officers

    @Sendable func refunds(_ request: Request, _ context: StaffContext) async throws -> Response {
        let waiting = try await disputes.database.query(WaitingRefunds(credential: context.staff.credential))
        return try context.page(RefundsPage(waiting, context), title: "disputes.refunds.title")
    }

    @Sendable func showRefund(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await refundPage(context)
    }

    @Sendable func approve(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let id = try context.form.value("decision").flatMap({ DisputeDecisionID($0) }) else { return try await refundPage(context) }
        return try await settle(try await disputes.approve(id, session: context.staff.credential), context)
    }

    @Sendable func refuse(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let reason = fields.longText("reason", charactersMax: Self.groundsCharactersMax)
        if fields.isValid, reason.unicodeScalars.count < 3 { fields.reject("reason", "disputes.refund.reason_short") }
        guard fields.isValid, let id = try context.form.value("decision").flatMap({ DisputeDecisionID($0) }) else {
            return try await refundPage(context, fields.state, status: .unprocessableContent)
        }
        return try await settle(try await disputes.refuse(id, reason: reason, session: context.staff.credential), context)
    }

    // MARK: Auditors

    @Sendable func late(_ request: Request, _ context: StaffContext) async throws -> Response {
        let late = try await disputes.database.query(LateDisputes(credential: context.staff.credential))
        return try context.page(LateDisputesPage(late, context), title: "disputes.late.title")
    }
}

extension DisputeStaffRoutes {
    /// Nil with errors noted when something is missing or not understood.
    private func decision(_ fields: inout FormReader, about dispute: Dispute) -> NewDecision? {
        let id = fields.optionalText("decision", charactersMax: 36).flatMap { DisputeDecisionID($0) } ?? .new()
        let finding = fields.choice("finding", of: DisputeFinding.self)
        let answer = fields.longText("answer", charactersMax: Disputes.wordsCharactersMax)
        var refund: Int64?
        if dispute.about.kind == .payment, let typed = fields.optionalText("refund", charactersMax: Self.amountCharactersMax) {
            refund = (try? Money.parse(typed, dispute.about.amount.currency)).flatMap { $0.isPositive ? $0.minorUnits : nil }
            if refund == nil { fields.reject("refund", "disputes.handle.refund_malformed") }
            if finding == .rejected { fields.reject("refund", "disputes.handle.refund_of_rejected") }
        }
        var grounds: String?
        if refund != nil {
            let typed = fields.longText("grounds", charactersMax: Self.groundsCharactersMax)
            if !typed.isEmpty, typed.unicodeScalars.count < 3 { fields.reject("grounds", "disputes.refund.reason_short") }
            grounds = typed
        }
        guard fields.isValid, let finding else { return nil }
        return NewDecision(id: id, finding: finding, refund: refund, words: answer, grounds: grounds)
    }

    private func atHand(_ context: StaffContext) async throws -> DisputeAtHand? {
        do {
            return try await disputes.look(into: try context.parameter("reference"), for: context.staff.credential)
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    private func page(_ atHand: DisputeAtHand, _ state: FormState, _ context: StaffContext, status: HTTPResponse.Status = .ok) throws -> Response {
        try context.page(HandleDisputePage(atHand, context.formView(state), context), title: "disputes.handle.title", status: status)
    }

    private func refundPage(
        _ context: StaffContext, _ state: FormState = .blank, problem: String? = nil, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let reference: String = try context.parameter("reference")
        guard let waiting = try await disputes.database.optional(WaitingRefunds(credential: context.staff.credential, reference: reference)) else {
            context.notice("disputes.refund.no_longer")
            return context.redirect(to: "/staff/disputes/refunds")
        }
        let page = RefundPage(waiting, problem: problem.map { context.text($0) }, context.formView(state), context)
        return try context.page(page, title: "disputes.refund.title", status: status)
    }

    private func settle(_ outcome: ApprovalOutcome, _ context: StaffContext) async throws -> Response {
        switch outcome {
        case .approved: context.notice("disputes.refund.approved")
        case .refused: context.notice("disputes.refund.refused")
        case .alreadyDecided: context.notice("disputes.refund.no_longer")
        case .selfApproval: return try await refundPage(context, problem: "disputes.refund.own", status: .forbidden)
        case .insufficientFunds: return try await refundPage(context, problem: "disputes.refund.insufficient_funds", status: .unprocessableContent)
        case .roleMissing: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/disputes/refunds")
    }

    /// Somebody else was faster, or there never was such a dispute.
    private func noLonger(_ context: StaffContext) -> Response {
        context.notice("disputes.handle.no_longer")
        return context.redirect(to: "/staff/disputes")
    }
}
