// The connections on which many callers' single statements travel together. A statement waits in the lane's own queue only while every
// connection is full or none is open; a lost connection takes down what was sent on it, never what still waits here.
import CLibpq
import DequeModule

/// Confined to the socket thread.
final class SharedLane {
    private struct Slot {
        var connection: Connection?
        var isConnecting = false
        var retryAt: ContinuousClock.Instant?
        var openedAt = ContinuousClock.now
        var backoff = Backoff()
    }

    /// Deep enough to keep a backend busy through a round trip; shallow enough that a lost connection fails few.
    static let requestsPerConnectionMax = 256
    /// A connection lost sooner than this after it opened is reopened with back-off, so that a server in trouble is not hammered.
    static let shortLife = Duration.seconds(1)

    private var slots: [Slot]
    private var queue = Deque<Request>()
    /// Whether the last attempt to connect failed. With no connection open, that is what "down" means.
    private var lastAttemptFailed = false
    private let bin: ResultBin
    private let connect: (_ slot: Int) -> Void
    /// The server answers within its statement_timeout or is gone, whatever the network says.
    private let silenceMax: Duration
    /// Requests that were answered since the pool last asked, one way or another.
    private var requestsFinished = 0
    private let metrics: PoolMetrics

    init(connections: Int, silenceMax: Duration, bin: ResultBin, metrics: PoolMetrics, connect: @escaping (_ slot: Int) -> Void) {
        slots = Array(repeating: Slot(), count: connections)
        self.silenceMax = silenceMax
        self.bin = bin
        self.metrics = metrics
        self.connect = connect
    }

    func addConnections(to all: inout [Connection]) {
        for slot in slots {
            if let connection = slot.connection { all.append(connection) }
        }
    }

    var isDown: Bool { lastAttemptFailed && !slots.contains { $0.connection != nil } }

    func start() {
        for slot in slots.indices { open(slot) }
    }

    func submit(_ request: Request) {
        if isDown { fail(request, .unavailable) } else { queue.append(request) }
    }

    /// Sends what waits, each statement on the connection that has least to do.
    func pump() {
        while let request = queue.first {
            guard !request.isAnswered else {
                queue.removeFirst()
                requestsFinished += 1
                continue
            }
            var best: Connection?
            for slot in slots {
                guard let connection = slot.connection, !connection.isLost else { continue }
                if connection.requestsInFlight < (best?.requestsInFlight ?? Self.requestsPerConnectionMax) { best = connection }
            }
            guard let best else { return }
            queue.removeFirst()
            best.send(request)
        }
    }

    func opened(_ opened: OpenedConnection?, slot: Int, now: ContinuousClock.Instant) {
        slots[slot].isConnecting = false
        lastAttemptFailed = opened == nil
        if let opened {
            slots[slot].connection = Connection(opened, isShared: true, bin: bin)
            slots[slot].openedAt = now
            slots[slot].backoff.reset()
        } else {
            slots[slot].retryAt = now + slots[slot].backoff.next()
            if isDown { failAll(.unavailable) }
        }
    }

    /// Replaces lost connections and drops silent ones.
    func settle(now: ContinuousClock.Instant) {
        for index in slots.indices {
            if let retryAt = slots[index].retryAt, retryAt <= now { open(index) }
            guard let connection = slots[index].connection else { continue }
            if !connection.isIdle, now - connection.lastProgress > silenceMax { connection.lose() }
            requestsFinished += connection.takeFinishedCount()
            guard connection.isLost else { continue }
            metrics.connectionLost()
            slots[index].connection = nil
            if now - slots[index].openedAt < Self.shortLife {
                slots[index].retryAt = now + slots[index].backoff.next()
            } else {
                open(index)
            }
        }
    }

    func takeFinishedCount() -> Int {
        defer { requestsFinished = 0 }
        return requestsFinished
    }

    /// When `settle` is next needed though nothing happens.
    var nextDeadline: ContinuousClock.Instant? {
        var earliest: ContinuousClock.Instant?
        for slot in slots {
            var deadline = slot.retryAt
            if let connection = slot.connection, !connection.isIdle { deadline = connection.lastProgress + silenceMax }
            if let deadline { earliest = min(earliest ?? deadline, deadline) }
        }
        return earliest
    }

    func close() {
        failAll(.unavailable)
        for index in slots.indices {
            slots[index].connection?.lose()
            slots[index].connection = nil
        }
    }

    private func open(_ index: Int) {
        slots[index].retryAt = nil
        slots[index].isConnecting = true
        connect(index)
    }

    private func failAll(_ error: DatabaseError) {
        for request in queue { fail(request, error) }
        queue.removeAll()
    }

    private func fail(_ request: Request, _ error: DatabaseError) {
        requestsFinished += 1
        metrics.refused(error)
        request.fail(error)
    }
}
