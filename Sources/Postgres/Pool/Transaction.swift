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
    ///   constraint, a serialization failure); `.connectionLost` when the connection broke before COMMIT, so that nothing was saved;
    ///   `.outcomeUnknown` when it broke during COMMIT; `.unavailable`, `.queueFull` or `.timedOut` when there was no connection.
    public func transaction<T: Sendable>(
        isolation: Isolation = .readCommitted, _ body: (Transaction) async throws -> T
    ) async throws -> T {
        let lease = try await pool.checkOut(beginning: "BEGIN ISOLATION LEVEL \(unsafeRaw: isolation.rawValue)")
        defer { pool.release(lease, resets: false) }
        let transaction = Transaction(pool: pool, lease: lease)
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

/// A transaction during `Database.transaction`. Useless afterwards. Statements of several tasks wait for one another.
public final class Transaction: Executor {
    private enum State {
        case unused, used, ended
    }

    let pool: Pool
    let lease: LeaseID
    private let state = Mutex(State.unused)

    init(pool: Pool, lease: LeaseID) {
        self.pool = pool
        self.lease = lease
    }

    /// - Throws: also `.misuse` for a statement that would end the transaction. Savepoints are welcome.
    public func query<Q: Query>(_ query: Q) async throws -> [Q.Row] {
        try use(for: query.sql)
        return try await pool.query(query, on: lease, commits: false)
    }

    /// - Throws: also `.misuse` for a statement that would end the transaction. Savepoints are welcome.
    @discardableResult
    public func execute(_ sql: SQL) async throws -> Int {
        try use(for: sql)
        return try await pool.execute(sql, on: lease, commits: false)
    }

    private func use(for sql: SQL) throws {
        if controlsTransaction(sql.text) { throw DatabaseError.misuse("only the end of `transaction` ends it") }
        try use()
    }

    /// Notes that there will be something to commit.
    func use() throws {
        try state.withLock { state in
            if case .ended = state { throw DatabaseError.misuse("the transaction has ended") }
            state = .used
        }
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
            if case .used = state { return true }
            return false
        }
    }
}
