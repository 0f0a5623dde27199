// The connections that one holder at a time has to itself: for transactions, COPY, and whatever may wait. Opened when first needed,
// cleaned when given back, thrown away when they cannot be cleaned.
import CLibpq
import DequeModule

/// Confined to the socket thread.
final class ExclusiveLane {
    private let connectionsMax: Int
    private let waitingMax: Int
    private let checkoutTimeout: Duration
    private let bin: ResultBin
    private let metrics: PoolMetrics
    private let connect: () -> Void
    private let cancelReturned: @Sendable (LeaseID) -> Void

    private var idle: [Connection] = []
    private(set) var leases: [LeaseID: Lease] = [:]
    private var waiters = Deque<Checkout>()
    private var connecting = 0
    private var leaseNumber: UInt64 = 0
    private var backoff = Backoff()
    private var isDown = false
    private var retryAt: ContinuousClock.Instant?

    init(
        _ configuration: Database.Configuration, bin: ResultBin, metrics: PoolMetrics, connect: @escaping () -> Void, cancelReturned: @escaping @Sendable (LeaseID) -> Void
    ) {
        connectionsMax = configuration.exclusiveConnections
        waitingMax = configuration.checkoutsWaitingMax
        checkoutTimeout = configuration.checkoutTimeout
        self.bin = bin
        self.metrics = metrics
        self.connect = connect
        self.cancelReturned = cancelReturned
    }

    func addConnections(to all: inout [Connection]) {
        all += idle
        for lease in leases.values { all.append(lease.connection) }
    }

    // MARK: Handing out

    func checkOut(_ checkout: Checkout, now: ContinuousClock.Instant) {
        if isDown, idle.isEmpty {
            // Nobody waits for a server that was gone a moment ago; one attempt at a time looks whether it is back.
            if connecting == 0, now >= retryAt ?? now { open() }
            return refuse(checkout, .unavailable)
        }
        guard waiters.count < waitingMax else { return refuse(checkout, .queueFull) }
        checkout.deadline = now + checkoutTimeout
        waiters.append(checkout)
        serve(now: now)
    }

    func cancel(_ checkout: Checkout) {
        waiters.removeAll { $0 === checkout }
        checkout.fail(.cancelled)
    }

    /// Hands idle connections to those who wait longest, and opens more where there is room.
    private func serve(now: ContinuousClock.Instant) {
        while let connection = idle.last, let waiter = waiters.first {
            idle.removeLast()
            guard !connection.isLost else { continue }
            waiters.removeFirst()
            leaseNumber += 1
            let lease = Lease(id: LeaseID(number: leaseNumber), connection: connection, beginning: waiter.beginning)
            leases[lease.id] = lease
            if !waiter.succeed(lease.id) { release(lease.id, resets: false) }
        }
        if let retryAt {
            guard now >= retryAt else { return }
            self.retryAt = nil
        }
        while connecting < waiters.count, connecting + idle.count + leases.count < connectionsMax { open() }
    }

    private func open() {
        connecting += 1
        connect()
    }

    func opened(_ opened: OpenedConnection?, now: ContinuousClock.Instant) {
        connecting -= 1
        if let opened {
            serverIsBack()
            idle.append(Connection(opened, isShared: false, bin: bin))
            serve(now: now)
        } else {
            retryAt = now + backoff.next()
            // While others hold connections or attempts are under way, those who wait may still get one of these: a single attempt may fail
            // because the server was too busy for one more.
            guard idle.isEmpty, leases.isEmpty, connecting == 0 else { return }
            isDown = true
            for waiter in waiters { refuse(waiter, .unavailable) }
            waiters.removeAll()
        }
    }

    private func refuse(_ checkout: Checkout, _ error: DatabaseError) {
        metrics.refused(error)
        checkout.fail(error)
    }

    /// Somebody reached the server: try again without waiting.
    func serverIsBack() {
        isDown = false
        retryAt = nil
        backoff.reset()
    }

    // MARK: Taking back

    func submit(_ work: LeaseWork, to id: LeaseID) {
        guard let lease = leases[id] else { return work.fail(.connectionLost) }
        lease.submit(work)
    }

    func cancel(_ work: LeaseWork, of id: LeaseID, now: ContinuousClock.Instant) {
        leases[id]?.cancel(work, now: now) { [cancelReturned] in cancelReturned(id) }
    }

    func cancelDidReturn(_ id: LeaseID) {
        leases[id]?.cancelReturned()
    }

    /// - Parameter resets: whether the session may have been changed in ways that cannot be seen, such as an advisory lock.
    func release(_ id: LeaseID, resets: Bool) {
        guard let lease = leases[id] else { return }
        lease.failWaiting(.misuse("the connection was given back"))
        lease.phase = .released(resets: resets)
    }

    /// Moves every lease on as far as its connection has come.
    func settle(now: ContinuousClock.Instant) {
        idle.removeAll(where: \.isLost)
        for lease in leases.values {
            if let deadline = lease.cancelDeadline, deadline <= now, !lease.isQuiet { lease.connection.lose() }
            if lease.connection.isLost {
                metrics.connectionLost()
                lease.failWaiting(.connectionLost)
                leases[lease.id] = nil
                continue
            }
            lease.pump()
            guard lease.isQuiet else { continue }
            switch lease.phase {
            case .held: break
            case .released(let resets): clean(lease, resets: resets)
            case .cleaning(let request): if request.isAnswered { takeBack(lease, failure: request.failure) }
            }
        }
        while let waiter = waiters.first, waiter.deadline <= now {
            waiters.removeFirst()
            refuse(waiter, .timedOut)
        }
        serve(now: now)
    }

    /// A connection comes back as it was handed out: outside any transaction, with no lock, setting, listener or temporary table. This is
    /// DISCARD ALL less DEALLOCATE ALL, because the prepared statements are worth keeping.
    private func clean(_ lease: Lease, resets: Bool) {
        let connection = lease.connection
        guard connection.copy.isNone else {
            // Somebody left in the middle of a COPY; only the end of the connection ends that for certain.
            connection.lose()
            leases[lease.id] = nil
            return
        }
        var commands: [SQL] = connection.isInTransaction ? ["ROLLBACK"] : []
        if resets || connection.sessionChanged {
            commands += [
                "CLOSE ALL", "SET SESSION AUTHORIZATION DEFAULT", "RESET ALL", "UNLISTEN *", "SELECT pg_catalog.pg_advisory_unlock_all()",
                "DISCARD TEMP",
            ]
        }
        if commands.isEmpty { return takeBack(lease, failure: nil) }
        let request = Request(Request.Command(commands[0]), more: commands.dropFirst().map { Request.Command($0) })
        lease.phase = .cleaning(request)
        connection.send(request)
    }

    /// - Parameter failure: of the cleaning. Nobody gets a session that may still hold somebody's lock or setting.
    private func takeBack(_ lease: Lease, failure: DatabaseError?) {
        leases[lease.id] = nil
        guard failure == nil, !lease.connection.isLost, !lease.connection.isInTransaction else { return lease.connection.lose() }
        lease.connection.sessionChanged = false
        idle.append(lease.connection)
    }

    var nextDeadline: ContinuousClock.Instant? {
        var earliest = waiters.first?.deadline
        if let deadline = earliest, let retryAt { earliest = min(deadline, retryAt) }
        for lease in leases.values {
            if let deadline = lease.cancelDeadline { earliest = min(earliest ?? deadline, deadline) }
        }
        return earliest
    }

    func close() {
        for waiter in waiters { waiter.fail(.unavailable) }
        waiters.removeAll()
        for lease in leases.values {
            lease.connection.lose()
            lease.failWaiting(.connectionLost)
        }
        leases.removeAll()
        for connection in idle { connection.lose() }
        idle.removeAll()
    }
}
