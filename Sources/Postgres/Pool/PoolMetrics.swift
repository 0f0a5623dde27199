// What an operator wants to see of the database: trouble, counted. The successful statements are counted by whoever asked them.
import Metrics

/// Counters of one process; pools share them, because the backend joins equal labels.
struct PoolMetrics: Sendable {
    private let connectionsLost = Counter(label: "database_connections_lost_total")
    private let refusedFull = Counter(label: "database_refusals_total", dimensions: [("reason", "queue_full")])
    private let refusedDown = Counter(label: "database_refusals_total", dimensions: [("reason", "unavailable")])
    private let checkoutsTimedOut = Counter(label: "database_refusals_total", dimensions: [("reason", "checkout_timeout")])

    func connectionLost() { connectionsLost.increment() }

    /// A caller was sent away without having reached the server.
    func refused(_ error: DatabaseError) {
        switch error {
        case .queueFull: refusedFull.increment()
        case .unavailable: refusedDown.increment()
        case .timedOut: checkoutsTimedOut.increment()
        default: break
        }
    }
}
