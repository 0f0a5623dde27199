// The way back for somebody who forgot the password: what ways there are, the recovery code, and the new password.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/recover`.
struct RecoveryPage: PageModel {
    static let template = "identity/recover"

    var errors: ErrorSummary?
    var username: TextField
    var code: TextField
    /// The code that a counter handed out.
    var paper: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "username": .model(\.username), "code": .model(\.code), "paper": .model(\.paper),
    ]

    init(_ form: FormView) {
        errors = form.errors
        username = form.text("username", label: "identity.sign_in.name", autocomplete: "username")
        code = form.text("code", label: "identity.factor.recovery_codes.code")
        paper = form.text("paper", label: "identity.counter.paper.label", autocomplete: "off")
    }
}

/// `/recover/password`.
struct ReplacePasswordPage: PageModel {
    static let template = "identity/replace-password"

    var errors: ErrorSummary?
    var new: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "new": .model(\.new)]

    init(_ form: FormView) {
        errors = form.errors
        new = form.password("new_password", label: "identity.new_password.new", hint: "identity.register.password_hint", autocomplete: "new-password")
    }
}

extension IdentityRoutes {
    static let replacePath = "/recover/password"

    @Sendable func showRecovery(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(RecoveryPage(context.formView()), title: "identity.recover.title")
    }

    @Sendable func recover(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let name = fields.text("username", charactersMax: SignInName.charactersMax)
        let code = fields.secret("code", charactersMax: 100)
        var failure: SignInError?
        if fields.isValid, let code {
            do {
                try await leaveSession(context)
                return goOn(
                    try await identity.recover(typedName: name, code: code, address: context.clientAddress), next: Self.replacePath, context)
            } catch let error as SignInError {
                failure = error
                fields.reject("code", error, wrong: "identity.recover.wrong", in: context)
            } catch PasswordHasherError.busy {
                throw Problem.busy()
            }
        }
        return try context.formAgain(RecoveryPage(context.formView(fields.state)), title: "identity.recover.title", after: failure)
    }

    @Sendable func showReplacePassword(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try context.page(ReplacePasswordPage(context.formView()), title: "identity.recover.new_title")
    }

    @Sendable func replacePassword(_ request: Request, _ context: SignedInContext) async throws -> Response {
        var fields = FormReader(context.form)
        let new = fields.secret("new_password")
        if let new { fields.reject("new_password", passwordRules.refusal(of: new.reveal(), names: []), in: context) }
        guard fields.isValid, let new else {
            return try context.formAgain(ReplacePasswordPage(context.formView(fields.state)), title: "identity.recover.new_title", after: nil)
        }
        do {
            // Anybody else changes the password by giving the old one.
            guard let token = try await identity.replacePassword(with: new, session: context.credential) else {
                return context.redirect(to: "/security/password")
            }
            SessionCookie.issue(token, in: context)
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
        context.notice("identity.new_password.changed")
        return context.redirect(to: "/security")
    }
}
