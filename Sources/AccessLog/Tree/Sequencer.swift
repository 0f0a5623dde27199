// Gives committed entries their place in the public tree and signs the tree's head. It runs on every node and works on one: the
// database lets one sequencer in at a time. Leaves and head are committed together, so there are never two roots of one size; and with the
// head come the tiles that its leaves fill (migrations/0018_tiles.sql).
// Decided in `access_log.sequence` (0008_access_log.sql).
import Foundation
public import Logging
import Metrics
public import Postgres
public import TransparencyLog

/// The loop from the queue to signed checkpoints.
public struct Sequencer: Sendable {
    /// Entries in one batch, and records: some 40 ms of work, so that a checkpoint is never long in coming.
    public static let entriesPerBatchMax = 1000
    /// How long an idle sequencer waits. An entry is integrated and signed within one second.
    public static let idleWait = Duration.milliseconds(250)
    /// How long it waits after an error, for example while the database is away.
    public static let errorWait = Duration.seconds(2)

    private let database: Database
    private let origin: String
    private let signer: Ed25519NoteSigner
    private let isWitnessed: Bool
    private let logger: Logger

    /// - Parameters:
    ///   - signer: its name is the log's origin, as C2SP tlog-checkpoint recommends.
    ///   - isWitnessed: whether witnesses are to confirm the newest head after each start of the database server, before another is signed
    ///     (``AskWitnesses``).
    public init(database: Database, signer: Ed25519NoteSigner, isWitnessed: Bool = false, logger: Logger) {
        self.database = database
        self.signer = signer
        self.isWitnessed = isWitnessed
        origin = signer.name
        self.logger = logger
    }

    /// Works until the task is cancelled.
    public func run() async {
        // Grows while something keeps the sequencer from its work, whatever that is: the alarm of OPERATIONS hangs on it.
        let longestWait = Gauge(label: "access_log_longest_wait_seconds")
        let halted = Gauge(label: "access_log_halted")
        var wasHalted = false
        while !Task.isCancelled {
            do {
                let state = try await database.one(LogState())
                longestWait.record(state.longestWaitSeconds ?? 0)
                halted.record(state.isHalted ? 1 : 0)
                if state.isHalted != wasHalted { try await tell(isHalted: state.isHalted) }
                wasHalted = state.isHalted
                let count = try await work(state)
                if count < Self.entriesPerBatchMax { try await Task.sleep(for: Self.idleWait) }
            } catch is CancellationError {
                return
            } catch {
                logger.error("sequencing failed; will try again", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: Self.errorWait)
            }
        }
    }

    /// Takes one batch. Returns how many entries and records got their leaf: 0 when none waited, another node is at it, or none may be signed now.
    @discardableResult
    public func sequenceOnce() async throws -> Int {
        try await work(try await database.one(LogState()))
    }

    /// Nothing is signed after a witness contradicted the log, nor before one has confirmed it: what waits goes on waiting.
    private func work(_ state: LogState.Row) async throws -> Int {
        guard state.longestWaitSeconds != nil, !state.isHalted, state.isConfirmed || !isWitnessed else { return 0 }
        return try await takeBatch()
    }

    private func tell(isHalted: Bool) async throws {
        guard isHalted else { return logger.notice("the log goes on") }
        for halt in try await database.query(StandingHalts()) { logger.critical("\(halt)") }
    }

    private func takeBatch() async throws -> Int {
        try await database.transaction { transaction in
            let leaves = try await transaction.query(SequenceEntries(entriesMax: Self.entriesPerBatchMax)).sorted { $0.index < $1.index }
            guard let first = leaves.first else { return 0 }
            let head = try await SignedHead.newest(verifier: signer.verifier) { try await transaction.query($0) }
            var tree = head?.tree ?? CompactRange()
            try await Self.append(to: &tree, upTo: first.index, in: transaction)
            for leaf in leaves { tree.append(.leaf(leaf.data)) }
            let note = try Checkpoint(origin: origin, size: tree.size, root: tree.root).signed(by: [signer])
            try await transaction.execute(
                """
                INSERT INTO access_log.checkpoint (tree_size, root, frontier, note)
                VALUES (\(Int64(tree.size)), \(tree.root.bytes), \(tree.hashes.map(\.bytes)), \(note.description))
                """)
            return leaves.count
        }
    }

    /// Leaves between the newest head that can be believed and the batch: none, unless somebody stored false heads over them.
    private static func append(to tree: inout CompactRange, upTo firstOfBatch: Int64, in transaction: Transaction) async throws {
        while tree.size < Int(firstOfBatch) {
            let end = min(firstOfBatch, Int64(tree.size + entriesPerBatchMax))
            let leaves = try await transaction.query(Leaves(indexes: Int64(tree.size)..<end))
            guard Int64(tree.size + leaves.count) == end else { throw SequencerError.leavesAreMissing(from: tree.size) }
            for leaf in leaves { tree.append(.leaf(leaf)) }
        }
    }

    /// Signs the head of the empty tree when there is none yet, so that `/log/checkpoint` always has an answer.
    public func signEmptyTree() async throws {
        let empty = CompactRange()
        let note = try Checkpoint(origin: origin, size: 0, root: empty.root).signed(by: [signer])
        try await database.execute(
            """
            INSERT INTO access_log.checkpoint (tree_size, root, frontier, note)
            SELECT 0, \(empty.root.bytes), \([[UInt8]]()), \(note.description)
            WHERE NOT EXISTS (SELECT FROM access_log.checkpoint) ON CONFLICT DO NOTHING
            """)
    }
}

/// What must not be: leaves have no gaps. Nothing is signed then.
enum SequencerError: Error {
    case leavesAreMissing(from: Int)
}
