// At start-up: is this the key that signed the log so far? Heads under another key would be another log to everybody who keeps them.
public import Postgres
public import TransparencyLog

public enum LogKeyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The newest signed head of the database does not verify under the key.
    case didNotSignTheLog(held: String)

    public var description: String {
        switch self {
        case .didNotSignTheLog(let held):
            "The log's signing key (verifier key \(held)) did not sign the log of this database. Restore the key that belongs to it from your copy."
        }
    }
}

/// Compares a key with the log that a database holds.
public struct LogKeyCheck: Sendable {
    private let verifier: Ed25519NoteVerifier

    public init(verifier: Ed25519NoteVerifier) {
        self.verifier = verifier
    }

    /// A log that has not begun accepts every key.
    /// - Throws: ``LogKeyError``
    public func run(on database: Database) async throws {
        do {
            _ = try await SignedHead.newest(verifier: verifier, query: database.query)
        } catch SignedHeadError.noneVerifies {
            throw LogKeyError.didNotSignTheLog(held: verifier.vkey)
        }
    }
}
