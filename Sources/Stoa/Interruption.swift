// Ctrl-C while something is under way that is not serving yet: the work is cancelled, and then closed in order, so that no
// embedded cluster is left running by somebody who changed their mind. (Serving stops by itself: see CityServer.)
import UnixSignals

/// The work ended because a person or the system asked for it.
struct Interrupted: Error, CustomStringConvertible {
    let description = "Interrupted. What was committed stays; run it again to go on."
}

/// Runs work that SIGINT or SIGTERM cancels.
/// - Throws: `Interrupted` after a signal, when the work has come to its end; else what the work throws.
func cancelledBySignals<Value: Sendable>(_ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    return try await withThrowingTaskGroup(of: Value?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            for await _ in signals { throw Interrupted() }
            return nil
        }
        defer { group.cancelAll() }
        while let value = try await group.next() {
            if let value { return value }
        }
        throw CancellationError()
    }
}
