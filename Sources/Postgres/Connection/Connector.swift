// Opening a connection: the only part of libpq that may wait (for names, for TLS, for passwords), so it has a thread of its own
// and hands the finished connection to the socket thread.
import CLibpq
import Foundation
import Logging

/// A connection that is open, not yet owned by anybody. Passed from the thread that opened it to the socket thread, never shared.
struct OpenedConnection: @unchecked Sendable {
    let handle: OpaquePointer
    let notices: NoticeLog

    /// For a connection that nobody wants any more.
    func discard() { PQfinish(handle) }
}

/// Opens connections with one set of parameters.
struct Connector: Sendable {
    private let parameters: [(keyword: String, value: String)]
    private let timeout: Duration
    private let logger: Logger

    /// - Throws: `DatabaseError.misuse` when the URL is none; libpq's own message may quote the password, so it is withheld.
    init(_ configuration: Database.Configuration, session: [String: String], logger: Logger) throws {
        guard let options = PQconninfoParse(configuration.url, nil) else {
            throw DatabaseError.misuse("the database URL is neither a libpq connection string nor a postgresql:// URI")
        }
        defer { PQconninfoFree(options) }
        var given: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { given[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        // What an operator put into the URL wins over our defaults; the session settings are ours.
        let settings = session.sorted { $0.key < $1.key }.map { "-c \($0.key)=\($0.value)" }
        let ours = ["options": ([given["options"]].compactMap { $0 } + settings).joined(separator: " "), "client_encoding": "UTF8"]
        let defaults = [
            "application_name": configuration.applicationName,
            // A peer that vanished without a word is noticed within half a minute.
            "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3", "tcp_user_timeout": "25000",
        ]
        parameters = defaults.merging(given) { $1 }.merging(ours) { $1 }.map { (keyword: $0.key, value: $0.value) }
        timeout = configuration.connectTimeout
        self.logger = logger
    }

    /// Opens a connection on a thread of its own, then calls `finish` there: with nil when there is none to be had.
    func open(finish: @escaping @Sendable (OpenedConnection?) -> Void) {
        onOwnThread { finish(open()) }
    }

    private func open() -> OpenedConnection? {
        let notices = NoticeLog(logger: logger)
        guard let handle = start() else { return nil }
        PQsetNoticeReceiver(handle, receiveNotice, Unmanaged.passUnretained(notices).toOpaque())
        let deadline = ContinuousClock.now + timeout
        var poll = PGRES_POLLING_WRITING
        while poll != PGRES_POLLING_OK {
            guard poll != PGRES_POLLING_FAILED, PQstatus(handle) != CONNECTION_BAD, waitForSocket(of: handle, poll, until: deadline) else { break }
            poll = PQconnectPoll(handle)
        }
        guard poll == PGRES_POLLING_OK, PQsetnonblocking(handle, 1) == 0, PQenterPipelineMode(handle) == 1 else {
            let reason = poll == PGRES_POLLING_FAILED || PQstatus(handle) == CONNECTION_BAD ? firstLine(PQerrorMessage(handle)) : "timed out"
            logger.debug("could not connect to the database", metadata: ["reason": "\(reason)"])
            PQfinish(handle)
            return nil
        }
        return OpenedConnection(handle: handle, notices: notices)
    }

    private func start() -> OpaquePointer? {
        var keywords: [UnsafeMutablePointer<CChar>?] = parameters.map { strdup($0.keyword) } + [nil]
        var values: [UnsafeMutablePointer<CChar>?] = parameters.map { strdup($0.value) } + [nil]
        defer { (keywords + values).forEach { free($0) } }
        return keywords.withUnsafeMutableBufferPointer { keywords in
            values.withUnsafeMutableBufferPointer { values in
                keywords.withMemoryRebound(to: UnsafePointer<CChar>?.self) { keywords in
                    values.withMemoryRebound(to: UnsafePointer<CChar>?.self) { values in
                        PQconnectStartParams(keywords.baseAddress!, values.baseAddress!, 0)
                    }
                }
            }
        }
    }

    /// Waits for the socket as libpq asks. False when the time is up.
    private func waitForSocket(of handle: OpaquePointer, _ wish: PostgresPollingStatusType, until deadline: ContinuousClock.Instant) -> Bool {
        let left = deadline - ContinuousClock.now
        guard left > .zero else { return false }
        let events = wish == PGRES_POLLING_READING ? POLLIN : POLLOUT
        var socket = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
        return poll(&socket, 1, left.wholeMilliseconds) > 0
    }
}

/// libpq's messages have several lines; the first says it.
func firstLine(_ message: UnsafePointer<CChar>?) -> String {
    guard let message else { return "" }
    return String(String(cString: message).prefix { $0 != "\n" })
}

/// Runs blocking work away from Swift's cooperative threads. A thread each: such work is rare, and a shared queue could be full of it.
func onOwnThread(_ work: @escaping @Sendable () -> Void) {
    Thread(block: work).start()
}

extension Duration {
    /// Rounded up, so that a wait never ends just before its deadline; at most a day, for poll's 32 bits.
    var wholeMilliseconds: Int32 {
        let (seconds, attoseconds) = components
        let milliseconds = seconds.multipliedReportingOverflow(by: 1000).partialValue + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return Int32(max(0, min(milliseconds, 86_400_000)))
    }
}
