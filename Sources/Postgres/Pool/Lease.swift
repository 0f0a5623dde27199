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
    private var waiting = Deque<LeaseWork>()
    private var current: ObjectIdentifier?

    init(id: LeaseID, connection: Connection) {
        self.id = id
        self.connection = connection
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
        guard let work = waiting.popFirst() else { return }
        current = work.identity
        switch work {
        case .request(let request): connection.send(request)
        case .copy(let step): connection.perform(step)
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
