// One caller's wish on its way through the client: what to send, and the continuation that waits for the answer.
// It is made in the caller's task, travels to the connection's thread, and is answered exactly once, by whoever comes first:
// the server, a lost connection, a full queue, or the caller's own cancellation.
import Synchronization

typealias Outcome = Result<QueryResult, DatabaseError>

final class Request: Sendable {
    struct Command: Sendable {
        let sql: SQL
        let key: StatementKey
        /// Ends the transaction that the server makes implicitly: the answers so far count only after this sync.
        let syncs: Bool

        init(_ sql: SQL, syncs: Bool = true) {
            self.sql = sql
            self.syncs = syncs
            key = StatementKey(text: sql.text, types: sql.binds.types)
        }
    }

    private enum State: Sendable {
        case new
        case waiting(CheckedContinuation<[Outcome], any Error>)
        case answered(DatabaseError?)
    }

    let commands: [Command]
    private let state = Mutex(State.new)

    init(_ commands: [Command]) {
        self.commands = commands
    }

    /// A statement whose plan went out of date may be sent again if it is alone: a later command may have run already.
    var mayBeSentAgain: Bool { commands.count == 1 }

    /// - Throws: `DatabaseError.invalidBind` before anything is queued, so that no neighbour suffers from it.
    func validate() throws {
        for command in commands {
            if let problem = command.sql.binds.problem { throw DatabaseError.invalidBind(problem) }
        }
    }

    /// Leaves the caller's continuation here. Returns false, having resumed it, when the request was cancelled before it began.
    func park(_ continuation: CheckedContinuation<[Outcome], any Error>) -> Bool {
        let early: DatabaseError? = state.withLock { state in
            if case .answered(let error) = state { return error ?? .cancelled }
            state = .waiting(continuation)
            return nil
        }
        if let early { continuation.resume(throwing: early) }
        return early == nil
    }

    var isAnswered: Bool {
        state.withLock { if case .answered = $0 { true } else { false } }
    }

    func succeed(_ outcomes: [Outcome]) {
        take(nil)?.resume(returning: outcomes)
    }

    func fail(_ error: DatabaseError) {
        take(error)?.resume(throwing: error)
    }

    private func take(_ error: DatabaseError?) -> CheckedContinuation<[Outcome], any Error>? {
        state.withLock { state in
            switch state {
            case .waiting(let continuation):
                state = .answered(error)
                return continuation
            case .new:
                state = .answered(error)
                return nil
            case .answered:
                return nil
            }
        }
    }
}

/// What makes two statements the same to the server: text and bind types. Hashed once, in the caller's task.
struct StatementKey: Hashable, Sendable {
    let text: String
    let types: [UInt32]
    private let digest: Int

    init(text: String, types: [UInt32]) {
        self.text = text
        self.types = types
        digest = text.hashValue
    }

    func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    static func == (left: StatementKey, right: StatementKey) -> Bool {
        left.digest == right.digest && left.types == right.types && left.text == right.text
    }
}
