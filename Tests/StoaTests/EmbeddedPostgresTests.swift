// The embedded cluster through everything that happens to it: first start, joiners, kill -9 of Stoa and of itself.
import Foundation
import Postgres
import TestSupport
import Testing

@testable import Stoa

@Suite("Embedded PostgreSQL")
struct EmbeddedPostgresTests {
    private let nobody: Say = { _ in }

    /// A fresh data directory whose parents everybody may enter.
    private func dataPath() throws -> String { try TemporaryFolder.make().path + "/data" }

    private func withCluster(_ body: (DataDirectory, EmbeddedPostgres) async throws -> Void) async throws {
        let data = try DataDirectory(creating: try dataPath())
        let cluster = try await EmbeddedPostgres.open(data, say: nobody)
        try await body(data, cluster)
        try await cluster.close(say: nobody)
    }

    private func pid(of cluster: EmbeddedPostgres) throws -> pid_t {
        let text = try String(contentsOfFile: cluster.place.data + "/postmaster.pid", encoding: .utf8)
        return try #require(pid_t(text.prefix { $0 != "\n" }))
    }

    @Test func startsEmptyIsStoppedAndStartsAgainWithItsData() async throws {
        let data = try DataDirectory(creating: try dataPath())
        let first = try await EmbeddedPostgres.open(data, say: nobody)
        try await runScript("CREATE TABLE kept (id integer)", on: first.superuserConnectionString(database: "postgres"))
        #expect(try await first.close(say: nobody))
        #expect(PostmasterState(ofCluster: first.place.data) == .absent)

        let second = try await EmbeddedPostgres.open(data, say: nobody)
        try await runScript("SELECT id FROM kept", on: second.superuserConnectionString(database: "postgres"))
        #expect(try await second.close(say: nobody))
    }

    @Test func isMadeAsTheDocumentationSays() async throws {
        try await withCluster { _, cluster in
            let url = cluster.superuserConnectionString(database: "postgres")
            // Each assertion raises in the server when it does not hold.
            try await runScript(
                """
                DO $$ BEGIN
                    ASSERT current_setting('server_encoding') = 'UTF8';
                    ASSERT (SELECT datcollate FROM pg_database WHERE datname = 'postgres') = 'C.UTF-8';
                    ASSERT current_setting('data_checksums') = 'on';
                    ASSERT current_setting('listen_addresses') = '';
                    ASSERT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') = 'on';
                    ASSERT inet_server_addr() IS NULL;
                END $$
                """, on: url)
            let attributes = try FileManager.default.attributesOfItem(atPath: cluster.place.socket)
            #expect(attributes[.posixPermissions] as? NSNumber == 0o700)
        }
    }

    @Test func opensForWhoStartedItAndNobodyElse() async throws {
        try await withCluster { _, cluster in
            let superuser = cluster.superuserConnectionString(database: "postgres")
            try await runScript("CREATE ROLE stoa_app LOGIN", on: superuser)
            try await runScript("CREATE DATABASE stoa", on: superuser)
            try await runScript("SELECT 1", on: cluster.connectionString(role: .app))
            guard geteuid() == 0 else { return }
            // Root can become anybody: not even the user whom the server runs as may connect.
            let url = cluster.connectionString(role: .app)
            let (status, output) = try await cluster.user.run("/usr/bin/psql", ["-X", "-d", url, "-c", "SELECT 1"])
            #expect(status != 0 && output.contains("Peer authentication failed"))
        }
    }

    @Test func isSharedUntilTheLastOneLeaves() async throws {
        try await withCluster { data, cluster in
            let joined = try await EmbeddedPostgres.open(data, say: nobody)
            #expect(try await joined.close(say: nobody) == false)
            #expect(cluster.isRunning)
        }
    }

    @Test func isStartedOnceByManyAtTheSameTime() async throws {
        let data = try DataDirectory(creating: try dataPath())
        let nobody = self.nobody
        let clusters = try await withThrowingTaskGroup(of: EmbeddedPostgres.self) { group in
            for _ in 0..<4 { group.addTask { try await EmbeddedPostgres.open(data, say: nobody) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        var stopped: [Bool] = []
        for cluster in clusters { stopped.append(try await cluster.close(say: nobody)) }
        #expect(stopped == [false, false, false, true])
    }

    @Test func recoversWhenTheServerWasKilled() async throws {
        try await withCluster { _, cluster in
            try await runScript("CREATE TABLE kept (id integer)", on: cluster.superuserConnectionString(database: "postgres"))
            let killed = try pid(of: cluster)
            kill(killed, SIGKILL)
            try await until { !cluster.isRunning }
            #expect(try await cluster.startAgainIfKilled(say: nobody))
            #expect(try pid(of: cluster) != killed)
            try await runScript("SELECT id FROM kept", on: cluster.superuserConnectionString(database: "postgres"))
            #expect(try await cluster.startAgainIfKilled(say: nobody) == false)
        }
    }

    @Test func staysStoppedWhenItWasStoppedOnPurpose() async throws {
        try await withCluster { _, cluster in
            kill(try pid(of: cluster), SIGINT)
            try await until { PostmasterState(ofCluster: cluster.place.data) == .absent }
            #expect(try await cluster.startAgainIfKilled(say: nobody) == false)
            #expect(!cluster.isRunning)
        }
    }

    @Test func isNotMisledByAProcessThatHasTheOldNumber() async throws {
        let data = try DataDirectory(creating: try dataPath())
        let first = try await EmbeddedPostgres.open(data, say: nobody)
        let lockFile = first.place.data + "/postmaster.pid"
        var lines = try String(contentsOfFile: lockFile, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false)
        try await first.close(say: nobody)
        // This very process, alive and no postmaster, as after a restart of the machine.
        lines[0] = "\(getpid())"
        try first.user.write(lines.joined(separator: "\n"), to: lockFile)
        #expect(PostmasterState(ofCluster: first.place.data) == .leftBehind)
        let second = try await EmbeddedPostgres.open(data, say: nobody)
        #expect(second.isRunning)
        try await second.close(say: nobody)
    }

    @Test func findsAShortPlaceForTheSocketOfADeepDirectory() async throws {
        let deep = try dataPath() + "/" + String(repeating: "deep", count: 20)
        let data = try DataDirectory(creating: deep)
        let cluster = try await EmbeddedPostgres.open(data, say: nobody)
        #expect(!cluster.place.socket.hasPrefix(deep))
        try await runScript("SELECT 1", on: cluster.superuserConnectionString(database: "postgres"))
        try await cluster.close(say: nobody)
        try? FileManager.default.removeItem(atPath: cluster.place.socket)
    }

    @Test(.enabled(if: geteuid() == 0)) func goesElsewhereWhenItsUserCannotEnterAndSaysSo() async throws {
        let closed = try dataPath()
        try FileManager.default.createDirectory(atPath: closed, withIntermediateDirectories: true)
        try setMode(0o700, of: closed)
        let data = try DataDirectory(creating: closed + "/data")
        let said = Said()
        let cluster = try await EmbeddedPostgres.open(data) { said.append($0) }
        #expect(cluster.place.directory.hasPrefix("/var/lib/stoa/"))
        #expect(said.sentences.contains { $0.contains(cluster.place.directory) })
        try await runScript("SELECT 1", on: cluster.superuserConnectionString(database: "postgres"))
        try await cluster.close(say: nobody)

        // Found again while the directory knows of it; never taken over by a fresh one at the same path.
        #expect(ClusterPlace.existing(for: data)?.directory == cluster.place.directory)
        try FileManager.default.removeItem(atPath: data.clusterPlaceFile)
        let other = try await ClusterPlace.findOrMake(for: data, user: .current())
        #expect(other.directory == cluster.place.directory + "-2")
        for path in [cluster.place.directory, other.directory] { try FileManager.default.removeItem(atPath: path) }
    }

    @Test func saysWhoseDirectoryItIs() async throws {
        guard geteuid() == 0 else { return }
        let path = try dataPath()
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        #expect(chown(path, 12345, 12345) == 0)
        let error = #expect(throws: SetupError.self) { try DataDirectory(creating: path) }
        #expect(error?.description.contains("user 12345") == true)
    }
}

/// Sentences from a `Say`, which may come from any thread.
final class Said: @unchecked Sendable {
    private let lock = NSLock()
    private var all: [String] = []

    var sentences: [String] { lock.withLock { all } }
    func append(_ sentence: String) { lock.withLock { all.append(sentence) } }
}

/// Polls a condition, for at most 30 seconds.
func until(_ condition: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now.advanced(by: .seconds(30))
    while try await !condition() {
        try #require(ContinuousClock.now < deadline, "the condition did not come true within 30 seconds")
        try await Task.sleep(for: .milliseconds(10))
    }
}
