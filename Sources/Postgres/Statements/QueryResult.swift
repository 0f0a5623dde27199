// The answer to one statement, still in libpq's memory, on its way from the connection's thread to the caller's task, where it is decoded.
import CLibpq
import Synchronization

/// Owns a `PGresult`. libpq never changes one after it was handed out, so any thread may read it.
final class QueryResult: @unchecked Sendable {
    let pointer: OpaquePointer
    private let bin: ResultBin

    init(owning pointer: OpaquePointer, bin: ResultBin) {
        self.pointer = pointer
        self.bin = bin
    }

    deinit { bin.discard(pointer) }

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

/// Results that nobody needs any more, on their way back to the socket thread, which made them: memory that one thread allocates and another
/// frees makes both wait for the allocator's lock (a seventh of all waits in a profile of point reads).
final class ResultBin: Sendable {
    /// Larger results are freed at once: an idle connection's thread may not come by for a long time.
    static let keptBytesMax = 16 * 1024
    static let keptMax = 256

    private struct Bin: @unchecked Sendable {
        var results: [OpaquePointer] = []
        var isClosed = false
    }

    private let bin = Mutex(Bin())

    func discard(_ result: OpaquePointer) {
        let isKept = PQresultMemorySize(result) <= Self.keptBytesMax && bin.withLock { bin in
            guard !bin.isClosed, bin.results.count < Self.keptMax else { return false }
            bin.results.append(result)
            return true
        }
        if !isKept { PQclear(result) }
    }

    /// Frees what has gathered. On the socket thread, which passes the same array each time to spare another.
    func empty(_ spare: inout [OpaquePointer]) {
        bin.withLock { swap(&$0.results, &spare) }
        for result in spare { PQclear(result) }
        spare.removeAll(keepingCapacity: true)
    }

    func close() {
        bin.withLock { $0.isClosed = true }
        var rest: [OpaquePointer] = []
        empty(&rest)
    }
}
