// Tells from the files of a cluster and the processes of the machine whether the cluster runs, without connecting to it.
import Foundation

/// What a cluster's main process is doing.
enum PostmasterState: Equatable, Sendable {
    /// Nothing runs.
    case absent
    /// The lock file names a process that is gone or is somebody else: the machine or the cluster was killed.
    case leftBehind
    case starting
    case ready(socketDirectory: String)
    case stopping

    /// Reads `postmaster.pid`: process id, data directory, start time, port, socket directory, listen address, shared memory key, status.
    init(ofCluster dataDirectory: String) {
        guard let text = try? String(contentsOfFile: dataDirectory + "/postmaster.pid", encoding: .utf8) else {
            self = .absent
            return
        }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
        guard let pid = pid_t(lines[0]), Self.isPostmaster(pid, of: dataDirectory) else {
            self = .leftBehind
            return
        }
        switch lines.count < 8 ? "" : lines[7] {
        case "ready", "standby": self = .ready(socketDirectory: lines[4])
        case "stopping": self = .stopping
        default: self = .starting
        }
    }

    /// A process id is used again after a restart of the machine, so a living process must also work in this data directory.
    private static func isPostmaster(_ pid: pid_t, of dataDirectory: String) -> Bool {
        guard kill(pid, 0) == 0 || errno == EPERM, !isDead(pid) else { return false }
        guard let directory = workingDirectory(of: pid) else { return true }
        return directory == dataDirectory
    }

    /// Processes that work in this data directory: after the main process was killed, its children need a moment to notice.
    static func processes(ofCluster dataDirectory: String) -> [pid_t] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { pid_t($0) }.filter { workingDirectory(of: $0) == dataDirectory }
    }

    /// A killed process whose parent has not asked after it yet still has its number (a zombie), and some containers never ask.
    private static func isDead(_ pid: pid_t) -> Bool {
        // "25656 (postgres) S 1 …": the name may hold anything, so the state is what follows the last parenthesis.
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let state = text[(text.lastIndex(of: ")") ?? text.startIndex)...].dropFirst(2).first
        else { return false }
        return state == "Z" || state == "X"
    }

    /// Nil where there is no /proc, or the process hides it.
    private static func workingDirectory(of pid: pid_t) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
    }
}
