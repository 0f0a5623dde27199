// The password once more, for what wants a fresh one; and another password.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/confirm-password`.
struct ConfirmPasswordPage: PageModel {
    static let template = "identity/confirm-password"

    var errors: ErrorSummary?
    var next: String
    var password: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "next": .text(\.next), "password": .model(\.password)]

    init(_ form: FormView, next: String) {
        errors = form.errors
        self.next = next
        password = form.password("password", label: "identity.password")
    }
}

/// `/security/password`.
struct NewPasswordPage: PageModel {
    static let template = "identity/new-password"

    var errors: ErrorSummary?
    var old: TextField
    var new: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "old": .model(\.old), "new": .model(\.new)]

    init(_ form: FormView) {
        errors = form.errors
        old = form.password("old_password", label: "identity.new_password.old")
        new = form.password("new_password", label: "identity.new_password.new", hint: "identity.register.password_hint", autocomplete: "new-password")
    }
}

extension IdentityRoutes {
    @Sendable func showConfirmPassword(_ request: Request, _ context: SignedInContext) async throws -> Response {
        let next = context.next(try context.query(request).value("next"))
        return try context.page(ConfirmPasswordPage(context.formView(), next: next), title: "identity.confirm_password.title")
    }

    @Sendable func confirmPassword(_ request: Request, _ context: SignedInContext) async throws -> Response {
        var fields = FormReader(context.form)
        let password = fields.secret("password")
        let next = context.next(fields.optionalText("next", charactersMax: 2000))
        let failure = try await trying(&fields, field: "password", context) {
            guard let password else { return }
            SessionCookie.issue(
                try await identity.confirmPassword(password, session: context.credential, address: context.clientAddress), in: context)
        }
        if fields.isValid { return context.redirect(to: next) }
        return try context.formAgain(
            ConfirmPasswordPage(context.formView(fields.state), next: next), title: "identity.confirm_password.title", after: failure)
    }

    @Sendable func showNewPassword(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await changing(context, thenTo: "/security/password") {
            try await identity.requireForPasswordChange(context.credential)
            return try context.page(NewPasswordPage(context.formView()), title: "identity.new_password.title")
        }
    }

    @Sendable func changePassword(_ request: Request, _ context: SignedInContext) async throws -> Response {
        var fields = FormReader(context.form)
        let old = fields.secret("old_password")
        let new = fields.secret("new_password")
        if let new { fields.reject("new_password", passwordRules.refusal(of: new.reveal(), names: []), in: context) }
        return try await changing(context, thenTo: "/security/password") {
            var failure: SignInError?
            if fields.isValid, let old, let new {
                failure = try await trying(&fields, field: "old_password", context) {
                    SessionCookie.issue(
                        try await identity.changePassword(from: old, to: new, session: context.credential, address: context.clientAddress), in: context)
                }
            }
            guard fields.isValid else {
                return try context.formAgain(NewPasswordPage(context.formView(fields.state)), title: "identity.new_password.title", after: failure)
            }
            context.notice("identity.new_password.changed")
            return context.redirect(to: "/security")
        }
    }

    /// Runs what checks the password, and notes at the field why it was refused.
    private func trying(
        _ fields: inout FormReader, field: String, _ context: SignedInContext, _ body: () async throws -> Void
    ) async throws -> SignInError? {
        do {
            try await body()
            return nil
        } catch let error as SignInError {
            fields.reject(field, error, wrong: "identity.confirm_password.wrong", in: context)
            return error
        } catch FactorChangeRefusal.signedOut {
            throw context.signInFirst()
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
    }
}
