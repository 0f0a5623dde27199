// A witness of this log as the settings name it, and the way to it.
import Foundation
public import TransparencyLog

/// Somebody elsewhere who signs this log's heads (c2sp.org/tlog-witness).
public struct LogWitness: Sendable, Hashable {
    /// The submission prefix, without a slash at the end: `https://city.example/witness`.
    public let prefix: String
    public let verifier: CosignatureVerifier

    public init(prefix: String, verifier: CosignatureVerifier) {
        self.prefix = prefix
        self.verifier = verifier
    }

    var address: String { prefix + "/add-checkpoint" }
}

/// What a witness answered over HTTP.
public struct WitnessResponse: Sendable {
    public let status: Int
    public let contentType: String?
    public let body: [UInt8]

    public init(status: Int, contentType: String?, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }
}

/// Sends a POST with this body to an address. Throws when no answer comes.
public typealias WitnessTransport = @Sendable (_ address: String, _ body: String) async throws -> WitnessResponse

/// What became of asking one witness.
public enum WitnessOutcome: Hashable, Sendable, CustomStringConvertible {
    /// It has signed the newest head before.
    case upToDate
    case cosigned
    /// It has seen what this log does not hold; the log has stopped.
    case contradicts
    /// No answer, or none that counts; it is asked again.
    case failed(String)

    public var description: String {
        switch self {
        case .upToDate: "has signed the newest head"
        case .cosigned: "signed the newest head"
        case .contradicts: "has seen what this log does not hold"
        case .failed(let reason): reason
        }
    }
}
