// Finds the PostgreSQL that is installed on this machine: Stoa brings none of its own.
import Foundation

/// The programs of one major version.
struct PostgresBinaries: Sendable {
    let directory: String
    let majorVersion: Int

    var initdb: String { directory + "/initdb" }
    var pgCtl: String { directory + "/pg_ctl" }

    /// Older ones lack SQL-standard function bodies (14) and what the migrations use of 15.
    static let majorVersionMin = 15

    /// The version that made a cluster, or the newest for a new one.
    /// - Parameter majorVersion: what the cluster's PG_VERSION says; nil for a new cluster.
    static func find(majorVersion: Int?, user: ClusterUser) async throws -> PostgresBinaries {
        let installed = try await installed(user: user)
        guard let newest = installed.max(by: { $0.majorVersion < $1.majorVersion }) else {
            throw SetupError("PostgreSQL is not installed here. `apt-get install postgresql` installs it; or set database.url to a server elsewhere.")
        }
        guard let majorVersion else {
            guard newest.majorVersion >= majorVersionMin else {
                throw SetupError("PostgreSQL \(newest.majorVersion) is too old for Stoa: version \(majorVersionMin) or newer is needed.")
            }
            return newest
        }
        guard let match = installed.first(where: { $0.majorVersion == majorVersion }) else {
            throw SetupError(
                "The database was made by PostgreSQL \(majorVersion), and only \(installed.map { String($0.majorVersion) }.sorted().joined(separator: ", ")) "
                    + "is installed. Install version \(majorVersion), or move the data with pg_upgrade (docs/OPERATIONS.md).")
        }
        return match
    }

    private static func installed(user: ClusterUser) async throws -> [PostgresBinaries] {
        // Debian keeps every major version in a directory of its own.
        let debian = "/usr/lib/postgresql"
        var directories = ((try? FileManager.default.contentsOfDirectory(atPath: debian)) ?? []).map { "\(debian)/\($0)/bin" }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        directories += path.split(separator: ":").map(String.init)

        var found: [PostgresBinaries] = []
        for directory in directories {
            let programs = ["postgres", "initdb", "pg_ctl"].map { "\(directory)/\($0)" }
            guard programs.allSatisfy(FileManager.default.isExecutableFile(atPath:)) else { continue }
            let (status, output) = try await user.run(programs[0], ["--version"])
            // "postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"
            guard status == 0, let version = output.split(separator: " ").dropFirst(2).first, let major = Int(version.prefix { $0.isNumber }) else { continue }
            if !found.contains(where: { $0.majorVersion == major }) { found.append(PostgresBinaries(directory: directory, majorVersion: major)) }
        }
        return found
    }
}
