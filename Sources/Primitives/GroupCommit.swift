// Where many callers write at once (ledger postings, access entries): what arrives while a batch is on its way to the
// database travels together in the next one, and every caller gets its own answer after its own commit.
import DequeModule
import Synchronization

/// What `GroupCommit` itself can refuse; errors of the commit function reach the caller as they are.
public enum GroupCommitError: Error, Hashable, Sendable {
    /// The queue holds as many items as it may. Nothing was done; answer 503 and let the caller come back.
    case queueFull
    /// The commit function broke its promise of one answer an item. What it committed is unknown.
    case wrongAnswerCount(items: Int, answers: Int)
}

/// Counts since the start, for metrics and tests.
public struct GroupCommitStatistics: Hashable, Sendable {
    /// Items that wait for a batch now.
    public var queued = 0
    /// Items that were handed to the commit function, and in how many batches.
    public var itemsStarted = 0
    public var batchesStarted = 0
    /// Batches that failed and whose items were tried one by one.
    public var batchesRetriedSingly = 0
    /// Items that were refused because the queue was full.
    public var refused = 0
}

/// Gathers single items into batches: one in flight at a time, or a few where the database takes them one after the other.
///
/// - An item that arrives while nothing is in flight leaves at once, alone: gathering costs an idle system no waiting.
/// - Items leave in the order of arrival. The next batch leaves before the callers of the last are resumed, so that the database
///   is never idle while they run.
/// - When a batch of several items fails, its items are tried one by one, so that a poisoned one fails only its own caller. A batch
///   may fail after it was committed (a lost connection), so the commit must be idempotent by ids that the callers made, or
///   `retriesSingly` must say no to such errors.
/// - A cancelled caller that still waits leaves the queue with `CancellationError`; one whose item is in flight gets its answer,
///   because the item may be committed and somebody must know.
public final class GroupCommit<Item: Sendable, Answer: Sendable>: Sendable {
    /// Items (all of one batch) in, as many answers in the same order out.
    public typealias Commit = @Sendable ([Item]) async throws -> [Answer]

    private struct Caller: Sendable {
        let ticket: UInt64
        let item: Item
        let continuation: CheckedContinuation<Answer, any Error>
    }

    private struct State: Sendable {
        var queue: Deque<Caller> = []
        var batchesInFlight = 0
        var statistics = GroupCommitStatistics()
    }

    private enum Admission {
        case startsBatch, joinsQueue, refused, cancelled
    }

    /// What it gathers, for logs and metrics.
    public let name: String
    private let itemsPerBatchMax: Int
    private let itemsQueuedMax: Int
    private let batchesInFlightMax: Int
    private let itemsPerFurtherBatchMin: Int
    private let retriesSingly: @Sendable (any Error) -> Bool
    private let commit: Commit
    private let state = Mutex(State())
    private let lastTicket = Atomic<UInt64>(0)

    /// - Parameters:
    ///   - name: what it gathers, for logs and metrics.
    ///   - itemsPerBatchMax: beyond 64 items the cost of one hardly falls; 256 keeps the wait of a batch short.
    ///   - itemsQueuedMax: 4096 items are 16 batches, about a fifth of a second at 20,000 a second; who waits longer is better told so.
    ///   - batchesInFlightMax: batches under way at once. More than one suits a commit that sends each down the same pipelined connection.
    ///   - itemsPerFurtherBatchMin: what must have gathered for a batch to leave while another is in flight.
    ///   - retriesSingly: whether the items of a batch that failed with this error are tried one by one; no for errors that
    ///     concern all of them (the database is away), where trying 256 times makes matters worse.
    ///   - commit: commits a batch; called by at most `batchesInFlightMax` tasks at a time, never with an empty batch.
    public init(
        name: String,
        itemsPerBatchMax: Int = 256,
        itemsQueuedMax: Int = 4096,
        batchesInFlightMax: Int = 1,
        itemsPerFurtherBatchMin: Int = 1,
        retriesSingly: @escaping @Sendable (any Error) -> Bool = { _ in true },
        commit: @escaping Commit
    ) {
        precondition(itemsPerBatchMax > 0 && itemsQueuedMax > 0, "a batch and a queue hold at least one item")
        precondition(batchesInFlightMax > 0 && itemsPerFurtherBatchMin > 0, "a batch is in flight, of an item at least")
        self.name = name
        self.itemsPerBatchMax = itemsPerBatchMax
        self.itemsQueuedMax = itemsQueuedMax
        self.batchesInFlightMax = batchesInFlightMax
        self.itemsPerFurtherBatchMin = itemsPerFurtherBatchMin
        self.retriesSingly = retriesSingly
        self.commit = commit
    }

    /// A snapshot of the counts.
    public var statistics: GroupCommitStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.queued = state.queue.count
            return statistics
        }
    }

    /// Hands in an item and waits for its own answer, which comes after the commit of its batch.
    /// - Throws: `GroupCommitError.queueFull` at once; `CancellationError` if cancelled while waiting in the queue; else the commit's error.
    public func submit(_ item: Item) async throws -> Answer {
        let ticket = lastTicket.wrappingAdd(1, ordering: .relaxed).newValue
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                admit(Caller(ticket: ticket, item: item, continuation: continuation))
            }
        } onCancel: {
            leave(ticket)
        }
    }

    private func admit(_ caller: Caller) {
        let admission = state.withLock { state -> Admission in
            // The flag is raised before the cancellation handler runs, so under this lock either the flag is seen here or the handler
            // finds the caller in the queue: it cannot fall between the two.
            if Task.isCancelled { return .cancelled }
            guard state.queue.count < itemsQueuedMax else {
                state.statistics.refused += 1
                return .refused
            }
            state.queue.append(caller)
            return startsBatch(&state) ? .startsBatch : .joinsQueue
        }
        switch admission {
        case .startsBatch: startBatch()
        case .joinsQueue: break
        case .refused: caller.continuation.resume(throwing: GroupCommitError.queueFull)
        case .cancelled: caller.continuation.resume(throwing: CancellationError())
        }
    }

    private func leave(_ ticket: UInt64) {
        let caller = state.withLock { state -> Caller? in
            guard let index = state.queue.firstIndex(where: { $0.ticket == ticket }) else { return nil }
            return state.queue.remove(at: index)
        }
        caller?.continuation.resume(throwing: CancellationError())
    }

    /// Detached, so that a batch carries neither the cancellation nor the task-local values of the caller that happened to start it.
    private func startBatch() {
        Task.detached { await self.runBatch() }
    }

    private func runBatch() async {
        let batch = takeBatch()
        guard !batch.isEmpty else { return }
        do {
            let answers = try await commit(batch.map(\.item))
            guard answers.count == batch.count else {
                throw GroupCommitError.wrongAnswerCount(items: batch.count, answers: answers.count)
            }
            startNextBatch()
            for (caller, answer) in zip(batch, answers) { caller.continuation.resume(returning: answer) }
        } catch {
            guard batch.count > 1 && deservesSingleRetries(error) else {
                startNextBatch()
                for caller in batch { caller.continuation.resume(throwing: error) }
                return
            }
            await runSingly(batch)
            startNextBatch()
        }
    }

    /// A wrong number of answers is a defect of the commit function, not of an item, and its batch may well be committed.
    private func deservesSingleRetries(_ error: any Error) -> Bool {
        if case GroupCommitError.wrongAnswerCount = error { return false }
        return retriesSingly(error)
    }

    private func runSingly(_ batch: [Caller]) async {
        state.withLock { $0.statistics.batchesRetriedSingly += 1 }
        var rest = batch[...]
        while let caller = rest.popFirst() {
            do {
                let answers = try await commit([caller.item])
                guard let answer = answers.first, answers.count == 1 else {
                    throw GroupCommitError.wrongAnswerCount(items: 1, answers: answers.count)
                }
                caller.continuation.resume(returning: answer)
            } catch {
                caller.continuation.resume(throwing: error)
                guard deservesSingleRetries(error) || error is GroupCommitError else {
                    // The database went away meanwhile: nobody after this one would fare better.
                    for caller in rest { caller.continuation.resume(throwing: error) }
                    return
                }
            }
        }
    }

    /// Takes what has arrived. When the queue is empty (those who started the batch were cancelled), this batch is not in flight.
    private func takeBatch() -> [Caller] {
        state.withLock { state in
            let batch = Array(state.queue.prefix(itemsPerBatchMax))
            state.queue.removeFirst(batch.count)
            if batch.isEmpty {
                state.batchesInFlight -= 1
            } else {
                state.statistics.itemsStarted += batch.count
                state.statistics.batchesStarted += 1
            }
            return batch
        }
    }

    private func startNextBatch() {
        let starts = state.withLock { state in
            state.batchesInFlight -= 1
            return startsBatch(&state)
        }
        if starts { startBatch() }
    }

    /// Whether a batch leaves now; then it counts as in flight.
    private func startsBatch(_ state: inout State) -> Bool {
        let itemsMin = state.batchesInFlight == 0 ? 1 : itemsPerFurtherBatchMin
        guard state.batchesInFlight < batchesInFlightMax, state.queue.count >= itemsMin else { return false }
        state.batchesInFlight += 1
        return true
    }
}
