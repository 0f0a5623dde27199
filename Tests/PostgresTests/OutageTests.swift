// Killed backends, killed servers: who was hit hears it, nobody else does, and service returns by itself.
import Foundation
import Logging
import TestSupport
import Testing

@testable import Postgres

@Suite struct OutageTests {
    @Test func aKilledBackendFailsOnlyItsOwnCallersAndThePoolHeals() async throws {
        try await withDatabase {
            $0.sharedConnections = 4
            $0.sharedLockTimeout = .seconds(600)
            $0.statementTimeout = .seconds(600)
        } _: { database in
            try await eventually { try await pidsOfFour(database).count == 4 }
            // One statement for each connection that holds it up, so that there is exactly one victim.
            let (waiters, victim) = try await database.transaction { transaction in
                try await transaction.execute("SELECT pg_advisory_xact_lock(7004)")
                let waiters = (0..<4).map { number in
                    Task { try await database.value("SELECT \(number) FROM pg_advisory_xact_lock_shared(7004)", as: Int.self) }
                }
                let waiting: SQL = "FROM pg_locks WHERE locktype = 'advisory' AND objid = 7004 AND NOT granted"
                try await eventually { try await transaction.value("SELECT count(*) " + waiting, as: Int.self) == 4 }
                let pid = try await transaction.value("SELECT min(pid) " + waiting, as: Int.self)
                try await transaction.execute("SELECT pg_terminate_backend(\(Int32(pid)))")
                return (waiters, pid)
            }
            var lost = 0
            for (number, waiter) in waiters.enumerated() {
                do {
                    #expect(try await waiter.value == number)
                } catch let error as DatabaseError {
                    // It stood alone, so nobody can say whether it had been saved.
                    #expect(error.isOutcomeUnknown)
                    lost += 1
                }
            }
            #expect(lost == 1)
            // All four serve again, none of them the dead one.
            try await eventually {
                let pids = try await pidsOfFour(database)
                return pids.count == 4 && !pids.contains(victim)
            }
        }
    }

    /// A storm of writers while backends die: whatever was acknowledged is there, once.
    @Test func acknowledgedWritesSurviveAStormOfKills() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE stormed (n int8 PRIMARY KEY)")
            let storm = Task {
                try await withObserver { observer in
                    for _ in 0..<10 {
                        try await observer.execute(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO stormed%' ORDER BY random() LIMIT 2")
                        try await Task.sleep(for: .milliseconds(30))
                    }
                }
            }
            let acknowledged = try await withThrowingTaskGroup(of: [Int].self) { group in
                for caller in 0..<32 {
                    group.addTask {
                        var acknowledged: [Int] = []
                        for turn in 0..<100 {
                            do {
                                try await database.execute("INSERT INTO stormed VALUES (\(caller * 1000 + turn))")
                                acknowledged.append(caller * 1000 + turn)
                            } catch let error as DatabaseError where error.isOutcomeUnknown || error.isUnavailable {
                                continue
                            }
                        }
                        return acknowledged
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            try await storm.value
            #expect(!acknowledged.isEmpty)
            let there = try await database.value("SELECT count(*) FROM stormed WHERE n = ANY(\(acknowledged))", as: Int.self)
            #expect(there == acknowledged.count)
        }
    }

    @Test func aBackendKilledInATransactionRollsBackAndThrows() async throws {
        try await withDatabase { $0.exclusiveConnections = 1 } _: { database in
            try await database.execute("CREATE TABLE unfinished (n int8)")
            let error = await databaseError {
                try await database.transaction { transaction in
                    try await transaction.execute("INSERT INTO unfinished VALUES (1)")
                    let pid = try await transaction.value("SELECT pg_backend_pid()", as: Int32.self)
                    try await withObserver { _ = try await $0.execute("SELECT pg_terminate_backend(\(pid))") }
                    try await transaction.execute("INSERT INTO unfinished VALUES (2)")
                }
            }
            #expect(error?.isLost == true)
            #expect(try await database.value("SELECT count(*) FROM unfinished", as: Int.self) == 0)
            let next = try await database.transaction { try await $0.execute("INSERT INTO unfinished VALUES (3)") }
            #expect(next == 1)
        }
    }

    /// Only for COMMIT is it unknown whether anything was saved.
    @Test func aBackendKilledInCommitLeavesTheOutcomeUnknown() async throws {
        try await withDatabase { $0.statementTimeout = .seconds(600) } _: { database in
            try await database.execute("CREATE TABLE half_committed (n int8)")
            try await database.execute(
                """
                CREATE FUNCTION half_committed_waits() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM pg_advisory_xact_lock(7005); RETURN NULL; END $$
                """)
            try await database.execute(
                """
                CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON half_committed DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION half_committed_waits()
                """)
            let writer = try await database.transaction { transaction in
                try await transaction.execute("SELECT pg_advisory_xact_lock(7005)")
                let writer = Task { try await database.transaction { _ = try await $0.execute("INSERT INTO half_committed VALUES (1)") } }
                let waiting: SQL = "FROM pg_locks WHERE locktype = 'advisory' AND objid = 7005 AND NOT granted"
                try await eventually { try await transaction.value("SELECT count(*) " + waiting, as: Int.self) == 1 }
                try await transaction.execute("SELECT pg_terminate_backend(pid) " + waiting)
                return writer
            }
            #expect(await databaseError { try await writer.value }?.isOutcomeUnknown == true)
        }
    }

    @Test func aDatabaseThatIsDownAnswersFastAndComesBack() async throws {
        let cluster = try await TestCluster.start()
        let test = try await cluster.makeDatabase()
        try await withDatabase(url: test.ownerURL) { database in
            try await database.execute("CREATE TABLE kept (n int8)")
            try await database.transaction { _ = try await $0.execute("INSERT INTO kept VALUES (1)") }
            for way in ["kill", "stop"] {
                if way == "kill" { await cluster.kill() } else { await cluster.stop() }
                try await eventually { await failure(of: database)?.isUnavailable == true }
                // Nobody waits for a database that is known to be down: had each waited for one attempt to connect, it would show.
                let start = ContinuousClock.now
                let callers = 200
                for _ in 0..<callers {
                    let single = await databaseError { try await database.execute("SELECT 1") }
                    #expect(single?.isUnavailable == true)
                }
                let took = ContinuousClock.now - start
                let hadEachWaited: Duration = Backoff.delayMax * callers / 2
                #expect(took < hadEachWaited)
                try await eventually {
                    await databaseError { try await database.transaction { _ = try await $0.execute("SELECT 1") } }?.isUnavailable == true
                }
                try await cluster.startServer()
                try await eventually { await failure(of: database) == nil }
                let kept = try await database.transaction { try await $0.value("SELECT count(*) FROM kept", as: Int.self) }
                #expect(kept == 1)
            }
        }
        await cluster.remove()
    }

    @Test func aDatabaseThatWasNeverThereIsUnavailable() async throws {
        for url in ["host=/nonexistent dbname=x", "host=127.0.0.1 port=1 dbname=x", "postgresql://127.0.0.1:1/x"] {
            // No clock of ours ends these: the refused connection does, or the test hangs.
            try await withDatabase(url: url) {
                $0.connectTimeout = .seconds(3600)
                $0.checkoutTimeout = .seconds(3600)
            } _: { database in
                #expect(await databaseError { try await database.execute("SELECT 1") }?.isUnavailable == true)
                let second = await databaseError { try await database.transaction { _ = try await $0.execute("SELECT 1") } }
                #expect(second?.isUnavailable == true)
            }
        }
        #expect(throws: DatabaseError.self) { try Database(configuration: .init(url: "not a url"), logger: Logger(label: "test")) }
    }

    /// Of several attempts that are under way at once the last to fail decides: until then those who wait may yet be served.
    @Test func oneFailedAttemptRefusesNobodyWhileAnotherIsUnderWay() async throws {
        let lane = ExclusiveLane(.init(url: ""), bin: ResultBin(), metrics: PoolMetrics(), connect: {}, cancelReturned: { _ in })
        let (first, second) = (Checkout(beginning: nil), Checkout(beginning: nil))
        for checkout in [first, second] { lane.checkOut(checkout, now: .now) }
        lane.opened(nil, now: .now)
        #expect(await isWaiting(first))
        lane.opened(nil, now: .now)
        #expect(await !isWaiting(second))
    }

    /// Ends a checkout, and tells whether nobody had ended it before.
    private func isWaiting(_ checkout: Checkout) async -> Bool {
        await databaseError {
            _ = try await withCheckedThrowingContinuation { continuation in
                if checkout.park(continuation) { checkout.fail(.queueFull) }
            }
        }?.isQueueFull == true
    }

    /// The peer accepts and says nothing: the attempt to connect ends by its own clock.
    @Test func aServerThatNeverAnswersIsGivenUp() async throws {
        let silent = try SilentServer()
        try await withDatabase(url: "host=127.0.0.1 port=\(silent.port) dbname=x sslmode=disable") { $0.connectTimeout = .milliseconds(200) } _: { database in
            // The peer would let it wait for ever.
            let error = await databaseError { try await database.execute("SELECT 1") }
            #expect(error?.isUnavailable == true)
        }
    }

    /// A backend that stops answering without closing its socket, as behind a cut cable: its callers are not kept forever.
    @Test func aFrozenBackendIsGivenUp() async throws {
        try await withDatabase {
            $0.sharedConnections = 1
            $0.statementTimeout = .seconds(2)
        } _: { database in
            let pid = try await database.value("SELECT pg_backend_pid()", as: Int32.self)
            #expect(kill(pid, SIGSTOP) == 0)
            let error = await databaseError { try await database.execute("SELECT 1") }
            _ = kill(pid, SIGCONT)
            #expect(error?.isOutcomeUnknown == true)
            let next = try await database.value("SELECT pg_backend_pid()", as: Int32.self)
            #expect(next != pid)
        }
    }

    private func failure(of database: Database) async -> DatabaseError? {
        do {
            try await database.execute("SELECT 1")
            return nil
        } catch {
            return error as? DatabaseError
        }
    }

    /// The backends behind the four shared connections, made busy at the same time so that each shows itself.
    private func pidsOfFour(_ database: Database) async throws -> Set<Int> {
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<4 { group.addTask { try await database.value("SELECT pg_backend_pid() FROM pg_sleep(0.1)", as: Int.self) } }
            return try await group.reduce(into: []) { $0.insert($1) }
        }
    }
}

/// A TCP port that takes connections and never speaks.
private final class SilentServer: Sendable {
    let port: UInt16
    private let descriptor: Int32

    init() throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && listen(descriptor, 16) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        try #require(isListening)
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}
