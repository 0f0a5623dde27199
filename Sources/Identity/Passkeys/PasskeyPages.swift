// The pages on which a passkey is added or used: the only ones with a script (assets/passkey.js), because browsers give out passkeys to scripts alone. Without
// it they say so, and lead to the other ways.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web
import WebAuthn

/// `/sign-in/passkey`, `/confirm-passkey` and `/security/passkey`.
struct PasskeyPage: PageModel {
    static let template = "identity/passkey"

    /// What the page is for: `sign_in`, `confirm` or `add`.
    enum Purpose: String {
        case signIn = "sign_in"
        case confirm
        case add
    }

    var title: String
    var lead: String
    var submit: String
    var action: Link
    var other: Link
    var next: String
    var challenge: String
    var site: String
    var city: String
    var account: String
    /// Empty where no passkey is made.
    var owner: String
    var known: String
    var isNew: Bool
    var failed: String?
    var sharedComputer: TickField?

    static let fields: Fields<Self> = [
        "title": .text(\.title), "lead": .text(\.lead), "submit": .text(\.submit), "action": .link(\.action), "other": .link(\.other), "next": .text(\.next),
        "challenge": .text(\.challenge), "site": .text(\.site), "city": .text(\.city), "account": .text(\.account), "owner": .text(\.owner),
        "known": .text(\.known), "is_new": .flag(\.isNew), "failed": .optionalText(\.failed), "shared_computer": .optional(\.sharedComputer),
    ]

    init(
        _ purpose: Purpose, challenge: [UInt8], _ identity: IdentityService, path: String, other: String, next: String, account: String = "",
        new: NewPasskeyRequest? = nil, failed: Bool, _ context: some PageContext
    ) {
        title = context.text("identity.passkey.\(purpose.rawValue).title")
        lead = context.text("identity.passkey.\(purpose.rawValue).lead")
        submit = context.text("identity.passkey.\(purpose.rawValue).submit")
        action = Link(path)
        self.other = Link(other)
        self.next = next
        self.challenge = Base64URL.encode(challenge)
        site = identity.relyingParty.id
        city = identity.settings.city
        self.account = account
        owner = new.map { Base64URL.encode($0.owner) } ?? ""
        known = new.map { $0.known.map { Base64URL.encode($0) }.joined(separator: " ") } ?? ""
        isNew = purpose == .add
        self.failed = failed ? context.text("identity.passkey.refused") : nil
        sharedComputer = purpose == .signIn ? context.formView().tick("shared_computer", label: "identity.shared_computer") : nil
    }
}

extension IdentityRoutes {
    static let passkeyScript = "passkey.js"

    // MARK: Signing in

    @Sendable func showPasskeySignIn(_ request: Request, _ context: WebContext) async throws -> Response {
        try await askForPasskey(next: context.next(try context.query(request).value("next")), failed: false, context)
    }

    @Sendable func signInWithPasskey(_ request: Request, _ context: WebContext) async throws -> Response {
        var fields = FormReader(context.form)
        let next = context.next(fields.optionalText("next", charactersMax: 2000))
        let isShared = fields.flag("shared_computer")
        do {
            guard let answer = fields.passkeyAnswer() else { throw PasskeyRefused() }
            let token = try await identity.usePasskey(answer, session: nil, isSharedComputer: isShared)
            try await leaveSession(context)
            SessionCookie.issue(token, in: context)
            SignInCookie.clear(in: context)
            return context.redirect(to: next)
        } catch is PasskeyRefused {
            return try await askForPasskey(next: next, failed: true, context)
        }
    }

    private func askForPasskey(next: String, failed: Bool, _ context: WebContext) async throws -> Response {
        let page = PasskeyPage(
            .signIn, challenge: try await identity.beginPasskey(nil), identity, path: "/sign-in/passkey", other: Link.path("/sign-in", next: next), next: next,
            failed: failed, context)
        return try context.page(
            page, title: "identity.passkey.sign_in.title", status: failed ? .unprocessableContent : .ok, script: Self.passkeyScript)
    }

    // MARK: Proving more

    @Sendable func showConfirmPasskey(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await askAgain(next: context.next(try context.query(request).value("next")), failed: false, context)
    }

    @Sendable func confirmPasskey(_ request: Request, _ context: SignedInContext) async throws -> Response {
        var fields = FormReader(context.form)
        let next = context.next(fields.optionalText("next", charactersMax: 2000))
        do {
            guard let answer = fields.passkeyAnswer() else { throw PasskeyRefused() }
            SessionCookie.issue(
                try await identity.usePasskey(answer, session: context.credential, isSharedComputer: false), in: context)
            return context.redirect(to: next)
        } catch is PasskeyRefused {
            return try await askAgain(next: next, failed: true, context)
        }
    }

    private func askAgain(next: String, failed: Bool, _ context: SignedInContext) async throws -> Response {
        let page = PasskeyPage(
            .confirm, challenge: try await identity.beginPasskey(context.credential), identity, path: "/confirm-passkey",
            other: Link.path("/confirm-factor", next: next), next: next, failed: failed, context)
        return try context.page(
            page, title: "identity.passkey.confirm.title", status: failed ? .unprocessableContent : .ok, script: Self.passkeyScript)
    }

    // MARK: A new one

    @Sendable func showNewPasskey(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await changing(context) { try await askForNew(failed: false, context) }
    }

    @Sendable func addPasskey(_ request: Request, _ context: SignedInContext) async throws -> Response {
        var fields = FormReader(context.form)
        return try await changing(context) {
            do {
                guard let answer = fields.newPasskeyAnswer() else { throw PasskeyRefused() }
                SessionCookie.issue(try await identity.addPasskey(answer, session: context.credential), in: context)
                context.notice("identity.security.passkey_added")
                return context.redirect(to: "/security")
            } catch is PasskeyRefused {
                return try await askForNew(failed: true, context)
            }
        }
    }

    private func askForNew(failed: Bool, _ context: SignedInContext) async throws -> Response {
        let new = try await identity.beginNewPasskey(context.credential)
        let page = PasskeyPage(
            .add, challenge: new.challenge, identity, path: "/security/passkey", other: "/security", next: "/security", account: context.accountName,
            new: new, failed: failed, context)
        return try context.page(page, title: "identity.passkey.add.title", status: failed ? .unprocessableContent : .ok, script: Self.passkeyScript)
    }
}

extension FormReader {
    /// Longest field of an answer, in characters: an attestation object with an RSA key is some 700 bytes.
    private static let charactersMax = 8_000

    private mutating func bytes(_ name: String) -> [UInt8]? {
        optionalText(name, charactersMax: Self.charactersMax).flatMap { Base64URL.decode($0) }
    }

    /// What the script put into the hidden fields; nil when something is missing or malformed.
    fileprivate mutating func passkeyAnswer() -> PasskeyAnswer? {
        guard let id = bytes("passkey"), let clientData = bytes("client_data"), let data = bytes("authenticator_data"), let signature = bytes("signature")
        else { return nil }
        return PasskeyAnswer(passkeyID: id, clientData: clientData, authenticatorData: data, signature: signature)
    }

    fileprivate mutating func newPasskeyAnswer() -> NewPasskeyAnswer? {
        guard let clientData = bytes("client_data"), let attestation = bytes("attestation") else { return nil }
        return NewPasskeyAnswer(clientData: clientData, attestation: attestation)
    }
}
