// Home, registering, signing in and out.
import Foundation
import Hummingbird
import HTTPTypes
import Messages
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct IdentityRoutes: Sendable {
    private let identity: IdentityService
    private let passwordRules: PasswordRules
    private let database: Database

    public init(identity: IdentityService, passwordRules: PasswordRules, database: Database) {
        self.identity = identity
        self.passwordRules = passwordRules
        self.database = database
    }

    public func add(to site: Site) {
        site.declare(pages: [VisitorHomePage.self, ResidentHomePage.self, RegisterPage.self, SignInPage.self])
        site.everyone.get("/", use: home)
        site.everyone.get("/register", use: showRegister)
        site.everyone.post("/register", use: register)
        site.everyone.get("/sign-in", use: showSignIn)
        site.everyone.post("/sign-in", use: signIn)
        site.everyone.post("/sign-out", use: signOut)
    }

    /// Messages on the home page: the newest few; the rest are a link away.
    static let messagesOnHome = 3

    @Sendable func home(_ request: Request, _ context: WebContext) async throws -> Response {
        switch context.caller {
        case .anonymous, .organisation:
            return try context.page(VisitorHomePage(), title: "identity.home.title_visitor")
        case .staff:
            return context.redirect(to: "/staff")
        case .resident(let resident):
            let messages = try await Messages.newest(Self.messagesOnHome, of: resident.credential, on: database)
            let tasks = try await context.tasks(of: resident)
            return try context.page(ResidentHomePage(resident, tasks, messages, context), title: "identity.home.title")
        }
    }

    @Sendable func showRegister(_ request: Request, _ context: WebContext) async throws -> Response {
        if case .resident = context.caller { return context.redirect(to: "/") }
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
            return context.redirect(to: try await addAddresses(of: registration, session: CredentialHash(token: token), context))
        } catch RegistrationError.usernameTaken {
            form.rejectUsername()
            return try again(form, context)
        } catch RegistrationError.tooManyAttempts(let minutes) {
            throw Problem.tooManyAttempts(waitMinutes: minutes)
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
    }

    @Sendable func showSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        let next = Link.localPath(try context.query(request).value("next"))
        switch context.caller {
        case .resident, .staff: return context.redirect(to: next ?? "/")
        case .anonymous, .organisation:
            return try context.page(SignInPage(context.formView(), next: next), title: "identity.sign_in.title")
        }
    }

    @Sendable func signIn(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let name = fields.text("username", charactersMax: SignInName.charactersMax)
        let password = fields.secret("password")
        let isShared = fields.flag("shared_computer")
        let next = Link.localPath(fields.optionalText("next", charactersMax: 2000))
        guard fields.isValid, let password else { return try signInAgain(fields, next, context) }
        do {
            return try await openSession(typedName: name, password: password, next: next, isShared: isShared, context)
        } catch SignInError.wrongNameOrPassword {
            fields.reject("username", "identity.sign_in.wrong")
        } catch SignInError.tooManyAttempts(let minutes) {
            fields.reject("username", "identity.sign_in.too_many", ["minutes": context.format.number(minutes)])
            var response = try signInAgain(fields, next, context, status: .tooManyRequests)
            response.headers[.retryAfter] = Problem.retryAfter(minutes: minutes)
            return response
        } catch PasswordHasherError.busy {
            throw Problem.busy()
        }
        return try signInAgain(fields, next, context)
    }

    /// Works without a session too, so that a page left open overnight still signs out politely.
    @Sendable func signOut(_ request: Request, _ context: WebContext) async throws -> Response {
        try await leaveSession(context)
        SessionCookie.clear(in: context)
        context.notice("identity.signed_out")
        return context.redirect(to: "/")
    }

    private func openSession(
        typedName: String, password: Redacted<String>, next: String?, isShared: Bool, _ context: WebContext
    ) async throws -> Response {
        try await leaveSession(context)
        let (token, who) = try await identity.signIn(
            typedName: typedName, password: password, address: context.clientAddress, isSharedComputer: isShared)
        SessionCookie.issue(token, in: context)
        if case .staff = who { return context.redirect(to: next ?? "/staff") }
        return context.redirect(to: next ?? "/")
    }

    /// Sends a code to each address that was given, whoever's it is.
    /// - Returns: the page for the first code, or the home page.
    private func addAddresses(of registration: Registration, session: CredentialHash, _ context: WebContext) async throws -> String {
        let addresses = Addresses(database: database, vault: identity.vault, lookup: identity.lookup)
        var place: String?
        for address in registration.addresses {
            let (outcome, id) = try await addresses.add(address, session: session, language: registration.language)
            if outcome == .sent, place == nil { place = "/contact/addresses/\(id)" }
        }
        // Where no code could be sent, the page of addresses says what is left to do.
        return place ?? (registration.addresses.isEmpty ? "/" : "/contact")
    }

    /// Whoever was signed in here before is not any more: a session never changes hands.
    private func leaveSession(_ context: WebContext) async throws {
        switch context.caller {
        case .resident(let resident): try await identity.signOut(resident.credential)
        case .staff(let staff): try await identity.signOut(staff.credential)
        case .anonymous, .organisation: break
        }
    }

    private func again(_ form: RegistrationForm, _ context: WebContext) throws -> Response {
        try context.page(RegisterPage(context.formView(form.fields.state)), title: "identity.register.title", status: .unprocessableContent)
    }

    private func signInAgain(
        _ fields: FormReader, _ next: String?, _ context: WebContext, status: HTTPResponse.Status = .unprocessableContent
    ) throws -> Response {
        try context.page(SignInPage(context.formView(fields.state), next: next), title: "identity.sign_in.title", status: status)
    }
}

extension Problem {
    /// The answer to one who registers too often.
    fileprivate static func tooManyAttempts(waitMinutes: Int) -> Problem {
        Problem(
            "too-many-attempts", status: .tooManyRequests, title: "Too many attempts",
            detail: "There were too many attempts from here. Wait \(waitMinutes) minutes.", headers: [.retryAfter: retryAfter(minutes: waitMinutes)])
    }

    /// The longest that the wait can be, in the seconds of the header.
    fileprivate static func retryAfter(minutes: Int) -> String { String(minutes * 60) }
}
