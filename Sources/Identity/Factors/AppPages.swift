// Adding an authenticator app: its secret as a link and as text, and the first code that proves it arrived. With a session, or at sign-in for staff who
// must have a second factor and have none.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/sign-in/enrolment`.
struct EnrolmentPage: PageModel {
    static let template = "identity/enrolment"
    static let fields: Fields<Self> = [:]
}

/// `/security/app` and `/sign-in/enrolment/app`.
struct AppPage: PageModel {
    static let template = "identity/app"

    var errors: ErrorSummary?
    /// Where the form with the first code goes.
    var action: Link
    var secret: String
    var address: Link
    /// The same address, for the camera of a phone that is not reading this page.
    var square: QRCode?
    var code: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "action": .link(\.action), "secret": .text(\.secret), "address": .link(\.address), "square": .optional(\.square),
        "code": .model(\.code),
    ]

    init(_ totp: TOTP, issuer: String, account: String, action: Link, _ form: FormView) {
        errors = form.errors
        self.action = action
        secret = totp.secretText
        let keyAddress = totp.address(issuer: issuer, account: account)
        address = Link(keyAddress)
        square = QRCode(keyAddress)
        code = form.text("code", label: "identity.factor.totp.code", autocomplete: "one-time-code", inputMode: "numeric")
    }
}

extension IdentityRoutes {
    // MARK: With a session

    @Sendable func beginApp(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await changing(context) {
            try await identity.beginTOTP(context.credential)
            return context.redirect(to: "/security/app")
        }
    }

    @Sendable func showApp(_ request: Request, _ context: SignedInContext) async throws -> Response {
        guard let totp = try await identity.pendingTOTP(context.credential) else { return context.redirect(to: "/security") }
        return try show(totp, account: context.accountName, at: "/security/app", context)
    }

    @Sendable func confirmApp(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await changing(context) {
            try await confirm(context.credential, account: context.accountName, at: "/security/app", context) {
                context.notice("identity.security.app_added")
                return context.redirect(to: "/security")
            } ?? context.redirect(to: "/security")
        }
    }

    // MARK: At sign-in

    @Sendable func showEnrolment(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let credential = SignInCookie.read(request, in: context), try await identity.factorChangeNeeds(credential) == nil else {
            return signInEnded(context)
        }
        return try context.page(EnrolmentPage(), title: "identity.enrolment.title")
    }

    @Sendable func beginAppAtSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        try await enrolling(request, context) { credential in
            try await identity.beginTOTP(credential)
            return context.redirect(to: "/sign-in/enrolment/app")
        }
    }

    @Sendable func showAppAtSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        try await enrolling(request, context) { credential in
            guard let totp = try await identity.pendingTOTP(credential) else { return context.redirect(to: "/sign-in/enrolment") }
            return try show(totp, account: context.text("identity.enrolment.account"), at: "/sign-in/enrolment/app", context)
        }
    }

    @Sendable func confirmAppAtSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        try await enrolling(request, context) { credential in
            try await confirm(credential, account: context.text("identity.enrolment.account"), at: "/sign-in/enrolment/app", context) {
                SignInCookie.clear(in: context)
                return context.redirect(to: "/")
            } ?? context.redirect(to: "/sign-in/enrolment")
        }
    }

    @Sendable func makeSheetAtSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        try await enrolling(request, context) { credential in
            let codes = try await identity.makeCodes(.codeSheet, credential)
            return try context.page(
                CodesPage(codes, city: identity.settings.city, continuing: "/sign-in/second-factor", context), title: "identity.codes.code_sheet.title")
        }
    }

    // MARK: Both

    private func show(_ totp: TOTP, account: String, at path: String, _ context: some PageContext, _ state: FormState = .blank, status: HTTPResponse.Status = .ok)
        throws -> Response
    {
        try context.page(
            AppPage(totp, issuer: identity.settings.city, account: account, action: Link(path + "/code"), context.formView(state)),
            title: "identity.app.title", status: status)
    }

    /// - Parameter then: what follows the right code.
    /// - Returns: nil when no app waits for its first code.
    private func confirm(
        _ credential: CredentialHash, account: String, at path: String, _ context: some PageContext, then: () -> Response
    ) async throws -> Response? {
        var fields = FormReader(context.form)
        let code = fields.secret("code", charactersMax: 100)
        if let code {
            do {
                SessionCookie.issue(try await identity.confirmTOTP(code: code, credential), in: context)
                return then()
            } catch FactorChangeRefusal.wrongCode {
                fields.reject("code", "identity.factor.totp.wrong")
            } catch FactorChangeRefusal.unknown {
                return nil
            }
        }
        guard let totp = try await identity.pendingTOTP(credential) else { return nil }
        return try show(totp, account: account, at: path, context, fields.state, status: .unprocessableContent)
    }

    /// Runs a change that the sign-in under way may make, or begins anew.
    private func enrolling(
        _ request: Request, _ context: WebContext, _ body: (CredentialHash) async throws -> Response
    ) async throws -> Response {
        guard let credential = SignInCookie.read(request, in: context) else { return signInEnded(context) }
        do {
            return try await body(credential)
        } catch is FactorChangeRefusal {
            return signInEnded(context)
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
    }

    /// Runs a change of somebody's factors or password; who must prove more first is sent to do so, and comes back to the page that begins it.
    func changing(_ context: SignedInContext, thenTo page: String = "/security", _ body: () async throws -> Response) async throws -> Response {
        do {
            return try await body()
        } catch let refusal as FactorChangeRefusal {
            switch refusal {
            case .passwordNeeded:
                context.notice("identity.security.password_first")
                return context.redirect(to: Link.path("/confirm-password", next: page))
            case .secondFactorNeeded:
                context.notice("identity.security.factor_first")
                return context.redirect(to: Link.path("/confirm-factor", next: page))
            case .signedOut: throw context.signInFirst()
            case .unknown, .wrongCode: throw Problem.notFound
            }
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
    }
}
