// Decides where a cluster and its socket live: in the data directory, unless the user it runs as cannot get there or the
// path is too long for a socket.
import Crypto
import Foundation

/// The directories of one embedded cluster.
struct ClusterPlace: Sendable {
    /// Holds `data` and, when its path is short enough, `socket`.
    let directory: String
    /// Whether it lies outside the data directory, which a person should be told.
    let isElsewhere: Bool

    var data: String { directory + "/data" }
    var logFile: String { directory + "/start.log" }

    /// sun_path of sockaddr_un holds 108 bytes with its closing NUL (unix(7)).
    static let socketPathBytesMax = 107
    static let port = 5432
    private static let elsewhere = "/var/lib/stoa"

    /// The directory of the socket, short enough for it. The same for the same cluster, so that it can be found again.
    var socket: String {
        let inside = directory + "/socket"
        if (inside + "/.s.PGSQL.\(Self.port)").utf8.count <= Self.socketPathBytesMax { return inside }
        let name = "stoa-" + shortHash(of: directory)
        // /run is root's alone; others have a runtime directory of their own, or the shared one with the checks of makePrivateDirectory.
        if geteuid() == 0, FileManager.default.fileExists(atPath: "/run") { return "/run/" + name }
        if let runtime = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"], runtime.utf8.count < 60 { return runtime + "/" + name }
        return "/tmp/" + name
    }

    /// The major version of PostgreSQL that made the cluster; nil when there is none yet.
    var majorVersion: Int? {
        guard let text = try? String(contentsOfFile: data + "/PG_VERSION", encoding: .utf8) else { return nil }
        return Int(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Where the cluster of this data directory is; nil when it was never made.
    static func existing(for data: DataDirectory) -> ClusterPlace? {
        let inside = ClusterPlace(directory: data.cluster, isElsewhere: false)
        if inside.majorVersion != nil { return inside }
        guard let text = try? String(contentsOfFile: data.clusterPlaceFile, encoding: .utf8) else { return nil }
        let outside = ClusterPlace(directory: text.trimmingCharacters(in: .whitespacesAndNewlines), isElsewhere: true)
        return outside.majorVersion == nil ? nil : outside
    }

    /// Where the cluster of this data directory is, or a fresh directory for it.
    static func findOrMake(for data: DataDirectory, user: ClusterUser) async throws -> ClusterPlace {
        if let place = existing(for: data) {
            guard try await user.canEnter(place.directory) else {
                throw SetupError("The user \(user.name) cannot reach \(place.directory) any more. Give its parent directories mode 0711.")
            }
            return place
        }
        if try await user.canEnter(data.path) {
            try user.makePrivateDirectory(data.cluster)
            return ClusterPlace(directory: data.cluster, isElsewhere: false)
        }
        return try makeElsewhere(for: data, user: user)
    }

    /// An earlier cluster of a data directory that was since deleted stays where it is: its keys are gone, but it is not ours to remove.
    private static func makeElsewhere(for data: DataDirectory, user: ClusterUser) throws -> ClusterPlace {
        do {
            try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
        } catch {
            throw SetupError("\(user.name) cannot reach \(data.path), and \(elsewhere) cannot be made: \(error.localizedDescription).")
        }
        try setMode(0o711, of: elsewhere)
        let base = "\(elsewhere)/\(shortHash(of: data.path))"
        var directory = base
        var generation = 1
        while FileManager.default.fileExists(atPath: directory + "/data/PG_VERSION") {
            generation += 1
            directory = "\(base)-\(generation)"
        }
        try user.makePrivateDirectory(directory)
        try writePrivateFile(Array(directory.utf8), to: data.clusterPlaceFile)
        return ClusterPlace(directory: directory, isElsewhere: true)
    }
}

/// Twelve hexadecimal digits that stand for a path: enough that two directories of one machine do not meet.
private func shortHash(of path: String) -> String {
    SHA256.hash(data: Array(path.utf8)).prefix(6).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}
