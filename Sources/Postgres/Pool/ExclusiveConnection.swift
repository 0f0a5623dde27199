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
        try await run(query.sql).rows(of: query)
    }

    @discardableResult
    public func execute(_ sql: SQL) async throws -> Int {
        try await run(sql).rowsAffected
    }

    private func run(_ sql: SQL) async throws -> QueryResult {
        try await pool.run(Request(Request.Command(sql)), on: lease).result()
    }
}

extension Pool {
    /// Waits for a connection of its own.
    nonisolated func checkOut() async throws -> LeaseID {
        let checkout = Checkout()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                if checkout.park(continuation) { submit(checkout) }
            }
        } onCancel: {
            checkout.fail(.cancelled)
            thread.post(.cancelCheckout(checkout))
        }
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
