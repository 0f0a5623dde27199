// COPY: every character arrives as it was, big inputs stream, and a failure leaves nothing.
import Foundation
import Postgres
import Primitives
import TestSupport
import Testing

@Suite struct CopyInTests {
    private struct GaveUp: Error {}

    @Test func everyCharacterArrives() async throws {
        let texts: [String?] = [
            "tab\there", "line\nfeed", "return\rhere", "back\\slash", "\\N", "\\.", "\\", "", nil, "N", "\"quoted\", 'quoted'", "\u{8}\u{c}\u{b}\u{1}",
            "\\n\\t\\x41\\101", "ünïcödé 👩‍👩‍👧", " padded ", "\r\n",
        ]
        try await withDatabase { database in
            try await database.execute(#"CREATE TABLE "Copied" (id int8, "odd "" name" text)"#)
            let count = try await database.copyIn(table: "public.Copied", columns: ["id", #"odd " name"#]) { writer in
                for (index, text) in texts.enumerated() { try await writer.row(index, text) }
            }
            #expect(count == texts.count)
            let back = try await database.query(Values<String?>(#"SELECT "odd "" name" FROM "Copied" ORDER BY id"#))
            #expect(back == texts)
        }
    }

    @Test func everyTypeArrives() async throws {
        struct Row: Query {
            let sql: SQL
            func decode(_ row: inout RowReader) throws -> String {
                "\(try row.next(Bool.self)) \(try row.next(Int.self)) \(try row.next(UUID.self)) \(try row.next(CalendarDay.self)) \(try row.next([UInt8].self)) \(try row.next(String.self))"
            }
        }
        let id = ID<Row>.new()
        let moment = Date(timeIntervalSince1970: 1_782_909_296.789_012)
        let early = Date(timeIntervalSince1970: -62_000_000_000.25)
        try await withDatabase { database in
            try await database.execute("CREATE TABLE copied_types (b bool, i int4, u uuid, d date, y bytea, j jsonb, t timestamptz, e timestamptz)")
            _ = try await database.copyIn(table: "copied_types", columns: ["b", "i", "u", "d", "y", "j", "t", "e"]) { writer in
                try await writer.row(
                    true, Int.min / Int(Int32.max) / 4, id, CalendarDay("1987-06-05"), [0, 92, 110, 255] as [UInt8], JSONText(#"{"a\\b": "\n"}"#), moment, early)
            }
            let row = try await database.one(Row(sql: "SELECT b, i, u, d, y, j ->> 'a\\b' FROM copied_types"))
            #expect(row == "true -1073741824 \(id.uuid) 1987-06-05 [0, 92, 110, 255] \n")
            let moments = try await database.value("SELECT t = \(moment) AND e = \(early) FROM copied_types", as: Bool.self)
            #expect(moments)
        }
    }

    @Test func aBigInputStreams() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE copied_many (id int8, text text)")
            let text = String(repeating: "x", count: 400)
            let count = try await database.copyIn(table: "copied_many", columns: ["id", "text"]) { writer in
                for number in 0..<50_000 { try await writer.row(number, text) }
            }
            #expect(count == 50_000)
            #expect(try await database.value("SELECT sum(id)::int8 FROM copied_many", as: Int.self) == 50_000 * 49_999 / 2)
        }
    }

    @Test func nothingRemainsOfAFailure() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE copied_once (id int8 CONSTRAINT copied_once_key PRIMARY KEY)")
            await #expect(throws: GaveUp.self) {
                _ = try await database.copyIn(table: "copied_once", columns: ["id"]) { writer in
                    for number in 0..<50_000 { try await writer.row(number) }
                    throw GaveUp()
                }
            }
            let duplicate = await databaseError {
                _ = try await database.copyIn(table: "copied_once", columns: ["id"]) { writer in
                    for number in 0..<50_000 { try await writer.row(number % 40_000) }
                }
            }
            #expect(duplicate?.constraint == "copied_once_key")
            let malformed = await databaseError {
                _ = try await database.copyIn(table: "copied_once", columns: ["id"]) { try await $0.row("seven") }
            }
            #expect(malformed?.sqlState == "22P02")
            let missing = await databaseError {
                _ = try await database.copyIn(table: "no_such_table", columns: ["id"]) { try await $0.row(1) }
            }
            #expect(missing?.sqlState == "42P01")
            let refused = await databaseError {
                _ = try await database.copyIn(table: "copied_once", columns: ["id"]) { try await $0.row("1\0") }
            }
            #expect(refused?.isInvalidBind == true)
            // The one connection has survived all of it.
            #expect(try await database.copyIn(table: "copied_once", columns: ["id"]) { try await $0.row(7) } == 1)
            #expect(try await database.query(Values<Int>("SELECT id FROM copied_once")) == [7])
        }
    }

    /// The server judges a COPY like any statement; one that it allows but that nobody here can serve is refused, and the connection stays.
    @Test func aCopyThatCameAsAStatementCostsNoConnection() async throws {
        try await withDatabase(role: .app) { $0.exclusiveConnections = 1 } _: { database in
            let pid: SQL = "SELECT pg_backend_pid()"
            let before = try await database.exclusive { try await $0.value(pid, as: Int.self) }
            try await database.exclusive { connection in
                try await connection.execute("CREATE TEMPORARY TABLE copied_plainly AS SELECT generate_series(1, 100000) AS n")
                #expect(await databaseError { try await connection.execute("COPY pg_authid TO STDOUT") }?.isPermissionDenied == true)
                #expect(await databaseError { try await connection.execute("COPY pg_authid FROM STDIN") }?.isPermissionDenied == true)
                #expect(await databaseError { try await connection.execute("COPY copied_plainly TO STDOUT") }?.isMisuse == true)
                #expect(await databaseError { try await connection.execute("COPY copied_plainly FROM STDIN") }?.isMisuse == true)
                #expect(await databaseError { try await connection.execute("COPY copied_plainly TO STDOUT; SELECT 1") }?.sqlState == "42601")
                #expect(await databaseError { _ = try await connection.query(Values<Int>("COPY copied_plainly TO STDOUT")) }?.isMisuse == true)
                #expect(try await connection.value("SELECT count(*) FROM copied_plainly", as: Int.self) == 100_000)
                #expect(try await connection.value(pid, as: Int.self) == before)
            }
            let refused = await databaseError {
                try await database.transaction { _ = try await $0.execute("COPY pg_authid TO STDOUT") }
            }
            #expect(refused?.isPermissionDenied == true)
            let after = try await database.transaction { try await $0.value(pid, as: Int.self) }
            #expect(after == before)
        }
        // Between a table and a file of the server, where that is allowed, it is a statement like any other.
        try await withDatabase(role: .superuser) { database in
            let count = try await database.transaction { transaction in
                try await transaction.execute("CREATE TEMPORARY TABLE copied_to_file AS SELECT generate_series(1, 7) AS n")
                return try await transaction.execute("COPY copied_to_file TO '/dev/null'")
            }
            #expect(count == 7)
        }
    }

    @Test func aStatementInTheMiddleOfACopyIsRefused() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE copied_around (id int8)")
            let count = try await database.transaction { transaction in
                try await transaction.copyIn(table: "copied_around", columns: ["id"]) { writer in
                    try await writer.row(1)
                    #expect(await databaseError { try await transaction.execute("SELECT 1") }?.isMisuse == true)
                    try await writer.row(2)
                }
            }
            #expect(count == 2)
        }
    }

    @Test func aCancelledCopyFreesItsConnection() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE copied_never (id int8)")
            let begun = Gate(2)
            let task = Task {
                _ = try await database.copyIn(table: "copied_never", columns: ["id"]) { writer in
                    await begun.wait()
                    while true { try await writer.row(1, 2) }
                }
            }
            await begun.wait()
            task.cancel()
            #expect(await databaseError { try await task.value }?.isCancelled == true)
            #expect(try await database.copyIn(table: "copied_never", columns: ["id"]) { try await $0.row(7) } == 1)
            #expect(try await database.value("SELECT count(*) FROM copied_never", as: Int.self) == 1)
        }
    }

    /// The server waits for a lock and takes no data: cancelling ends it there too.
    @Test func aCopyThatWaitsForALockCanBeCancelled() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE copied_locked (id int8)")
            try await database.transaction { transaction in
                try await transaction.execute("LOCK TABLE copied_locked")
                let task = Task { _ = try await database.copyIn(table: "copied_locked", columns: ["id"]) { try await $0.row(1) } }
                try await eventually {
                    try await database.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY \"copied_locked\"%' AND wait_event_type = 'Lock'", as: Int.self) == 1
                }
                task.cancel()
                #expect(await databaseError { try await task.value }?.isCancelled == true)
            }
        }
    }

    @Test func aCopyJoinsItsTransaction() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE copied_target (id int8 PRIMARY KEY)")
            let merged = try await database.transaction { transaction in
                try await transaction.execute("CREATE TEMPORARY TABLE staged (id int8) ON COMMIT DROP")
                _ = try await transaction.copyIn(table: "staged", columns: ["id"]) { writer in
                    for number in [1, 2, 2, 3] { try await writer.row(number) }
                }
                return try await transaction.execute("INSERT INTO copied_target SELECT DISTINCT id FROM staged")
            }
            #expect(merged == 3)
            await #expect(throws: GaveUp.self) {
                try await database.transaction { transaction in
                    _ = try await transaction.copyIn(table: "copied_target", columns: ["id"]) { try await $0.row(9) }
                    throw GaveUp()
                }
            }
            #expect(try await database.value("SELECT count(*) FROM copied_target", as: Int.self) == 3)
        }
    }
}
