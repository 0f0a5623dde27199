// Acting for others: the mandates that a resident gave and holds, the form that gives one, and the pages of a helper who acts.
public import AccessLog
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

/// URL table of the slice.
public struct MandateRoutes: Sendable {
    private let mandates: Mandates

    public init(database: Database, door: Door, vault: ResidentVault) {
        mandates = Mandates(database: database, door: door, vault: vault)
    }

    public func add(to site: Site) {
        site.declare(pages: [MandatesPage.self, NewMandatePage.self, ActingPage.self])
        site.addTasks(tasks)
        site.representing = Representing(
            name: { try await mandates.represented(by: $0)?.name },
            logView: { credential, theme in
                guard let theme = MandateTheme(rawValue: theme) else { return false }
                return try await mandates.logView(of: theme, by: credential)
            })
        site.resident.get("/mandates", use: show)
        site.resident.get("/mandates/new", use: showNew)
        site.resident.post("/mandates", use: grant)
        site.resident.post("/mandates/{mandate}/decision", use: decide)
        site.resident.post("/mandates/{mandate}/act", use: act)
        // Of a helper who acts, whatever became of the mandate meanwhile.
        site.everyone.get(Representing.path, use: showActing)
        site.everyone.post(Representing.path + "/stop", use: stop)
    }

    /// What waits for a helper's word.
    @Sendable func tasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        try await mandates.all(of: resident.credential).filter { !$0.isGiven && $0.state == .waiting }.map { mandate in
            HomeTask(
                title: context.text("mandates.task.title", ["name": mandate.otherName.isolated]), detail: context.text("mandates.task.detail"), path: "/mandates")
        }
    }

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try context.page(
            MandatesPage(try await mandates.all(of: context.resident.credential), code: context.resident.publicCode, context), title: "mandates.title")
    }

    @Sendable func showNew(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try context.page(NewMandatePage(context.formView(), context), title: "mandates.new.title")
    }

    @Sendable func grant(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var form = MandateForm(context.form)
        guard let new = form.mandate else { return try again(form, context) }
        switch try await mandates.grant(new, session: context.resident.credential) {
        case .granted:
            context.notice("mandates.new.done")
            return context.redirect(to: "/mandates")
        case .password: return confirmFirst("/confirm-password", context)
        case .secondFactor: return confirmFirst("/confirm-factor", context)
        case .credentialInvalid: throw context.signInFirst()
        case .helperUnknown: form.fields.reject("helper", "mandates.new.helper_unknown")
        case .ownCode: form.fields.reject("helper", "mandates.new.own_code")
        case .exists: form.fields.reject("helper", "mandates.new.exists")
        case .unproven: form.fields.reject("helper", "mandates.new.unproven")
        case .minor: form.fields.reject("helper", "mandates.new.minor")
        case .tooMany: form.fields.reject("helper", "mandates.new.too_many")
        }
        return try again(form, context)
    }

    @Sendable func decide(_ request: Request, _ context: ResidentContext) async throws -> Response {
        var fields = FormReader(context.form)
        guard let decision = fields.choice("decision", of: MandateDecision.self) else { throw Problem.notFound }
        switch try await mandates.decide(decision, context.parameter("mandate"), session: context.resident.credential) {
        case .done: context.notice("mandates.done.\(decision.rawValue)")
        case .unchanged: context.notice("mandates.done.unchanged")
        case .mandateUnknown: throw Problem.notFound
        case .credentialInvalid: throw context.signInFirst()
        }
        return context.redirect(to: "/mandates")
    }

    @Sendable func act(_ request: Request, _ context: ResidentContext) async throws -> Response {
        guard let token = try await mandates.act(under: context.parameter("mandate"), session: context.resident.credential) else { throw Problem.notFound }
        SessionCookie.issue(token, in: context)
        return context.redirect(to: Representing.path)
    }

    @Sendable func showActing(_ request: Request, _ context: WebContext) async throws -> Response {
        guard case .helper(let helper) = context.caller, let represented = try await mandates.represented(by: helper.credential) else {
            return context.redirect(to: "/")
        }
        return try context.page(ActingPage(represented, context), title: "mandates.acting.title", ["name": represented.name.isolated])
    }

    @Sendable func stop(_ request: Request, _ context: WebContext) async throws -> Response {
        guard case .helper(let helper) = context.caller else { return context.redirect(to: "/mandates") }
        guard let token = try await mandates.stopActing(helper.credential) else {
            SessionCookie.clear(in: context)
            return context.redirect(to: "/sign-in")
        }
        SessionCookie.issue(token, in: context)
        context.notice("mandates.acting.stopped")
        return context.redirect(to: "/mandates")
    }

    private func confirmFirst(_ path: String, _ context: ResidentContext) -> Response {
        context.notice("mandates.new.confirm_first")
        return context.redirect(to: path + "?next=/mandates/new")
    }

    private func again(_ form: MandateForm, _ context: ResidentContext) throws -> Response {
        try context.page(NewMandatePage(context.formView(form.fields.state), context), title: "mandates.new.title", status: .unprocessableContent)
    }
}
