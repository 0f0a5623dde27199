// A connection of one's own for a while: for statements that may wait for locks, and for session locks.

extension Database {
    /// Runs `body` with a connection that nobody else uses meanwhile. Each statement is a transaction of its own unless `body` begins one. Afterwards
    /// the session is reset: no lock, setting or temporary table survives.
    /// - Throws: `.unavailable`, `.queueFull` or `.timedOut` when there is no connection; else what `body` throws.
    public func exclusive<T: Sendable>(_ body: (ExclusiveConnection) async throws -> T) async throws -> T {
        let connection = ExclusiveConnection(pool: pool, lease: try await pool.checkOut())
        defer { pool.release(connection.lease, resets: true) }
        return try await body(connection)
    }
}

/// A connection during `Database.exclusive`. Useless afterwards.
public final class ExclusiveConnection: Executor {
    private let pool: Pool
    let lease: LeaseID

    init(pool: Pool, lease: LeaseID) {
        self.pool = pool
        self.lease = lease
    }

    public func query<Q: Query>(_ query: Q) async throws -> [Q.Row] {
        try await pool.query(query, on: lease, commits: true)
    }

    @discardableResult
    public func execute(_ sql: SQL) async throws -> Int {
        try await pool.execute(sql, on: lease, commits: true)
    }
}

extension Pool {
    /// Waits for a connection of its own.
    /// - Parameter beginning: the BEGIN of a transaction that everything on it belongs to.
    nonisolated func checkOut(beginning: SQL? = nil) async throws -> LeaseID {
        let checkout = Checkout(beginning: beginning.map { Request.Command($0, syncs: false) })
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if checkout.park(continuation) { submit(checkout) }
            }
        } onCancel: {
            checkout.fail(.cancelled)
            thread.post(.cancelCheckout(checkout))
        }
    }

    /// One statement of a holder.
    /// - Parameter commits: whether the statement is a transaction by itself, so that a lost connection leaves its outcome unknown.
    nonisolated func query<Q: Query>(_ query: Q, on lease: LeaseID, commits: Bool) async throws -> [Q.Row] {
        if isCopy(query.sql.text) {
            _ = try await execute(query.sql, on: lease, commits: commits)
            throw DatabaseError.misuse("COPY gives no rows")
        }
        return try await run(Request(Request.Command(query.sql), commits: commits), on: lease).result().rows(of: query)
    }

    nonisolated func execute(_ sql: SQL, on lease: LeaseID, commits: Bool) async throws -> Int {
        // In a pipeline a COPY would cost the connection; on its own way it gets the server's judgement like any other statement.
        if isCopy(sql.text) {
            if let problem = sql.binds.problem { throw DatabaseError.invalidBind(problem) }
            return try await perform(.statement(sql.text, commits: commits), on: lease)
        }
        return try await run(Request(Request.Command(sql), commits: commits), on: lease).result().rowsAffected
    }

    /// Runs a request on a leased connection. Cancelling the task cancels the statement in the server; the caller leaves when the server has let go.
    nonisolated func run(_ request: Request, on lease: LeaseID) async throws -> Answer {
        try request.validate()
        if Task.isCancelled { throw DatabaseError.cancelled }
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                if request.park(continuation) { submit(.request(request), to: lease) }
            }
        } onCancel: {
            thread.post(.cancelLeased(.request(request), lease))
        }
    }

    /// The same, but to its end even in a cancelled task: for COMMIT and ROLLBACK, which must not be left halfway.
    nonisolated func runUncancelled(_ request: Request, on lease: LeaseID) async throws -> Answer {
        try await withUnsafeThrowingContinuation { continuation in
            if request.park(continuation) { submit(.request(request), to: lease) }
        }
    }
}
