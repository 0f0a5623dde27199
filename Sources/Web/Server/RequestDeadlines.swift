// Around every request: its work is cancelled when it takes too long. One timer looks after all of them, because a timer
// a request would cost as much as a small request itself.
import Dispatch
import Hummingbird
import Synchronization

/// Runs requests and cancels those that exceed their time.
final class RequestDeadlines: Sendable {
    private struct Running {
        let deadline: DispatchTime
        let task: Task<Response, any Error>
    }

    private struct Table {
        var nextKey: UInt64 = 0
        var running: [UInt64: Running] = [:]
    }

    private let seconds: Int
    private let table: Mutex<Table>
    private let timer: Timer

    /// How late a cancellation may come. Nobody waits for the exact second.
    private static let sweepMilliseconds = 500

    /// - Parameter seconds: from the start of the request to its cancellation.
    init(seconds: Int) {
        self.seconds = seconds
        table = Mutex(Table())
        timer = Timer()
        timer.start(everyMilliseconds: Self.sweepMilliseconds) { [weak self] in self?.cancelOverdue() }
    }

    deinit { timer.stop() }

    /// Runs the work in a task of its own, so that cancelling it leaves the connection's task alone.
    func run(_ work: @escaping @Sendable () async throws -> Response) async throws -> Response {
        let task = Task(operation: work)
        let key = table.withLock { table in
            table.nextKey += 1
            table.running[table.nextKey] = Running(deadline: .now() + .seconds(seconds), task: task)
            return table.nextKey
        }
        defer { table.withLock { _ = $0.running.removeValue(forKey: key) } }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }

    private func cancelOverdue() {
        let now = DispatchTime.now()
        let overdue = table.withLock { table in table.running.values.filter { $0.deadline < now } }
        for request in overdue { request.task.cancel() }
    }

    /// A dispatch timer behind a lock, because dispatch sources are not declared Sendable.
    private final class Timer: @unchecked Sendable {
        private let source = DispatchSource.makeTimerSource(queue: .global())

        func start(everyMilliseconds milliseconds: Int, _ tick: @escaping @Sendable () -> Void) {
            source.schedule(deadline: .now() + .milliseconds(milliseconds), repeating: .milliseconds(milliseconds))
            source.setEventHandler(handler: tick)
            source.resume()
        }

        func stop() { source.cancel() }
    }
}
