// What a slice writes for each question it asks (a statement, its binds and its row, in one type), and who can run it.

/// A statement that gives rows, and how one row becomes a value.
///
/// ```swift
/// struct OpenTasks: Query {
///     let resident: ID<Resident>
///     var sql: SQL { "SELECT id, title FROM task.item WHERE resident_id = \(resident)" }
///     func decode(_ row: inout RowReader) throws -> (ID<Task>, String) { (try row.next(), try row.next()) }
/// }
/// ```
public protocol Query<Row>: Sendable {
    associatedtype Row: Sendable
    var sql: SQL { get }
    /// Reads the columns of one row in the order of the SELECT list, all of them.
    func decode(_ row: inout RowReader) throws -> Row
}

/// Whoever runs statements: the `Database` itself (each statement a transaction of its own), a `Transaction`, or an `ExclusiveConnection`.
public protocol Executor: Sendable {
    /// - Returns: every row. The whole result is in memory: a statement that may give many rows needs a LIMIT.
    /// - Throws: `DatabaseError`, or what `decode` throws.
    func query<Q: Query>(_ query: Q) async throws -> [Q.Row]

    /// - Returns: the number of rows that were inserted, updated, deleted or selected; 0 for other commands.
    /// - Throws: `DatabaseError`
    @discardableResult func execute(_ sql: SQL) async throws -> Int
}

extension Executor {
    /// - Throws: `DatabaseError.unexpectedRowCount` unless there is exactly one row.
    public func one<Q: Query>(_ query: Q) async throws -> Q.Row {
        let rows = try await self.query(query)
        guard rows.count == 1 else { throw DatabaseError.unexpectedRowCount(rows.count) }
        return rows[0]
    }

    /// - Returns: the row, or nil when there is none.
    /// - Throws: `DatabaseError.unexpectedRowCount` when there are several.
    public func optional<Q: Query>(_ query: Q) async throws -> Q.Row? {
        let rows = try await self.query(query)
        guard rows.count <= 1 else { throw DatabaseError.unexpectedRowCount(rows.count) }
        return rows.first
    }
}
