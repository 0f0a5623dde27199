// How long work is told of: a bar that moves where a person watches, plain lines now and then where a program or a log reads.
import Foundation
import Synchronization

/// Reports how far a piece of work is, on standard error, so that standard output holds results alone.
final class ProgressReport: Sendable {
    private struct State {
        var lastShown: ContinuousClock.Instant?
        var lastLength = 0
    }

    /// A bar ten times a second looks alive; a log wants to be read later.
    private static let barInterval = Duration.milliseconds(100)
    private static let lineInterval = Duration.seconds(5)
    private static let barWidth = 32

    private let label: String
    private let isTerminal: Bool
    private let write: @Sendable (String) -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - label: what is being done, such as "Importing residents".
    ///   - isTerminal: whether a bar can be drawn; found out unless given.
    init(
        _ label: String, isTerminal: Bool = isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb",
        write: @escaping @Sendable (String) -> Void = { FileHandle.standardError.write(Data($0.utf8)) }
    ) {
        self.label = label
        self.isTerminal = isTerminal
        self.write = write
    }

    /// Shows the state, unless it was shown a moment ago.
    /// - Parameters:
    ///   - done: units that are finished.
    ///   - total: all units; 0 when nobody knows.
    func update(_ done: Int, of total: Int) {
        show(done, of: total, force: false)
    }

    /// Shows the last state and leaves the line.
    func finish(_ done: Int, of total: Int) {
        show(done, of: total, force: true)
        if isTerminal { write("\n") }
    }

    private func show(_ done: Int, of total: Int, force: Bool) {
        let text: String? = state.withLock { state in
            let now = ContinuousClock.now
            let interval = isTerminal ? Self.barInterval : Self.lineInterval
            if !force, let last = state.lastShown, now - last < interval { return nil }
            state.lastShown = now
            let line = isTerminal ? bar(done, of: total) : plain(done, of: total)
            defer { state.lastLength = line.count }
            // Blanks over what a longer line left behind.
            return isTerminal ? "\r" + line + String(repeating: " ", count: max(0, state.lastLength - line.count)) : line + "\n"
        }
        if let text { write(text) }
    }

    private func plain(_ done: Int, of total: Int) -> String {
        total > 0 ? "\(label): \(done) of \(total) (\(percent(done, of: total)) %)" : "\(label): \(done)"
    }

    private func bar(_ done: Int, of total: Int) -> String {
        guard total > 0 else { return plain(done, of: total) }
        let filled = min(Self.barWidth, done * Self.barWidth / total)
        let drawing = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.barWidth - filled)
        return "\(label) \(drawing) \(done)/\(total) \(percent(done, of: total)) %"
    }

    private func percent(_ done: Int, of total: Int) -> Int { min(100, done * 100 / total) }
}
