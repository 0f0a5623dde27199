// Pure rules of what comes next when a resident is on the way into a service or an app: a function of how the request stands. The same in the
// address bar, after signing in, and when the form is sent.
import Foundation

/// What happens to a request.
enum SignInStep: Sendable, Equatable {
    /// Show who asks for what, and wait for the answer.
    case ask
    /// The sign-in is older than the service wants, or it wants a new one: the password is asked for once more.
    case signInAgain
    /// The service wants a second factor, and this sign-in had none.
    case addFactor
    /// Nothing is left to ask: answer.
    case proceed
    /// The service refuses a sign-in of the level that this one has.
    case unmet
}

enum SignInRules {
    /// - Parameter standing: of a request whose resident is signed in.
    static func step(_ standing: Standing) -> SignInStep {
        guard standing.isService else { return .ask }
        if mustSignInAgain(standing) { return .signInAgain }
        if !standing.essentialACR.isEmpty, !standing.context.meets(standing.essentialACR) {
            return standing.context.withSecondFactor.meets(standing.essentialACR) ? .addFactor : .unmet
        }
        if standing.isStaff { return standing.context.authenticatorAssurance < 2 ? .addFactor : .proceed }
        // What is only wished for is asked of those who have it, and where a page may be shown.
        if standing.hasSecondFactor, !standing.prompt.contains(.none), standing.context.gains(standing.wishedACR) { return .addFactor }
        // Whose device it is that waits, only the resident can say: asked each time (RFC 8628 §5.4).
        if standing.isForDevice { return .ask }
        if !standing.prompt.isDisjoint(with: [.consent, .selectAccount]) { return .ask }
        guard let connected = standing.connectedScope, Set(standing.scope).isSubset(of: connected) else { return .ask }
        return Set(standing.attributes).isSubset(of: standing.shared + standing.declined) ? .proceed : .ask
    }

    private static func mustSignInAgain(_ standing: Standing) -> Bool {
        guard let signedInAt = standing.signedInAt else { return true }
        // Once the resident has signed in for this request, that is recent enough, however long the answer takes.
        guard signedInAt < standing.createdAt else { return false }
        if standing.prompt.contains(.login) { return true }
        guard let seconds = standing.maxAgeSeconds else { return false }
        return standing.createdAt.timeIntervalSince(signedInAt) > Double(seconds)
    }
}
