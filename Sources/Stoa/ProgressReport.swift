// How long work is told of: a bar that moves where a person watches, plain lines now and then where a program or a log reads.
import Foundation
import Synchronization

/// Reports how far a piece of work is, on standard error, so that standard output holds results alone.
final class ProgressReport: Sendable {
    private struct State {
        var lastShown: ContinuousClock.Instant?
        var lastLength = 0
        var lastLine = ""
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
    ///   - amount: what to show instead of `done` and `total`, where people count in other units.
    func update(_ done: Int, of total: Int, amount: String? = nil) {
        show(done, of: total, amount, force: false)
    }

    /// Shows the last state and leaves the line.
    func finish(_ done: Int, of total: Int, amount: String? = nil) {
        show(done, of: total, amount, force: true)
        if isTerminal { write("\n") }
    }

    /// Says a sentence on a line of its own, out of the bar's way.
    func say(_ sentence: String) {
        let blanks = state.withLock { state in
            // The bar is drawn again below at once.
            defer { if isTerminal { (state.lastShown, state.lastLength) = (nil, 0) } }
            return state.lastLength
        }
        write(isTerminal && blanks > 0 ? "\r" + String(repeating: " ", count: blanks) + "\r" + sentence + "\n" : sentence + "\n")
    }

    private func show(_ done: Int, of total: Int, _ amount: String?, force: Bool) {
        let text: String? = state.withLock { state in
            let now = ContinuousClock.now
            let interval = isTerminal ? Self.barInterval : Self.lineInterval
            if !force, let last = state.lastShown, now - last < interval { return nil }
            state.lastShown = now
            let line = isTerminal ? bar(done, of: total, amount) : plain(done, of: total, amount)
            // A log need not hear the same twice.
            if !isTerminal, line == state.lastLine { return nil }
            defer { (state.lastLength, state.lastLine) = (line.count, line) }
            // Blanks over what a longer line left behind.
            return isTerminal ? "\r" + line + String(repeating: " ", count: max(0, state.lastLength - line.count)) : line + "\n"
        }
        if let text { write(text) }
    }

    private func plain(_ done: Int, of total: Int, _ amount: String?) -> String {
        guard total > 0 else { return "\(label): \(amount ?? String(done))" }
        return "\(label): \(amount ?? "\(done) of \(total)") (\(percent(done, of: total)) %)"
    }

    private func bar(_ done: Int, of total: Int, _ amount: String?) -> String {
        guard total > 0 else { return plain(done, of: total, amount) }
        let filled = min(Self.barWidth, done * Self.barWidth / total)
        let drawing = String(repeating: "█", count: filled) + String(repeating: "░", count: Self.barWidth - filled)
        return "\(label) \(drawing) \(amount ?? "\(done)/\(total)") \(percent(done, of: total)) %"
    }

    private func percent(_ done: Int, of total: Int) -> Int { min(100, done * 100 / total) }
}
