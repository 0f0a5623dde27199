// What the `Postgres` module does in a second: concurrent callers that each read one row by its key, over and over, as
// `pgbench -S -M prepared` does beside it. `Benchmarks/measure.py` runs both and compares.
import ArgumentParser
import Foundation
import Logging
import Postgres

@main
struct PointReads: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads rows of pgbench_accounts by key through Postgres.Database, checks each, and prints one line of JSON.")

    @Argument(help: "A libpq connection string.")
    var url: String
    @Option(help: "The schema that holds pgbench_accounts.")
    var schema = "pgbench"
    @Option(help: "Callers at once.")
    var callers = 64
    @Option(help: "How long to read.")
    var seconds = 10.0
    @Option(help: "Rows in pgbench_accounts: 100,000 times the scale.")
    var rows = 1_000_000

    func run() async throws {
        let database = try Database(configuration: .init(url: url), logger: Logger(label: "point-reads"))
        let read = AccountRead(table: "\(schema).pgbench_accounts")
        let rows = Int32(rows)
        try await read.check(1, in: database)  // connected and prepared before the clock starts

        let started = ContinuousClock.now
        let end = started + .seconds(seconds)
        let tallies = await withTaskGroup(of: Tally.self) { group in
            for _ in 0..<callers { group.addTask { await Self.read(read, keysMax: rows, until: end, in: database) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let elapsed = (ContinuousClock.now - started) / .seconds(1)
        await database.shutdown()
        print(Tally(joining: tallies).json(seconds: elapsed))
    }

    private static func read(_ read: AccountRead, keysMax: Int32, until end: ContinuousClock.Instant, in database: Database) async -> Tally {
        var tally = Tally()
        var before = ContinuousClock.now
        while before < end {
            do {
                try await read.check(Int32.random(in: 1...keysMax), in: database)
            } catch {
                tally.errors += 1
                tally.firstError = tally.firstError ?? "\(error)"
            }
            let after = ContinuousClock.now
            tally.microseconds.append(UInt32((after - before) / .microseconds(1)))
            before = after
        }
        return tally
    }
}

/// The statement of `pgbench -S`, with the key in the answer so that a mixed-up answer is noticed.
private struct AccountRead: Sendable {
    let table: String

    struct WrongRow: Error {}

    func check(_ key: Int32, in database: Database) async throws {
        guard try await database.one(Statement(table: table, key: key)) == key else { throw WrongRow() }
    }

    private struct Statement: Query {
        let table: String
        let key: Int32
        var sql: SQL { "SELECT aid, abalance FROM \(unsafeRaw: table) WHERE aid = \(key)" }
        func decode(_ row: inout RowReader) throws -> Int32 {
            let aid = try row.next(Int32.self)
            _ = try row.next(Int32.self)
            return aid
        }
    }
}

/// What callers saw.
private struct Tally: Sendable {
    var microseconds: [UInt32] = []
    var errors = 0
    var firstError: String?

    init() {}

    init(joining tallies: [Tally]) {
        microseconds = tallies.flatMap(\.microseconds).sorted()
        errors = tallies.reduce(0) { $0 + $1.errors }
        firstError = tallies.lazy.compactMap(\.firstError).first
    }

    func json(seconds: Double) -> String {
        func percentile(_ part: Double) -> UInt32 { microseconds.isEmpty ? 0 : microseconds[Int(Double(microseconds.count - 1) * part)] }
        let quoted = (firstError ?? "").replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
        return """
            {"reads": \(microseconds.count), "seconds": \(seconds), "errors": \(errors), "p50_ms": \(Double(percentile(0.5)) / 1000), \
            "p99_ms": \(Double(percentile(0.99)) / 1000), "first_error": "\(quoted)"}
            """
    }
}
