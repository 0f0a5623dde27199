// Transactions: BEGIN travels with the first statement, COMMIT's answer is read, and whatever goes wrong ends in ROLLBACK.
import Synchronization

/// What concurrent transactions may see of each other (PostgreSQL manual, "Transaction Isolation").
public enum Isolation: String, Sendable {
    case readCommitted = "READ COMMITTED"
    case repeatableRead = "REPEATABLE READ"
    case serializable = "SERIALIZABLE"
}

extension Database {
    /// Runs `body` in a transaction on a connection of its own: committed when it returns, rolled back when it throws. A cancelled task's statement is
    /// cancelled in the server.
    /// - Throws: what `body` throws; `.commitBecameRollback` when `body` swallowed an error; a server error that only COMMIT found (a deferred
    ///   constraint, a serialization failure: see `DatabaseError.isRetryable`); `.connectionLost` during COMMIT means that it is unknown
    ///   whether it was saved; `.unavailable`, `.queueFull` or `.timedOut` when there was no connection.
    public func transaction<T: Sendable>(
        isolation: Isolation = .readCommitted, _ body: (Transaction) async throws -> T
    ) async throws -> T {
        let lease = try await pool.checkOut()
        defer { pool.release(lease, resets: false) }
        let transaction = Transaction(pool: pool, lease: lease, isolation: isolation)
        do {
            let value = try await body(transaction)
            try await transaction.commit()
            return value
        } catch {
            await transaction.rollBack()
            throw error
        }
    }
}

/// A transaction during `Database.transaction`. Useless afterwards.
public final class Transaction: Executor {
    private enum State {
        case notBegun, begun, ended
    }

    let pool: Pool
    let lease: LeaseID
    private let isolation: Isolation
    private let state = Mutex(State.notBegun)

    init(pool: Pool, lease: LeaseID, isolation: Isolation) {
        self.pool = pool
        self.lease = lease
        self.isolation = isolation
    }

    public func query<Q: Query>(_ query: Q) async throws -> [Q.Row] {
        try await run(query.sql).rows(of: query)
    }

    @discardableResult
    public func execute(_ sql: SQL) async throws -> Int {
        try await run(sql).rowsAffected
    }

    private func run(_ sql: SQL) async throws -> QueryResult {
        let command = Request.Command(sql)
        if let problem = sql.binds.problem { throw DatabaseError.invalidBind(problem) }
        // BEGIN shares the first statement's sync: should it fail, the server skips the statement instead of running it outside.
        let request = try isFirst() ? Request(Request.Command(begin, syncs: false), command) : Request(command)
        return try await pool.run(request, on: lease).result()
    }

    /// Whether BEGIN must go along.
    private func isFirst() throws -> Bool {
        try state.withLock { state in
            defer { if case .notBegun = state { state = .begun } }
            switch state {
            case .notBegun: return true
            case .begun: return false
            case .ended: throw DatabaseError.misuse("the transaction has ended")
            }
        }
    }

    private var begin: SQL { "BEGIN ISOLATION LEVEL \(unsafeRaw: isolation.rawValue)" }

    /// Opens the transaction where no statement will: before a COPY.
    func beginAlone() async throws {
        guard try isFirst() else { return }
        _ = try await pool.run(Request(Request.Command(begin)), on: lease).result()
    }

    fileprivate func commit() async throws {
        guard end() else { return }
        let answer = try await pool.runUncancelled(Request(Request.Command("COMMIT")), on: lease)
        guard try answer.result().commandTag == "COMMIT" else { throw DatabaseError.commitBecameRollback }
    }

    /// Waits for the server, so that no lock is held any more when the caller goes on. If this fails the connection is thrown away, which rolls back too.
    fileprivate func rollBack() async {
        guard end() else { return }
        _ = try? await pool.runUncancelled(Request(Request.Command("ROLLBACK")), on: lease)
    }

    /// Ends it for further statements. True if there is something to commit or roll back.
    private func end() -> Bool {
        state.withLock { state in
            defer { state = .ended }
            if case .begun = state { return true }
            return false
        }
    }
}
