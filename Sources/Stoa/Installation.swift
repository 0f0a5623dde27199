// One installation as the commands see it: its settings, its directory, and its database, embedded or the city's own.
import Foundation
import Logging
import Postgres

/// An open installation. Close it at the end, whatever happened: it may hold the embedded cluster.
struct Installation: Sendable {
    let configuration: StoaConfiguration
    let data: DataDirectory
    let embedded: EmbeddedPostgres?
    /// Ctrl-C cancels the work until the work takes that over.
    let signals: SignalWatch
    let say: Say

    /// Opens the data directory and the database. Without `database.url` the embedded cluster is started or joined.
    /// - Parameter creatingData: whether a missing data directory is made, or is an error.
    /// - Throws: `SetupError`
    static func open(_ configuration: StoaConfiguration, creatingData: Bool, signals: SignalWatch, say: @escaping Say) async throws -> Installation {
        let data = creatingData ? try DataDirectory(creating: configuration.dataDirectory) : try DataDirectory(existing: configuration.dataDirectory)
        if !creatingData, configuration.database.url == nil, ClusterPlace.existing(for: data) == nil {
            throw SetupError("There is no embedded database in \(data.path) yet. `stoa demo` or `stoa serve` makes it.")
        }
        let embedded = configuration.database.url == nil ? try await EmbeddedPostgres.open(data, say: say) : nil
        return Installation(configuration: configuration, data: data, embedded: embedded, signals: signals, say: say)
    }

    /// Opens an installation, works in it, and closes it again, also when Ctrl-C ends the work.
    static func with<Value: Sendable>(
        _ configuration: StoaConfiguration, creatingData: Bool, say: @escaping Say, _ work: @escaping @Sendable (Installation) async throws -> Value
    ) async throws -> Value {
        try await cancelledBySignals { signals in
            let installation = try await open(configuration, creatingData: creatingData, signals: signals, say: say)
            do {
                let value = try await work(installation)
                try await installation.close()
                return value
            } catch {
                try? await installation.close()
                throw error
            }
        }
    }

    func close() async throws {
        guard let embedded else { return }
        try await evenWhenCancelled { _ = try await embedded.close(say: say) }
    }

    /// The connection string for a role.
    /// - Throws: `SetupError` when the city's own database was named without one for this role.
    func url(_ role: DatabaseRole) throws -> String {
        if let embedded { return embedded.connectionString(role: role) }
        let settings = configuration.database
        let configured = switch role {
        case .app: (settings.url, StoaConfiguration.Key.url)
        case .owner: (settings.migrationURL, StoaConfiguration.Key.migrationURL)
        case .auditor: (settings.auditorURL, StoaConfiguration.Key.auditorURL)
        }
        guard let url = configured.0 else {
            throw SetupError("This needs the setting \(configured.1.key) (or \(configured.1.variable)): a connection string of the role \(role.name).")
        }
        return url
    }

    /// A pool of connections in a role. Shut it down before the installation is closed.
    func pool(_ role: DatabaseRole, logger: Logger) throws -> Database {
        var settings = Database.Configuration(url: try url(role))
        settings.sharedConnections = role == .app ? configuration.database.sharedConnections : 1
        settings.exclusiveConnections = role == .app ? configuration.database.exclusiveConnections : 2
        return try Database(configuration: settings, logger: logger)
    }

    /// Opens a pool, works with it, and shuts it down.
    func withPool<Value: Sendable>(
        _ role: DatabaseRole, logger: Logger, _ work: @Sendable (Database) async throws -> Value
    ) async throws -> Value {
        try await Self.use(try pool(role, logger: logger), work)
    }

    /// Works with the auditor's role. On a server of the city's own its connection string is all that is needed: no data directory, no key.
    static func withAuditor<Value: Sendable>(
        _ configuration: StoaConfiguration, say: @escaping Say, _ work: @escaping @Sendable (Database) async throws -> Value
    ) async throws -> Value {
        let logger = configuration.makeLogger()
        guard let url = configuration.database.auditorURL else {
            return try await with(configuration, creatingData: false, say: say) { try await $0.withPool(.auditor, logger: logger, work) }
        }
        return try await cancelledBySignals { _ in
            var settings = Database.Configuration(url: url)
            settings.sharedConnections = 1
            settings.exclusiveConnections = 2
            return try await use(try Database(configuration: settings, logger: logger), work)
        }
    }

    private static func use<Value: Sendable>(_ database: Database, _ work: @Sendable (Database) async throws -> Value) async throws -> Value {
        do {
            let value = try await work(database)
            await database.shutdown()
            return value
        } catch {
            await database.shutdown()
            throw error
        }
    }

    /// Brings the schema up to date. An embedded cluster gets its roles and its database first. On the city's own server a process without
    /// the owner's connection string changes nothing: it only makes sure that nothing is left to do.
    func migrate() async throws {
        let folder = configuration.rootDirectory + "/migrations"
        let migrations = try Migrations(folder: folder)
        if let embedded {
            let script = try String(contentsOfFile: folder + "/bootstrap.sql", encoding: .utf8)
            try await Bootstrap.run(script: script, database: EmbeddedPostgres.databaseName) { embedded.superuserConnectionString(database: $0) }
        } else if configuration.database.migrationURL == nil {
            return try await requireNothingPending(migrations)
        }
        let say = self.say
        let run = try await migrations.apply(to: try url(.owner)) { progress in
            if progress == .waitingForAnotherNode { say("Waiting for another node that migrates the database …") }
        }
        if !run.isEmpty { say("Brought the database to \(run.last ?? "") (\(run.count) migrations).") }
    }

    private func requireNothingPending(_ migrations: Migrations) async throws {
        let pending = try await withPool(.app, logger: configuration.makeLogger()) { try await migrations.pending(in: $0) }
        guard pending.isEmpty else {
            throw SetupError(
                "The database lacks \(pending.count) migrations, \(pending[0]) first. Run `stoa migrate` with the setting database.migration_url, the owner's.")
        }
    }
}
