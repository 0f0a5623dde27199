// `/security`: what somebody signs in with, and where they are signed in.
import Foundation
import Hummingbird
import HTTPTypes
import Primitives
import Web

/// The security page.
struct SecurityPage: PageModel {
    static let template = "identity/security"

    var level: String
    /// That a letter with a code is under way.
    var letter: String?
    var factors: [FactorView]
    var hasApp: Bool
    var hasSheet: Bool
    var hasRecoveryCodes: Bool
    var sessions: [SessionView]
    var hasOtherSessions: Bool
    /// Where a counter is at work on a new way into the account.
    var recovery: RecoveryView?

    static let fields: Fields<Self> = [
        "recovery": .optional(\.recovery), "level": .text(\.level), "letter": .optionalText(\.letter), "factors": .list(\.factors), "has_factors": .flag { !$0.factors.isEmpty }, "has_app": .flag(\.hasApp),
        "has_sheet": .flag(\.hasSheet), "has_recovery_codes": .flag(\.hasRecoveryCodes), "sessions": .list(\.sessions),
        "has_other_sessions": .flag(\.hasOtherSessions),
    ]

    struct RecoveryView: ViewModel {
        var since: String
        var ready: String
        static let fields: Fields<Self> = ["since": .text(\.since), "ready": .text(\.ready)]
    }

    struct FactorView: ViewModel {
        var name: String
        var added: String
        var used: String?
        var left: String?
        var isClosed: Bool
        var isRunningOut: Bool
        var remove: Link

        static let fields: Fields<Self> = [
            "name": .text(\.name), "added": .text(\.added), "used": .optionalText(\.used), "left": .optionalText(\.left), "is_closed": .flag(\.isClosed),
            "is_running_out": .flag(\.isRunningOut), "remove": .link(\.remove),
        ]

        init(_ factor: Factor, _ context: some PageContext) {
            name = context.text("identity.factor.\(factor.kind.rawValue).name")
            added = context.format.day(factor.addedAt)
            used = factor.lastUsedAt.map(context.format.dateTime)
            left = factor.kind == .totp || factor.kind == .passkey ? nil : context.text("identity.security.codes_left", count: factor.codesLeft)
            isClosed = factor.isClosed
            isRunningOut = factor.isSheetRunningOut
            remove = "/security/factors/\(factor.id)/remove"
        }
    }

    struct SessionView: ViewModel {
        var started: String
        var used: String
        var hasSecondFactor: Bool
        var isShared: Bool
        var isThis: Bool
        var end: Link

        static let fields: Fields<Self> = [
            "started": .text(\.started), "used": .text(\.used), "has_second_factor": .flag(\.hasSecondFactor), "is_shared": .flag(\.isShared),
            "is_this": .flag(\.isThis), "end": .link(\.end),
        ]

        init(_ session: OpenSession, _ context: some PageContext) {
            started = context.format.dateTime(session.startedAt)
            used = context.format.dateTime(session.lastUsedAt)
            hasSecondFactor = session.hasSecondFactor
            isShared = session.isShared
            isThis = session.isThis
            end = "/security/sessions/\(session.id)/end"
        }
    }

    init(
        _ factors: [Factor], _ sessions: [OpenSession], letter: Date?, recovery: (requestedAt: Date, readyAt: Date)?, _ context: SignedInContext
    ) {
        self.recovery = recovery.map { RecoveryView(since: context.format.dateTime($0.requestedAt), ready: context.format.dateTime($0.readyAt)) }
        level = context.text("identity.security.level_\(context.authentication.level)")
        self.letter = letter.map { context.text("identity.letter.pending", ["at": context.format.dateTime($0)]) }
        self.factors = factors.map { FactorView($0, context) }
        hasApp = factors.contains { $0.kind == .totp }
        hasSheet = factors.contains { $0.kind == .codeSheet }
        hasRecoveryCodes = factors.contains { $0.kind == .recoveryCodes }
        self.sessions = sessions.map { SessionView($0, context) }
        hasOtherSessions = sessions.count > 1
    }
}

extension IdentityRoutes {
    @Sendable func security(_ request: Request, _ context: SignedInContext) async throws -> Response {
        let factors = try await identity.factors(of: context.credential)
        let sessions = try await identity.sessions(of: context.credential)
        let letter = try await identity.pendingLetter(context.credential)
        let recovery = try await identity.recovery(of: context.credential)
        return try context.page(SecurityPage(factors, sessions, letter: letter, recovery: recovery, context), title: "identity.security.title")
    }

    @Sendable func removeFactor(_ request: Request, _ context: SignedInContext) async throws -> Response {
        let id = try context.parameter("id", as: FactorID.self)
        return try await changing(context) {
            try await identity.removeFactor(id, context.credential)
            context.notice("identity.security.removed")
            return context.redirect(to: "/security")
        }
    }

    @Sendable func endSession(_ request: Request, _ context: SignedInContext) async throws -> Response {
        let id = try context.parameter("id", as: SessionID.self)
        guard try await identity.endSession(id, asking: context.credential) else { throw Problem.notFound }
        context.notice("identity.security.session_ended")
        return context.redirect(to: "/security")
    }

    @Sendable func endOtherSessions(_ request: Request, _ context: SignedInContext) async throws -> Response {
        try await identity.endOtherSessions(context.credential)
        context.notice("identity.security.others_ended")
        return context.redirect(to: "/security")
    }
}
