// Home, registering, signing in and out, and what people do about their own factors and sessions. The handlers stand in the folders, in the order of
// this table.
import Foundation
public import Hummingbird
import Messages
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct IdentityRoutes: Sendable {
    let identity: IdentityService
    let passwordRules: PasswordRules
    /// Who is expected to sign in on the way to a path.
    let loginHint: @Sendable (String, Request, WebContext) async throws -> String?
    private let database: Database

    /// - Parameter loginHint: who is expected to sign in on the way to a path of this site; nil for whomever.
    public init(
        identity: IdentityService, passwordRules: PasswordRules, database: Database,
        loginHint: @escaping @Sendable (String, Request, WebContext) async throws -> String? = { _, _, _ in nil }
    ) {
        self.identity = identity
        self.passwordRules = passwordRules
        self.loginHint = loginHint
        self.database = database
    }

    public func add(to site: Site) {
        addCounterRecovery(to: site)
        site.declare(pages: [
            VisitorHomePage.self, ResidentHomePage.self, RegisterPage.self, SignInPage.self, SecondFactorPage.self, SheetUsedUpPage.self, EnrolmentPage.self, AppPage.self,
            CodesPage.self, ConfirmPasswordPage.self, SecurityPage.self, NewPasswordPage.self,
            PasskeyPage.self, RecoveryPage.self, ReplacePasswordPage.self, AskForLetterPage.self, LetterCodePage.self,
        ])
        site.addTasks(letterTasks)
        site.everyone.get("/", use: home)
        site.everyone.get("/register", use: showRegister)
        site.everyone.post("/register", use: register)

        site.everyone.get("/sign-in", use: showSignIn)
        site.everyone.post("/sign-in", use: signIn)
        site.everyone.get("/sign-in/passkey", use: showPasskeySignIn)
        site.everyone.post("/sign-in/passkey", use: signInWithPasskey)
        site.everyone.post("/sign-out", use: signOut)
        site.everyone.post("/leave", use: leave)

        site.everyone.get("/recover", use: showRecovery)
        site.everyone.post("/recover", use: recover)
        site.everyone.get("/recover/letter", use: showAskForLetter)
        site.everyone.post("/recover/letter", use: askForLetter)
        site.everyone.get("/recover/letter/code", use: showLetterCode)
        site.everyone.post("/recover/letter/code", use: recoverByLetter)
        site.signedIn.get("/recover/password", use: showReplacePassword)
        site.signedIn.post("/recover/password", use: replacePassword)

        // A sign-in is under way: the password was right, and there is no session yet.
        site.everyone.get("/sign-in/second-factor", use: showSecondFactor)
        site.everyone.post("/sign-in/second-factor", use: finishSignIn)
        site.everyone.get("/sign-in/enrolment", use: showEnrolment)
        site.everyone.post("/sign-in/enrolment/app", use: beginAppAtSignIn)
        site.everyone.get("/sign-in/enrolment/app", use: showAppAtSignIn)
        site.everyone.post("/sign-in/enrolment/app/code", use: confirmAppAtSignIn)
        site.everyone.post("/sign-in/enrolment/code-sheet", use: makeSheetAtSignIn)

        // Signed in, and something wants more than that.
        site.signedIn.get("/confirm-password", use: showConfirmPassword)
        site.signedIn.post("/confirm-password", use: confirmPassword)
        site.signedIn.get("/confirm-factor", use: showConfirmFactor)
        site.signedIn.post("/confirm-factor", use: confirmFactor)
        site.signedIn.get("/confirm-passkey", use: showConfirmPasskey)
        site.signedIn.post("/confirm-passkey", use: confirmPasskey)

        site.signedIn.get("/security", use: security)
        site.signedIn.post("/security/app", use: beginApp)
        site.signedIn.get("/security/app", use: showApp)
        site.signedIn.post("/security/app/code", use: confirmApp)
        site.signedIn.get("/security/passkey", use: showNewPasskey)
        site.signedIn.post("/security/passkey", use: addPasskey)
        site.signedIn.post("/security/code-sheet", use: makeSheet)
        site.signedIn.post("/security/recovery-codes", use: makeRecoveryCodes)
        site.signedIn.post("/security/factors/{id}/remove", use: removeFactor)
        site.signedIn.get("/security/password", use: showNewPassword)
        site.signedIn.post("/security/password", use: changePassword)
        site.signedIn.post("/security/letter/cancel", use: cancelLetter)
        site.signedIn.post("/security/sessions/others/end", use: endOtherSessions)
        site.signedIn.post("/security/sessions/{id}/end", use: endSession)
    }

    /// Messages on the home page: the newest few; the rest are a link away.
    static let messagesOnHome = 3

    @Sendable func home(_ request: Request, _ context: WebContext) async throws -> Response {
        switch context.caller {
        case .anonymous, .organisation:
            return try context.page(VisitorHomePage(), title: "identity.home.title_visitor")
        case .staff:
            return context.redirect(to: "/staff")
        case .helper:
            return context.redirect(to: Representing.path)
        case .resident(let resident):
            let messages = try await Messages.newest(Self.messagesOnHome, of: resident.credential, on: database)
            let tasks = try await context.tasks(of: resident)
            return try context.page(ResidentHomePage(resident, tasks, messages, context), title: "identity.home.title")
        }
    }
}

extension PageContext {
    /// `next` of the query or the form: a path of this site, or home.
    func next(_ typed: String?) -> String { Link.localPath(typed) ?? "/" }
}

extension Link {
    /// `path?next=…`, to come back from a detour.
    static func path(_ path: String, next: String) -> String {
        guard next != "/" else { return path }
        let allowed = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
        return path + "?next=" + (next.addingPercentEncoding(withAllowedCharacters: allowed) ?? "/")
    }
}
