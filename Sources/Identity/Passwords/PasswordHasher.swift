// Passwords cost 49 ms of a core each, on purpose. They are hashed on threads of their own, so that everybody else is served
// meanwhile, and what would wait too long is told so at once.
import CArgon2
public import Foundation
public import Primitives
import Synchronization

/// What one hash costs (RFC 9106; OWASP's second recommended choice). Grow them as machines do.
public struct PasswordCost: Sendable, Hashable {
    public var memoryKibibytes: UInt32
    public var passes: UInt32
    public var lanes: UInt32

    public static let standard = PasswordCost(memoryKibibytes: 19_456, passes: 2, lanes: 1)

    public init(memoryKibibytes: UInt32, passes: UInt32, lanes: UInt32) {
        self.memoryKibibytes = memoryKibibytes
        self.passes = passes
        self.lanes = lanes
    }
}

public enum PasswordHasherError: Error, Hashable, Sendable {
    /// More sign-ins wait than will be served in a few seconds: try again shortly (503 with Retry-After).
    case busy
    /// libargon2 refused, with its error code.
    case failed(Int32)
}

/// Hashes and checks passwords with argon2id through libargon2.
public final class PasswordHasher: Sendable {
    /// Waiting at most: at 49 ms each on two cores the last one waits about two seconds, which a person at a form accepts.
    public static let waitingMax = 80
    private static let hashBytes = 32
    private static let saltBytes = 16

    private let cost: PasswordCost
    private let threads: OperationQueue
    private let waiting = Mutex(0)
    /// Checked when a name does not exist, so that the answer takes as long as for one that does.
    private let hashOfNobody: String

    public init(cost: PasswordCost = .standard, threadCount: Int = ProcessInfo.processInfo.activeProcessorCount) throws {
        self.cost = cost
        threads = OperationQueue()
        threads.maxConcurrentOperationCount = max(1, threadCount)
        hashOfNobody = try Self.hash(UUID().uuidString, cost: cost)
    }

    /// The encoded hash (`$argon2id$v=19$m=…`) to store. Throws ``PasswordHasherError``.
    public func hash(_ password: Redacted<String>) async throws -> String {
        try await onOwnThread { [cost] in try Self.hash(password.reveal(), cost: cost) }
    }

    /// Whether the password belongs to the hash; with no hash (nobody has that name) false, after the same time.
    public func check(_ password: Redacted<String>, against encoded: String?) async throws -> Bool {
        try await onOwnThread { [hashOfNobody] in
            let bytes = Array(password.reveal().utf8)
            let right = argon2id_verify(encoded ?? hashOfNobody, bytes, bytes.count) == ARGON2_OK.rawValue
            return right && encoded != nil
        }
    }

    /// Whether a stored hash cost less than a new one does: the city's parameters have grown since.
    func isWeaker(_ encoded: String) -> Bool {
        // $argon2id$v=19$m=19456,t=2,p=1$salt$hash
        let parts = encoded.split(separator: "$")
        guard parts.count == 5 else { return true }
        let parameters = parts[2].split(separator: ",").reduce(into: [Substring: UInt32]()) { found, part in
            let pair = part.split(separator: "=")
            if pair.count == 2 { found[pair[0]] = UInt32(pair[1]) }
        }
        return (parameters["m"] ?? 0) < cost.memoryKibibytes || (parameters["t"] ?? 0) < cost.passes
    }

    func onOwnThread<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
        try waiting.withLock { count in
            guard count < Self.waitingMax else { throw PasswordHasherError.busy }
            count += 1
        }
        defer { waiting.withLock { $0 -= 1 } }
        return try await withCheckedThrowingContinuation { continuation in
            threads.addOperation { continuation.resume(with: Result { try work() }) }
        }
    }

    private static func hash(_ password: String, cost: PasswordCost) throws -> String {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let bytes = Array(password.utf8)
        let length = argon2_encodedlen(cost.passes, cost.memoryKibibytes, cost.lanes, UInt32(saltBytes), UInt32(hashBytes), Argon2_id)
        var encoded = [CChar](repeating: 0, count: length)
        let status = argon2id_hash_encoded(
            cost.passes, cost.memoryKibibytes, cost.lanes, bytes, bytes.count, salt, saltBytes, hashBytes, &encoded, length)
        guard status == ARGON2_OK.rawValue else { throw PasswordHasherError.failed(status) }
        return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
