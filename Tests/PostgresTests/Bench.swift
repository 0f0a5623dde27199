// What the tests of this target share: one database of the run's cluster, a pool for each test, and the small queries.
import Foundation
import Logging
import Postgres
import TestSupport
import Testing

/// One database serves all suites here; each test names its own tables.
private let sharedDatabase = Task { try await TestCluster.shared().makeDatabase() }

/// Runs `body` with a pool of its own.
func withDatabase(
    role: TestCluster.Role = .owner, logger: Logger = Logger(label: "test"), _ configure: (inout Database.Configuration) -> Void = { _ in },
    _ body: (Database) async throws -> Void
) async throws {
    let test = try await sharedDatabase.value
    try await withDatabase(url: test.cluster.url(database: test.name, role: role), logger: logger, configure, body)
}

func withDatabase(
    url: String, logger: Logger = Logger(label: "test"), _ configure: (inout Database.Configuration) -> Void = { _ in },
    _ body: (Database) async throws -> Void
) async throws {
    var configuration = Database.Configuration(url: url)
    configuration.sharedConnections = 2
    // A busy machine may make a test wait longer than a resident would.
    configuration.checkoutTimeout = .seconds(120)
    configuration.connectTimeout = .seconds(120)
    configure(&configuration)
    let database = try Database(configuration: configuration, logger: logger)
    do {
        try await body(database)
    } catch {
        await database.shutdown()
        throw error
    }
    await database.shutdown()
}

/// One column of one type, whatever the statement.
struct Values<Value: ColumnDecodable & Sendable>: Query {
    let sql: SQL

    init(_ sql: SQL, as type: Value.Type = Value.self) {
        self.sql = sql
    }

    func decode(_ row: inout RowReader) throws -> Value { try row.next() }
}

extension Executor {
    func value<Value: ColumnDecodable & Sendable>(_ sql: SQL, as type: Value.Type = Value.self) async throws -> Value {
        try await one(Values<Value>(sql))
    }
}

/// The error that `body` throws, for looking at more than its kind.
func databaseError(_ location: SourceLocation = #_sourceLocation, of body: () async throws -> Void) async -> DatabaseError? {
    do {
        try await body()
        Issue.record("nothing was thrown", sourceLocation: location)
        return nil
    } catch let error as DatabaseError {
        return error
    } catch {
        Issue.record("thrown was \(error)", sourceLocation: location)
        return nil
    }
}

extension DatabaseError {
    /// The case's name, for comparing those without content.
    var kind: String { String(describing: self) }
    var isLost: Bool { if case .connectionLost = self { true } else { false } }
    var isOutcomeUnknown: Bool { if case .outcomeUnknown = self { true } else { false } }
    var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
    var isQueueFull: Bool { if case .queueFull = self { true } else { false } }
    var isTimedOut: Bool { if case .timedOut = self { true } else { false } }
    var isCancelled: Bool { if case .cancelled = self { true } else { false } }
    var isCommitBecameRollback: Bool { if case .commitBecameRollback = self { true } else { false } }
    var isMisuse: Bool { if case .misuse = self { true } else { false } }
    var isInvalidBind: Bool { if case .invalidBind = self { true } else { false } }
    var isDecoding: Bool { if case .decoding = self { true } else { false } }
}

/// Asks again and again until `condition` holds; fails the test when it never does. The limit only ends a test that fails: no machine that
/// works is slower.
func eventually(
    within limit: Duration = .seconds(120), _ location: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("did not come true within \(limit)", sourceLocation: location)
}

/// A pool that looks on from outside.
func withObserver<Value: Sendable>(_ body: @Sendable (Database) async throws -> Value) async throws -> Value {
    var value: Value?
    try await withDatabase(role: .superuser) { $0.sharedConnections = 1 } _: { value = try await body($0) }
    return try #require(value)
}
