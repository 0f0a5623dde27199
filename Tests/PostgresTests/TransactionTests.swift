// Transactions and exclusive connections: all or nothing, cleaned behind everybody, and cancelled in the server too.
import Foundation
import TestSupport
import Testing

@testable import Postgres

@Suite struct TransactionTests {
    private struct Refused: Error {}

    @Test func commitsOrRollsBack() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE transacted (n int8)")
            let inserted = try await database.transaction { transaction in
                try await transaction.execute("INSERT INTO transacted VALUES (\(1))")
                return try await transaction.execute("INSERT INTO transacted SELECT generate_series(2, 4)")
            }
            #expect(inserted == 3)
            await #expect(throws: Refused.self) {
                try await database.transaction { transaction in
                    try await transaction.execute("INSERT INTO transacted VALUES (\(5))")
                    throw Refused()
                }
            }
            #expect(try await database.value("SELECT count(*) FROM transacted", as: Int.self) == 4)
            // Nothing to do is nothing sent.
            let nothing = try await database.transaction { _ in 9 }
            #expect(nothing == 9)
        }
    }

    @Test func locksAreGoneWhenTheErrorArrives() async throws {
        try await withDatabase { $0.sharedLockTimeout = .milliseconds(1) } _: { database in
            try await database.execute("CREATE TABLE let_go AS SELECT 1::int8 AS n")
            for _ in 0..<20 {
                await #expect(throws: Refused.self) {
                    try await database.transaction { transaction in
                        try await transaction.execute("UPDATE let_go SET n = 2")
                        throw Refused()
                    }
                }
                try await database.execute("UPDATE let_go SET n = n + 1")
            }
        }
    }

    @Test func aCommitThatTurnedIntoARollbackThrows() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE swallowed (n int8 PRIMARY KEY)")
            let error = await databaseError {
                try await database.transaction { transaction in
                    try await transaction.execute("INSERT INTO swallowed VALUES (1)")
                    _ = try? await transaction.execute("INSERT INTO swallowed VALUES (1)")
                }
            }
            #expect(error?.isCommitBecameRollback == true)
            #expect(try await database.value("SELECT count(*) FROM swallowed", as: Int.self) == 0)
        }
    }

    @Test func whatOnlyCommitFindsIsThrown() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE late (n int8 CONSTRAINT late_once UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            let error = await databaseError {
                try await database.transaction { transaction in
                    try await transaction.execute("INSERT INTO late VALUES (1)")
                    try await transaction.execute("INSERT INTO late VALUES (1)")
                }
            }
            #expect(error?.constraint == "late_once")
        }
    }

    @Test func isolationIsWhatWasAskedFor() async throws {
        try await withDatabase { database in
            for (isolation, name) in [(Isolation.readCommitted, "read committed"), (.repeatableRead, "repeatable read"), (.serializable, "serializable")] {
                let seen = try await database.transaction(isolation: isolation) {
                    try await $0.value("SELECT current_setting('transaction_isolation')", as: String.self)
                }
                #expect(seen == name)
            }
            try await database.execute("CREATE TABLE raced AS SELECT 0::int8 AS n")
            let conflict = await databaseError {
                try await database.transaction(isolation: .repeatableRead) { transaction in
                    _ = try await transaction.value("SELECT n FROM raced", as: Int.self)
                    try await database.execute("UPDATE raced SET n = 1")
                    try await transaction.execute("UPDATE raced SET n = 2")
                }
            }
            #expect(conflict?.sqlState == "40001")
        }
    }

    @Test func twoTransactionsAndABusySharedConnectionNeverDeadlock() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.exclusiveConnections = 2
        } _: { database in
            try await database.execute("CREATE TABLE crossed AS SELECT n::int8, 0::int8 AS hits FROM generate_series(0, 1) AS n")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for caller in 0..<8 {
                    group.addTask {
                        for turn in 0..<50 {
                            // While it holds its row lock, each transaction also asks the shared connection, where everybody else is busy.
                            try await database.transaction { transaction in
                                try await transaction.execute("UPDATE crossed SET hits = hits + 1 WHERE n = \(caller % 2)")
                                let seen = try await database.value("SELECT \(turn)", as: Int.self)
                                #expect(seen == turn)
                            }
                        }
                    }
                    group.addTask {
                        for _ in 0..<200 { _ = try await database.query(Values<Int>("SELECT hits FROM crossed")) }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await database.query(Values<Int>("SELECT hits FROM crossed")) == [200, 200])
        }
    }

    @Test func theServersOwnDeadlockIsReported() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE embraced AS SELECT n::int8, 0::int8 AS hits FROM generate_series(0, 1) AS n")
            let locked = Gate(2)
            let errors = await withTaskGroup(of: DatabaseError?.self) { group in
                for first in 0...1 {
                    group.addTask {
                        do {
                            try await database.transaction { transaction in
                                try await transaction.execute("UPDATE embraced SET hits = 1 WHERE n = \(first)")
                                await locked.wait()
                                try await transaction.execute("UPDATE embraced SET hits = 1 WHERE n = \(1 - first)")
                            }
                            return nil
                        } catch {
                            return error as? DatabaseError
                        }
                    }
                }
                return await group.reduce(into: [DatabaseError]()) { if let error = $1 { $0.append(error) } }
            }
            #expect(errors.map(\.sqlState) == ["40P01"])
        }
    }

    @Test func cancellingATaskFreesTheServer() async throws {
        try await withDatabase {
            $0.exclusiveConnections = 1
            $0.statementTimeout = .seconds(3600)
        } _: { database in
            for attempt in 0..<3 {
                let started = AsyncStream.makeStream(of: Int.self)
                let task = Task {
                    try await database.transaction { transaction in
                        started.continuation.yield(try await transaction.value("SELECT pg_backend_pid()", as: Int.self))
                        try await transaction.execute("SELECT pg_sleep(\(unsafeRaw: "3600 + \(attempt)"))")
                    }
                }
                var pids = started.stream.makeAsyncIterator()
                let pid = try #require(await pids.next())
                try await eventually {
                    try await database.value("SELECT count(*) FROM pg_stat_activity WHERE pid = \(pid) AND wait_event = 'PgSleep'", as: Int.self) == 1
                }
                task.cancel()
                #expect(await databaseError { try await task.value }?.isCancelled == true)
                // A server that was only left alone would sleep on.
                let busy = try await database.value(
                    "SELECT count(*) FROM pg_stat_activity WHERE pid = \(pid) AND state <> 'idle'", as: Int.self)
                #expect(busy == 0)
                // The one exclusive connection serves again.
                #expect(try await database.transaction { try await $0.value("SELECT 1", as: Int.self) } == 1)
            }
        }
    }

    @Test func aCancelledWaiterLeavesTheLine() async throws {
        try await withDatabase {
            $0.exclusiveConnections = 1
            $0.checkoutsWaitingMax = 1
        } _: { database in
            let held = Gate(2)
            let release = Gate(2)
            let holder = Task {
                try await database.exclusive { connection in
                    try await connection.execute("SELECT 1")
                    await held.wait()
                    await release.wait()
                }
            }
            await held.wait()
            let waiter = Task { try await database.exclusive { _ = try await $0.execute("SELECT 1") } }
            var full: DatabaseError?
            try await eventually {
                do {
                    try await withTimeLimit(.milliseconds(20)) { try await database.exclusive { _ = try await $0.execute("SELECT 1") } }
                } catch let error as DatabaseError {
                    full = error
                }
                return full?.isQueueFull == true
            }
            waiter.cancel()
            #expect(await databaseError { try await waiter.value }?.isCancelled == true)
            let next = Task { try await database.exclusive { try await $0.value("SELECT 2", as: Int.self) } }
            await release.wait()
            try await holder.value
            #expect(try await next.value == 2)
        }
    }

    @Test func aCheckoutThatTakesTooLongIsToldSo() async throws {
        try await withDatabase {
            $0.exclusiveConnections = 1
            $0.checkoutTimeout = .milliseconds(300)
        } _: { database in
            // Whether the connection is there in so short a time is the machine's affair.
            try await eventually { (try? await database.exclusive { try await $0.execute("SELECT 1") }) == 1 }
            try await database.exclusive { _ in
                let late = await databaseError { try await database.transaction { _ = try await $0.execute("SELECT 1") } }
                #expect(late?.isTimedOut == true)
            }
            try await eventually { (try? await database.transaction { try await $0.execute("SELECT 1") }) == 1 }
        }
    }

    @Test func anExclusiveSessionLeavesNothingBehind() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            let pid = try await database.exclusive { connection in
                try await connection.execute("SET search_path = nowhere")
                try await connection.execute("SELECT pg_advisory_lock(42)")
                try await connection.execute("CREATE TEMPORARY TABLE leftover (n int8)")
                try await connection.execute("BEGIN")
                return try await connection.value("SELECT pg_backend_pid()", as: Int.self)
            }
            try await database.exclusive { connection in
                #expect(try await connection.value("SELECT pg_backend_pid()", as: Int.self) == pid)
                #expect(try await connection.value("SELECT current_setting('search_path')", as: String.self) == "\"$user\", public")
                #expect(try await connection.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = \(pid)", as: Int.self) == 0)
                #expect(try await connection.value("SELECT to_regclass('pg_temp.leftover') IS NULL", as: Bool.self))
                #expect(try await connection.value("SELECT current_setting('statement_timeout')", as: String.self) == "10s")
                _ = try await connection.execute("SELECT 1")
            }
        }
    }

    @Test func aTransactionThatSetSomethingLeavesNothingBehind() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            _ = try await database.transaction { try await $0.execute("SET search_path = nowhere") }
            let path = try await database.transaction { try await $0.value("SELECT current_setting('search_path')", as: String.self) }
            #expect(path == "\"$user\", public")
        }
    }

    @Test func anEndedTransactionIsUseless() async throws {
        try await withDatabase { database in
            let kept = try await database.transaction { transaction in
                try await transaction.execute("SELECT 1")
                return transaction
            }
            #expect(await databaseError { try await kept.execute("SELECT 1") }?.isMisuse == true)
            let connection = try await database.exclusive { $0 }
            let error = await databaseError { try await connection.execute("SELECT 1") }
            #expect(error?.isLost == true || error?.isMisuse == true)
        }
    }

    /// A session whose reset fails may still hold a lock: it ends, and the lock with it.
    @Test func aSessionThatCannotBeResetIsNotUsedAgain() async throws {
        let cluster = try await TestCluster.shared()
        let test = try await cluster.makeDatabase()
        try await cluster.psql("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_advisory_unlock_all() FROM PUBLIC", database: test.name)
        try await withDatabase(url: test.ownerURL) { $0.exclusiveConnections = 1 } _: { database in
            let pid = { (connection: ExclusiveConnection) in try await connection.value("SELECT pg_backend_pid()", as: Int.self) }
            let first = try await database.exclusive { connection in
                try await connection.execute("SELECT pg_advisory_lock(42)")
                return try await pid(connection)
            }
            let second = try await database.exclusive { try await pid($0) }
            #expect(first != second)
            try await eventually {
                try await database.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = \(first)", as: Int.self) == 0
            }
        }
    }

    /// BEGIN goes ahead of whatever is first to be sent, not of whatever was first to be asked.
    @Test func aFirstStatementThatWasNeverSentLeavesTheOthersInTheTransaction() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE begun_late (n int8)")
            await #expect(throws: Refused.self) {
                try await database.transaction { transaction in
                    let first = Task {
                        withUnsafeCurrentTask { $0?.cancel() }
                        _ = try await transaction.execute("SELECT 1")
                    }
                    #expect(await databaseError { try await first.value }?.isCancelled == true)
                    try await transaction.execute("INSERT INTO begun_late VALUES (1)")
                    throw Refused()
                }
            }
            #expect(try await database.value("SELECT count(*) FROM begun_late", as: Int.self) == 0)
        }
    }

    @Test func tasksThatShareAFreshTransactionAreAllInIt() async throws {
        try await withDatabase { database in
            for _ in 0..<20 {
                let transactions = try await database.transaction { transaction in
                    try await withThrowingTaskGroup(of: String.self) { group in
                        for _ in 0..<20 {
                            group.addTask { try await transaction.value("SELECT pg_current_xact_id()::text", as: String.self) }
                        }
                        return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                    }
                }
                #expect(transactions.count == 1)
            }
        }
    }

    /// A standby refuses some BEGINs. No statement, the first or a later one, then runs by itself.
    @Test func nothingRunsAfterABeginThatFailed() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE not_begun (n int8)")
            let lease = try await database.pool.checkOut(beginning: "BEGIN ISOLATION LEVEL NONSENSE")
            let insert: SQL = "INSERT INTO not_begun VALUES (1)"
            let first = await databaseError { _ = try await database.pool.execute(insert, on: lease, commits: false) }
            #expect(first?.sqlState == "42601")
            let second = await databaseError { _ = try await database.pool.execute(insert, on: lease, commits: false) }
            #expect(second?.isMisuse == true)
            database.pool.release(lease, resets: false)
            // The same ahead of a COPY, where BEGIN travels alone.
            let other = try await database.pool.checkOut(beginning: "BEGIN ISOLATION LEVEL NONSENSE")
            let copy = await databaseError { try await database.pool.perform(.begin("COPY not_begun FROM STDIN"), on: other) }
            #expect(copy?.sqlState == "42601")
            database.pool.release(other, resets: false)
            #expect(try await database.transaction { try await $0.value("SELECT count(*) FROM not_begun", as: Int.self) } == 0)
        }
    }

    @Test(arguments: [
        "COMMIT", "rollback", "END", "ABORT", "BEGIN", "START TRANSACTION", "ROLLBACK AND CHAIN", "COMMIT WORK", ";commit",
        "/* a /* nested */ comment */ -- and a line\n ROLLBACK", "PREPARE TRANSACTION 'x'",
    ])
    func whatWouldEndTheTransactionIsRefused(text: String) async throws {
        try await withDatabase { database in
            let table = "never_ended_\(UInt32.random(in: 0...UInt32.max))"
            let error = await databaseError {
                try await database.transaction { transaction in
                    try await transaction.execute("CREATE TABLE \(unsafeRaw: table) (n int8)")
                    try await transaction.execute(SQL(unsafeRaw: text))
                }
            }
            #expect(error?.isMisuse == true)
            let isUndone = try await database.value("SELECT to_regclass(\(table)) IS NULL", as: Bool.self)
            #expect(isUndone)
        }
    }

    /// Should a statement end the transaction all the same, the server's own word stops those after it.
    @Test func nothingRunsAfterATransactionThatEndedEarly() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE ended_early (n int8)")
            let lease = try await database.pool.checkOut(beginning: "BEGIN")
            defer { database.pool.release(lease, resets: false) }
            _ = try await database.pool.execute("ROLLBACK", on: lease, commits: false)
            let late = await databaseError {
                _ = try await database.pool.execute("INSERT INTO ended_early VALUES (1)", on: lease, commits: false)
            }
            #expect(late?.isMisuse == true)
            #expect(try await database.value("SELECT count(*) FROM ended_early", as: Int.self) == 0)
        }
    }

    @Test func savepointsWork() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE saved (n int8 PRIMARY KEY)")
            try await database.transaction { transaction in
                try await transaction.execute("INSERT INTO saved VALUES (1)")
                try await transaction.execute("SAVEPOINT before")
                #expect(await databaseError { try await transaction.execute("INSERT INTO saved VALUES (1)") }?.isUniqueViolation == true)
                try await transaction.execute("ROLLBACK WORK TO before")
                try await transaction.execute("INSERT INTO saved VALUES (2)")
                try await transaction.execute("RELEASE before")
            }
            #expect(try await database.query(Values<Int>("SELECT n FROM saved ORDER BY n")) == [1, 2])
        }
    }

    @Test func concurrentStatementsOfOneTransactionWaitForEachOther() async throws {
        try await withDatabase { database in
            let sum = try await database.transaction { transaction in
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<100 { group.addTask { try await transaction.value("SELECT \(number)", as: Int.self) } }
                    return try await group.reduce(into: 0) { $0 += $1 }
                }
            }
            #expect(sum == 4950)
        }
    }
}

/// Lets everybody through once `count` have come.
actor Gate {
    private let count: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) {
        self.count = count
    }

    func wait() async {
        if waiting.count + 1 == count {
            for continuation in waiting { continuation.resume() }
            waiting = []
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }
}

/// Cancels `body` when it takes longer.
func withTimeLimit<Value: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let task = Task { try await body() }
    let timer = Task {
        try await Task.sleep(for: limit)
        task.cancel()
    }
    defer { timer.cancel() }
    return try await task.value
}
