// Where test clusters live, and the certainty that they are gone afterwards: at exit, or at the next run if this one crashes.
import Foundation
import Synchronization

enum TestDirectories {
    /// Short, because a Unix socket's path may have 107 bytes at most, and writable for everybody.
    private static let prefix = "/tmp/stoa-test-"

    /// The clusters of this process, and the server of each.
    private static let clusters = Mutex<[String: Int32]>([:])

    /// A new directory that the `postgres` user can write to, marked with our process.
    static func make() throws -> URL {
        installExitHandler
        removeThoseOfDeadRuns()
        var template = Array("\(prefix)XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw CommandFailure(command: "mkdtemp", output: "errno \(errno)") }
        let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let directory = URL(fileURLWithPath: path)
        try Data("\(getpid())".utf8).write(to: directory.appendingPathComponent("owner.pid"))
        clusters.withLock { $0[path] = 0 }
        if getuid() == 0, let postgres = getpwnam("postgres") {
            guard chown(path, postgres.pointee.pw_uid, postgres.pointee.pw_gid) == 0 else {
                throw CommandFailure(command: "chown", output: "errno \(errno)")
            }
        }
        return directory
    }

    static func remember(server: Int32, in directory: URL) {
        clusters.withLock { $0[directory.path] = server }
    }

    static func remove(_ directory: URL) {
        clusters.withLock { $0[directory.path] = nil }
        try? FileManager.default.removeItem(at: directory)
    }

    /// Runs once. `exit` calls handlers of C, which capture nothing.
    private static let installExitHandler: Void = {
        atexit { TestDirectories.removeAll() }
    }()

    private static func removeAll() {
        let all = clusters.withLock { clusters in
            defer { clusters = [:] }
            return clusters
        }
        for (path, server) in all { stopAndRemove(path, server: server) }
    }

    /// A directory whose owner no longer runs belongs to nobody.
    private static func removeThoseOfDeadRuns() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/tmp")) ?? []
        for name in names where "/tmp/\(name)".hasPrefix(prefix) {
            let path = "/tmp/\(name)"
            guard let owner = pid(in: "\(path)/owner.pid"), kill(owner, 0) != 0, errno == ESRCH else { continue }
            stopAndRemove(path, server: pid(in: "\(path)/data/postmaster.pid") ?? 0)
        }
    }

    private static func stopAndRemove(_ path: String, server: Int32) {
        if server > 0, isServer(server, of: path) {
            kill(server, SIGQUIT)  // immediate shutdown: nothing is worth saving
            for _ in 0..<500 where kill(server, 0) == 0 && isServer(server, of: path) { usleep(10_000) }
        }
        removeInBackground(path)
    }

    /// A run leaves a database a test, some hundred thousand files: a process of its own removes them, so that nobody waits. What it does
    /// not finish has no live owner, and the next run removes it.
    private static func removeInBackground(_ path: String) {
        let remover = Process()
        remover.executableURL = URL(fileURLWithPath: "/bin/rm")
        remover.arguments = ["-rf", "--", path]
        try? remover.run()
    }

    /// Process numbers are used again: only a process that was started for this directory is ours to end.
    private static func isServer(_ pid: Int32, of path: String) -> Bool {
        guard let line = try? Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/cmdline")) else { return false }
        return String(decoding: line, as: UTF8.self).contains(path)
    }

    private static func pid(in file: String) -> Int32? {
        (try? String(contentsOfFile: file, encoding: .utf8))?.split(separator: "\n").first.flatMap { Int32($0.trimmingCharacters(in: .whitespaces)) }
    }
}
