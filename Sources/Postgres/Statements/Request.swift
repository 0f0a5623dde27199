// One caller's wish on its way through the client: what to send, and the continuation that waits for the answer.
// It is made in the caller's task, travels to the connection's thread, and is answered exactly once, by whoever comes first:
// the server, a lost connection, a full queue, or the caller's own cancellation.
import Synchronization

typealias Outcome = Result<QueryResult, DatabaseError>

/// The outcomes of a request's commands, in order. The usual request has one command, which takes no array.
struct Answer: Sendable {
    private(set) var earlier: [Outcome] = []
    private(set) var last: Outcome

    init(_ only: Outcome) {
        last = only
    }

    mutating func append(_ outcome: Outcome) {
        earlier.append(last)
        last = outcome
    }

    /// The implicit COMMIT failed after the last command had seemed to succeed.
    mutating func revokeLast(_ error: DatabaseError) {
        last = .failure(error)
    }

    /// The first command that failed.
    var failure: DatabaseError? {
        for outcome in earlier + [last] {
            if case .failure(let error) = outcome { return error }
        }
        return nil
    }

    /// The last command's result, if every command before it succeeded too.
    func result() throws -> QueryResult {
        for outcome in earlier { _ = try outcome.get() }
        return try last.get()
    }
}

final class Request: Sendable {
    struct Command: Sendable {
        let sql: SQL
        let key: StatementKey
        /// Ends the transaction that the server makes implicitly: the answers so far count only after this sync.
        let syncs: Bool

        init(_ sql: SQL, syncs: Bool = true) {
            self.sql = sql
            self.syncs = syncs
            key = StatementKey(sql)
        }

        /// The same with a sync of its own.
        var alone: Command { Command(sql) }
    }

    private enum State: Sendable {
        case new
        case waiting(UnsafeContinuation<Answer, any Error>)
        case answered(DatabaseError?)
    }

    let first: Command
    let more: [Command]
    /// Whether this saves anything: a statement by itself and COMMIT do, a statement inside a transaction does not.
    let commits: Bool
    private let state = Mutex(State.new)

    /// The commands go out together, in order.
    init(_ first: Command, more: [Command] = [], commits: Bool = true) {
        self.first = first
        self.more = more
        self.commits = commits
    }

    /// What the caller hears when the connection breaks while this is under way.
    var errorIfLost: DatabaseError { commits ? .outcomeUnknown : .connectionLost }

    /// A statement whose plan went out of date may be sent again if it is alone: a later command may have run already.
    var mayBeSentAgain: Bool { more.isEmpty }

    /// - Throws: `DatabaseError.invalidBind` before anything is queued, so that no neighbour suffers from it.
    func validate() throws {
        if let problem = first.sql.binds.problem { throw DatabaseError.invalidBind(problem) }
        for command in more {
            if let problem = command.sql.binds.problem { throw DatabaseError.invalidBind(problem) }
        }
    }

    /// Leaves the caller's continuation here; `take` sees to it that it is resumed once. Returns false, having resumed it, when the request was cancelled before it began.
    func park(_ continuation: UnsafeContinuation<Answer, any Error>) -> Bool {
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

    /// Why nothing came of a request that nobody waits for; nil while it is under way, and when all is well.
    var failure: DatabaseError? {
        state.withLock { if case .answered(let error) = $0 { error } else { nil } }
    }

    /// Hands over the server's answer, which may be a refusal.
    func complete(_ answer: Answer) {
        take(nil, else: answer)?.resume(returning: answer)
    }

    func fail(_ error: DatabaseError) {
        take(error)?.resume(throwing: error)
    }

    /// The caller's continuation, once. Where nobody waits, the failure is kept for whoever looks.
    private func take(_ error: DatabaseError?, else answer: Answer? = nil) -> UnsafeContinuation<Answer, any Error>? {
        state.withLock { state in
            switch state {
            case .waiting(let continuation):
                state = .answered(error)
                return continuation
            case .new:
                state = .answered(error ?? answer?.failure)
                return nil
            case .answered:
                return nil
            }
        }
    }
}

/// What makes two statements the same to the server: text and bind types. Hashed once, in the caller's task.
struct StatementKey: Hashable, Sendable {
    private let text: String
    /// Shared with the statement, not copied. Only the types count.
    private let binds: [BindWriter.Bind]
    private let digest: Int

    init(_ sql: SQL) {
        text = sql.text
        binds = sql.binds.binds
        digest = text.hashValue
    }

    func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    static func == (left: StatementKey, right: StatementKey) -> Bool {
        left.digest == right.digest && left.text == right.text && left.binds.elementsEqual(right.binds) { $0.type == $1.type }
    }
}
