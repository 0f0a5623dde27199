// Whom the embedded cluster runs as: PostgreSQL refuses root, so root's cluster belongs to the user `postgres`.
import Foundation

/// A user of the operating system who owns a cluster and runs its programs.
struct ClusterUser: Sendable {
    let name: String
    let uid: uid_t
    let gid: gid_t
    /// Whether programs must change user first.
    let dropsFromRoot: Bool

    /// The user to run PostgreSQL as from this process.
    static func current() throws -> ClusterUser {
        let uid = geteuid()
        guard uid == 0 else {
            return ClusterUser(name: userName(of: uid), uid: uid, gid: getegid(), dropsFromRoot: false)
        }
        guard let entry = getpwnam("postgres") else {
            throw SetupError("PostgreSQL does not run as root, and there is no user `postgres` to run it as. `apt-get install postgresql` makes one.")
        }
        return ClusterUser(name: "postgres", uid: entry.pointee.pw_uid, gid: entry.pointee.pw_gid, dropsFromRoot: true)
    }

    /// Whether this user can go into a directory, which the modes of all its parents decide.
    func canEnter(_ directory: String) async throws -> Bool {
        try await run("/usr/bin/test", ["-x", directory]).status == 0
    }

    /// Makes a directory of mode 0700 that belongs to this user.
    func makePrivateDirectory(_ path: String) throws {
        if mkdir(path, 0o700) != 0, errno != EEXIST {
            throw SetupError("The directory \(path) cannot be made: \(lastSystemError()).")
        }
        // A link that somebody else put in a shared directory must not lead us elsewhere.
        guard let entry = DirectoryEntry(path), entry.isDirectory else {
            throw SetupError("\(path) is not a directory. Remove it and start again.")
        }
        guard entry.owner == uid || entry.owner == geteuid() else {
            throw SetupError("The directory \(path) belongs to \(userName(of: entry.owner)). Remove it and start again.")
        }
        guard chown(path, uid, gid) == 0, chmod(path, 0o700) == 0 else {
            throw SetupError("The directory \(path) cannot be given to \(name): \(lastSystemError()).")
        }
    }

    /// Writes a file of mode 0600 that belongs to this user.
    func write(_ text: String, to path: String) throws {
        try writePrivateFile(Array(text.utf8), to: path, owner: (uid, gid))
    }

    /// Runs a program to its end as this user.
    /// - Returns: its exit status and everything it printed.
    func run(_ executable: String, _ arguments: [String]) async throws -> (status: Int32, output: String) {
        let change = ["/usr/bin/setpriv", "--reuid=\(uid)", "--regid=\(gid)", "--init-groups", "--"]
        let command = (dropsFromRoot ? change : []) + [executable] + arguments
        return try await runProgram(command, environment: Self.environment)
    }

    /// Nothing of PGHOST, PGDATA and their kin, and messages that we can show in one language.
    private static var environment: [String: String] {
        var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("PG") && !$0.key.hasPrefix("LC_") }
        environment["LANG"] = nil
        environment["LC_ALL"] = "C"
        return environment
    }
}
