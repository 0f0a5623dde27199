// The PostgreSQL that tests run on: a private cluster in a temporary directory, reached by a Unix socket only, gone when the run ends.
// One is shared by all suites of a run (`shared`); tests that kill their database start one for themselves (`start`).
public import Foundation
import Synchronization

/// A private PostgreSQL cluster with Stoa's roles and no data.
public actor TestCluster {
    /// Who connects. Authentication is trust: only this user of this machine can reach the socket.
    public enum Role: String, Sendable, CaseIterable {
        case superuser = "postgres"
        case owner = "stoa_owner"
        case app = "stoa_app"
        case auditor = "stoa_auditor"
    }

    /// All tests of a run start at once, and each holds a pool or two of up to a dozen connections.
    static let connectionsMax = 800
    static let startSecondsMax = 60.0

    public nonisolated let directory: URL
    private var server: Process?
    private var databases = 0
    private var templates: [String: Task<String, any Error>] = [:]
    private var lastCreation: Task<Void, any Error>?

    private init(directory: URL) {
        self.directory = directory
    }

    private static let theShared = Task { try await start() }

    /// The cluster of this run; the first caller starts it.
    public static func shared() async throws -> TestCluster {
        try await theShared.value
    }

    /// An independent cluster, for tests that stop or kill it. Removed at exit, or earlier by `remove`.
    public static func start() async throws -> TestCluster {
        let cluster = TestCluster(directory: try TestDirectories.make())
        try await cluster.initialise()
        try await cluster.startServer()
        try await cluster.psql(
            """
            CREATE ROLE stoa_owner LOGIN; CREATE ROLE stoa_app LOGIN; CREATE ROLE stoa_auditor LOGIN; CREATE ROLE stoa_door NOLOGIN;
            GRANT stoa_door TO stoa_owner;
            """)
        return cluster
    }

    /// A database of the run's cluster whose content `prepare` has made: once for each key in a run, then cloned for each caller.
    /// - Parameter prepare: receives the owner's and the superuser's connection strings of the template and must close its connections.
    public static func database(
        preparedBy key: String, prepare: @escaping @Sendable (_ ownerURL: String, _ superuserURL: String) async throws -> Void
    ) async throws -> TestDatabase {
        try await shared().database(preparedBy: key, prepare: prepare)
    }

    public func database(
        preparedBy key: String, prepare: @escaping @Sendable (_ ownerURL: String, _ superuserURL: String) async throws -> Void
    ) async throws -> TestDatabase {
        let template = templates[key] ?? Task {
            let database = try await makeDatabase()
            try await prepare(database.ownerURL, database.superuserURL)
            return database.name
        }
        templates[key] = template
        return try await makeDatabase(template: try await template.value)
    }

    /// An empty database that belongs to stoa_owner, or a clone of `template`.
    public func makeDatabase(template: String = "template0") async throws -> TestDatabase {
        databases += 1
        let name = "test_\(databases)"
        // One at a time: PostgreSQL refuses to clone a template that another session is using.
        let previous = lastCreation
        let creation = Task {
            _ = await previous?.result
            try await psql("CREATE DATABASE \(name) OWNER stoa_owner TEMPLATE \(template)")
        }
        lastCreation = creation
        try await creation.value
        return TestDatabase(name: name, cluster: self)
    }

    /// A libpq connection string.
    public nonisolated func url(database: String, role: Role = .owner) -> String {
        "host=\(directory.path) dbname=\(database) user=\(role.rawValue)"
    }

    /// Runs SQL with psql as the superuser: the way of tests that must not depend on what they test.
    /// - Returns: the rows, unaligned, without headings.
    @discardableResult
    public func psql(_ sql: String, database: String = "postgres") async throws -> String {
        try await Command.run(
            "psql", ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url(database: database, role: .superuser), "-c", sql], asPostgres: false)
    }

    // MARK: Accidents

    /// Ends one backend as an administrator would.
    public func terminate(backend pid: Int) async throws {
        try await psql("SELECT pg_terminate_backend(\(pid))")
    }

    /// kill -9 of the whole server, as a power cut is for it.
    public func kill() async {
        guard let server else { return }
        let children = await Command.children(of: server.processIdentifier)
        for pid in [server.processIdentifier] + children { _ = Foundation.kill(pid, SIGKILL) }
        await exited(server)
        self.server = nil
    }

    /// A clean stop that does not wait for clients.
    public func stop() async {
        guard let server else { return }
        _ = Foundation.kill(server.processIdentifier, SIGINT)
        await exited(server)
        self.server = nil
    }

    /// Starts the server again after `kill` or `stop`.
    public func startServer() async throws {
        let process = try Command.launch(
            "postgres", ["-D", data.path, "-k", directory.path],
            asPostgres: true, log: directory.appendingPathComponent("log"))
        server = process
        TestDirectories.remember(server: process.processIdentifier, in: directory)
        let deadline = Date() + Self.startSecondsMax
        while true {
            if await isReady() { return }
            guard process.isRunning, Date() < deadline else {
                let log = (try? String(contentsOf: directory.appendingPathComponent("log"), encoding: .utf8)) ?? ""
                throw CommandFailure(command: "postgres", output: log)
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Stops the server and removes its files.
    public func remove() async {
        await kill()
        TestDirectories.remove(directory)
    }

    // MARK: Making

    private nonisolated var data: URL { directory.appendingPathComponent("data") }

    private func initialise() async throws {
        try await Command.run(
            "initdb", ["-D", data.path, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], asPostgres: true)
        // Without fsync, because nobody pulls the plug of a test; all else as in service.
        let settings = """
            listen_addresses = ''
            max_connections = \(Self.connectionsMax)
            fsync = off
            full_page_writes = off
            # A thousand small databases that live for seconds: cleaning up after them would cost more than it saves.
            autovacuum = off
            max_wal_size = 4GB
            shared_buffers = 128MB
            log_min_messages = warning
            log_statement = none

            """
        let file = try FileHandle(forWritingTo: data.appendingPathComponent("postgresql.conf"))
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(settings.utf8))
    }

    private func isReady() async -> Bool {
        (try? await Command.run("pg_isready", ["-q", "-h", directory.path, "-d", "postgres", "-U", "postgres"], asPostgres: false)) != nil
    }

    private func exited(_ process: Process) async {
        await Command.exit(of: process)
    }
}

/// One database of a test cluster. Goes with the cluster, or earlier by `drop`.
public struct TestDatabase: Sendable {
    public let name: String
    public let cluster: TestCluster

    public var superuserURL: String { cluster.url(database: name, role: .superuser) }
    public var ownerURL: String { cluster.url(database: name, role: .owner) }
    public var appURL: String { cluster.url(database: name, role: .app) }
    public var auditorURL: String { cluster.url(database: name, role: .auditor) }

    @discardableResult
    public func psql(_ sql: String) async throws -> String {
        try await cluster.psql(sql, database: name)
    }

    /// Removes the database, disconnecting whoever is still in it.
    public func drop() async throws {
        try await cluster.psql("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
    }
}
