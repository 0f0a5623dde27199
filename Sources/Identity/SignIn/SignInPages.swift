// Signing in and out: name and password, then a second factor where there is one.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/sign-in`: one form for residents and staff.
struct SignInPage: PageModel {
    static let template = "identity/sign-in"

    var errors: ErrorSummary?
    var username: TextField
    var password: TextField
    var sharedComputer: TickField
    var next: String?
    var passkey: Link

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "username": .model(\.username), "password": .model(\.password), "shared_computer": .model(\.sharedComputer),
        "next": .optionalText(\.next), "passkey": .link(\.passkey),
    ]

    init(_ form: FormView, next: String?) {
        errors = form.errors
        username = form.text("username", label: "identity.sign_in.name", autocomplete: "username")
        password = form.password("password", label: "identity.password")
        sharedComputer = form.tick("shared_computer", label: "identity.shared_computer")
        self.next = next
        passkey = Link(Link.path("/sign-in/passkey", next: next ?? "/"))
    }
}

extension IdentityRoutes {
    @Sendable func showSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        let next = Link.localPath(try context.query(request).value("next"))
        switch context.caller {
        case .resident, .helper, .staff: return context.redirect(to: next ?? "/")
        case .anonymous, .organisation:
            var expected: String?
            if let next { expected = try await loginHint(next, request, context) }
            return try context.page(
                SignInPage(context.formView(expected.map { .filled(["username": $0]) } ?? .blank), next: next), title: "identity.sign_in.title")
        }
    }

    @Sendable func signIn(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let name = fields.text("username", charactersMax: SignInName.charactersMax)
        let password = fields.secret("password")
        let isShared = fields.flag("shared_computer")
        let next = Link.localPath(fields.optionalText("next", charactersMax: 2000))
        guard fields.isValid, let password else { return try signInAgain(fields, next, context, nil) }
        do {
            try await leaveSession(context)
            let signedIn = try await identity.signIn(
                typedName: name, password: password, address: context.clientAddress, isSharedComputer: isShared)
            return goOn(signedIn, next: next ?? "/", context)
        } catch let error as SignInError {
            fields.reject("username", error, wrong: "identity.sign_in.wrong", in: context)
            return try signInAgain(fields, next, context, error)
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
    }

    /// Works without a session too, so that a page left open overnight still signs out politely.
    @Sendable func signOut(_ request: Request, _ context: WebContext) async throws -> Response {
        try await leaveSession(context)
        SessionCookie.clear(in: context)
        SignInCookie.clear(in: context)
        context.notice("identity.signed_out")
        return context.redirect(to: "/")
    }

    /// For somebody who must not be seen here: the session ends, and the browser shows another site.
    @Sendable func leave(_ request: Request, _ context: WebContext) async throws -> Response {
        try await leaveSession(context)
        SessionCookie.clear(in: context)
        SignInCookie.clear(in: context)
        return context.redirectToNeutralSite()
    }

    /// Whoever was signed in here before is not any more: a session never changes hands.
    func leaveSession(_ context: WebContext) async throws {
        switch context.caller {
        case .resident(let resident): try await identity.signOut(resident.credential)
        case .helper(let helper): try await identity.signOut(helper.credential)
        case .staff(let staff): try await identity.signOut(staff.credential)
        case .anonymous, .organisation: break
        }
    }

    func goOn(_ signedIn: SignedIn, next: String, _ context: WebContext) -> Response {
        switch signedIn {
        case .session(let token):
            SessionCookie.issue(token, in: context)
            return context.redirect(to: next)
        case .needsSecondFactor(let token):
            SignInCookie.issue(token, in: context)
            return context.redirect(to: Link.path("/sign-in/second-factor", next: next))
        case .needsEnrolment(let token):
            SignInCookie.issue(token, in: context)
            return context.redirect(to: "/sign-in/enrolment")
        }
    }

    private func signInAgain(_ fields: FormReader, _ next: String?, _ context: WebContext, _ error: SignInError?) throws -> Response {
        try context.formAgain(SignInPage(context.formView(fields.state), next: next), title: "identity.sign_in.title", after: error)
    }
}

extension PageContext {
    /// A form that comes back because it was filled in badly (nil), or an attempt was wrong or not looked at.
    func formAgain(_ page: some PageModel, title: String, after error: SignInError?) throws -> Response {
        let (status, retryAfter) = error?.status ?? (.unprocessableContent, nil)
        var response = try self.page(page, title: title, status: status)
        if let retryAfter { response.headers[.retryAfter] = String(retryAfter) }
        return response
    }
}
