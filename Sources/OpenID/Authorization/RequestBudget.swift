// Protection of what anybody can make the server write without signing in. It guards one node's database writes and
// decides about nobody's rights, so it may live in memory.
import Synchronization

/// A bucket of requests for each name, filled again by and by.
final class RequestBudget: Sendable {
    private struct Bucket {
        var remaining: Double
        var filledAt: ContinuousClock.Instant
    }

    private let requestsMax: Double
    private let requestsPerSecond: Double
    private let buckets = Mutex<[String: Bucket]>([:])

    /// - Parameters:
    ///   - requestsMax: how many at once.
    ///   - requestsPerSecond: how many each second after that.
    init(requestsMax: Int, requestsPerSecond: Int) {
        self.requestsMax = Double(requestsMax)
        self.requestsPerSecond = Double(requestsPerSecond)
    }

    /// Takes one request from the bucket of a name; false when it is empty.
    /// - Parameter name: of a registered client, so the buckets are as few as the clients.
    func take(_ name: String, at now: ContinuousClock.Instant = .now) -> Bool {
        buckets.withLock { buckets in
            var bucket = buckets[name] ?? Bucket(remaining: requestsMax, filledAt: now)
            let elapsed = bucket.filledAt.duration(to: now)
            let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) / 1e18
            bucket.remaining = min(requestsMax, bucket.remaining + max(0, seconds) * requestsPerSecond)
            bucket.filledAt = now
            let isAllowed = bucket.remaining >= 1
            if isAllowed { bucket.remaining -= 1 }
            buckets[name] = bucket
            return isAllowed
        }
    }
}
