// The inside of a `Database`: all connections and their queues, confined to the socket thread. An actor whose executor is that thread, so
// the compiler keeps everybody else out; but a statement costs no actor hop: it comes through the thread's inbox.
import Foundation
import Logging
import Synchronization

actor Pool {
    enum Work: Sendable {
        case job(UnownedJob)
        case shared(Request)
        case leased(LeaseWork, LeaseID)
        case cancelLeased(LeaseWork, LeaseID)
        case cancelReturned(LeaseID)
        case release(LeaseID, resets: Bool)
        case checkOut(Checkout)
        case cancelCheckout(Checkout)
        case opened(OpenedConnection?, Purpose)
        case listen(Listener)
        case unlisten(Listener)
        case close

        var isJob: Bool { if case .job = self { true } else { false } }
    }

    /// What a connection is opened for.
    enum Purpose: Sendable {
        case shared(slot: Int)
        case exclusive
        case listening
    }

    nonisolated let thread: SocketThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Statements on the shared connections that were accepted and are not answered.
    private nonisolated let outstanding = Atomic<Int>(0)
    private nonisolated let outstandingMax: Int
    private nonisolated let closing = Mutex<(isClosed: Bool, waiters: [CheckedContinuation<Void, Never>])>((false, []))

    private let connectors: Connectors
    private let configuration: Database.Configuration
    private let logger: Logger
    private let bin = ResultBin()
    private nonisolated let metrics = PoolMetrics()
    private var isOpen = true
    private lazy var shared = SharedLane(
        connections: configuration.sharedConnections, silenceMax: configuration.statementTimeout + Self.answerGrace, bin: bin, metrics: metrics
    ) { [thread, connectors] slot in
        connectors.shared.open { Self.deliver($0, .shared(slot: slot), to: thread) }
    }
    private lazy var exclusive = ExclusiveLane(configuration, bin: bin, metrics: metrics) { [thread, connectors] in
        connectors.exclusive.open { Self.deliver($0, .exclusive, to: thread) }
    } cancelReturned: { [thread] id in
        thread.post(.cancelReturned(id))
    }
    private lazy var listening = ListenLane(logger: logger, bin: bin) { [thread, connectors] in
        connectors.listening.open { Self.deliver($0, .listening, to: thread) }
    }

    struct Connectors: Sendable {
        let shared, exclusive, listening: Connector
    }

    /// How much longer than statement_timeout to wait for a server before taking it for dead. Not sooner: until its timeout a statement may
    /// rightly be at work, and from outside that looks the same. Five seconds leave a busy machine time to report the timeout itself.
    static let answerGrace = Duration.seconds(5)

    init(_ configuration: Database.Configuration, logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        outstandingMax = configuration.statementsOutstandingMax
        connectors = try configuration.connectors(logger: logger)
        thread = try SocketThread()
    }

    /// Starts the thread, which keeps the pool alive until it is closed.
    nonisolated func start() {
        thread.start { self.assumeIsolated { $0.run() } }
    }

    // MARK: From any thread

    /// Queues a request for the shared connections; answers it at once when the queue is full.
    nonisolated func submit(_ request: Request) {
        guard outstanding.add(1, ordering: .relaxed).newValue <= outstandingMax else {
            outstanding.subtract(1, ordering: .relaxed)
            metrics.refused(.queueFull)
            return request.fail(.queueFull)
        }
        if !thread.post(.shared(request)) {
            outstanding.subtract(1, ordering: .relaxed)
            request.fail(.unavailable)
        }
    }

    nonisolated func submit(_ work: LeaseWork, to lease: LeaseID) {
        if !thread.post(.leased(work, lease)) { work.fail(.connectionLost) }
    }

    nonisolated func submit(_ checkout: Checkout) {
        if !thread.post(.checkOut(checkout)) { checkout.fail(.unavailable) }
    }

    nonisolated func release(_ lease: LeaseID, resets: Bool) {
        thread.post(.release(lease, resets: resets))
    }

    /// Closes every connection and ends the thread. Returns when that is done; from any number of callers.
    nonisolated func close() async {
        thread.post(.close)
        await withCheckedContinuation { continuation in
            let isClosed = closing.withLock { closing in
                if !closing.isClosed { closing.waiters.append(continuation) }
                return closing.isClosed
            }
            if isClosed { continuation.resume() }
        }
    }

    private static func deliver(_ opened: OpenedConnection?, _ purpose: Purpose, to thread: SocketThread) {
        if !thread.post(.opened(opened, purpose)) { opened?.discard() }
    }

    // MARK: On the socket thread

    private func run() {
        var work: [Work] = []
        var sockets: [pollfd] = []
        var connections: [Connection] = []
        var discarded: [OpaquePointer] = []
        shared.start()
        while isOpen {
            turn(&work, &sockets, &connections)
            bin.empty(&discarded)
        }
        bin.close()
        thread.closeInbox()
        thread.take(into: &work)
        for item in work { refuse(item) }
        let waiters = closing.withLock { closing in
            closing.isClosed = true
            defer { closing.waiters = [] }
            return closing.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// One turn: what has arrived is sent, then whatever the sockets hold is read, then everybody moves on.
    private func turn(_ work: inout [Work], _ sockets: inout [pollfd], _ connections: inout [Connection]) {
        thread.take(into: &work)
        for item in work { perform(item) }
        work.removeAll(keepingCapacity: true)
        settle()
        guard isOpen else { return }

        connections.removeAll(keepingCapacity: true)
        shared.addConnections(to: &connections)
        exclusive.addConnections(to: &connections)
        listening.addConnections(to: &connections)
        sockets.removeAll(keepingCapacity: true)
        for connection in connections {
            connection.flushAll()
            // poll skips a negative descriptor. A lost connection's number may belong to somebody else by now.
            let descriptor = connection.isLost ? -1 : connection.socket
            sockets.append(pollfd(fd: descriptor, events: Int16(connection.wantsToWrite ? POLLIN | POLLOUT : POLLIN), revents: 0))
        }
        let hasLost = connections.contains(where: \.isLost)
        thread.wait(for: &sockets, milliseconds: hasLost ? 0 : millisecondsToWait())
        for (connection, socket) in zip(connections, sockets) where socket.revents != 0 {
            if Int32(socket.revents) & POLLOUT != 0 { connection.flushAll() }
            if Int32(socket.revents) & ~POLLOUT != 0 { connection.receive() }
        }
        // Only now, so that those who wake up find one another's company instead of going back to sleep one by one.
        for connection in connections { connection.deliver() }
    }

    private func settle() {
        let now = ContinuousClock.now
        shared.settle(now: now)
        exclusive.settle(now: now)
        listening.settle(now: now)
        shared.pump()
        // Last, so that nothing that was answered in this turn is still counted while the thread sleeps.
        let finished = shared.takeFinishedCount()
        if finished > 0 { outstanding.subtract(finished, ordering: .relaxed) }
    }

    private func millisecondsToWait() -> Int32 {
        var earliest = shared.nextDeadline
        for deadline in [exclusive.nextDeadline, listening.nextDeadline] {
            if let deadline { earliest = min(earliest ?? deadline, deadline) }
        }
        guard let earliest else { return -1 }
        return (earliest - .now).wholeMilliseconds
    }

    private func perform(_ work: Work) {
        switch work {
        case .job(let job): job.runSynchronously(on: unownedExecutor)
        case .shared(let request): shared.submit(request)
        case .leased(let work, let lease): exclusive.submit(work, to: lease)
        case .cancelLeased(let work, let lease): exclusive.cancel(work, of: lease, now: .now)
        case .cancelReturned(let lease): exclusive.cancelDidReturn(lease)
        case .release(let lease, let resets): exclusive.release(lease, resets: resets)
        case .checkOut(let checkout): exclusive.checkOut(checkout, now: .now)
        case .cancelCheckout(let checkout): exclusive.cancel(checkout)
        case .opened(let opened, let purpose): receive(opened, purpose)
        case .listen(let listener): listening.add(listener)
        case .unlisten(let listener): listening.remove(listener)
        case .close:
            isOpen = false
            shared.close()
            exclusive.close()
            listening.close()
        }
    }

    private func receive(_ opened: OpenedConnection?, _ purpose: Purpose) {
        guard isOpen else {
            opened?.discard()
            return
        }
        let wasDown = shared.isDown
        switch purpose {
        case .shared(let slot):
            shared.opened(opened, slot: slot, now: .now)
            if opened != nil { exclusive.serverIsBack() }
        case .exclusive: exclusive.opened(opened, now: .now)
        case .listening: listening.opened(opened, now: .now)
        }
        if shared.isDown != wasDown {
            logger.log(level: wasDown ? .notice : .error, "\(wasDown ? "the database is back" : "the database is unavailable")")
        }
    }

    /// What came after the end.
    private func refuse(_ work: Work) {
        switch work {
        case .job(let job): job.runSynchronously(on: unownedExecutor)
        case .shared(let request): request.fail(.unavailable)
        case .leased(let work, _): work.fail(.connectionLost)
        case .checkOut(let checkout): checkout.fail(.unavailable)
        case .opened(let opened, _): opened?.discard()
        case .listen(let listener): listener.finish()
        case .cancelLeased, .cancelReturned, .release, .cancelCheckout, .unlisten, .close: break
        }
    }
}
