// The pages of a recovery at the counter: the queue of staff with its form, the code that is handed out, and the resident's button that stops it.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/staff/recoveries`.
struct RecoveryQueuePage: PageModel {
    static let template = "identity/recovery-queue"

    var errors: ErrorSummary?
    var rows: [Row]
    /// For caseworkers, who see the papers.
    var form: RequestForm?

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "rows": .list(\.rows), "has_rows": .flag { !$0.rows.isEmpty }, "form": .optional(\.form),
    ]

    struct RequestForm: ViewModel {
        var code: TextField
        var evidence: ChoiceField
        var caseReference: TextField

        static let fields: Fields<Self> = ["code": .model(\.code), "evidence": .model(\.evidence), "case_reference": .model(\.caseReference)]
    }

    struct Row: ViewModel {
        var publicCode: String
        var state: String
        var evidence: String
        var caseReference: String
        var requested: String
        var approved: String?
        var ready: String
        var isReady: Bool
        var decision: Link?
        var stop: Link?
        var code: Link?
        /// Who requested it waits for somebody else.
        var waitsForAnother: Bool

        static let fields: Fields<Self> = [
            "public_code": .text(\.publicCode), "state": .text(\.state), "evidence": .text(\.evidence), "case_reference": .text(\.caseReference),
            "requested": .text(\.requested), "approved": .optionalText(\.approved), "ready": .text(\.ready), "is_ready": .flag(\.isReady),
            "decision": .optionalLink(\.decision), "stop": .optionalLink(\.stop), "code": .optionalLink(\.code), "waits_for_another": .flag(\.waitsForAnother),
        ]

        init(_ recovery: CounterRecovery, roles: Set<StaffRole>, _ context: some PageContext) {
            let isDecider = !roles.isDisjoint(with: IdentityRoutes.recoveryDeciders)
            let path = "/staff/recoveries/\(recovery.id)"
            publicCode = recovery.publicCode
            let state = recovery.hasCode ? "coded" : recovery.isReady ? "ready" : recovery.approvedBy == nil ? "requested" : "waiting"
            self.state = context.text("identity.counter.state.\(state)")
            evidence = context.text("identity.counter.evidence.\(recovery.evidence.rawValue)")
            caseReference = recovery.caseReference
            requested = context.text("identity.counter.by", ["name": recovery.requestedBy, "time": context.format.dateTime(recovery.requestedAt)])
            approved = recovery.approvedBy
            ready = context.format.dateTime(recovery.readyAt)
            isReady = recovery.isReady
            decision = isDecider && recovery.approvedBy == nil && !recovery.isMine ? Link(path + "/approval") : nil
            stop = isDecider ? Link(path + "/refusal") : nil
            code = roles.contains(.caseworker) && recovery.isReady ? Link(path + "/code") : nil
            waitsForAnother = recovery.isMine && recovery.approvedBy == nil
        }
    }

    init(_ recoveries: [CounterRecovery], roles: Set<StaffRole>, _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        rows = recoveries.map { Row($0, roles: roles, context) }
        self.form = roles.contains(.caseworker)
            ? RequestForm(
                code: form.text("code", label: "identity.counter.code", autocomplete: "off"),
                evidence: form.choices(
                    "evidence", label: "identity.counter.evidence_label",
                    options: RecoveryEvidence.allCases.map { ($0.rawValue, context.text("identity.counter.evidence.\($0.rawValue)")) }),
                caseReference: form.text("case_reference", label: "identity.counter.case_reference", autocomplete: "off")) : nil
    }
}

/// The code that is handed out, once.
struct RecoveryPaperPage: PageModel {
    static let template = "identity/recovery-paper"

    var code: String
    var city: String

    static let fields: Fields<Self> = ["code": .text(\.code), "city": .text(\.city)]
}

extension IdentityRoutes {
    static let recoveryViewers: Set<StaffRole> = [.caseworker, .approver, .auditor]
    static let recoveryDeciders: Set<StaffRole> = [.caseworker, .approver]
    private static let caseReferenceCharactersMax = 64

    func addCounterRecovery(to site: Site) {
        site.declare(pages: [RecoveryQueuePage.self, RecoveryPaperPage.self])
        site.addNavigation(.staff, path: "/staff/recoveries", textKey: "identity.counter.navigation", roles: Self.recoveryViewers)
        site.addStaffTasks(recoveryTasks)
        site.staff(Self.recoveryViewers).get("/staff/recoveries", use: showRecoveries)
        site.staff([.caseworker]).post("/staff/recoveries", use: requestRecovery)
        site.staff(Self.recoveryDeciders).post("/staff/recoveries/{id}/approval", use: approveRecovery)
        site.staff(Self.recoveryDeciders).post("/staff/recoveries/{id}/refusal", use: refuseRecovery)
        site.staff([.caseworker]).post("/staff/recoveries/{id}/code", use: giveRecoveryCode)
        site.everyone.post("/recover/counter", use: recoverWithPaper)
        site.resident.post("/security/recovery/cancel", use: cancelRecovery)
    }

    @Sendable func recoveryTasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard !staff.roles.isDisjoint(with: Self.recoveryDeciders) else { return [] }
        let waiting = try await identity.recoveries(for: staff.credential).filter { $0.approvedBy == nil && !$0.isMine }
        guard let oldest = waiting.first else { return [] }
        let detail = context.text("identity.counter.task_detail", ["count": context.format.number(waiting.count), "date": context.format.day(oldest.requestedAt)])
        return [HomeTask(title: context.text("identity.counter.task"), detail: detail, path: "/staff/recoveries")]
    }

    @Sendable func showRecoveries(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await queue(context, .blank)
    }

    @Sendable func requestRecovery(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let code = PublicCode(fields.text("code", charactersMax: 40))
        let evidence = fields.choice("evidence", of: RecoveryEvidence.self)
        let reference = fields.text("case_reference", charactersMax: Self.caseReferenceCharactersMax)
        if fields.isValid, code == nil { fields.reject("code", "identity.counter.refusal.unknown") }
        if fields.isValid, let code, let evidence {
            do {
                try await identity.requestRecovery(of: code, evidence: evidence, caseReference: reference, by: context.staff.credential)
                context.notice("identity.counter.requested")
                return context.redirect(to: "/staff/recoveries")
            } catch let refusal as RecoveryRefusal {
                fields.reject("code", "identity.counter.refusal.\(refusal.rawValue)")
            }
        }
        return try await queue(context, fields.state, status: .unprocessableContent)
    }

    @Sendable func approveRecovery(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await decide(isApproved: true, context)
    }

    @Sendable func refuseRecovery(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await decide(isApproved: false, context)
    }

    @Sendable func giveRecoveryCode(_ request: Request, _ context: StaffContext) async throws -> Response {
        let id: RecoveryID = try context.parameter("id")
        do {
            let code = try await identity.giveRecoveryCode(id, by: context.staff.credential)
            return try context.page(RecoveryPaperPage(code: code, city: identity.settings.city), title: "identity.counter.paper.title")
        } catch let refusal as RecoveryRefusal {
            throw refusal.problem
        }
    }

    /// The resident, at home or at the counter's own screen.
    @Sendable func recoverWithPaper(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let code = fields.secret("paper", charactersMax: 100)
        if fields.isValid, let code {
            if let token = try await identity.recover(withPaper: code) {
                try await leaveSession(context)
                SessionCookie.issue(token, in: context)
                return context.redirect(to: Self.replacePath)
            }
            fields.reject("paper", "identity.counter.paper.wrong")
        }
        return try context.formAgain(RecoveryPage(context.formView(fields.state)), title: "identity.recover.title", after: nil)
    }

    @Sendable func cancelRecovery(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await identity.cancelRecovery(context.resident.credential)
        context.notice("identity.counter.cancelled")
        return context.redirect(to: "/security")
    }

    private func decide(isApproved: Bool, _ context: StaffContext) async throws -> Response {
        let id: RecoveryID = try context.parameter("id")
        do {
            try await identity.decideRecovery(id, isApproved: isApproved, by: context.staff.credential)
        } catch let refusal as RecoveryRefusal {
            throw refusal.problem
        }
        context.notice(isApproved ? "identity.counter.approved" : "identity.counter.stopped")
        return context.redirect(to: "/staff/recoveries")
    }

    private func queue(_ context: StaffContext, _ state: FormState, status: HTTPResponse.Status = .ok) async throws -> Response {
        let recoveries = try await identity.recoveries(for: context.staff.credential)
        return try context.page(
            RecoveryQueuePage(recoveries, roles: context.staff.roles, context.formView(state), context), title: "identity.counter.title", status: status)
    }
}

extension RecoveryRefusal {
    /// For whoever sends what the page does not offer.
    fileprivate var problem: Problem {
        switch self {
        case .roleMissing, .samePerson, .ownAccount: .forbidden
        case .unknown, .unproven, .already, .notReady: .notFound
        }
    }
}
