// COPY on one connection. Pipeline mode forbids it, so the connection leaves it for the time of the copy. Data is handed over in
// pieces; a piece counts as taken when the socket has taken it, which is how a slow server slows the writer down.
import CLibpq
import Synchronization

/// One step of a copy, sent by the caller's task and answered once by the socket thread.
final class CopyStep: Sendable {
    enum Kind: Sendable {
        case begin(String)
        /// A COPY that came as an ordinary statement. The server says whether it is allowed; rows that it wants or has, nobody here has or wants.
        case statement(String, commits: Bool)
        case data([UInt8])
        /// Ends the copy; the answer is the number of rows.
        case end
        /// Makes the server throw the rows away.
        case abandon
    }

    private enum State: Sendable {
        case waiting(CheckedContinuation<Int, any Error>)
        case new, answered
    }

    let kind: Kind
    private let state = Mutex(State.new)

    init(_ kind: Kind) {
        self.kind = kind
    }

    /// What the caller hears when the connection breaks meanwhile.
    var errorIfLost: DatabaseError {
        if case .statement(_, commits: true) = kind { .outcomeUnknown } else { .connectionLost }
    }

    func park(_ continuation: CheckedContinuation<Int, any Error>) {
        state.withLock { $0 = .waiting(continuation) }
    }

    func answer(_ result: Result<Int, DatabaseError>) {
        let continuation: CheckedContinuation<Int, any Error>? = state.withLock { state in
            defer { state = .answered }
            if case .waiting(let continuation) = state { return continuation }
            return nil
        }
        continuation?.resume(with: result.mapError { $0 as any Error })
    }
}

/// Where a connection stands with its copy.
enum CopyState {
    case none
    /// The COPY command is on its way.
    case starting(CopyStep)
    /// The server takes data; a step waits for the socket to take its piece.
    case open(waiting: CopyStep?)
    /// The server sends rows that nobody wants, to their end.
    case draining(CopyStep)
    /// The end is on its way; what the server has said so far.
    case ending(CopyStep, Result<Int, DatabaseError>)

    var isNone: Bool { if case .none = self { true } else { false } }
}

extension Connection {
    func perform(_ step: CopyStep) {
        guard !isLost else { return step.answer(.failure(.connectionLost)) }
        switch (step.kind, copy) {
        case (.begin(let text), .none) where isIdle, (.statement(let text, _), .none) where isIdle:
            // Not PQsendQuery, which would run several statements if the text held them.
            guard PQexitPipelineMode(handle) == 1, PQsendQueryParams(handle, text, 0, nil, nil, nil, nil, 0) == 1 else { return failCopy(step) }
            copy = .starting(step)
            flush()
        case (.data(let bytes), .open(waiting: nil)):
            let sent = bytes.withUnsafeBytes { PQputCopyData(handle, $0.bindMemory(to: CChar.self).baseAddress, Int32(bytes.count)) }
            guard sent == 1 else { return failCopy(step) }
            copy = .open(waiting: step)
            flushCopy()
        case (.end, .open(waiting: nil)), (.abandon, .open(waiting: nil)):
            let reason: String? = if case .abandon = step.kind { "the client gave up" } else { nil }
            guard PQputCopyEnd(handle, reason) == 1 else { return failCopy(step) }
            copy = .ending(step, .failure(.connectionLost))
            flush()
            // A refusal may have been read long ago; libpq looks at it only now that the copy has ended.
            takeCopyResults()
        default:
            step.answer(.failure(.misuse("a copy step out of turn")))
        }
    }

    /// The socket may take more: lets the writer go on once its piece is gone.
    func flushCopy() {
        flush()
        if !isLost, !wantsToWrite, case .open(let step?) = copy {
            copy = .open(waiting: nil)
            step.answer(.success(0))
        }
    }

    func takeCopyResults() {
        while !copy.isNone, PQisBusy(handle) == 0 {
            switch copy {
            case .starting(let step): takeStart(step)
            case .draining(let step): guard drain(step) else { return }
            case .ending(let step, let soFar): takeEnd(step, soFar)
            case .open, .none: return  // an error shows itself only after the end
            }
            if case .open = copy { return }
        }
    }

    private func takeStart(_ step: CopyStep) {
        guard let result = PQgetResult(handle) else {
            return failCopy(step)  // libpq gives a result for every statement
        }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_COPY_IN:
            if case .begin = step.kind {
                copy = .open(waiting: nil)
                return step.answer(.success(0))
            }
            guard PQputCopyEnd(handle, "no rows came with the statement") == 1 else { return failCopy(step) }
            copy = .ending(step, .failure(.misuse("COPY FROM STDIN goes through copyIn")))
            flush()
        case PGRES_COPY_OUT:
            copy = .draining(step)
        case PGRES_FATAL_ERROR:
            copy = .ending(step, .failure(copyError(result)))
        case PGRES_COMMAND_OK:
            // Between a table and a file of the server.
            copy = .ending(step, .success(Int(String(cString: PQcmdTuples(result))) ?? 0))
        default:
            failCopy(step)
        }
    }

    /// Throws away what has arrived. Returns false until there is more, or when all is lost.
    private func drain(_ step: CopyStep) -> Bool {
        while true {
            var row: UnsafeMutablePointer<CChar>?
            switch PQgetCopyData(handle, &row, 1) {
            case 0: return false
            case -1:
                copy = .ending(step, .failure(.misuse("COPY TO STDOUT has nowhere to put its rows")))
                return true
            case -2:
                failCopy(step)
                return false
            default: PQfreemem(row)
            }
        }
    }

    private func takeEnd(_ step: CopyStep, _ soFar: Result<Int, DatabaseError>) {
        guard let result = PQgetResult(handle) else { return finishCopy(step, soFar) }
        defer { PQclear(result) }
        // The server's complaint that we ended it is no news to the caller.
        if case .failure(.misuse) = soFar { return }
        switch PQresultStatus(result) {
        case PGRES_COMMAND_OK: copy = .ending(step, .success(Int(String(cString: PQcmdTuples(result))) ?? 0))
        case PGRES_FATAL_ERROR: copy = .ending(step, .failure(copyError(result)))
        default: break
        }
    }

    private func copyError(_ result: OpaquePointer) -> DatabaseError {
        let error = DatabaseError(result: result)
        if isCancelling, case .timedOut = error { return .cancelled }
        return error
    }

    private func finishCopy(_ step: CopyStep, _ result: Result<Int, DatabaseError>) {
        copy = .none
        if PQenterPipelineMode(handle) != 1 { lose() }
        if case .failure(.connectionLost) = result { return failCopy(step) }
        step.answer(result)
    }

    private func failCopy(_ step: CopyStep) {
        lose()
        step.answer(.failure(step.errorIfLost))
    }

    /// Part of `lose`.
    func loseCopy() {
        switch copy {
        case .starting(let step), .draining(let step), .ending(let step, _), .open(let step?):
            step.answer(.failure(isCancelling ? .cancelled : step.errorIfLost))
        case .open(nil), .none: break
        }
        copy = .none
    }
}
