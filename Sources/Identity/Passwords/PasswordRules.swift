// Which passwords may be chosen (NIST SP 800-63B-4 §3.1.1.2): long enough, and not what a guesser tries first. There are no rules of
// composition. Asked where a password is chosen: by the registration form and by `stoa staff create`.
import Foundation

/// Shortest password, in characters. What is chosen here opens nothing without the limit on attempts.
let passwordCharactersMin = 8

/// Why a password cannot be chosen.
public enum PasswordRefusal: Error, Sendable, Hashable {
    /// Fewer than eight characters.
    case short
    /// Among the commonest, of which every guesser has a list.
    case common
    /// Holds the name to sign in with, which a guesser knows.
    case holdsName
}

/// The city's rules for passwords, with the list of the commonest ones in memory.
public struct PasswordRules: Sendable {
    /// Below the root directory: one password a line; lines that begin with `#` are remarks.
    static let file = "/config/common-passwords.txt"
    /// Shorter names stand in too many good passwords by chance.
    private static let nameCharactersMin = 4

    private let common: Set<String>

    /// - Throws: when the list cannot be read: a server without it would quietly take any password.
    public init(rootDirectory: String) throws {
        let text = try String(contentsOfFile: rootDirectory + Self.file, encoding: .utf8)
        common = Set(text.split(whereSeparator: \.isNewline).filter { !$0.hasPrefix("#") }.map { Self.folded(String($0)) })
    }

    /// What is wrong with a password for somebody of these names; nil when it may be chosen.
    public func refusal(of password: String, names: [SignInName]) -> PasswordRefusal? {
        guard password.count >= passwordCharactersMin else { return .short }
        let folded = Self.folded(password)
        if common.contains(folded) { return .common }
        let holdsName = names.contains { name in
            let known = name.kind == .email ? String(name.normalForm.prefix { $0 != "@" }) : name.normalForm
            return folded == name.normalForm || (known.count >= Self.nameCharactersMin && folded.contains(Self.folded(known)))
        }
        return holdsName ? .holdsName : nil
    }

    /// Upper case and full-width letters are the first thing that guessers vary.
    private static func folded(_ text: String) -> String { text.precomposedStringWithCompatibilityMapping.lowercased() }
}
