// With no `database.url`, Stoa brings up a private PostgreSQL in its data directory: Unix socket only, for the user who
// started Stoa and nobody else. Whoever comes first starts it, others join, the last one to leave stops it.
import Foundation

/// A role of the database, and what it may do.
enum DatabaseRole: String, CaseIterable, Sendable {
    /// Migrates and owns every table.
    case owner
    /// Serves.
    case app
    /// Reads the logs.
    case auditor

    var name: String { "stoa_" + rawValue }
}

/// Is told in a sentence what takes time, or what a person should know.
typealias Say = @Sendable (String) -> Void

/// A running private cluster that this process holds on to.
struct EmbeddedPostgres: Sendable {
    let place: ClusterPlace
    let binaries: PostgresBinaries
    let user: ClusterUser
    private let data: DataDirectory
    private let socketDirectory: String
    private let usersLock: FileLock

    /// Recovery after a kill replays at most max_wal_size, which takes well under this on a slow disk.
    private static let startSecondsMax = 300
    /// A fast shutdown writes one checkpoint.
    private static let stopSecondsMax = 60
    /// Children of a killed main process notice within a second, unless a statement keeps them busy.
    private static let leftoverSecondsMax = 30

    /// Starts the cluster of this data directory, makes it if there is none, or joins the one that runs.
    /// - Throws: `SetupError`.
    static func open(_ data: DataDirectory, say: @escaping Say) async throws -> EmbeddedPostgres {
        let startLock = try await lockForStart(data, say: say)
        defer { startLock.unlock() }
        let user = try ClusterUser.current()
        let place = try await ClusterPlace.findOrMake(for: data, user: user)
        if place.isElsewhere {
            say("The user \(user.name) cannot reach \(data.path), so the database is in \(place.directory).")
        }
        let binaries = try await PostgresBinaries.find(majorVersion: place.majorVersion, user: user)
        let cluster = Cluster(place: place, binaries: binaries, user: user, say: say)
        let socketDirectory = try await cluster.start(
            startSecondsMax: startSecondsMax, leftoverSecondsMax: leftoverSecondsMax, stopSecondsMax: stopSecondsMax)
        let usersLock = try FileLock(path: data.clusterUsersLock)
        // Nobody holds it alone but a leaver, and leavers hold the start lock.
        guard usersLock.tryLock(.shared) else { throw SetupError("\(data.clusterUsersLock) is held by another program. End it and start again.") }
        return EmbeddedPostgres(
            place: place, binaries: binaries, user: user, data: data, socketDirectory: socketDirectory, usersLock: usersLock)
    }

    /// How to reach the database of a data directory without starting anything; nil when it was never made.
    static func connectionString(for data: DataDirectory, role: DatabaseRole) -> (url: String, isRunning: Bool)? {
        guard let place = ClusterPlace.existing(for: data) else { return nil }
        if case .ready(let socketDirectory) = PostmasterState(ofCluster: place.data) {
            return (url(socketDirectory: socketDirectory, user: role.name, database: databaseName), true)
        }
        return (url(socketDirectory: place.socket, user: role.name, database: databaseName), false)
    }

    static let databaseName = "stoa"

    /// The libpq connection string (URI) of the city's database for a role.
    func connectionString(role: DatabaseRole) -> String {
        Self.url(socketDirectory: socketDirectory, user: role.name, database: Self.databaseName)
    }

    /// The superuser's, for bootstrap alone.
    func superuserConnectionString(database: String) -> String {
        Self.url(socketDirectory: socketDirectory, user: "postgres", database: database)
    }

    /// Whether the main process still runs.
    var isRunning: Bool {
        if case .ready = PostmasterState(ofCluster: place.data) { return true }
        return false
    }

    /// Lets go of the cluster and stops it cleanly, unless another process of Stoa uses it too.
    /// - Returns: whether it was stopped.
    @discardableResult
    func close(say: @escaping Say) async throws -> Bool {
        let startLock = try await Self.lockForStart(data, say: say)
        defer { startLock.unlock() }
        guard usersLock.tryLock(.exclusive) else {
            usersLock.unlock()
            return false
        }
        defer { usersLock.unlock() }
        try await Cluster(place: place, binaries: binaries, user: user, say: say).stop(secondsMax: Self.stopSecondsMax)
        return true
    }

    /// Brings a cluster back that died under this process (killed, out of memory). One that was stopped on purpose stays stopped.
    /// - Returns: whether it had to be started.
    func startAgainIfKilled(say: @escaping Say) async throws -> Bool {
        guard PostmasterState(ofCluster: place.data) == .leftBehind else { return false }
        let startLock = try await Self.lockForStart(data, say: say)
        defer { startLock.unlock() }
        guard PostmasterState(ofCluster: place.data) == .leftBehind else { return false }
        _ = try await Cluster(place: place, binaries: binaries, user: user, say: say).start(
            startSecondsMax: Self.startSecondsMax, leftoverSecondsMax: Self.leftoverSecondsMax, stopSecondsMax: Self.stopSecondsMax)
        return true
    }

    private static func lockForStart(_ data: DataDirectory, say: @escaping Say) async throws -> FileLock {
        let lock = try FileLock(path: data.clusterLock)
        let held = try await lock.lock(.exclusive, secondsMax: startSecondsMax) {
            say("Waiting for another stoa that starts or stops this database …")
        }
        guard held else {
            throw SetupError("Another stoa has been starting or stopping this database for \(startSecondsMax) seconds. Look at it and try again.")
        }
        return lock
    }

    private static func url(socketDirectory: String, user: String, database: String) -> String {
        let unreserved = CharacterSet(charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        let host = socketDirectory.addingPercentEncoding(withAllowedCharacters: unreserved) ?? socketDirectory
        return "postgresql://\(user)@\(host):\(ClusterPlace.port)/\(database)"
    }
}
