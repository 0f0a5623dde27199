// Where the request log's lines go. Requests must not wait for a terminal or a pipe, so lines gather in memory and one
// thread writes what has come together.
import Foundation

/// Writes lines to a file descriptor from a thread of its own, in the order in which they came.
public final class LineWriter: Sendable {
    /// The process's standard output; what is still waiting is written when the process exits.
    public static let standardOutput: LineWriter = {
        atexit { LineWriter.standardOutput.flush() }
        return LineWriter(fileDescriptor: STDOUT_FILENO)
    }()

    /// Bytes that may wait when nobody reads the other end: some 40,000 lines, several seconds at full load. More are counted and dropped.
    private static let waitingBytesMax = 8 * 1024 * 1024

    /// How long the first line of a burst waits for the others. Nobody reads a log faster.
    private static let gatheringMicroseconds: UInt32 = 2_000

    private let waiting = Waiting()

    /// The buffer, guarded by its condition.
    private final class Waiting: @unchecked Sendable {
        let condition = NSCondition()
        var bytes: [UInt8] = []
        var droppedLines = 0
        var isWriting = false
    }

    /// - Parameter fileDescriptor: open for writing for as long as the process runs.
    public init(fileDescriptor: Int32) {
        let thread = Thread { [waiting] in Self.drain(waiting, into: fileDescriptor) }
        thread.name = "line-writer"
        thread.start()
    }

    /// Adds a line; returns at once.
    public func write(_ line: [UInt8]) {
        waiting.condition.lock()
        defer { waiting.condition.unlock() }
        guard waiting.bytes.count + line.count < Self.waitingBytesMax else {
            waiting.droppedLines += 1
            return
        }
        waiting.bytes.append(contentsOf: line)
        waiting.bytes.append(UInt8(ascii: "\n"))
        if !waiting.isWriting { waiting.condition.signal() }
    }

    /// How long an exiting process waits for whoever reads its log.
    private static let flushSecondsMax = 2.0

    /// Waits until everything that was added is written: before the process ends.
    public func flush() {
        let deadline = Date(timeIntervalSinceNow: Self.flushSecondsMax)
        waiting.condition.lock()
        defer { waiting.condition.unlock() }
        while Date() < deadline, waiting.isWriting || !waiting.bytes.isEmpty { _ = waiting.condition.wait(until: Date(timeIntervalSinceNow: 0.01)) }
    }

    private static func drain(_ waiting: Waiting, into fileDescriptor: Int32) {
        while true {
            waiting.condition.lock()
            waiting.isWriting = false
            while waiting.bytes.isEmpty { waiting.condition.wait() }
            waiting.isWriting = true
            // Lines come in bursts: a moment's patience writes many at once and spares each a wake-up of this thread.
            waiting.condition.unlock()
            usleep(gatheringMicroseconds)
            waiting.condition.lock()
            var bytes: [UInt8] = []
            swap(&bytes, &waiting.bytes)
            if waiting.droppedLines > 0 {
                bytes.append(contentsOf: "{\"dropped_log_lines\":\(waiting.droppedLines)}\n".utf8)
                waiting.droppedLines = 0
            }
            waiting.condition.unlock()
            writeAll(bytes, into: fileDescriptor)
        }
    }

    private static func writeAll(_ bytes: [UInt8], into fileDescriptor: Int32) {
        bytes.withUnsafeBytes { buffer in
            var offset = 0
            while offset < buffer.count {
                let count = Foundation.write(fileDescriptor, buffer.baseAddress! + offset, buffer.count - offset)
                // A closed pipe must not stop the city: its log is lost, the service is not.
                guard count > 0 || errno == EINTR else { return }
                offset += max(count, 0)
            }
        }
    }
}
