// The bank for staff: what waits, importing a file, one part of a movement, one report.
import Foundation
import HTTPTypes
import Hummingbird
import ISO20022
public import Postgres
import Primitives
public import Web

/// URL table of the bank's pages.
public struct BankRoutes: Sendable {
    private let database: Database
    private var work: BankWork { BankWork(database: database) }

    public init(database: Database) {
        self.database = database
    }

    static let mayLook: Set<StaffRole> = [.financeOfficer, .approver, .auditor]

    public func add(to site: Site) {
        site.declare(pages: [BankPage.self, BankImportPage.self, BankItemPage.self, BankReportPage.self])
        site.addNavigation(.staff, path: "/staff/bank", textKey: "bank.navigation", roles: Self.mayLook)
        site.addStaffTasks(tasks)
        let (readers, officers, deciders) = (site.staff(Self.mayLook), site.staff([.financeOfficer]), site.staff([.financeOfficer, .approver]))
        readers.get("/staff/bank", use: list)
        officers.get("/staff/bank/import", use: showImport)
        officers.post("/staff/bank/import", formBytesMax: Self.importFormBytesMax, use: importFile)
        readers.get("/staff/bank/items/{id}", use: showItem)
        officers.post("/staff/bank/items/{id}/bill", use: assign)
        officers.post("/staff/bank/items/{id}/return", use: proposeReturn)
        officers.post("/staff/bank/items/{id}/payout", use: countReturn)
        deciders.post("/staff/bank/items/{id}/return/decision", use: decideReturn)
        site.staff([.financeOfficer, .auditor]).get("/staff/bank/reports/{id}", use: showReport)
        officers.post("/staff/bank/reports/{id}/decision", use: decideReport)
    }

    /// A pasted file as a form encodes it: some 350 KiB of XML, which is a day of two hundred payments. Larger ones are imported on the command line.
    static let importFormBytesMax = 512 * 1024
    /// Parts and reports on one page.
    static let rowsPerPage = 100
    static let reasonCharacters = 3...500

    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard !staff.roles.isDisjoint(with: [.financeOfficer, .approver]), let waiting = try await database.one(BankWaiting(credential: staff.credential)) else { return [] }
        let detail = context.text("bank.task.detail", ["count": context.format.number(waiting.count), "date": context.format.day(waiting.oldest)])
        return [HomeTask(title: context.text("bank.task.title"), detail: detail, path: "/staff/bank")]
    }

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        let credential = context.staff.credential
        let items = try await database.query(BankItems(credential: credential, count: Self.rowsPerPage))
        let reports = try await database.query(BankReports(credential: credential, count: Self.rowsPerPage))
        return try context.page(BankPage(items, reports, mayImport: context.staff.roles.contains(.financeOfficer), context), title: "bank.title")
    }

    @Sendable func showImport(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(BankImportPage(context.formView(), problem: nil), title: "bank.import.title")
    }

    @Sendable func importFile(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let text = fields.longText("file", charactersMax: Self.importFormBytesMax)
        guard fields.isValid else { return try importRefused(context, fields, problem: nil) }
        do {
            let document = try BankDocument(reading: Array(text.utf8))
            let query = ImportBankFileAs(credential: context.staff.credential, document: document)
            let outcome = try await ImportBankFile(database: database).perform(query)
            context.notice(outcome == .exists ? "bank.import.exists" : "bank.import.done")
        } catch let fault as BankFileFault {
            let (word, detail) = fault.code
            let reason = context.text("bank.fault.\(word)", ["detail": detail])
            return try importRefused(context, fields, problem: context.text("bank.import.refused", ["line": context.format.number(fault.line), "reason": reason]))
        } catch BankImportRefusal.accountUnknown(let account, let line) {
            let reason = context.text("bank.fault.account_unknown", ["detail": account])
            return try importRefused(context, fields, problem: context.text("bank.import.refused", ["line": context.format.number(line), "reason": reason]))
        } catch BankImportRefusal.roleMissing {
            throw Problem.forbidden
        }
        return context.redirect(to: "/staff/bank")
    }

    private func importRefused(_ context: StaffContext, _ fields: FormReader, problem: String?) throws -> Response {
        try context.page(BankImportPage(context.formView(fields.state), problem: problem), title: "bank.import.title", status: .unprocessableContent)
    }

    @Sendable func showItem(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await item(context)
    }

    @Sendable func assign(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let reference = fields.text("reference", charactersMax: 40)
        guard fields.isValid else { return try await item(context, fields.state, status: .unprocessableContent) }
        return try await change(context, fields, refusedField: "reference", done: "bank.item.assigned") { id, credential in
            try await work.assign(id, to: reference, by: credential)
        }
    }

    @Sendable func proposeReturn(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let reason = fields.longText("reason", charactersMax: Self.reasonCharacters.upperBound)
        if fields.isValid, reason.unicodeScalars.count < Self.reasonCharacters.lowerBound { fields.reject("reason", "bank.reason_short") }
        // The id travels in the form: sent twice, it is one proposal.
        let id = fields.optionalText("id", charactersMax: 36).flatMap { UUID(uuidString: $0) } ?? UUID()
        guard fields.isValid else { return try await item(context, fields.state, status: .unprocessableContent) }
        return try await change(context, fields, refusedField: "reason", done: "bank.item.proposed") { item, credential in
            try await work.proposeReturn(item, id: id, reason: reason, by: credential)
        }
    }

    @Sendable func countReturn(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await change(context, FormReader(context.form), refusedField: "payout", done: "bank.item.counted") { item, credential in
            try await work.countReturn(item, by: credential)
        }
    }

    @Sendable func decideReturn(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let decision = fields.choice("decision", of: BankReturnDecision.self)
        let proposal = fields.optionalText("id", charactersMax: 36).flatMap { UUID(uuidString: $0) }
        guard fields.isValid, let decision, let proposal else { return try await item(context, fields.state, status: .unprocessableContent) }
        return try await change(context, fields, refusedField: "decision", done: "bank.item.\(decision.rawValue)") { _, credential in
            try await work.decideReturn(proposal, decision, by: credential)
        }
    }

    /// Runs a change of a part; what the database refuses comes back beside a field.
    private func change(
        _ context: StaffContext, _ fields: FormReader, refusedField: String, done: String, _ change: (UUID, CredentialHash) async throws -> Void
    ) async throws -> Response {
        let id: ID<BankItemTag> = try context.parameter("id")
        var fields = fields
        do {
            try await change(id.uuid, context.staff.credential)
        } catch let refusal as BankWorkRefusal {
            switch refusal.outcome {
            case "item_unknown", "return_unknown": throw Problem.notFound
            case "role_missing": throw Problem.forbidden
            default: fields.reject(refusedField, "bank.refusal.\(refusal.outcome)")
            }
            return try await item(context, fields.state, status: .unprocessableContent)
        }
        context.notice(done)
        return context.redirect(to: context.staff.roles.contains(.financeOfficer) ? "/staff/bank/items/\(id)" : "/staff/bank")
    }

    private func item(_ context: StaffContext, _ state: FormState = .blank, status: HTTPResponse.Status = .ok) async throws -> Response {
        let id: ID<BankItemTag> = try context.parameter("id")
        let credential = context.staff.credential
        guard let item = try await database.optional(BankItems(credential: credential, item: id.uuid, count: 1)) else { throw Problem.notFound }
        let history = try await database.query(BankItemHistory(credential: credential, item: id.uuid))
        let page = BankItemPage(item, history, roles: context.staff.roles, context.formView(state), context)
        return try context.page(page, title: "bank.item.title", status: status)
    }

    @Sendable func showReport(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await report(context)
    }

    @Sendable func decideReport(_ request: Request, _ context: StaffContext) async throws -> Response {
        let id: ID<BankReportTag> = try context.parameter("id")
        var fields = FormReader(context.form)
        let decision = fields.choice("decision", of: BankReportDecision.self)
        let reason = fields.longText("reason", charactersMax: Self.reasonCharacters.upperBound)
        if !reason.isEmpty, reason.unicodeScalars.count < Self.reasonCharacters.lowerBound { fields.reject("reason", "bank.reason_short") }
        guard fields.isValid, let decision else { return try await report(context, fields.state, status: .unprocessableContent) }
        do {
            try await work.decide(id.uuid, decision, reason: reason, by: context.staff.credential)
            context.notice("bank.report.\(decision.rawValue)")
        } catch let refusal as BankWorkRefusal where refusal.outcome == "not_bookable" {
            fields.reject("decision", "bank.refusal.not_bookable")
            return try await report(context, fields.state, status: .unprocessableContent)
        } catch let refusal as BankWorkRefusal where refusal.outcome == "already_decided" {
            context.notice("bank.report.was_decided")
        } catch let refusal as BankWorkRefusal {
            throw refusal.outcome == "role_missing" ? Problem.forbidden : Problem.notFound
        }
        return context.redirect(to: "/staff/bank/reports/\(id)")
    }

    private func report(_ context: StaffContext, _ state: FormState = .blank, status: HTTPResponse.Status = .ok) async throws -> Response {
        let id: ID<BankReportTag> = try context.parameter("id")
        guard let report = try await database.optional(BankReports(credential: context.staff.credential, report: id.uuid, count: 1)) else { throw Problem.notFound }
        let mayDecide = context.staff.roles.contains(.financeOfficer)
        return try context.page(BankReportPage(report, mayDecide: mayDecide, context.formView(state), context), title: "bank.report.title", status: status)
    }
}

/// What ids of parts and reports name.
enum BankItemTag {}
enum BankReportTag {}
