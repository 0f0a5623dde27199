// The way back by letter: asking for it, typing its code, and cancelling it from inside.
import Foundation
import HTTPTypes
import Hummingbird
import Primitives
import Web

/// `/recover/letter`.
struct AskForLetterPage: PageModel {
    static let template = "identity/recover-letter"

    var errors: ErrorSummary?
    var username: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "username": .model(\.username)]

    init(_ form: FormView) {
        errors = form.errors
        username = form.text("username", label: "identity.sign_in.name", autocomplete: "username")
    }
}

/// `/recover/letter/code`.
struct LetterCodePage: PageModel {
    static let template = "identity/recover-letter-code"

    var errors: ErrorSummary?
    var username: TextField
    var code: TextField

    static let fields: Fields<Self> = ["errors": .optional(\.errors), "username": .model(\.username), "code": .model(\.code)]

    init(_ form: FormView) {
        errors = form.errors
        username = form.text("username", label: "identity.sign_in.name", autocomplete: "username")
        code = form.text("code", label: "identity.letter.code", hint: "identity.letter.code_hint")
    }
}

extension IdentityRoutes {
    @Sendable func showAskForLetter(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(AskForLetterPage(context.formView()), title: "identity.letter.title")
    }

    /// The answer is the same for everybody: it tells nobody who has an account.
    @Sendable func askForLetter(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let name = fields.text("username", charactersMax: SignInName.charactersMax)
        if fields.isValid {
            do {
                if try await identity.askForLetter(typedName: name, address: context.clientAddress) {
                    context.notice("identity.letter.asked")
                    return context.redirect(to: "/recover/letter/code")
                }
                fields.reject("username", "identity.letter.too_many")
            } catch PasswordHasherError.busy {
                throw Problem.busy()
            }
        }
        return try context.formAgain(AskForLetterPage(context.formView(fields.state)), title: "identity.letter.title", after: nil)
    }

    @Sendable func showLetterCode(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(LetterCodePage(context.formView()), title: "identity.letter.code_title")
    }

    @Sendable func recoverByLetter(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let name = fields.text("username", charactersMax: SignInName.charactersMax)
        let code = fields.secret("code", charactersMax: 100)
        var failure: SignInError?
        if fields.isValid, let code {
            do {
                try await leaveSession(context)
                let signedIn = try await identity.recoverByLetter(typedName: name, code: code, address: context.clientAddress)
                return goOn(signedIn, next: Self.replacePath, context)
            } catch let error as SignInError {
                failure = error
                fields.reject("code", error, wrong: "identity.letter.wrong", in: context)
            } catch PasswordHasherError.busy {
                throw Problem.busy()
            }
        }
        return try context.formAgain(LetterCodePage(context.formView(fields.state)), title: "identity.letter.code_title", after: failure)
    }

    @Sendable func cancelLetter(_ request: Request, _ context: SignedInContext) async throws -> Response {
        context.notice(try await identity.cancelLetter(context.credential) ? "identity.letter.cancelled" : "identity.letter.none")
        return context.redirect(to: "/security")
    }

    /// A letter that somebody asked for: the resident may not have been the one.
    @Sendable func letterTasks(of resident: ResidentCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard let at = try await identity.pendingLetter(resident.credential) else { return [] }
        return [HomeTask(
            title: context.text("identity.letter.task_title"), detail: context.text("identity.letter.pending", ["at": context.format.dateTime(at)]), path: "/security")]
    }
}
