// Runs whole SQL scripts, which may hold many statements: the simple query protocol, which pipelined connections do not speak.
// Only migrations and bootstrap need it, before the pool exists, so it blocks, and lives on a thread of its own.
import CLibpq
import Foundation

/// One blocking connection for scripts, confined to the thread that opened it.
final class ScriptConnection {
    private let handle: OpaquePointer

    /// - Throws: `MigrationError.cannotConnect`
    init(url: String) throws {
        guard let handle = PQconnectdb(url) else { throw MigrationError.cannotConnect("out of memory") }
        guard PQstatus(handle) == CONNECTION_OK else {
            let reason = firstLine(PQerrorMessage(handle))
            PQfinish(handle)
            throw MigrationError.cannotConnect(reason)
        }
        self.handle = handle
        // "relation exists, skipping" and its like say nothing to whoever waits for a migration.
        PQsetNoticeReceiver(handle, { _, _ in }, nil)
        PQsetClientEncoding(handle, "UTF8")
    }

    deinit { PQfinish(handle) }

    /// Whether a transaction is open, in which nothing has failed.
    var isInTransaction: Bool { PQtransactionStatus(handle) == PQTRANS_INTRANS }

    /// Runs every statement of a script, to the first that fails.
    func run(_ script: String) throws {
        try check(PQexec(handle, script))
    }

    /// Runs one statement with its parameters as text.
    /// - Returns: its rows, column by column as text.
    @discardableResult
    func query(_ statement: String, _ parameters: [String] = []) throws -> [[String?]] {
        let values = parameters.map { strdup($0) }
        defer { values.forEach { free($0) } }
        let result = PQexecParams(
            handle, statement, Int32(values.count), nil, values.map { UnsafePointer($0) }, nil, nil, 0)
        defer { PQclear(result) }
        guard let result, [PGRES_COMMAND_OK, PGRES_TUPLES_OK].contains(PQresultStatus(result)) else { throw error(of: result) }
        return (0..<PQntuples(result)).map { row in
            (0..<PQnfields(result)).map { column in
                PQgetisnull(result, row, column) == 1 ? nil : String(cString: PQgetvalue(result, row, column))
            }
        }
    }

    private func check(_ result: OpaquePointer?) throws {
        defer { PQclear(result) }
        guard let result, [PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY].contains(PQresultStatus(result)) else {
            throw error(of: result)
        }
    }

    private func error(of result: OpaquePointer?) -> any Error {
        let error = result.map { DatabaseError(result: $0) } ?? .connectionLost
        // A script commits where it likes.
        if case .connectionLost = error { return DatabaseError.outcomeUnknown }
        return error
    }
}

/// Runs a script of one or more statements on a connection of its own. Nothing is bound: the text must be the program's own.
/// - Throws: `MigrationError.cannotConnect`, `DatabaseError`
public func runScript(_ script: String, on url: String) async throws {
    try await withScriptConnection(to: url) { try $0.run(script) }
}

/// Runs blocking work with a script connection on a thread of its own.
func withScriptConnection<T: Sendable>(
    to url: String, _ body: @escaping @Sendable (ScriptConnection) throws -> T
) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
        onOwnThread {
            continuation.resume(with: Result { try body(ScriptConnection(url: url)) })
        }
    }
}
