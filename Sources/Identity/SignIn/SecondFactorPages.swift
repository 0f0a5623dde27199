// The page that asks for a second factor: at sign-in, before there is a session, and later where something wants more than the password.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// `/sign-in/second-factor` and `/confirm-factor`.
struct SecondFactorPage: PageModel {
    static let template = "identity/second-factor"

    var errors: ErrorSummary?
    /// Where the form goes.
    var action: Link
    var next: String
    var kind: String
    /// What to type, such as “Enter code 14 of your sheet”.
    var request: String
    var code: TextField
    /// The other ways.
    var others: [Other]
    var isConfirmation: Bool
    /// Where a passkey is used, for those who have one.
    var passkey: Link?

    struct Other: ViewModel {
        var link: Link
        var text: String
        static let fields: Fields<Self> = ["link": .link(\.link), "text": .text(\.text)]
    }

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "action": .link(\.action), "next": .text(\.next), "kind": .text(\.kind), "request": .text(\.request),
        "code": .model(\.code), "others": .list(\.others), "has_others": .flag { !$0.others.isEmpty }, "is_confirmation": .flag(\.isConfirmation),
        "passkey": .optionalLink(\.passkey),
    ]

    init(_ factor: Factor, among factors: [Factor], path: String, next: String, _ context: some PageContext, _ state: FormState = .blank) {
        let form = context.formView(state)
        errors = form.errors
        action = Link(path)
        self.next = next
        kind = factor.kind.rawValue
        request = context.text("identity.factor.\(kind).request", ["number": context.format.number(factor.nextNumber ?? 0)])
        code = form.text(
            "code", label: "identity.factor.\(kind).code", autocomplete: factor.kind == .totp ? "one-time-code" : "off",
            inputMode: factor.kind == .recoveryCodes ? nil : "numeric")
        others = factors.filter { $0.kind != factor.kind && $0.kind.isTyped }.map { other in
            Other(
                link: Link(Link.path(path, next: next) + (next == "/" ? "?" : "&") + "with=" + other.kind.rawValue),
                text: context.text("identity.factor.\(other.kind.rawValue).instead"))
        }
        isConfirmation = path == "/confirm-factor"
        let hasPasskey = factors.contains { $0.kind == .passkey }
        passkey = hasPasskey ? Link(Link.path(isConfirmation ? "/confirm-passkey" : "/sign-in/passkey", next: next)) : nil
    }
}

/// What somebody sees whose sheet has no code left, and who has nothing else.
struct SheetUsedUpPage: PageModel {
    static let template = "identity/sheet-used-up"
    static let fields: Fields<Self> = [:]
}

extension IdentityRoutes {
    // MARK: At sign-in

    @Sendable func showSecondFactor(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let credential = SignInCookie.read(request, in: context) else { return signInEnded(context) }
        return try await ask(request, credential, "/sign-in/second-factor", context) ?? signInEnded(context)
    }

    @Sendable func finishSignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        guard let credential = SignInCookie.read(request, in: context) else { return signInEnded(context) }
        return try await check(credential, "/sign-in/second-factor", context) ?? signInEnded(context)
    }

    /// The ten minutes are over, or the cookie is gone: from the beginning, and nothing is lost.
    func signInEnded(_ context: WebContext) -> Response {
        SignInCookie.clear(in: context)
        context.notice("identity.sign_in.ended")
        return context.redirect(to: "/sign-in")
    }

    // MARK: With a session

    @Sendable func showConfirmFactor(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await ask(request, context.credential, "/confirm-factor", context) ?? withoutFactor(context)
    }

    @Sendable func confirmFactor(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await check(context.credential, "/confirm-factor", context) ?? withoutFactor(context)
    }

    /// Who has no second factor is shown where to make one.
    private func withoutFactor(_ context: SignedInContext) -> Response {
        context.notice("identity.factor.make_one")
        return context.redirect(to: "/security")
    }

    // MARK: Both

    /// - Returns: nil for somebody without factors, or nobody.
    private func ask(_ request: Request, _ credential: CredentialHash, _ path: String, _ context: some PageContext) async throws -> Response? {
        let query = try context.query(request)
        let all = try await identity.factors(of: credential)
        let factors = usable(all)
        let wanted = try query.value("with").flatMap(FactorKind.init(rawValue:))
        let next = context.next(try query.value("next"))
        guard let factor = factors.first(where: { $0.kind == wanted && $0.kind.isTyped }) ?? factors.first(where: \.kind.isTyped) else {
            // Who has a passkey alone uses that.
            return factors.isEmpty ? try sheetUsedUp(all, context) : context.redirect(to: Link.path(path == "/confirm-factor" ? "/confirm-passkey" : "/sign-in/passkey", next: next))
        }
        return try context.page(SecondFactorPage(factor, among: factors, path: path, next: next, context), title: "identity.factor.title")
    }

    private func check(_ credential: CredentialHash, _ path: String, _ context: some PageContext) async throws -> Response? {
        var fields = FormReader(context.form)
        let kind = fields.choice("kind", of: FactorKind.self)
        let code = fields.secret("code", charactersMax: 100)
        let next = context.next(fields.optionalText("next", charactersMax: 2000))
        var failure: SignInError?
        if fields.isValid, let kind, kind.isTyped, let code {
            do {
                let token = try await identity.useFactor(kind, code: code, credential: credential, address: context.clientAddress)
                SessionCookie.issue(token, in: context)
                SignInCookie.clear(in: context)
                if kind == .codeSheet, try await identity.factors(of: CredentialHash(token: token)).contains(where: \.isSheetRunningOut) {
                    context.notice("identity.factor.few_left")
                }
                return context.redirect(to: next)
            } catch let error as SignInError {
                failure = error
                fields.reject("code", error, wrong: "identity.factor.\(kind.rawValue).wrong", in: context)
            } catch FactorChangeRefusal.signedOut {
                return nil
            } catch PasswordHasherError.busy {
                throw Problem.busy()
            }
        }
        let all = try await identity.factors(of: credential)
        let factors = usable(all)
        guard let factor = factors.first(where: { $0.kind == kind && $0.kind.isTyped }) ?? factors.first(where: \.kind.isTyped) else {
            return try sheetUsedUp(all, context)
        }
        return try context.formAgain(
            SecondFactorPage(factor, among: factors, path: path, next: next, context, fields.state), title: "identity.factor.title", after: failure)
    }

    /// Those that a code can be given of. Recovery codes stand in for another factor, and are none by themselves.
    private func usable(_ factors: [Factor]) -> [Factor] {
        guard factors.contains(where: { $0.kind != .recoveryCodes }) else { return [] }
        return factors.filter { $0.kind == .totp || $0.kind == .passkey || $0.codesLeft > 0 }
    }

    /// - Returns: nil for somebody who has no second factor at all.
    private func sheetUsedUp(_ factors: [Factor], _ context: some PageContext) throws -> Response? {
        guard factors.contains(where: { $0.kind == .codeSheet }) else { return nil }
        return try context.page(SheetUsedUpPage(), title: "identity.sheet_used_up.title")
    }
}
