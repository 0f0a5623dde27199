// Thousands of callers, one batch at a time, everybody's own answer.
import Foundation
import Primitives
import Synchronization
import Testing

private struct Poison: Error, Equatable {
    let item: Int
}

/// Stands for the database: remembers what was committed, and can be made to wait in the middle of a batch.
private final class Store: Sendable {
    private struct State {
        var batches: [[Int]] = []
        var inFlight = 0
        var inFlightMax = 0
        var isOpen = true
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    init(open: Bool = true) {
        state.withLock { $0.isOpen = open }
    }

    var batches: [[Int]] { state.withLock { $0.batches } }
    var inFlightMax: Int { state.withLock { $0.inFlightMax } }

    func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Answers each item with its square; a negative one poisons its batch.
    func commit(_ items: [Int]) async throws -> [Int] {
        state.withLock { state in
            state.batches.append(items)
            state.inFlight += 1
            state.inFlightMax = max(state.inFlightMax, state.inFlight)
        }
        defer { state.withLock { $0.inFlight -= 1 } }
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
        await Task.yield()
        if let poison = items.first(where: { $0 < 0 }) { throw Poison(item: poison) }
        return items.map { $0 * $0 }
    }
}

/// Yields to others until something has come true; fails the test if it does not within the deadline.
private func eventually(_ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation) async {
    let deadline = ContinuousClock.now + .seconds(30)
    while !condition() {
        guard ContinuousClock.now < deadline else {
            Issue.record("did not come true in time", sourceLocation: sourceLocation)
            return
        }
        await Task.yield()
    }
}

@Suite("GroupCommit")
struct GroupCommitTests {
    private func gather(
        _ store: Store, itemsPerBatchMax: Int = 256, itemsQueuedMax: Int = 20_000, batchesInFlightMax: Int = 1, itemsPerFurtherBatchMin: Int = 1,
        retriesSingly: @escaping @Sendable (any Error) -> Bool = { _ in true }
    ) -> GroupCommit<Int, Int> {
        GroupCommit(
            name: "squares", itemsPerBatchMax: itemsPerBatchMax, itemsQueuedMax: itemsQueuedMax, batchesInFlightMax: batchesInFlightMax,
            itemsPerFurtherBatchMin: itemsPerFurtherBatchMin, retriesSingly: retriesSingly,
            commit: { try await store.commit($0) })
    }

    /// Hands items in one after the other, so that their order in the queue is known.
    private func queue(_ items: [Int], in group: GroupCommit<Int, Int>) async -> [Task<Int, any Error>] {
        var tasks: [Task<Int, any Error>] = []
        for item in items {
            let before = group.statistics
            tasks.append(Task { try await group.submit(item) })
            await eventually {
                group.statistics.queued + group.statistics.itemsStarted > before.queued + before.itemsStarted
            }
        }
        return tasks
    }

    @Test("gives 10,000 callers at once their own answers, with one batch in flight and none too large")
    func everyoneTheirOwnAnswer() async throws {
        let store = Store()
        let group = gather(store)
        try await withThrowingTaskGroup(of: (Int, Int).self) { tasks in
            for item in 0..<10_000 {
                tasks.addTask { (item, try await group.submit(item)) }
            }
            for try await (item, answer) in tasks { #expect(answer == item * item) }
        }
        #expect(store.inFlightMax == 1)
        #expect(store.batches.flatMap { $0 }.sorted() == Array(0..<10_000))
        #expect(store.batches.allSatisfy { (1...256).contains($0.count) })
        #expect(store.batches.count < 10_000)
        #expect(group.statistics.queued == 0)
        #expect(group.statistics.itemsStarted == 10_000)
        #expect(group.statistics.batchesStarted == store.batches.count)
    }

    @Test("sends the first item at once, gathers what arrives meanwhile, and keeps the order of arrival")
    func gathering() async throws {
        let store = Store(open: false)
        let group = gather(store, itemsPerBatchMax: 3)
        let first = await queue([1], in: group)
        await eventually { store.batches == [[1]] }
        let tasks = first + (await queue([2, 3, 4, 5], in: group))
        #expect(group.statistics.queued == 4)
        store.open()
        for (task, item) in zip(tasks, 1...) { #expect(try await task.value == item * item) }
        #expect(store.batches == [[1], [2, 3, 4], [5]])
        // Idle again: the next caller does not wait for company.
        #expect(try await group.submit(6) == 36)
        #expect(store.batches.last == [6])
    }

    @Test("sends a second batch behind the first when enough has gathered for it, and no third")
    func furtherBatches() async throws {
        let store = Store(open: false)
        let group = gather(store, batchesInFlightMax: 2, itemsPerFurtherBatchMin: 3)
        var tasks = await queue([1], in: group)
        await eventually { store.batches == [[1]] }
        tasks += await queue([2, 3], in: group)
        #expect(group.statistics.queued == 2)
        tasks += await queue([4], in: group)
        await eventually { store.batches == [[1], [2, 3, 4]] }
        tasks += await queue([5, 6, 7, 8], in: group)
        #expect(group.statistics.queued == 4)
        #expect(group.statistics.batchesStarted == 2)
        store.open()
        for (task, item) in zip(tasks, 1...) { #expect(try await task.value == item * item) }
        #expect(store.inFlightMax == 2)
        #expect(store.batches.flatMap { $0 }.sorted() == Array(1...8))
        // Idle again: one alone leaves at once.
        #expect(try await group.submit(9) == 81)
    }

    @Test("gives everyone their own answer with two batches in flight")
    func everyoneTheirOwnAnswerOfTwo() async throws {
        let store = Store()
        let group = gather(store, batchesInFlightMax: 2, itemsPerFurtherBatchMin: 8)
        try await withThrowingTaskGroup(of: (Int, Int).self) { tasks in
            for item in 0..<10_000 { tasks.addTask { (item, try await group.submit(item)) } }
            for try await (item, answer) in tasks { #expect(answer == item * item) }
        }
        #expect(store.inFlightMax <= 2)
        #expect(store.batches.flatMap { $0 }.sorted() == Array(0..<10_000))
        #expect(group.statistics.queued == 0)
    }

    @Test("fails only the caller of a poisoned item")
    func poison() async throws {
        let store = Store(open: false)
        let group = gather(store)
        let first = await queue([1], in: group)
        await eventually { store.batches == [[1]] }
        let tasks = first + (await queue([2, -3, 4], in: group))
        store.open()
        #expect(try await tasks[0].value == 1)
        #expect(try await tasks[1].value == 4)
        await #expect(throws: Poison(item: -3)) { try await tasks[2].value }
        #expect(try await tasks[3].value == 16)
        #expect(store.batches == [[1], [2, -3, 4], [2], [-3], [4]])
        #expect(store.inFlightMax == 1)
        #expect(group.statistics.batchesRetriedSingly == 1)
        #expect(try await group.submit(5) == 25)
    }

    @Test("fails all of a batch at once when the error concerns all of them")
    func noSingleRetries() async throws {
        let store = Store(open: false)
        let group = gather(store, retriesSingly: { !($0 is Poison) })
        let tasks = await queue([1, 2, -3], in: group)
        store.open()
        #expect(try await tasks[0].value == 1)
        for task in tasks[1...] {
            await #expect(throws: Poison(item: -3)) { try await task.value }
        }
        #expect(store.batches == [[1], [2, -3]])
        #expect(try await group.submit(5) == 25)
    }

    @Test("tries no further items of a failed batch one by one once an error concerns all of them")
    func singleRetriesEnd() async throws {
        struct Gone: Error {}
        let store = Store(open: false)
        let group = GroupCommit<Int, Int>(name: "leaving", retriesSingly: { !($0 is Gone) }) { items in
            let answers = try await store.commit(items)
            if items.count > 1 { throw Poison(item: items[0]) }
            if items == [2] { throw Gone() }
            return answers
        }
        let first = await queue([0], in: group)
        await eventually { store.batches == [[0]] }
        let tasks = await queue([1, 2, 3, 4], in: group)
        store.open()
        #expect(try await first[0].value == 0)
        #expect(try await tasks[0].value == 1)
        for task in tasks.dropFirst() { await #expect(throws: Gone.self) { try await task.value } }
        #expect(store.batches == [[0], [1, 2, 3, 4], [1], [2]])
        #expect(try await group.submit(5) == 25)
    }

    @Test("answers a full queue at once and loses none that is in it")
    func fullQueue() async throws {
        let store = Store(open: false)
        let group = gather(store, itemsQueuedMax: 3)
        var tasks = await queue([0], in: group)
        await eventually { store.batches == [[0]] }
        tasks += await queue([1, 2, 3], in: group)
        // The store is still closed: the refusal does not wait for it.
        let refused = Task { try await group.submit(4) }
        await eventually { group.statistics.refused == 1 }
        store.open()
        await #expect(throws: GroupCommitError.queueFull) { try await refused.value }
        for (task, item) in zip(tasks, 0...) { #expect(try await task.value == item * item) }
        #expect(store.batches == [[0], [1, 2, 3]])
    }

    @Test("lets a cancelled caller leave the queue while a batch is in flight")
    func cancelledWhileQueued() async throws {
        let store = Store(open: false)
        let group = gather(store)
        let first = await queue([1], in: group)
        await eventually { store.batches == [[1]] }
        let tasks = first + (await queue([2, 3], in: group))
        tasks[1].cancel()
        // The store is still closed: leaving does not wait for it.
        await eventually { group.statistics.queued == 1 }
        store.open()
        await #expect(throws: CancellationError.self) { try await tasks[1].value }
        #expect(try await tasks[0].value == 1)
        #expect(try await tasks[2].value == 9)
        #expect(store.batches == [[1], [3]])
    }

    @Test("gives a caller that is cancelled in flight its answer, and refuses one that is cancelled before it asks")
    func cancelledInFlightOrBefore() async throws {
        let store = Store(open: false)
        let group = gather(store)
        let inFlight = await queue([7], in: group)[0]
        await eventually { store.batches == [[7]] }
        inFlight.cancel()
        let before = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await group.submit(8)
        }
        store.open()
        await #expect(throws: CancellationError.self) { try await before.value }
        #expect(try await inFlight.value == 49)
        #expect(store.batches == [[7]])
    }

    @Test("reports a commit function that answers too few, and works on")
    func wrongAnswerCount() async throws {
        let group = GroupCommit<Int, Int>(name: "short", commit: { $0.first == 1 ? [] : $0 })
        await #expect(throws: GroupCommitError.wrongAnswerCount(items: 1, answers: 0)) { try await group.submit(1) }
        #expect(try await group.submit(2) == 2)
    }

    @Test("commits exactly the items of those who were answered, whoever is cancelled whenever")
    func cancellationStorm() async throws {
        let store = Store()
        let group = gather(store, itemsPerBatchMax: 16)
        let tasks = (0..<3000).map { item in
            (item, Task { try await group.submit(item) })
        }
        for (item, task) in tasks where item % 3 == 0 {
            if item % 2 == 0 { await Task.yield() }
            task.cancel()
        }
        var answered: Set<Int> = []
        for (item, task) in tasks {
            switch await task.result {
            case .success(let answer):
                #expect(answer == item * item)
                answered.insert(item)
            case .failure(let error):
                #expect(error is CancellationError && item % 3 == 0)
            }
        }
        let committed = store.batches.flatMap { $0 }
        #expect(committed.count == Set(committed).count)
        #expect(Set(committed) == answered)
        #expect(store.inFlightMax == 1)
        #expect(group.statistics.queued == 0)
    }

    @Test("works on after callers left whose batch had been started but not yet taken")
    func everyoneLeft() async throws {
        let store = Store()
        let group = gather(store)
        // Busy tasks keep the batch's task waiting for its turn, while a thread of its own cancels the caller as soon as it is queued.
        let busy = (0..<32).map { _ in
            Task { while !Task.isCancelled { await Task.yield() } }
        }
        var submitted = 0
        let deadline = ContinuousClock.now + .seconds(30)
        while group.statistics.itemsStarted == submitted && ContinuousClock.now < deadline {
            let task = Task { try await group.submit(1) }
            let submittedBefore = submitted
            Thread.detachNewThread {
                while group.statistics.queued == 0 && group.statistics.itemsStarted == submittedBefore && ContinuousClock.now < deadline {}
                task.cancel()
            }
            _ = await task.result
            submitted += 1
        }
        for task in busy { task.cancel() }
        #expect(group.statistics.itemsStarted < submitted, "nobody left in time: this run proved nothing")

        let last = Task { try await group.submit(5) }
        await eventually { store.batches.last == [5] }
        last.cancel()
        #expect(try await last.value == 25)
    }
}
