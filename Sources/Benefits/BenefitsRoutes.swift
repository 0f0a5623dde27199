// Benefits for staff: the list, preparing a payment, and deciding about one.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct BenefitsRoutes: Sendable {
    private let database: Database
    private let door: Door

    public init(database: Database, door: Door) {
        self.database = database
        self.door = door
    }

    public func add(to site: Site) {
        site.declare(pages: [DisbursementsPage.self, PreparePage.self, DisbursementPage.self])
        site.addNavigation(.staff, path: "/staff/benefits", textKey: "benefits.navigation", roles: BenefitsRules.mayLook)
        site.addStaffTasks(tasks)
        let (readers, preparers, approvers) = (site.staff(BenefitsRules.mayLook), site.staff(BenefitsRules.mayPrepare), site.staff([.approver]))
        readers.get("/staff/benefits", use: list)
        preparers.post("/staff/benefits", use: prepare)
        preparers.get("/staff/benefits/new", use: showForm)
        readers.get("/staff/benefits/{id}", use: show)
        approvers.post("/staff/benefits/{id}/approve", use: approve)
        approvers.post("/staff/benefits/{id}/refuse", use: refuse)
    }

    /// One task for all payments that this approver may decide, with the day of the oldest.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.approver), let waiting = try await database.one(WaitingForApproval(credential: staff.credential)) else { return [] }
        let detail = context.text(
            "benefits.task.detail", ["count": context.format.number(waiting.count), "date": context.format.day(waiting.oldest)])
        return [HomeTask(title: context.text("benefits.task.title"), detail: detail, path: "/staff/benefits")]
    }

    /// Payments on one page: what an approver gets through in a morning.
    static let disbursementsPerPage = 50

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        let cursor = try MomentCursor(parameter: context.query(request).value("before"), named: "before")
        // One more than is shown tells whether there is another page.
        var found = try await database.query(
            Disbursements(credential: context.staff.credential, before: cursor, count: Self.disbursementsPerPage + 1))
        let hasMore = found.count > Self.disbursementsPerPage
        if hasMore { found.removeLast() }
        let next = hasMore ? found.last.map { MomentCursor(at: $0.preparedAt, id: $0.id.uuid) } : nil
        let mayPrepare = !context.staff.roles.isDisjoint(with: BenefitsRules.mayPrepare)
        return try context.page(DisbursementsPage(found, next: next, mayPrepare: mayPrepare, context), title: "benefits.title")
    }

    @Sendable func showForm(_ request: Request, _ context: StaffContext) async throws -> Response {
        return try await form(context, .blank, id: .new())
    }

    @Sendable func prepare(_ request: Request, _ context: StaffContext) async throws -> Response {
        let programmes = try await database.query(OpenProgrammes())
        var form = BenefitForm(context.form)
        guard let draft = form.draft(programmes, context) else {
            return try await self.form(context, form.fields.state, id: form.id, status: .unprocessableContent)
        }
        do {
            try await PrepareBenefit(database: database, door: door).perform(draft, by: context.staff.credential)
        } catch let refusal as PrepareRefusal {
            try form.reject(refusal, draft, context)
            return try await self.form(context, form.fields.state, id: form.id, status: .unprocessableContent)
        }
        context.notice("benefits.prepare.done")
        return context.redirect(to: "/staff/benefits/\(draft.id)")
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await show(context)
    }

    @Sendable func approve(_ request: Request, _ context: StaffContext) async throws -> Response {
        let id: DisbursementID = try context.parameter("id")
        return try await decide(id, context) {
            try await DecideBenefit(database: database).approve(id, by: context.staff.credential)
            context.notice("benefits.decide.approved")
        }
    }

    @Sendable func refuse(_ request: Request, _ context: StaffContext) async throws -> Response {
        let id: DisbursementID = try context.parameter("id")
        var fields = FormReader(context.form)
        let reason = fields.longText("refusal_reason", charactersMax: BenefitForm.reasonCharactersMax)
        if fields.isValid, reason.unicodeScalars.count < BenefitForm.reasonCharactersMin { fields.reject("refusal_reason", "benefits.reason_short") }
        guard fields.isValid else { return try await show(context, fields.state, status: .unprocessableContent) }
        return try await decide(id, context) {
            try await DecideBenefit(database: database).refuse(id, reason: reason, by: context.staff.credential)
            context.notice("benefits.decide.refused")
        }
    }

    /// Whatever was decided before stays; who comes too late sees it on the page.
    private func decide(_ id: DisbursementID, _ context: StaffContext, _ decision: () async throws -> Void) async throws -> Response {
        do {
            try await decision()
        } catch DecisionRefusal.alreadyApproved, DecisionRefusal.alreadyRefused {
            context.notice("benefits.decide.was_decided")
        } catch DecisionRefusal.selfApproval {
            return try await show(context, problem: "benefits.decide.self_approval", status: .forbidden)
        } catch DecisionRefusal.insufficientFunds {
            return try await show(context, problem: "benefits.decide.insufficient_funds", status: .unprocessableContent)
        } catch DecisionRefusal.disbursementUnknown {
            throw Problem.notFound
        } catch DecisionRefusal.roleMissing {
            throw Problem.forbidden
        }
        return context.redirect(to: "/staff/benefits/\(id)")
    }

    private func show(
        _ context: StaffContext, _ state: FormState = .blank, problem: String? = nil, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let query = Disbursements(credential: context.staff.credential, id: try context.parameter("id"), count: 1)
        guard let found = try await database.optional(query) else { throw Problem.notFound }
        let page = DisbursementPage(found, roles: context.staff.roles, problem: problem.map { context.text($0) }, context.formView(state), context)
        return try context.page(page, title: "benefits.one.title", status: status)
    }

    private func form(
        _ context: StaffContext, _ state: FormState, id: DisbursementID, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let programmes = try await database.query(OpenProgrammes())
        return try context.page(PreparePage(context.formView(state), programmes, id: id, context), title: "benefits.prepare.title", status: status)
    }
}
