// An exclusive connection while somebody holds it: their statements one after another, their cancellation, and the cleaning afterwards.
import CLibpq
import DequeModule

struct LeaseID: Hashable, Sendable {
    let number: UInt64
}

/// What a holder may ask of its connection.
enum LeaseWork: Sendable {
    case request(Request)
    case copy(CopyStep)

    func fail(_ error: DatabaseError) {
        switch self {
        case .request(let request): request.fail(error)
        case .copy(let step): step.answer(.failure(error))
        }
    }

    var identity: ObjectIdentifier {
        switch self {
        case .request(let request): ObjectIdentifier(request)
        case .copy(let step): ObjectIdentifier(step)
        }
    }
}

/// Confined to the socket thread.
final class Lease {
    enum Phase {
        case held
        /// Given back; waits until the server owes nothing.
        case released(resets: Bool)
        /// The cleaning statements are on their way.
        case cleaning(Request)
    }

    /// A holder works in sequence; this many waiting at once are a bug, or a task group gone wild.
    static let workWaitingMax = 1024
    /// A server that has not answered a cancel request by then will not: the connection is thrown away.
    static let cancelGrace = Duration.seconds(5)

    let id: LeaseID
    let connection: Connection
    var phase = Phase.held
    /// When an unanswered cancellation makes us give the connection up.
    private(set) var cancelDeadline: ContinuousClock.Instant?
    /// The cancel request is on its way; no other statement may start, or it might be hit instead.
    private var cancelIsOut = false
    /// Whether everything here belongs to one transaction.
    private let isTransaction: Bool
    /// Its BEGIN, until it is sent: ahead of whatever comes first, whichever task that comes from.
    private var beginning: Request.Command?
    /// The same on its way alone, ahead of a COPY.
    private var begun: Request?
    private var waiting = Deque<LeaseWork>()
    private var current: ObjectIdentifier?

    init(id: LeaseID, connection: Connection, beginning: Request.Command?) {
        self.id = id
        self.connection = connection
        self.beginning = beginning
        isTransaction = beginning != nil
    }

    func submit(_ work: LeaseWork) {
        if connection.isLost { return work.fail(.connectionLost) }
        guard case .held = phase else { return work.fail(.misuse("the connection was given back")) }
        guard waiting.count < Self.workWaitingMax else { return work.fail(.queueFull) }
        waiting.append(work)
        pump()
    }

    func pump() {
        guard connection.isReadyForWork, !cancelIsOut else { return }
        if cancelDeadline != nil {
            cancelDeadline = nil
            connection.isCancelling = false
        }
        current = nil
        while let work = waiting.popFirst() {
            guard let obstacle = obstacle(to: work) else { return start(work) }
            work.fail(obstacle)
        }
    }

    /// Why the server must not see this.
    private func obstacle(to work: LeaseWork) -> DatabaseError? {
        if isTransaction, beginning == nil, !connection.isInTransaction {
            return begun?.failure ?? .misuse("the transaction is not open: BEGIN failed, or a statement ended it")
        }
        if case .request = work, !connection.copy.isNone { return .misuse("a statement in the middle of a COPY") }
        return nil
    }

    private func start(_ work: LeaseWork) {
        switch work {
        case .request(let request):
            current = work.identity
            connection.send(request, after: beginning)
            beginning = nil
        case .copy(let step):
            if let beginning {
                // COPY has no place in a pipeline: BEGIN goes alone, and the COPY when that is answered.
                let request = Request(beginning.alone, commits: false)
                begun = request
                self.beginning = nil
                waiting.prepend(work)
                return connection.send(request)
            }
            current = work.identity
            connection.perform(step)
        }
    }

    /// The holder's task was cancelled while `work` was waiting or running.
    /// - Parameter returned: called on the thread that sent the cancel request, after the server took it.
    func cancel(_ work: LeaseWork, now: ContinuousClock.Instant, returned: @escaping @Sendable () -> Void) {
        if let index = waiting.firstIndex(where: { $0.identity == work.identity }) {
            waiting.remove(at: index)
            return work.fail(.cancelled)
        }
        guard current == work.identity, !connection.isReadyForWork, cancelDeadline == nil, !connection.isLost else { return }
        connection.isCancelling = true
        cancelDeadline = now + Self.cancelGrace
        guard let ticket = CancelTicket(connection) else { return connection.lose() }
        cancelIsOut = true
        onOwnThread {
            ticket.send()
            returned()
        }
    }

    func cancelReturned() {
        cancelIsOut = false
        pump()
    }

    /// Nothing is running, waiting, or on its way to interrupt.
    var isQuiet: Bool { connection.isReadyForWork && waiting.isEmpty && !cancelIsOut }

    func failWaiting(_ error: DatabaseError) {
        for work in waiting { work.fail(error) }
        waiting.removeAll()
    }
}

/// libpq's permission to cancel whatever a connection is doing, usable from any thread.
private struct CancelTicket: @unchecked Sendable {
    private let handle: OpaquePointer

    init?(_ connection: Connection) {
        guard let handle = PQgetCancel(connection.handle) else { return nil }
        self.handle = handle
    }

    /// Connects to the server, which may take its time; returns once the server has passed the signal on.
    func send() {
        var reason = [CChar](repeating: 0, count: 256)
        _ = PQcancel(handle, &reason, Int32(reason.count))
        PQfreeCancel(handle)
    }
}
