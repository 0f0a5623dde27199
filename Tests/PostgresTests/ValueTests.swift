// Every type there and back through the server, at its extremes, as NULL and in arrays; and what must be refused.
import Foundation
import Postgres
import Primitives
import Testing

extension SQL {
    fileprivate static func select<Value: Bindable>(_ value: Value) -> SQL { "SELECT \(value)" }
}

@Suite struct ValueTests {
    private enum Colour: String, Bindable, ColumnDecodable, ArrayBindable, ArrayDecodable { case red, green }

    /// Sends a value, has the server say what type it saw and compare it with its own text, and reads it back.
    private func roundTrip<Value: Bindable & ColumnDecodable & Equatable>(
        _ database: Database, _ values: [Value], type: String, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        for value in values {
            let back = try await database.value("SELECT \(value)", as: Value.self)
            #expect(back == value, sourceLocation: location)
        }
        let some = values[0]
        let seen = try await database.value("SELECT pg_typeof(\(some))::text", as: String.self)
        #expect(seen == type, sourceLocation: location)
        let absent = try await database.value(SQL.select(Value?.none), as: Value?.self)
        #expect(absent == nil, sourceLocation: location)
    }

    @Test func scalars() async throws {
        try await withDatabase { database in
            try await roundTrip(database, [true, false], type: "boolean")
            try await roundTrip(database, [0, 1, -1, .max, .min] as [Int], type: "bigint")
            try await roundTrip(database, [0, .max, .min] as [Int64], type: "bigint")
            try await roundTrip(database, [0, .max, .min] as [Int32], type: "integer")
            try await roundTrip(database, ["", "a", "Zoë 👩‍👩‍👧 \"\u{301}'\\", String(repeating: "ü", count: 100_000)], type: "text")
            try await roundTrip(database, [UUID(), UUID(uuidString: "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF")!], type: "uuid")
            try await roundTrip(database, [[], [0], Array(0...255), [UInt8](repeating: 7, count: 1_000_000)], type: "bytea")
            try await roundTrip(database, [ID<Colour>.new()], type: "uuid")
            try await roundTrip(database, [Colour.green], type: "text")
            let days = ["2000-01-01", "0001-01-01", "9999-12-31", "1969-12-31", "2024-02-29"].compactMap(CalendarDay.init)
            #expect(days.count == 5)
            try await roundTrip(database, days, type: "date")
            try await roundTrip(database, [JSONText(#"{"a": [1, null, "ü"]}"#), JSONText("null")], type: "jsonb")
        }
    }

    @Test func whatTheServerWroteReadsTheSame() async throws {
        try await withDatabase { database in
            let padded = try await database.value("SELECT 'char '::char(8)", as: String.self)
            #expect(padded == "char    ")
            #expect(try await database.value("SELECT 'abc'::varchar(5)", as: String.self) == "abc")
            #expect(try await database.value("SELECT current_user", as: String.self) == "stoa_owner")
            #expect(try await database.value("SELECT 7::int2", as: Int.self) == 7)
            #expect(try await database.value("SELECT (-7)::int4", as: Int64.self) == -7)
            #expect(try await database.value("SELECT (-7)::int2", as: Int32.self) == -7)
            #expect(try await database.value(#"SELECT '{"a":1}'::json"#, as: JSONText.self).text == #"{"a":1}"#)
            #expect(try await database.value("SELECT '{}'::text[]", as: [String].self) == [])
            #expect(try await database.value("SELECT '[3:4]={a,b}'::varchar[]", as: [String].self) == ["a", "b"])
            #expect(try await database.value("SELECT '{1,2}'::int2[]", as: [Int].self) == [1, 2])
            #expect(try await database.value("SELECT date '1987-06-05'", as: CalendarDay.self).description == "1987-06-05")
        }
    }

    @Test func momentsKeepTheirMicroseconds() async throws {
        try await withDatabase { database in
            for text in ["2026-07-01 12:34:56.789012+00", "1999-12-31 23:59:59.999999+00", "1970-01-01 00:00:00+00", "0004-02-29 00:00:00+00"] {
                let moment = try await database.value("SELECT \(text)::timestamptz", as: Date.self)
                #expect(try await database.value("SELECT \(moment) = \(text)::timestamptz", as: Bool.self), "\(text)")
            }
            let now = Date()
            let back = try await database.value("SELECT \(now)", as: Date.self)
            #expect(abs(back.timeIntervalSince(now)) < 0.000_001)
            #expect(try await database.value("SELECT current_setting('TimeZone')", as: String.self) == "UTC")
        }
    }

    @Test func arrays() async throws {
        try await withDatabase { database in
            try await roundTrip(database, [[true, false], []], type: "boolean[]")
            try await roundTrip(database, [[1, .min, .max], []] as [[Int]], type: "bigint[]")
            try await roundTrip(database, [[1, .min, .max]] as [[Int64]], type: "bigint[]")
            try await roundTrip(database, [[1, .min, .max]] as [[Int32]], type: "integer[]")
            try await roundTrip(database, [["", "NULL", "{\"}", "a,b"], []], type: "text[]")
            try await roundTrip(database, [[UUID(), UUID()]], type: "uuid[]")
            try await roundTrip(database, [[ID<Colour>.new()]], type: "uuid[]")
            try await roundTrip(database, [[Colour.red, .green]], type: "text[]")
            try await roundTrip(database, [[Date(timeIntervalSince1970: 0), Date(timeIntervalSince1970: 1_751_234_567.5)]], type: "timestamp with time zone[]")
            try await roundTrip(database, [[CalendarDay("2001-02-03")!]], type: "date[]")
            try await roundTrip(database, [[[], [1, 2, 0], [255]], []] as [[[UInt8]]], type: "bytea[]")
            try await roundTrip(database, [[JSONText("[1, 2]"), JSONText("{}")]], type: "jsonb[]")
            try await roundTrip(database, [["a", nil, ""], [nil], []] as [[String?]], type: "text[]")
            try await roundTrip(database, [[nil, 5]] as [[Int?]], type: "bigint[]")
            try await roundTrip(database, [[nil, [1]]] as [[[UInt8]?]], type: "bytea[]")
            let many = Array(0..<50_000)
            try await roundTrip(database, [many], type: "bigint[]")
            #expect(try await database.value("SELECT sum(n)::int8 FROM unnest(\(many)) AS n", as: Int.self) == many.reduce(0, +))
        }
    }

    @Test func unnestJoinsColumnsOfArrays() async throws {
        struct Pair: Query {
            let sql: SQL
            func decode(_ row: inout RowReader) throws -> String { "\(try row.next(Int.self))\(try row.next(String?.self) ?? "-")" }
        }
        try await withDatabase { database in
            let pairs = try await database.query(
                Pair(sql: "SELECT a, b FROM unnest(\([1, 2, 3]), \(["x", nil, "z"] as [String?])) AS u (a, b) ORDER BY a"))
            #expect(pairs == ["1x", "2-", "3z"])
        }
    }

    @Test func wrongTypesAreNamed() async throws {
        try await withDatabase { database in
            let type = await databaseError { _ = try await database.value("SELECT 1.5 AS amount", as: Int.self) }
            #expect(type?.description == #"column "amount" is numeric, which cannot be read as Int64; cast it in the SQL"#)
            let null = await databaseError { _ = try await database.value("SELECT NULL::int8 AS amount", as: Int.self) }
            #expect(null?.description == #"column "amount" is NULL, but Int64 is not optional"#)
            let unread = await databaseError { _ = try await database.value("SELECT 1, 2 AS second", as: Int.self) }
            #expect(unread?.description == #"column "second" was not read by the query's decode"#)
            let unknown = await databaseError { _ = try await database.value("SELECT 'blue' AS colour", as: Colour.self) }
            #expect(unknown?.description == #"column "colour" holds a value that Colour does not know"#)
            let element = await databaseError { _ = try await database.value("SELECT ARRAY['a', NULL] AS names", as: [String].self) }
            #expect(element?.description == #"column "names" is NULL, but String is not optional"#)
            let matrix = await databaseError { _ = try await database.value("SELECT ARRAY[[1],[2]] AS m", as: [Int].self) }
            #expect(matrix?.description == #"column "m" is an array of 2 dimensions, not one"#)
            let infinite = await databaseError { _ = try await database.value("SELECT 'infinity'::timestamptz AS t", as: Date.self) }
            #expect(infinite?.isDecoding == true)
            let early = await databaseError { _ = try await database.value("SELECT '0044-03-15 BC'::date AS t", as: CalendarDay.self) }
            #expect(early?.isDecoding == true)
        }
    }

    @Test func rowsAreCounted() async throws {
        try await withDatabase { database in
            let none = await databaseError { _ = try await database.value("SELECT 1 WHERE false", as: Int.self) }
            guard case .unexpectedRowCount(0) = none else { Issue.record("\(String(describing: none))"); return }
            let two = await databaseError { _ = try await database.optional(Values<Int>("SELECT generate_series(1, 2)::int8")) }
            guard case .unexpectedRowCount(2) = two else { Issue.record("\(String(describing: two))"); return }
            let absent = try await database.optional(Values<Int>("SELECT 1 WHERE false"))
            #expect(absent == nil)
            let present = try await database.optional(Values<Int>("SELECT 1"))
            #expect(present == 1)
        }
    }

    /// What PostgreSQL cannot hold fails its own caller before anything is sent, and nobody else.
    @Test func impossibleValuesAreRefusedBeforeQueueing() async throws {
        try await withDatabase { database in
            let refusals: [SQL] = [
                "SELECT \("a\0b")", "SELECT \(["fine", "not\0fine"])", "SELECT \(["fine", nil, "\0"] as [String?])", "SELECT \(JSONText("\0"))",
                "SELECT \(unsafeRaw: "'\0'")", "SELECT \(Date(timeIntervalSince1970: .infinity))", "SELECT \(Date(timeIntervalSince1970: .nan))",
                "SELECT \(Date(timeIntervalSince1970: 1e18))",
            ]
            for sql in refusals {
                #expect(await databaseError { try await database.execute(sql) }?.isInvalidBind == true, "\(sql)")
                #expect(await databaseError { try await database.transaction { _ = try await $0.execute(sql) } }?.isInvalidBind == true)
                #expect(await databaseError { try await database.exclusive { _ = try await $0.execute(sql) } }?.isInvalidBind == true)
            }
            var tooMany: SQL = "SELECT \(0)"
            for _ in 1...65_535 { tooMany += ",\(0)" }
            let refusal = await databaseError { [tooMany] in _ = try await database.execute(tooMany) }
            #expect(refusal?.isInvalidBind == true)
        }
    }
}
