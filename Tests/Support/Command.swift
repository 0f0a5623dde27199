// Running PostgreSQL's own programs from tests.
import Foundation

/// A program that did not end well, with what it said.
public struct CommandFailure: Error, CustomStringConvertible {
    public let command: String
    public let output: String
    public var description: String { "\(command) failed: \(output)" }
}

enum Command {
    /// Runs a program to its end.
    /// - Returns: what it wrote to standard output.
    @discardableResult
    static func run(_ name: String, _ arguments: [String], asPostgres: Bool) async throws -> String {
        let process = try process(name, arguments, asPostgres: asPostgres)
        let output = Pipe()
        let errors = Pipe()
        process.standardOutput = output
        process.standardError = errors
        return try await withCheckedThrowingContinuation { continuation in
            // Waiting is done on a thread of its own: pipes must be read while the program runs, and no task may block for that.
            Thread {
                do {
                    try process.run()
                    let said = output.fileHandleForReading.readDataToEndOfFile()
                    let complained = errors.fileHandleForReading.readDataToEndOfFile()
                    process.waitUntilExit()
                    guard process.terminationStatus == 0 else {
                        throw CommandFailure(command: name, output: String(decoding: said + complained, as: UTF8.self))
                    }
                    continuation.resume(returning: String(decoding: said, as: UTF8.self).trimmingCharacters(in: .newlines))
                } catch {
                    continuation.resume(throwing: error)
                }
            }.start()
        }
    }

    /// Starts a program that stays.
    static func launch(_ name: String, _ arguments: [String], asPostgres: Bool, log: URL) throws -> Process {
        let process = try process(name, arguments, asPostgres: asPostgres)
        if !FileManager.default.fileExists(atPath: log.path) { _ = FileManager.default.createFile(atPath: log.path, contents: nil) }
        let file = try FileHandle(forWritingTo: log)
        try file.seekToEnd()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = file
        process.standardError = file
        try process.run()
        return process
    }

    static func exit(of process: Process) async {
        await withCheckedContinuation { continuation in
            Thread {
                process.waitUntilExit()
                continuation.resume()
            }.start()
        }
    }

    static func children(of pid: Int32) async -> [Int32] {
        let list = (try? await run("pgrep", ["-P", "\(pid)"], asPostgres: false)) ?? ""
        return list.split(separator: "\n").compactMap { Int32($0) }
    }

    /// PostgreSQL refuses to run as root, so root hands its programs to the `postgres` user.
    private static func process(_ name: String, _ arguments: [String], asPostgres: Bool) throws -> Process {
        let process = Process()
        let path = try find(name)
        if asPostgres, getuid() == 0 {
            process.executableURL = URL(fileURLWithPath: try find("setpriv"))
            process.arguments = ["--reuid=postgres", "--regid=postgres", "--init-groups", path] + arguments
        } else {
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = arguments
        }
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        return process
    }

    /// In PATH, or where Debian keeps each version of PostgreSQL; the newest wins.
    private static func find(_ name: String) throws -> String {
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
        let newestFirst = versions.sorted { $0.compare($1, options: .numeric) == .orderedDescending }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let folders = newestFirst.map { "/usr/lib/postgresql/\($0)/bin" } + path.split(separator: ":").map(String.init)
        guard let folder = folders.first(where: { FileManager.default.isExecutableFile(atPath: "\($0)/\(name)") }) else {
            throw CommandFailure(command: name, output: "not found; install PostgreSQL's server and client programs")
        }
        return "\(folder)/\(name)"
    }
}
