import Foundation
import Logging
import Postgres
import TestSupport
import Testing

struct Numbers: Query {
    let from: Int
    let to: Int
    var sql: SQL { "SELECT n FROM generate_series(\(from), \(to)) AS n" }
    func decode(_ row: inout RowReader) throws -> Int { try row.next() }
}

@Test func firstLight() async throws {
    let db = try await TestCluster.shared().makeDatabase()
    let database = try Database(configuration: .init(url: db.ownerURL), logger: Logger(label: "test"))
    #expect(try await database.query(Numbers(from: 1, to: 3)) == [1, 2, 3])
    try await database.execute("CREATE TABLE t (id int8 PRIMARY KEY, name text)")
    let n = try await database.transaction { tx in
        try await tx.execute("INSERT INTO t VALUES (\(1), \("a"))")
    }
    #expect(n == 1)
    await #expect(throws: DatabaseError.self) {
        try await database.execute("INSERT INTO t VALUES (\(1), \("a"))")
    }
    let m = try await database.copyIn(table: "t", columns: ["id", "name"]) { w in
        for i in 2...100_000 { try await w.row(i, "name\t\(i)") }
    }
    #expect(m == 99_999)
    await database.shutdown()
}
