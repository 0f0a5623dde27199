// The logs of others whose heads this city signs, as the settings name them.
import Crypto
import Foundation
public import TransparencyLog

/// Logs by their origin, which is the name that their keys bear (C2SP tlog-checkpoint recommends that it is).
public struct WitnessedLogs: Sendable {
    private let keys: [String: [Ed25519NoteVerifier]]
    private let origins: [String: String]

    /// - Parameter keys: a log that changes its key has two for a while.
    public init(keys: [Ed25519NoteVerifier]) {
        self.keys = Dictionary(grouping: keys, by: \.name)
        origins = Dictionary(self.keys.keys.map { (Self.hash($0), $0) }, uniquingKeysWith: { $1 })
    }

    /// The keys that sign a log's heads; nil for one that nobody named.
    func keys(of origin: String) -> [Ed25519NoteVerifier]? { keys[origin] }

    /// - Parameter hash: SHA-256 of the origin in small hexadecimal digits, as addresses have it.
    func origin(hash: String) -> String? { origins[hash] }

    private static func hash(_ origin: String) -> String {
        hexadecimal(SHA256.hash(data: Array(origin.utf8)))
    }
}
