// Runs PostgreSQL's programs. Not Foundation's Process: on Linux it waits until every descendant has closed a descriptor that it
// hands down, and pg_ctl leaves a server behind.
import Dispatch
import Foundation

/// Runs a program to its end in a process group of its own, so that Ctrl-C on the terminal does not reach it.
/// - Parameter command: the path of the program and its arguments.
/// - Returns: its exit status (128 + the signal when it was killed) and everything it printed.
/// - Throws: `SetupError` when it cannot be started.
func runProgram(_ command: [String], environment: [String: String]) async throws -> (status: Int32, output: String) {
    // A file and not a pipe: the server that pg_ctl leaves behind would keep a pipe open and us waiting.
    let printed = try TemporaryFile()
    let pid = try spawn(command, environment: environment, output: printed.descriptor)
    let status = await withCheckedContinuation { continuation in
        // waitpid blocks, which a thread of the cooperative pool must not.
        DispatchQueue.global().async {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            let signal = status & 0x7F
            continuation.resume(returning: signal == 0 ? (status >> 8) & 0xFF : 128 + signal)
        }
    }
    return (status, printed.text())
}

private func spawn(_ command: [String], environment: [String: String], output: Int32) throws -> pid_t {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var noSignals = sigset_t()
    sigemptyset(&noSignals)
    posix_spawnattr_setsigmask(&attributes, &noSignals)
    var allSignals = sigset_t()
    sigfillset(&allSignals)
    // What Stoa ignores or blocks (SIGPIPE, SIGTERM) its children must not.
    posix_spawnattr_setsigdefault(&attributes, &allSignals)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO)

    // From the root directory: the one that Stoa was started in may be closed to the user who runs this.
    let fromRoot = ["/bin/sh", "-c", "cd / && exec \"$@\"", "sh"] + command
    let arguments = fromRoot.map { strdup($0) } + [nil]
    let variables = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { (arguments + variables).forEach { free($0) } }
    keepDescriptorsToOurselves()
    var pid: pid_t = 0
    let error = posix_spawn(&pid, fromRoot[0], &actions, &attributes, arguments, variables)
    guard error == 0 else { throw SetupError("\(command[0]) does not start: \(String(cString: strerror(error))).") }
    return pid
}

/// Marks everything beyond standard error as not to be inherited: a database that held on to the listening socket would keep the port
/// when Stoa is killed. (What `addopen` and `adddup2` made for the child is not affected.)
private func keepDescriptorsToOurselves() {
    let open = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
    for descriptor in open.compactMap({ Int32($0) }) where descriptor > STDERR_FILENO {
        let flags = fcntl(descriptor, F_GETFD)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFD, flags | FD_CLOEXEC) }
    }
}

/// A file without a name, gone with the process.
private final class TemporaryFile {
    let descriptor: Int32

    init() throws {
        let directory = NSTemporaryDirectory()
        var template = Array((directory + "/stoa-output-XXXXXX").utf8CString)
        descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw SetupError("No temporary file can be made in \(directory): \(lastSystemError()).") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        unlink(template)
    }

    deinit { close(descriptor) }

    func text() -> String {
        let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        try? handle.seek(toOffset: 0)
        let bytes = (try? handle.readToEnd()) ?? Data()
        return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
