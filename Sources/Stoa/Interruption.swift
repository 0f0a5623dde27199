// Ctrl-C while something is under way: the work is cancelled and closes what it opened, so that no embedded cluster is left
// running by somebody who changed their mind. A server minds signals itself once it serves (CityServer).
import Synchronization
import UnixSignals

/// The work ended because a person or the system asked for it.
struct Interrupted: Error, CustomStringConvertible {
    let description = "Interrupted. What was committed stays; run it again to go on."
}

/// Whether signals still cancel the work.
final class SignalWatch: Sendable {
    private let isOver = Atomic(false)

    /// From here on the work minds signals itself.
    func handOver() { isOver.store(true, ordering: .relaxed) }
    fileprivate var cancels: Bool { !isOver.load(ordering: .relaxed) }
}

/// Runs work that SIGINT or SIGTERM cancels. It must close what it opened with `evenWhenCancelled`.
/// - Throws: `Interrupted` after a signal, when the work has come to its end; else what the work throws.
func cancelledBySignals<Value: Sendable>(_ work: @escaping @Sendable (SignalWatch) async throws -> Value) async throws -> Value {
    let watch = SignalWatch()
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    return try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work(watch) }
        group.addTask {
            for await _ in signals where watch.cancels { throw Interrupted() }
            return nil
        }
        defer { group.cancelAll() }
        while let value = try await group.next() {
            if let value { return value }
        }
        throw CancellationError()
    }
}

/// Runs work to its end although the task around it is cancelled.
func evenWhenCancelled<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    try await Task { try await work() }.value
}
