// The answer to one statement, still in libpq's memory, on its way from the connection's thread to the caller's task, where it is decoded.
import CLibpq

/// Owns a `PGresult`. libpq never changes one after it was handed out, so any thread may read it.
final class QueryResult: @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) {
        self.pointer = pointer
    }

    deinit { PQclear(pointer) }

    /// Rows touched, from the command tag ("UPDATE 3"); 0 for commands that have no count.
    var rowsAffected: Int { Int(String(cString: PQcmdTuples(pointer))) ?? 0 }

    /// The command tag: "COMMIT", "INSERT 0 1".
    var commandTag: String { String(cString: PQcmdStatus(pointer)) }

    func rows<Q: Query>(of query: Q) throws -> [Q.Row] {
        let count = PQntuples(pointer)
        let columns = PQnfields(pointer)
        var rows: [Q.Row] = []
        rows.reserveCapacity(Int(count))
        for index in 0..<count {
            var reader = RowReader(result: self, row: index, columns: columns)
            rows.append(try query.decode(&reader))
            try reader.finish()
        }
        return rows
    }
}
