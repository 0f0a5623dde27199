// Emergencies after the fact: the auditor's queue and review, the protection of records, and what the resident reads about it all. The form
// with which a caseworker breaks the glass stands with the search (CaseworkRoutes).
import AccessLog
import HTTPTypes
import Hummingbird
import Primitives
import Register
public import Web

/// URL table of protected records.
public struct BreakGlassRoutes: Sendable {
    private let glass: BreakGlass

    public init(glass: BreakGlass) {
        self.glass = glass
    }

    public func add(to site: Site) {
        site.declare(pages: [GlassQueuePage.self, GlassReviewPage.self, ProtectionPage.self, OwnGlassPage.self])
        site.resident.get("/access-log/{entry}/emergency", use: showOwn)
        site.residentAPI.get("/api/v1/access-entries/{id}/emergency", use: getOwn)
        site.addNavigation(.staff, path: "/staff/emergencies", textKey: "glass.navigation", roles: [.auditor])
        site.addNavigation(.staff, path: "/staff/protection", textKey: "glass.protection.navigation", roles: [.auditor])
        site.addStaffTasks(tasks)
        let auditor = site.staff([.auditor])
        auditor.get("/staff/emergencies", use: queue)
        auditor.get("/staff/emergencies/{reference}", use: look)
        auditor.post("/staff/emergencies/{reference}", use: review)
        auditor.get("/staff/protection", use: showProtection)
        auditor.post("/staff/protection", use: protect)
    }

    // MARK: Residents

    @Sendable func showOwn(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let id: AccessEntryID = try context.parameter("entry")
        let credential = context.resident.credential
        guard let own = try await glass.own(about: id, of: credential), let entry = try await glass.entry(id, of: credential) else { throw Problem.notFound }
        return try context.page(OwnGlassPage(own, entry, context), title: "glass.own.title")
    }

    @Sendable func getOwn(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        guard let own = try await glass.own(about: try context.parameter("id"), of: context.resident.credential) else { throw Problem.notFound }
        return try .json(EmergencyBody(own))
    }

    // MARK: Auditors

    /// One task for all that wait, with how many are overdue.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.auditor) else { return [] }
        let waiting = try await glass.waiting(for: staff.credential)
        guard !waiting.isEmpty else { return [] }
        let counts = ["count": waiting.count, "overdue": waiting.count(where: \.isOverdue)].mapValues(context.format.number)
        return [HomeTask(title: context.text("glass.task.title"), detail: context.text("glass.task.detail", counts), path: "/staff/emergencies")]
    }

    @Sendable func queue(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(GlassQueuePage(try await glass.waiting(for: context.staff.credential), context), title: "glass.queue.title")
    }

    @Sendable func look(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        return try context.page(GlassReviewPage(atHand, context.formView(), context), title: "glass.review.title")
    }

    @Sendable func review(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        var fields = FormReader(context.form)
        let finding = fields.choice("finding", of: GlassFinding.self)
        let words = fields.longText("words", charactersMax: BreakGlass.reviewCharactersMax)
        guard fields.isValid, let finding else {
            return try context.page(
                GlassReviewPage(atHand, context.formView(fields.state), context), title: "glass.review.title", status: .unprocessableContent)
        }
        switch try await glass.review(atHand.glass, finding, words: words, session: context.staff.credential) {
        case .reviewed: context.notice("glass.review.done")
        case .alreadyReviewed: return noLonger(context)
        case .ownAction, .notAllowed: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/emergencies")
    }

    @Sendable func showProtection(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(ProtectionPage(context.formView(), context), title: "glass.protection.title")
    }

    @Sendable func protect(_ request: Request, _ context: StaffContext) async throws -> Response {
        var form = ProtectionForm(context)
        if let asked = form.asked {
            do {
                switch try await glass.protect(
                    asked.code, isProtected: asked.isProtected, because: asked.words, caseReference: asked.caseReference, session: context.staff.credential)
                {
                case .changed: context.notice(asked.isProtected ? "glass.protection.protected" : "glass.protection.lifted")
                case .unchanged: context.notice("glass.protection.unchanged")
                case .notAllowed: throw Problem.forbidden
                }
                return context.redirect(to: "/staff/protection")
            } catch let refused as RefusedAccess where refused.refusal == .subjectUnknown {
                form.fields.reject("public_code", "casework.search.subject_unknown")
            } catch let refused as RefusedAccess {
                throw refused.problem()
            }
        }
        return try context.page(
            ProtectionPage(context.formView(form.fields.state), context), title: "glass.protection.title", status: .unprocessableContent)
    }
}

extension BreakGlassRoutes {
    private func atHand(_ context: StaffContext) async throws -> GlassAtHand? {
        try await glass.look(into: try context.parameter("reference"), for: context.staff.credential)
    }

    /// Somebody else was faster, or there never was such an emergency.
    private func noLonger(_ context: StaffContext) -> Response {
        context.notice("glass.review.no_longer")
        return context.redirect(to: "/staff/emergencies")
    }
}
