// The database as the slices see it. Single statements go to the shared connections from here, transactions to exclusive ones
// (Transaction.swift, ExclusiveConnection.swift, CopyIn.swift), and listeners to their own (Listener.swift).
public import Logging

/// A pool of connections to PostgreSQL.
///
/// Statements that run on the `Database` itself share connections with those of other callers, each in a transaction of its own: they must be short
/// and wait for no lock. Whatever takes several statements, or may wait, belongs into `transaction` or `exclusive`.
public final class Database: Executor {
    let pool: Pool

    /// Starts connecting at once, in the background; the first statements wait for the first attempt's outcome.
    /// - Throws: `DatabaseError.misuse` when the URL cannot be read.
    public init(configuration: Configuration, logger: Logger) throws {
        pool = try Pool(configuration, logger: logger)
        pool.start()
    }

    deinit {
        pool.thread.post(.close)
    }

    /// Closes all connections. Statements under way fail as when the connection breaks: end the callers first.
    public func shutdown() async {
        await pool.close()
    }

    public func query<Q: Query>(_ query: Q) async throws -> [Q.Row] {
        try await single(query.sql).rows(of: query)
    }

    @discardableResult
    public func execute(_ sql: SQL) async throws -> Int {
        try await single(sql).rowsAffected
    }

    /// Two statements one after the other on one connection, in one round trip. Each is a transaction of its own: `b` sees what `a`
    /// committed, and runs also when `a` failed.
    /// - Returns: the rows of `a`, which is committed, and what became of `b`.
    /// - Throws: the error of `a`, or of the connection before either was answered.
    public func pipeline<A: Query, B: Query>(_ a: A, _ b: B) async throws -> ([A.Row], Result<[B.Row], any Error>) {
        let answer = try await run(Request(Request.Command(a.sql), more: [Request.Command(b.sql)]))
        return (try answer.earlier[0].get().rows(of: a), Result { try answer.last.get().rows(of: b) })
    }

    private func single(_ sql: SQL) async throws -> QueryResult {
        try await run(Request(Request.Command(sql))).last.get()
    }

    /// Waits for the answer. A cancelled caller leaves at once: its answer, when it comes, is thrown away.
    private func run(_ request: Request) async throws -> Answer {
        try request.validate()
        return try await withTaskCancellationHandler {
            try await withUnsafeThrowingContinuation { continuation in
                if request.park(continuation) { pool.submit(request) }
            }
        } onCancel: {
            request.fail(.cancelled)
        }
    }
}
