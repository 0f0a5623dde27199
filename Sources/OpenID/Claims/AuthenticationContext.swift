// How sure the city is of who signed in: the levels of NIST SP 800-63-4 as the words of ID tokens.

/// The `acr` and `amr` of a sign-in (OpenID Connect Core §2).
struct AuthenticationContext: Sendable, Equatable {
    /// IAL and AAL of NIST SP 800-63-4.
    let identityAssurance: Int
    let authenticatorAssurance: Int

    /// Levels of assurance of Regulation (EU) 910/2014 Art. 8, as Implementing Regulation (EU) 2015/1502 sets them out.
    enum Level: String, CaseIterable, Sendable {
        /// Nobody has shown who they are; §2 of Core has "0" for what is below every level.
        case none = "0"
        case low = "http://eidas.europa.eu/LoA/low"
        case substantial = "http://eidas.europa.eu/LoA/substantial"
    }

    /// The level that both the identity and the authenticator reach.
    var level: Level {
        if identityAssurance >= 2, authenticatorAssurance >= 2 { return .substantial }
        return identityAssurance >= 1 ? .low : .none
    }

    var acr: String { level.rawValue }

    /// What it would be, had there been a second factor.
    var withSecondFactor: AuthenticationContext {
        AuthenticationContext(identityAssurance: identityAssurance, authenticatorAssurance: max(authenticatorAssurance, 2))
    }

    /// RFC 8176.
    var amr: [String] { authenticatorAssurance >= 2 ? ["mfa"] : ["pwd"] }

    /// Whether there is more to reach by a second factor, of what is wished for with the best first.
    func gains(_ wished: [String]) -> Bool {
        guard let best = wished.first(where: { withSecondFactor.meets([$0]) }) else { return false }
        return !meets([best])
    }

    /// Whether one of the named levels is reached: a higher one serves for a lower. Names that nobody knows are reached by nobody.
    func meets(_ wanted: [String]) -> Bool {
        let known = Level.allCases
        guard let reached = known.firstIndex(of: level) else { return false }
        return wanted.contains { name in known.firstIndex { $0.rawValue == name }.map { $0 <= reached } ?? false }
    }
}
