// One connection in pipeline mode: statements go out as they come, answers come back in the same order. Its whole state is the list of what
// the server still owes us. Confined to the socket thread (it is not Sendable, and only the Pool actor holds any).
import CLibpq
import DequeModule

final class Connection {
    /// What libpq will report next, in order.
    private enum Expected {
        case prepare(StatementKey)
        case execution(StatementKey)
        case sync(Request, isLast: Bool)
        /// A statement of our own that nobody waits for.
        case housekeeping
        case housekeepingSync
    }

    let handle: OpaquePointer
    let socket: Int32
    /// Shared connections refuse what would change the session under the feet of others, and repeat statements with stale plans.
    let isShared: Bool
    private let notices: NoticeLog
    private let readsPerWake: Int

    private(set) var isLost = false
    /// Output that the socket would not take yet.
    private(set) var wantsToWrite = false
    private(set) var requestsInFlight = 0
    /// Requests answered since the pool last asked.
    private(set) var requestsFinished = 0
    /// When the server last gave us anything, or had nothing to give.
    private(set) var lastProgress = ContinuousClock.now
    /// Set while a cancellation is under way: an interrupted statement was then cancelled, not timed out.
    var isCancelling = false
    /// Whether a statement changed the session (SET, LISTEN …), so that it must be reset before somebody else gets it.
    var sessionChanged = false
    /// COPY leaves pipeline mode; see CopyStream.swift.
    var copy = CopyState.none
    var onNotification: ((_ channel: String, _ payload: String) -> Void)?

    private var prepared = PreparedStatements()
    private var expected = Deque<Expected>()
    /// What the request at the head has so far.
    private var answer: Answer?
    private var segmentError: DatabaseError?
    /// Whether the request at the head goes out once more, and which one did last: nobody does twice.
    private var sendsAgain = false
    private var sentAgain: ObjectIdentifier?
    /// Requests that have their answer; their callers are woken together, after all sockets were read.
    private var answered: [(Request, Answer)] = []
    private let bin: ResultBin
    private var parameters = Parameters()

    init(_ opened: OpenedConnection, isShared: Bool, bin: ResultBin) {
        handle = opened.handle
        self.bin = bin
        notices = opened.notices
        socket = PQsocket(opened.handle)
        self.isShared = isShared
        // One record of TLS (16 kB) may be decrypted and not yet read, which poll cannot see; three reads empty it.
        readsPerWake = PQsslInUse(opened.handle) == 1 ? 3 : 1
    }

    deinit { PQfinish(handle) }

    /// Nothing is owed to us.
    var isIdle: Bool { expected.isEmpty && copy.isNone }

    /// Idle, or inside a COPY that waits for the next piece.
    var isReadyForWork: Bool {
        if case .open(nil) = copy { return true }
        return isIdle
    }

    /// Whether the server is inside a transaction; meaningful only while idle.
    var isInTransaction: Bool { PQtransactionStatus(handle) != PQTRANS_IDLE }

    // MARK: Sending

    func isPrepared(_ key: StatementKey) -> Bool { prepared.contains(key) }

    /// Queues the request on the wire. Its answer comes through the request itself.
    /// - Parameter beginning: a BEGIN that goes first, in the sync of the request's first command: should it fail, the server skips that
    ///   command instead of running it outside a transaction.
    func send(_ request: Request, after beginning: Request.Command? = nil) {
        guard !isLost else { return request.fail(.connectionLost) }
        if isShared, let refusal = refusal(of: request) {
            requestsFinished += 1
            return request.fail(refusal)
        }
        if expected.isEmpty { lastProgress = .now }
        requestsInFlight += 1
        for name in prepared.takeDiscarded() { deallocate(name) }
        var isSent = true
        if let beginning { isSent = send(beginning, of: request, isLast: false) }
        isSent = isSent && send(request.first, of: request, isLast: request.more.isEmpty)
        for (index, command) in request.more.enumerated() where isSent {
            isSent = send(command, of: request, isLast: index == request.more.count - 1)
        }
        guard isSent else {
            lose()
            requestsFinished += 1
            return request.fail(request.errorIfLost)
        }
    }

    private func send(_ command: Request.Command, of request: Request, isLast: Bool) -> Bool {
        guard send(command) else { return false }
        expected.append(.execution(command.key))
        guard command.syncs else { return true }
        // (In libpq 15 this also writes to the socket, so a batch of statements is a batch of system calls.)
        guard PQpipelineSync(handle) == 1 else { return false }
        expected.append(.sync(request, isLast: isLast))
        return true
    }

    private func send(_ command: Request.Command) -> Bool {
        let sql = command.sql
        switch prepared.way(for: command.key) {
        case .named(let name):
            return execute(name, sql.binds)
        case .prepare(let name):
            expected.append(.prepare(command.key))
            return parameters.withTypes(of: sql.binds) { PQsendPrepare(handle, name, sql.text, $0, $1) } == 1 && execute(name, sql.binds)
        case .unprepared:
            return parameters.withTypes(of: sql.binds) { count, types in
                parameters.withValues(of: sql.binds) { PQsendQueryParams(handle, sql.text, count, types, $0, $1, $2, 1) }
            } == 1
        }
    }

    private func execute(_ name: [CChar], _ binds: BindWriter) -> Bool {
        parameters.withValues(of: binds) { PQsendQueryPrepared(handle, name, Int32(binds.binds.count), $0, $1, $2, 1) } == 1
    }

    private func deallocate(_ name: [CChar]) {
        let text = "DEALLOCATE " + String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        expected.append(.housekeeping)
        expected.append(.housekeepingSync)
        guard PQsendQueryParams(handle, text, 0, nil, nil, nil, nil, 1) == 1, PQpipelineSync(handle) == 1 else { return lose() }
    }

    /// Pushes out what is buffered; the rest goes when the socket is writable again.
    func flush() {
        guard !isLost else { return }
        let rest = PQflush(handle)
        wantsToWrite = rest == 1
        if rest < 0 { lose() }
    }

    /// Pushes out what is buffered, data of a COPY included.
    func flushAll() {
        if copy.isNone { flush() } else { flushCopy() }
    }

    // MARK: Receiving

    /// The socket is readable (or broken): takes everything that has arrived.
    func receive() {
        guard !isLost else { return }
        for _ in 0..<readsPerWake {
            let isAlive = PQconsumeInput(handle) == 1
            if copy.isNone { takeResults() } else { takeCopyResults() }
            if !isAlive || PQstatus(handle) == CONNECTION_BAD { return lose() }
        }
        if let onNotification {
            while let notification = PQnotifies(handle) {
                defer { PQfreemem(notification) }
                onNotification(String(cString: notification.pointee.relname), String(cString: notification.pointee.extra))
            }
        }
    }

    private func takeResults() {
        // Also with nothing expected: PQisBusy is what makes libpq read notices and notifications.
        guard PQisBusy(handle) == 0, !expected.isEmpty else { return }
        lastProgress = .now
        var separators = 0
        while !expected.isEmpty, !isLost, PQisBusy(handle) == 0 {
            guard let result = PQgetResult(handle) else {
                // One NULL ends the results of each command; more of them mean that nothing is there.
                separators += 1
                if separators > 2 { return }
                continue
            }
            separators = 0
            take(result)
        }
    }

    private func take(_ result: OpaquePointer) {
        let status = PQresultStatus(result)
        switch (expected[0], status) {
        case (.sync(let request, let isLast), PGRES_PIPELINE_SYNC):
            PQclear(result)
            expected.removeFirst()
            segmentError = nil
            if isLast { finish(request) }
        case (.housekeepingSync, PGRES_PIPELINE_SYNC):
            PQclear(result)
            expected.removeFirst()
        case (.sync, PGRES_FATAL_ERROR):
            // The implicit COMMIT failed: rows that libpq has already given us never became true.
            failLastSegment(DatabaseError(result: result))
            PQclear(result)
        case (.prepare(let key), _):
            expected.removeFirst()
            if status == PGRES_COMMAND_OK { prepared.confirm(key) } else { prepared.prepareFailed(key) }
            if status == PGRES_FATAL_ERROR { note(error: DatabaseError(result: result)) }
            PQclear(result)
        case (.execution(let key), _):
            expected.removeFirst()
            takeExecution(result, status, key)
        case (.housekeeping, _):
            expected.removeFirst()
            PQclear(result)
        case (.sync, _), (.housekeepingSync, _):
            PQclear(result)
            lose()  // a result that nobody asked for: the two ends disagree
        }
    }

    private func takeExecution(_ result: OpaquePointer, _ status: ExecStatusType, _ key: StatementKey) {
        switch status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            let owned = QueryResult(owning: result, bin: bin)
            if status == PGRES_COMMAND_OK, !isShared { noteSessionChange(owned) }
            add(.success(owned))
        case PGRES_PIPELINE_ABORTED:
            add(.failure(segmentError ?? .connectionLost))
            PQclear(result)
        default:
            if DatabaseError.isStalePlan(result) {
                prepared.discard(key)
                sendsAgain = isShared
            }
            add(.failure(note(error: DatabaseError(result: result))))
            PQclear(result)
        }
    }

    private func add(_ outcome: Outcome) {
        if answer?.append(outcome) == nil { answer = Answer(outcome) }
    }

    @discardableResult
    private func note(error: DatabaseError) -> DatabaseError {
        var error = error
        if isCancelling, case .timedOut = error { error = .cancelled }
        if case .connectionLost = error { lose() }
        segmentError = error
        return error
    }

    private func failLastSegment(_ error: DatabaseError) {
        let error = note(error: error)
        answer?.revokeLast(error)
    }

    private func finish(_ request: Request) {
        requestsInFlight -= 1
        defer {
            answer = nil
            sendsAgain = false
        }
        // A caller that has left meanwhile wants nothing done any more.
        if sendsAgain, request.mayBeSentAgain, !request.isAnswered, sentAgain != ObjectIdentifier(request) {
            sentAgain = ObjectIdentifier(request)
            return send(request)
        }
        requestsFinished += 1
        if let answer { answered.append((request, answer)) }
    }

    /// Wakes the callers that have their answer.
    func deliver() {
        for (request, answer) in answered { request.complete(answer) }
        answered.removeAll(keepingCapacity: true)
    }

    func takeFinishedCount() -> Int {
        defer { requestsFinished = 0 }
        return requestsFinished
    }

    // MARK: The end

    /// Gives the connection up: everybody who waits on it hears so, and nobody else.
    func lose() {
        guard !isLost else { return }
        isLost = true
        wantsToWrite = false
        let owed = expected
        expected.removeAll()
        answer = nil
        for entry in owed {
            guard case .sync(let request, true) = entry else { continue }
            requestsFinished += 1
            request.fail(isCancelling ? .cancelled : request.errorIfLost)
        }
        requestsInFlight = 0
        loseCopy()
    }
}
