// How long to leave a server alone after it refused a connection.

/// Exponential back-off with jitter. Capped low, because the usual outage is a restart of a few seconds and residents wait behind it.
struct Backoff {
    static let firstDelay = Duration.milliseconds(50)
    static let delayMax = Duration.seconds(2)

    private var failures = 0

    /// The wait before the next attempt: doubling, and between half of it and all of it at random, so that many nodes do not
    /// knock in step.
    mutating func next() -> Duration {
        failures = min(failures + 1, 10)
        let delay = min(Self.firstDelay * (1 << (failures - 1)), Self.delayMax)
        return delay * Double.random(in: 0.5...1)
    }

    mutating func reset() {
        failures = 0
    }
}
