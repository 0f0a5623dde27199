// Every way in which the database can let a caller down. `description` may be logged; what the server said about values may not.

/// What a statement can throw.
public enum DatabaseError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The server refused the statement. Nothing of it remains.
    case server(ServerError)
    /// The connection broke before anything was saved: inside a transaction, which is undone, or with the statement not yet sent.
    /// Nothing of it remains.
    case connectionLost
    /// The connection broke while a statement that is a transaction by itself, or COMMIT, was under way: whether it was saved is unknown,
    /// so it is never repeated for you. Whoever only read may simply read again.
    case outcomeUnknown
    /// No connection can be had now: the server is down or starting. Nothing was sent. Answer 503 and come back.
    case unavailable
    /// A bounded queue is full. Nothing was sent. Answer 503 at once.
    case queueFull
    /// `statement_timeout` ended the statement, or no exclusive connection came free in time. Nothing of it remains.
    case timedOut
    /// The caller's task was cancelled. Outside a transaction the statement may still have run.
    case cancelled
    /// COMMIT was answered with ROLLBACK: an error inside the transaction had been swallowed. Nothing was saved.
    case commitBecameRollback
    /// A column could not be read as what `decode` asked for. `reason` holds no value.
    case decoding(column: String, reason: String)
    /// `one` or `optional` met this many rows.
    case unexpectedRowCount(Int)
    /// A value that PostgreSQL cannot hold, such as a NUL character in text; found before anything was sent.
    case invalidBind(String)
    /// The statement cannot be run here, for instance BEGIN on the shared connections, or after the transaction ended. A bug of the caller.
    case misuse(String)

    /// The five characters of PostgreSQL's Appendix A, for errors that came from the server.
    public var sqlState: String? { serverError?.sqlState }

    /// The name of the constraint that was violated.
    public var constraint: String? { serverError?.constraint }

    public var serverError: ServerError? {
        if case .server(let error) = self { error } else { nil }
    }

    /// Whether the database or the way to it failed, not the statement: the same call may succeed a moment later. After
    /// `.outcomeUnknown`, and only then, the first one may have succeeded too.
    public var isUnavailability: Bool {
        switch self {
        case .unavailable, .queueFull, .connectionLost, .outcomeUnknown, .timedOut: true
        default: false
        }
    }

    /// Without values and without the server's words, which quote values.
    public var description: String {
        switch self {
        case .server(let error): error.description
        case .connectionLost: "the database connection was lost"
        case .outcomeUnknown: "the database connection was lost while something was being saved"
        case .unavailable: "the database is unavailable"
        case .queueFull: "the database queue is full"
        case .timedOut: "the database took too long"
        case .cancelled: "the database statement was cancelled"
        case .commitBecameRollback: "COMMIT was answered with ROLLBACK"
        case .decoding(let column, let reason): "column \(column) \(reason)"
        case .unexpectedRowCount(let count): "unexpected number of rows: \(count)"
        case .invalidBind(let reason): "invalid bind: \(reason)"
        case .misuse(let reason): "misuse of the database: \(reason)"
        }
    }

    /// Everything, values included. For a developer's eyes, not for a log.
    public var debugDescription: String {
        if case .server(let error) = self { error.debugDescription } else { description }
    }
}

/// What the server said, field by field (PostgreSQL manual, "Error and Notice Message Fields").
public struct ServerError: Error, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public let sqlState: String
    /// May quote values.
    public let message: String
    /// Often quotes values.
    public let detail: String?
    public let hint: String?
    public let schema: String?
    public let table: String?
    public let column: String?
    public let constraint: String?

    /// SQLSTATE and the names of schema objects only.
    public var description: String {
        let names = [("constraint", constraint), ("table", table), ("column", column)].compactMap { label, name in name.map { " \(label) \($0)" } }
        return "SQLSTATE \(sqlState)" + names.joined()
    }

    public var debugDescription: String {
        [description, message, detail, hint].compactMap { $0 }.joined(separator: " · ")
    }

    /// So that an interpolated or dumped error does not give away what `description` withholds.
    public var customMirror: Mirror { Mirror(self, children: ["sqlState": sqlState, "constraint": constraint as Any]) }
}

/// SQLSTATEs that callers commonly tell apart.
extension DatabaseError {
    public var isUniqueViolation: Bool { sqlState == "23505" }
    public var isForeignKeyViolation: Bool { sqlState == "23503" }
    public var isPermissionDenied: Bool { sqlState == "42501" }
}
