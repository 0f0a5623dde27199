// LISTEN/NOTIFY: one connection of its own carries every channel that this process listens to, and comes back by itself.
import CLibpq
import Logging

extension Database {
    /// The payloads of NOTIFY on a channel, for as long as the stream is read.
    ///
    /// An empty payload comes whenever listening begins, also after a lost connection: what was notified meanwhile is unknown, so look for
    /// yourself. (NOTIFY without a payload is empty too, and means the same.) The stream ends at shutdown.
    public func listen(channel: String) -> AsyncStream<String> {
        let (stream, continuation) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(Listener.notificationsKeptMax))
        let listener = Listener(channel: channel, continuation: continuation)
        continuation.onTermination = { [thread = pool.thread] _ in thread.post(.unlisten(listener)) }
        if !pool.thread.post(.listen(listener)) { listener.finish() }
        return stream
    }
}

/// Somebody who listens to a channel.
final class Listener: Sendable {
    /// A listener that has fallen this far behind loses the oldest: a notification means "look again", and one look serves many.
    static let notificationsKeptMax = 1024

    let channel: String
    private let continuation: AsyncStream<String>.Continuation

    init(channel: String, continuation: AsyncStream<String>.Continuation) {
        self.channel = channel
        self.continuation = continuation
    }

    func hear(_ payload: String) { continuation.yield(payload) }
    func finish() { continuation.finish() }
}

/// Confined to the socket thread.
final class ListenLane {
    private let logger: Logger
    private let bin: ResultBin
    private let connect: () -> Void
    private var listeners: [String: [Listener]] = [:]
    private var connection: Connection?
    private var isConnecting = false
    private var retryAt: ContinuousClock.Instant?
    private var backoff = Backoff()
    /// LISTEN commands on their way; those who wait for each are told when it is in force.
    private var starting: [(request: Request, channel: String)] = []

    init(logger: Logger, bin: ResultBin, connect: @escaping () -> Void) {
        self.logger = logger
        self.bin = bin
        self.connect = connect
    }

    func addConnections(to all: inout [Connection]) {
        if let connection { all.append(connection) }
    }

    func add(_ listener: Listener) {
        listeners[listener.channel, default: []].append(listener)
        if connection != nil { start(listener.channel) } else if !isConnecting, retryAt == nil { open() }
    }

    func remove(_ listener: Listener) {
        listeners[listener.channel]?.removeAll { $0 === listener }
        guard listeners[listener.channel]?.isEmpty == true else { return }
        listeners[listener.channel] = nil
        connection?.send(Request(Request.Command("UNLISTEN \(unsafeRaw: quotedIdentifier(listener.channel))")))
    }

    func opened(_ opened: OpenedConnection?, now: ContinuousClock.Instant) {
        isConnecting = false
        guard let opened else {
            retryAt = now + backoff.next()
            return
        }
        backoff.reset()
        let connection = Connection(opened, isShared: false, bin: bin)
        connection.onNotification = { [weak self] channel, payload in
            self?.listeners[channel]?.forEach { $0.hear(payload) }
        }
        self.connection = connection
        for channel in listeners.keys { start(channel) }
    }

    func settle(now: ContinuousClock.Instant) {
        for (request, channel) in starting where request.isAnswered && connection?.isLost == false {
            // From here on nothing is missed; what happened before, each listener must look up itself.
            listeners[channel]?.forEach { $0.hear("") }
            _ = request
        }
        starting.removeAll { $0.request.isAnswered }
        if let lost = connection, lost.isLost {
            connection = nil
            starting = []
            retryAt = now + backoff.next()
            logger.notice("the listening connection was lost; reconnecting")
        }
        if let retryAt, retryAt <= now, !listeners.isEmpty { open() }
    }

    var nextDeadline: ContinuousClock.Instant? { listeners.isEmpty ? nil : retryAt }

    func close() {
        connection?.lose()
        connection = nil
        for listener in listeners.values.joined() { listener.finish() }
        listeners.removeAll()
    }

    private func open() {
        retryAt = nil
        isConnecting = true
        connect()
    }

    private func start(_ channel: String) {
        let request = Request(Request.Command("LISTEN \(unsafeRaw: quotedIdentifier(channel))"))
        starting.append((request, channel))
        connection?.send(request)
    }
}

/// A name as SQL's quoted identifier, which keeps it from being anything else.
func quotedIdentifier(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
}
