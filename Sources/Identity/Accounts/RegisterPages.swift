// Registering: the form and what becomes of it.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/register`.
struct RegisterPage: PageModel {
    static let template = "identity/register"

    var errors: ErrorSummary?
    var username: TextField
    var email: TextField
    var phone: TextField
    var password: TextField
    var sharedComputer: TickField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "username": .model(\.username), "email": .model(\.email), "phone": .model(\.phone),
        "password": .model(\.password), "shared_computer": .model(\.sharedComputer),
    ]

    init(_ form: FormView) {
        errors = form.errors
        username = form.text("username", label: "identity.username", hint: "identity.register.username_hint", autocomplete: "username")
        email = form.text("email", label: "identity.email", hint: "identity.register.optional", type: "email", autocomplete: "email")
        phone = form.text("phone", label: "identity.phone", hint: "identity.register.phone_hint", type: "tel", autocomplete: "tel")
        password = form.password("password", label: "identity.password", hint: "identity.register.password_hint", autocomplete: "new-password")
        sharedComputer = form.tick("shared_computer", label: "identity.shared_computer")
    }
}

extension IdentityRoutes {
    @Sendable func showRegister(_ request: Request, _ context: WebContext) async throws -> Response {
        switch context.caller {
        case .resident, .helper: return context.redirect(to: "/")
        case .anonymous, .staff, .organisation: break
        }
        return try context.page(RegisterPage(context.formView()), title: "identity.register.title")
    }

    @Sendable func register(_ request: Request, _ context: WebContext) async throws -> Response {
        var form = RegistrationForm(context, rules: passwordRules)
        guard let registration = form.registration else { return try again(form, context) }
        do {
            try await identity.countRegistration(from: context.clientAddress)
            let account = try await identity.register(registration)
            try await leaveSession(context)
            let token = try await identity.openSession(of: account, isSharedComputer: form.isSharedComputer)
            SessionCookie.issue(token, in: context)
            return context.redirect(to: try await addAddresses(of: registration, session: CredentialHash(token: token)))
        } catch RegistrationError.usernameTaken {
            form.rejectUsername()
            return try again(form, context)
        } catch RegistrationError.tooManyAttempts(let minutes) {
            throw Problem.tooManyAttempts(waitMinutes: minutes)
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
    }

    /// Sends a code to each address that was given, whoever's it is.
    /// - Returns: the page for the first code, or the home page.
    private func addAddresses(of registration: Registration, session: CredentialHash) async throws -> String {
        var place: String?
        for address in registration.addresses {
            let (outcome, id) = try await identity.addresses.add(address, session: session, language: registration.language)
            if outcome == .sent, place == nil { place = "/contact/addresses/\(id)" }
        }
        // Where no code could be sent, the page of addresses says what is left to do.
        return place ?? (registration.addresses.isEmpty ? "/" : "/contact")
    }

    private func again(_ form: RegistrationForm, _ context: WebContext) throws -> Response {
        try context.page(RegisterPage(context.formView(form.fields.state)), title: "identity.register.title", status: .unprocessableContent)
    }
}

extension Problem {
    /// The answer to one who registers too often.
    fileprivate static func tooManyAttempts(waitMinutes: Int) -> Problem {
        Problem(
            "too-many-attempts", status: .tooManyRequests, title: "Too many attempts",
            detail: "There were too many attempts from here. Wait \(waitMinutes) minutes.", headers: [.retryAfter: String(waitMinutes * 60)])
    }
}
