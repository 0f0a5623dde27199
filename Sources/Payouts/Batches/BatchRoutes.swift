// For finance officers: what waits, batches, their decision (approvers may take it too), their file, and what the bank says of them. Auditors look.
public import Foundation
import HTTPTypes
import Hummingbird
import ISO20022
import NIOCore
public import Postgres
import Primitives
public import Web

/// URL table of the staff's part.
public struct PayoutBatchRoutes: Sendable {
    private let database: Database
    private let files: PaymentFiles
    private let zone: TimeZone

    /// - Parameter zone: the city's, whose day a batch is executed on.
    public init(database: Database, files: PaymentFiles, zone: TimeZone) {
        self.database = database
        self.files = files
        self.zone = zone
    }

    static let mayLook: Set<StaffRole> = [.financeOfficer, .approver, .auditor]
    static let mayDecide: Set<StaffRole> = [.financeOfficer, .approver]

    public func add(to site: Site) {
        site.declare(pages: [BatchesPage.self, BatchPage.self, ReportPage.self])
        site.addNavigation(.staff, path: "/staff/payouts", textKey: "payouts.navigation", roles: Self.mayLook)
        site.addStaffTasks(tasks)
        let (readers, deciders, officers) = (site.staff(Self.mayLook), site.staff(Self.mayDecide), site.staff([.financeOfficer]))
        readers.get("/staff/payouts", use: list)
        officers.post("/staff/payouts", use: prepare)
        officers.get("/staff/payouts/report", use: showReport)
        officers.post("/staff/payouts/report", use: takeReport)
        readers.get("/staff/payouts/{id}", use: show)
        deciders.post("/staff/payouts/{id}/approve", use: approve)
        deciders.post("/staff/payouts/{id}/refuse", use: refuse)
        officers.get("/staff/payouts/{id}/file.xml", use: download)
    }

    /// Batches on one page: two months of one a day.
    static let batchesPerPage = 50
    private static let reasonCharactersMin = 3
    private static let reasonCharactersMax = 500
    /// A pasted report, within the site's 64 KiB for a form in which many characters take three bytes. Longer ones are imported by `stoa payouts report`.
    static let reportCharactersMax = 40_000

    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard !staff.roles.isDisjoint(with: Self.mayDecide), let waiting = try await database.one(WaitingBatches(credential: staff.credential)) else { return [] }
        let detail = context.text("payouts.task.detail", ["count": context.format.number(waiting.count), "date": context.format.day(waiting.oldest)])
        return [HomeTask(title: context.text("payouts.task.title"), detail: detail, path: "/staff/payouts")]
    }

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        let today = CalendarDay(Date().formatted(Date.ISO8601FormatStyle(timeZone: zone).year().month().day()))
        let state = today.map { day in
            FormState.filled(["execute_on-day": String(day.day), "execute_on-month": String(day.month), "execute_on-year": String(day.year)])
        }
        return try await listPage(context, before: try context.query(request).value("before"), state ?? .blank)
    }

    @Sendable func prepare(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let id = fields.optionalText("id", charactersMax: 36).flatMap { PayoutBatchID($0) } ?? .new()
        // Not from what is ready now: the form that is sent twice finds the batch that it prepared.
        let code = fields.text("currency", charactersMax: 3)
        let day = fields.date("execute_on")
        if fields.isValid, let currency = Currency(code: code), let day {
            let statement = PrepareBatch(credential: context.staff.credential, id: id, currency: currency, executeOn: day)
            switch try await database.aboutBatch(statement) {
            case "prepared", "exists":
                context.notice("payouts.prepare.done")
                return context.redirect(to: "/staff/payouts/\(id)")
            case "day_past": fields.reject("execute_on", "payouts.prepare.day_past")
            case "role_missing": throw Problem.forbidden
            default: fields.reject("execute_on", "payouts.prepare.nothing_ready")
            }
        }
        return try await listPage(context, before: nil, fields.state, status: .unprocessableContent)
    }

    /// The dry run. Of 100,000 payments it takes two seconds: not on the connection that others share.
    private func dryRun(_ context: StaffContext) async throws -> [PayoutPlan] {
        try await database.exclusive { try await $0.query(Plans(credential: context.staff.credential)) }
    }

    private func listPage(
        _ context: StaffContext, before: String?, _ state: FormState, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let credential = context.staff.credential
        // One more than is shown tells whether there is another page.
        var found = try await database.query(
            Batches(credential: credential, before: try MomentCursor(parameter: before, named: "before"), count: Self.batchesPerPage + 1))
        let hasMore = found.count > Self.batchesPerPage
        if hasMore { found.removeLast() }
        let next = hasMore ? found.last.map { MomentCursor(at: $0.preparedAt, id: $0.id.uuid) } : nil
        let isOfficer = context.staff.roles.contains(.financeOfficer)
        let plans = isOfficer ? try await dryRun(context) : []
        let page = BatchesPage(plans, found, next: next, isOfficer: isOfficer, context.formView(state), context)
        return try context.page(page, title: "payouts.title", status: status)
    }

    // MARK: One batch

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await show(context)
    }

    @Sendable func approve(_ request: Request, _ context: StaffContext) async throws -> Response {
        let statement = ApproveBatch(credential: context.staff.credential, id: try context.parameter("id"))
        return try await decided(try await database.aboutBatch(statement), context)
    }

    @Sendable func refuse(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let reason = fields.longText("refusal_reason", charactersMax: Self.reasonCharactersMax)
        if !reason.isEmpty, reason.unicodeScalars.count < Self.reasonCharactersMin { fields.reject("refusal_reason", "payouts.decide.reason_short") }
        guard fields.isValid else { return try await show(context, fields.state, status: .unprocessableContent) }
        let statement = RefuseBatch(credential: context.staff.credential, id: try context.parameter("id"), reason: reason)
        return try await decided(try await database.aboutBatch(statement), context)
    }

    /// Whatever was decided before stays; who comes too late sees it on the page.
    private func decided(_ outcome: String, _ context: StaffContext) async throws -> Response {
        switch outcome {
        case "approved": context.notice("payouts.decide.approved")
        case "refused": context.notice("payouts.decide.refused")
        case "already_approved", "already_refused": context.notice("payouts.decide.was_decided")
        case "self_approval": return try await show(context, problem: "payouts.decide.self_approval", status: .forbidden)
        case "account_ended": return try await show(context, problem: "payouts.decide.account_ended", status: .conflict)
        case "batch_unknown": throw Problem.notFound
        default: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/payouts/\(try context.parameter("id", as: PayoutBatchID.self))")
    }

    private func find(_ context: StaffContext) async throws -> PayoutBatch {
        let query = Batches(credential: context.staff.credential, id: try context.parameter("id"), count: 1)
        guard let batch = try await database.optional(query) else { throw Problem.notFound }
        return batch
    }

    private func show(
        _ context: StaffContext, _ state: FormState = .blank, problem: String? = nil, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        let page = BatchPage(
            try await find(context), roles: context.staff.roles, problem: problem.map { context.text($0) },
            context.formView(state), context)
        return try context.page(page, title: "payouts.one.title", status: status)
    }

    /// The finished file, after everybody whose name and account is in it has an entry about this download.
    @Sendable func download(_ request: Request, _ context: StaffContext) async throws -> Response {
        let batch = try await find(context)
        guard batch.sha256 != nil, let file = FileHandle(forReadingAtPath: files.path(batch.reference)) else { throw Problem.notFound }
        guard try await files.logDownload(of: batch, by: context.staff.credential) else { throw Problem.forbidden }
        let body = ResponseBody { writer in
            while let piece = try file.read(upToCount: Self.pieceBytes), !piece.isEmpty { try await writer.write(ByteBuffer(bytes: piece)) }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [.contentType: "application/xml", .contentDisposition: "attachment; filename=\"\(batch.reference).xml\"", .cacheControl: "no-store"],
            body: body)
    }

    /// What is read at a time: a file of 100,000 payments has some 45 MB.
    private static let pieceBytes = 256 * 1024

    // MARK: Reports

    @Sendable func showReport(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(ReportPage(context.formView()), title: "payouts.report.title")
    }

    @Sendable func takeReport(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let pasted = fields.longText("report", charactersMax: Self.reportCharactersMax)
        if fields.isValid {
            do {
                let taken = try await TakeStatusReport(database: database).perform(Array(pasted.utf8), by: context.staff.credential)
                context.notice(taken.isKnown ? "payouts.report.known" : "payouts.report.taken")
                return context.redirect(to: "/staff/payouts")
            } catch let refusal as StatusReportRefusal {
                try fields.reject(refusal, context)
            }
        }
        return try context.page(ReportPage(context.formView(fields.state)), title: "payouts.report.title", status: .unprocessableContent)
    }
}

extension FormReader {
    /// - Throws: `Problem.forbidden` where the officer's role ended meanwhile.
    fileprivate mutating func reject(_ refusal: StatusReportRefusal, _ context: StaffContext) throws {
        switch refusal {
        case .malformed(let fault):
            let (word, detail) = fault.code
            let reason = context.text("bank.fault.\(word)", ["detail": detail.isolated])
            reject("report", "payouts.report.malformed", ["line": context.format.number(fault.line), "reason": reason])
        case .batchUnknown: reject("report", "payouts.report.batch_unknown")
        case .countDiffers: reject("report", "payouts.report.count_differs")
        case .sumDiffers: reject("report", "payouts.report.sum_differs")
        case .paymentUnknown(let payment): reject("report", "payouts.report.payment_unknown", ["payment": payment.isolated])
        case .amountDiffers(let payment): reject("report", "payouts.report.amount_differs", ["payment": payment.isolated])
        case .stateDiffers(let payment): reject("report", "payouts.report.state_differs", ["payment": payment.isolated])
        case .roleMissing: throw Problem.forbidden
        }
    }
}
