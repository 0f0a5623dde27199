// Many callers on few connections: each gets its own answer, nobody gets another's trouble.
import Foundation
import Testing

@testable import Postgres

@Suite struct SharedConnectionTests {
    @Test func tenThousandInterleavedStatementsReturnEachCallerItsOwnAnswer() async throws {
        try await withDatabase { database in
            let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
                for caller in 0..<100 {
                    group.addTask {
                        var wrong = 0
                        for turn in 0..<100 {
                            // Several texts, answers of several sizes, and an error now and then.
                            let mark = "\(caller)/\(turn)"
                            switch turn % 4 {
                            case 0:
                                if try await database.value("SELECT \(mark)", as: String.self) != mark { wrong += 1 }
                            case 1:
                                let rows = try await database.query(Values<Int>("SELECT n FROM generate_series(\(caller), \(caller + turn)) AS n"))
                                if rows != Array(caller...caller + turn) { wrong += 1 }
                            case 2:
                                let bytes = [UInt8](repeating: UInt8(caller), count: 10_000 + turn)
                                if try await database.value("SELECT \(bytes)", as: [UInt8].self) != bytes { wrong += 1 }
                            default:
                                let error = await databaseError { try await database.execute("SELECT 1 / (\(turn) - \(turn)), \(mark)") }
                                if error?.sqlState != "22012" { wrong += 1 }
                            }
                        }
                        return wrong
                    }
                }
                var sum = 0
                for try await count in group { sum += count }
                return sum
            }
            #expect(wrong == 0)
        }
    }

    @Test func anErrorFailsOnlyItsCaller() async throws {
        try await withDatabase { $0.sharedConnections = 1 } _: { database in
            // All of these are on one connection at once; the syntax error fails in Prepare, the division in execution.
            let outcomes = await withTaskGroup(of: (Int, String).self) { group in
                for number in 0..<300 {
                    group.addTask {
                        do {
                            switch number % 3 {
                            case 0: return (number, String(try await database.value("SELECT \(number)", as: Int.self)))
                            case 1: return (number, String(try await database.execute("SELEKT \(number)")))
                            default: return (number, String(try await database.execute("SELECT 1 / (\(number) * 0)")))
                            }
                        } catch {
                            return (number, (error as? DatabaseError)?.sqlState ?? "\(error)")
                        }
                    }
                }
                var outcomes: [Int: String] = [:]
                for await (number, outcome) in group { outcomes[number] = outcome }
                return outcomes
            }
            for number in 0..<300 {
                #expect(outcomes[number] == [String(number), "42601", "22012"][number % 3])
            }
        }
    }

    /// The same text fails to prepare while others with it are queued, and is right a moment later.
    @Test func aFailedPrepareIsForgotten() async throws {
        try await withDatabase { $0.sharedConnections = 1 } _: { database in
            let sql: SQL = "SELECT n FROM prepared_later WHERE n = \(1)"
            let states = await withTaskGroup(of: String?.self) { group in
                for _ in 0..<20 {
                    group.addTask { await databaseError { try await database.execute(sql) }?.sqlState }
                }
                return await group.reduce(into: [String?]()) { $0.append($1) }
            }
            #expect(states == Array(repeating: "42P01", count: 20))
            try await database.execute("CREATE TABLE prepared_later AS SELECT 1::int8 AS n")
            for _ in 0..<3 { #expect(try await database.execute(sql) == 1) }
        }
    }

    /// A migration changes a table under a prepared statement: callers notice nothing.
    @Test func aPlanThatWentOutOfDateIsMadeAnew() async throws {
        struct Everything: Query {
            var sql: SQL { "SELECT * FROM replanned" }
            func decode(_ row: inout RowReader) throws -> Int {
                defer { row.skip(100) }
                return try row.next()
            }
        }
        try await withDatabase { $0.sharedConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE replanned AS SELECT 7::int8 AS n")
            for _ in 0..<3 { #expect(try await database.one(Everything()) == 7) }
            try await database.execute("ALTER TABLE replanned ADD COLUMN m text")
            let answers = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<20 { group.addTask { try await database.one(Everything()) } }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(answers == Array(repeating: 7, count: 20))
            let left = try await database.value("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT * FROM replanned'", as: Int.self)
            #expect(left == 1)
        }
    }

    /// Whoever left while a stale plan was under way wants nothing done any more.
    @Test func aStalePlanIsNotTriedAgainForACallerThatLeft() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.sharedLockTimeout = .seconds(600)
            $0.statementTimeout = .seconds(600)
        } _: { database in
            try await database.execute("CREATE TABLE replanned_late AS SELECT 7::int8 AS n")
            try await database.execute("CREATE TABLE replanned_runs (n int8)")
            let sql: SQL = "WITH run AS (INSERT INTO replanned_runs VALUES (1)) SELECT * FROM replanned_late"
            for _ in 0..<3 { try await database.execute(sql) }
            try await database.execute("ALTER TABLE replanned_late ADD COLUMN m text")
            let blocked = try await database.transaction { transaction in
                try await transaction.execute("SELECT pg_advisory_xact_lock(7001)")
                let blocked = Task { try await database.execute("SELECT pg_advisory_xact_lock(7001)") }
                try await eventually {
                    try await transaction.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7001 AND NOT granted", as: Int.self) == 1
                }
                let request = Request(Request.Command(sql))
                database.pool.submit(request)
                // A round trip through the same thread: the request is on its way, behind the one that waits.
                try await transaction.execute("SELECT 1")
                request.fail(.cancelled)
                return blocked
            }
            try await blocked.value
            #expect(try await database.value("SELECT count(*) FROM replanned_runs", as: Int.self) == 3)
        }
    }

    /// More texts than a connection keeps: all work, and the server is not left with the rest.
    @Test func preparedStatementsStayBounded() async throws {
        try await withDatabase { $0.sharedConnections = 1 } _: { database in
            for round in 0..<2 {
                for number in 0..<600 {
                    let answer = try await database.value("SELECT \(round) + \(unsafeRaw: String(number))", as: Int.self)
                    #expect(answer == round + number)
                }
            }
            let held = try await database.value("SELECT count(*) FROM pg_prepared_statements", as: Int.self)
            #expect(held > 500 && held <= 513)
        }
    }

    /// A deferred constraint speaks up at the implicit COMMIT, after the rows were sent. They must not be handed out.
    @Test func rowsOfAFailedCommitAreNotDelivered() async throws {
        try await withDatabase { $0.sharedConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE deferred (n int8 CONSTRAINT deferred_once UNIQUE DEFERRABLE INITIALLY DEFERRED)")
            try await database.execute("INSERT INTO deferred VALUES (1)")
            let before = Task { try await database.value("SELECT 'before'", as: String.self) }
            let refused = await databaseError {
                _ = try await database.one(Values<Int>("INSERT INTO deferred VALUES (1) RETURNING n"))
            }
            #expect(refused?.constraint == "deferred_once")
            #expect(refused?.isUniqueViolation == true)
            #expect(try await before.value == "before")
            #expect(try await database.value("SELECT count(*) FROM deferred", as: Int.self) == 1)
        }
    }

    @Test func aCancelledCallerLeavesAtOnceAndItsAnswerIsThrownAway() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.sharedLockTimeout = .seconds(600)
            $0.statementTimeout = .seconds(600)
        } _: { database in
            let queued = try await database.transaction { transaction in
                try await transaction.execute("SELECT pg_advisory_xact_lock(7002)")
                let slow = Task { try await database.execute("SELECT pg_advisory_xact_lock(7002)") }
                try await eventually {
                    try await transaction.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7002 AND NOT granted", as: Int.self) == 1
                }
                // One more that is queued behind it.
                let queued = Task { try await database.value("SELECT 'mine'", as: String.self) }
                slow.cancel()
                // It comes back although what it waits for is still held.
                #expect(await databaseError { _ = try await slow.value }?.isCancelled == true)
                return queued
            }
            #expect(try await queued.value == "mine")
        }
    }

    @Test func aTaskCancelledBeforehandSendsNothing() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE never_written (n int8)")
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                try await database.execute("INSERT INTO never_written VALUES (1)")
            }
            #expect(await databaseError { _ = try await task.value }?.isCancelled == true)
            #expect(try await database.value("SELECT count(*) FROM never_written", as: Int.self) == 0)
        }
    }

    @Test func aFullQueueAnswersAtOnce() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.statementsOutstandingMax = 3
            $0.sharedLockTimeout = .seconds(600)
            $0.statementTimeout = .seconds(600)
        } _: { database in
            try await database.execute("SELECT 1")
            let (refusals, refusal) = AsyncStream.makeStream(of: DatabaseError?.self)
            let (tasks, early) = try await database.transaction { transaction in
                try await transaction.execute("SELECT pg_advisory_xact_lock(7003)")
                let tasks = (0..<50).map { _ in
                    Task {
                        do { try await database.execute("SELECT pg_advisory_xact_lock(7003)") } catch {
                            refusal.yield(error as? DatabaseError)
                            throw error
                        }
                    }
                }
                // Refusals come while those who have a place still wait for the lock.
                var early: [DatabaseError?] = []
                for await error in refusals {
                    early.append(error)
                    if early.count == 47 { break }
                }
                return (tasks, early)
            }
            #expect(early.allSatisfy { $0?.isQueueFull == true })
            var answered = 0
            for task in tasks { if case .success = await task.result { answered += 1 } }
            // Three places; the statement before may give its own back a moment after its answer.
            #expect((2...3).contains(answered))
            // There is room again.
            #expect(try await database.execute("SELECT 1") == 1)
        }
    }

    /// Callers that gave up while they waited in the line take their places with them.
    @Test func cancelledCallersMakeRoomInTheQueue() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.statementsOutstandingMax = 300
        } _: { database in
            try await database.execute("SELECT 1")
            for _ in 0..<3 {
                let tasks = (0..<300).map { number in
                    Task { try await database.value("SELECT \(number) FROM pg_sleep(\(unsafeRaw: number == 0 ? "0.3" : "0"))", as: Int.self) }
                }
                for task in tasks.suffix(60) { task.cancel() }
                for (number, task) in tasks.enumerated() {
                    switch await task.result {
                    case .success(let answer): #expect(answer == number)
                    case .failure(let error): #expect((error as? DatabaseError)?.isCancelled == true && number >= 240)
                    }
                }
            }
        }
    }

    @Test func statementTimeoutEndsOnlyTheSlowStatement() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.statementTimeout = .seconds(2)
        } _: { database in
            let slow = Task { try await database.execute("SELECT pg_sleep(30)") }
            let quick = Task { try await database.value("SELECT 5", as: Int.self) }
            #expect(await databaseError { _ = try await slow.value }?.isTimedOut == true)
            let answer = try await quick.value
            #expect(answer == 5)
        }
    }

    /// Whoever waits for a lock on a shared connection is sent away before the neighbours suffer.
    @Test func lockTimeoutProtectsTheNeighbours() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.sharedLockTimeout = .milliseconds(100)
        } _: { database in
            try await database.execute("CREATE TABLE locked AS SELECT 1::int8 AS n")
            try await database.transaction { transaction in
                try await transaction.execute("UPDATE locked SET n = 2")
                let waiting = Task { try await database.execute("UPDATE locked SET n = 3") }
                #expect(await databaseError { _ = try await waiting.value }?.sqlState == "55P03")
            }
            #expect(try await database.value("SELECT n FROM locked", as: Int.self) == 2)
        }
    }

    @Test(arguments: [
        "BEGIN", "SET search_path = x", "LISTEN a", "COPY pg_class TO STDOUT", " -- x\n commit", "/* a /* b */ c */;BEGIN", "LOCK TABLE pg_class", "PREPARE x AS SELECT 1",
        "DISCARD ALL", "DEALLOCATE ALL",
    ])
    func whatBelongsToASessionIsRefused(text: String) async throws {
        try await withDatabase { $0.sharedConnections = 1 } _: { database in
            let refusal = await databaseError { try await database.execute(SQL(unsafeRaw: text)) }
            #expect(refusal?.isMisuse == true)
            let next = try await database.value("SELECT 1", as: Int.self)
            #expect(next == 1)
        }
    }

    @Test func aPipelineRunsBothInOrderEachCommitted() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE piped (id int8, transaction xid8 DEFAULT pg_current_xact_id())")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let (written, read) = try await database.pipeline(
                            Values<Int>("INSERT INTO piped VALUES (\(number)) RETURNING id"),
                            Values<Int>("SELECT id FROM piped WHERE id = \(number) AND transaction < pg_current_xact_id()"))
                        #expect(written == [number])
                        #expect(try read.get() == [number])
                    }
                }
                try await group.waitForAll()
            }
            let failed = await databaseError {
                _ = try await database.pipeline(Values<Int>("SELECT 1 / (\(1) * 0)"), Values<Int>("INSERT INTO piped VALUES (\(1000)) RETURNING id"))
            }
            #expect(failed?.sqlState == "22012")
            let (kept, lost) = try await database.pipeline(
                Values<Int>("INSERT INTO piped VALUES (\(2000)) RETURNING id"), Values<Int>("SELECT 1 / (\(1) * 0)"))
            #expect(kept == [2000])
            #expect(throws: DatabaseError.self) { try lost.get() }
            let ranAnyway = try await database.value("SELECT count(*) FROM piped WHERE id = 1000", as: Int.self)
            #expect(ranAnyway == 1)
        }
    }

    @Test func whatIsAskedAfterShutdownIsRefused() async throws {
        var kept: Database?
        try await withDatabase { database in
            try await database.execute("SELECT 1")
            kept = database
        }
        let database = try #require(kept)
        #expect(await databaseError { try await database.execute("SELECT 1") }?.isUnavailable == true)
        #expect(await databaseError { try await database.transaction { _ = try await $0.execute("SELECT 1") } }?.isUnavailable == true)
        await database.shutdown()
    }
}
