// COPY FROM STDIN on one connection. Pipeline mode forbids COPY, so the connection leaves it for the time of the copy. Data is handed over in
// pieces; a piece counts as taken when the socket has taken it, which is how a slow server slows the writer down.
import CLibpq
import Synchronization

/// One step of a copy, sent by the caller's task and answered once by the socket thread.
final class CopyStep: Sendable {
    enum Kind: Sendable {
        case begin(String)
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
    /// The end is on its way; what the server has said so far.
    case ending(CopyStep, Result<Int, DatabaseError>)

    var isNone: Bool { if case .none = self { true } else { false } }
}

extension Connection {
    func perform(_ step: CopyStep) {
        guard !isLost else { return step.answer(.failure(.connectionLost)) }
        switch (step.kind, copy) {
        case (.begin(let text), .none) where isIdle:
            guard PQexitPipelineMode(handle) == 1, PQsendQuery(handle, text) == 1 else { return failCopy(step) }
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
            case .ending(let step, let soFar): takeEnd(step, soFar)
            case .open, .none: return  // an error shows itself only after the end
            }
            if case .open = copy { return }
        }
    }

    private func takeStart(_ step: CopyStep) {
        guard let result = PQgetResult(handle) else {
            // Not a COPY FROM STDIN: it ran and is over.
            finishCopy(step, .failure(.misuse("copyIn needs COPY … FROM STDIN")))
            return
        }
        defer { PQclear(result) }
        switch PQresultStatus(result) {
        case PGRES_COPY_IN:
            copy = .open(waiting: nil)
            step.answer(.success(0))
        case PGRES_FATAL_ERROR:
            copy = .ending(step, .failure(copyError(result)))
        case PGRES_COPY_OUT, PGRES_COPY_BOTH:
            step.answer(.failure(.misuse("copyIn needs COPY … FROM STDIN")))
            lose()
        default:
            break
        }
    }

    private func takeEnd(_ step: CopyStep, _ soFar: Result<Int, DatabaseError>) {
        guard let result = PQgetResult(handle) else { return finishCopy(step, soFar) }
        defer { PQclear(result) }
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
        if case .failure(.connectionLost) = result { lose() }
        step.answer(result)
    }

    private func failCopy(_ step: CopyStep) {
        lose()
        step.answer(.failure(.connectionLost))
    }

    /// Part of `lose`.
    func loseCopy() {
        let error: DatabaseError = isCancelling ? .cancelled : .connectionLost
        switch copy {
        case .starting(let step), .ending(let step, _), .open(let step?): step.answer(.failure(error))
        case .open(nil), .none: break
        }
        copy = .none
    }
}
