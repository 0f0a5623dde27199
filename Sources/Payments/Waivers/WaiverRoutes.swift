// Bills for staff: one is found by its reference, a part of it proposed to be forgone, and decided about by another.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of bills' staff pages.
public struct WaiverRoutes: Sendable {
    private let database: Database

    public init(database: Database) {
        self.database = database
    }

    static let mayLook: Set<StaffRole> = [.financeOfficer, .approver, .auditor]
    static let mayDecide: Set<StaffRole> = [.financeOfficer, .approver]

    public func add(to site: Site) {
        site.declare(pages: [StaffBillPage.self])
        site.addNavigation(.staff, path: "/staff/bills", textKey: "waiver.navigation", roles: Self.mayLook)
        site.addStaffTasks(tasks)
        site.staff(Self.mayLook).get("/staff/bills", use: show)
        site.staff([.financeOfficer]).post("/staff/bills/waivers", use: propose)
        site.staff(Self.mayDecide).post("/staff/bills/waivers/{id}", use: decide)
    }

    private static let referenceCharactersMax = 40
    private static let amountCharactersMax = 48
    private static let reasonCharacters = 3...500

    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard !staff.roles.isDisjoint(with: Self.mayDecide) else { return [] }
        let waiting = try await database.query(WaiversFor(credential: staff.credential)).filter { !$0.isMine }
        guard let oldest = waiting.first else { return [] }
        let detail = context.text("waiver.task.detail", ["count": context.format.number(waiting.count), "date": context.format.day(oldest.proposedAt)])
        return [HomeTask(title: context.text("waiver.task.title"), detail: detail, path: "/staff/bills")]
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await page(context, reference: try context.query(request).value("reference"))
    }

    @Sendable func propose(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let reference = fields.text("bill", charactersMax: Self.referenceCharactersMax)
        let id = fields.optionalText("id", charactersMax: 36).flatMap { WaiverID($0) } ?? .new()
        guard let bill = try await find(reference, context) else { throw Problem.notFound }
        let typed = fields.text("amount", charactersMax: Self.amountCharactersMax)
        let amount = try? Money.parse(typed, bill.amount.currency)
        if !typed.isEmpty, amount?.isPositive != true { fields.reject("amount", "waiver.amount_malformed") }
        let reason = fields.longText("reason", charactersMax: Self.reasonCharacters.upperBound)
        if !reason.isEmpty, reason.unicodeScalars.count < Self.reasonCharacters.lowerBound { fields.reject("reason", "waiver.reason_short") }
        guard fields.isValid, let amount else { return try await page(context, reference: reference, fields.state, status: .unprocessableContent) }
        do {
            try await DecideWaivers(database: database).propose(id, of: bill.id, amount, reason: reason, by: context.staff.credential)
        } catch let refusal as WaiverRefusal {
            guard ["too_much", "waits"].contains(refusal.outcome) else { throw refusal.outcome == "role_missing" ? Problem.forbidden : Problem.notFound }
            fields.reject("amount", "waiver.refusal.\(refusal.outcome)")
            return try await page(context, reference: reference, fields.state, status: .unprocessableContent)
        }
        context.notice("waiver.proposed")
        return context.redirect(to: "/staff/bills?reference=\(bill.reference)")
    }

    @Sendable func decide(_ request: Request, _ context: StaffContext) async throws -> Response {
        let id: WaiverID = try context.parameter("id")
        var fields = FormReader(context.form)
        let reference = fields.text("bill", charactersMax: Self.referenceCharactersMax)
        let decision = fields.choice("decision", of: WaiverDecision.self)
        guard fields.isValid, let decision else { return try await page(context, reference: reference, fields.state, status: .unprocessableContent) }
        do {
            try await DecideWaivers(database: database).decide(id, decision, by: context.staff.credential)
            context.notice("waiver.\(decision.rawValue)")
        } catch let refusal as WaiverRefusal {
            switch refusal.outcome {
            case "already_decided", "self_approval", "too_much": fields.reject("decision", "waiver.refusal.\(refusal.outcome)")
            case "role_missing": throw Problem.forbidden
            default: throw Problem.notFound
            }
            return try await page(context, reference: reference, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/staff/bills")
    }

    /// By either of its references, however it is typed.
    private func find(_ reference: String, _ context: StaffContext) async throws -> BillForStaff? {
        let written = CreditorReference(reference)?.description ?? reference.uppercased()
        return try await database.optional(BillFor(credential: context.staff.credential, reference: written))
    }

    /// Without a reference, what waits.
    private func page(
        _ context: StaffContext, reference: String?, _ state: FormState? = nil, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let typed = reference.map { String($0.prefix(Self.referenceCharactersMax)) } ?? ""
        let bill = typed.isEmpty ? nil : try await find(typed, context)
        let waivers = try await database.query(WaiversFor(credential: context.staff.credential, bill: bill?.id))
        let form = context.formView(state ?? .filled(["reference": typed]))
        return try context.page(
            StaffBillPage(bill, waivers, isUnknown: !typed.isEmpty && bill == nil, roles: context.staff.roles, form, context), title: "waiver.title",
            status: status)
    }
}
