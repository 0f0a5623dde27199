// `stoa verify log`: everything that the log promises, computed again from the rows by code of its own, as the auditor's role.
import Foundation
public import Postgres
import Primitives
public import TransparencyLog

/// What a verification went through and what it found.
public struct LogVerification: Sendable {
    public internal(set) var leafCount = 0
    public internal(set) var erasedCount = 0
    public internal(set) var waitingCount = 0
    public internal(set) var checkpointCount = 0
    /// One sentence for each thing that is not as promised; empty: the log is whole.
    public internal(set) var findings: [String] = []
    public var isWhole: Bool { findings.isEmpty }
}

/// Recomputes commitments, per-subject chains, tree heads and signatures.
public struct LogVerifier: Sendable {
    /// Leaves read at a time: some 3 MB, so that a log of any length is verified in little memory.
    static let leavesPerPage = 5000
    /// After so many findings it is plain that the log is not whole.
    static let findingsMax = 50

    private let database: Database
    private let verifier: Ed25519NoteVerifier

    /// - Parameter database: as `stoa_auditor`, who may read the log's tables and nothing else of it.
    public init(database: Database, verifier: Ed25519NoteVerifier) {
        self.database = database
        self.verifier = verifier
    }

    /// - Parameter progress: told how many leaves are done, of how many.
    public func verify(progress: @Sendable (_ done: Int, _ of: Int) -> Void = { _, _ in }) async throws -> LogVerification {
        // One snapshot: entries that arrive meanwhile are the next verification's.
        try await database.transaction(isolation: .repeatableRead) { transaction in
            var work = VerificationWork(verifier: verifier)
            let total = Int(try await transaction.one(CountLeaves()))
            try await work.loadCheckpoints(on: transaction)
            work.checkRoot(at: 0)
            while true {
                let page = try await transaction.query(LeafPage(from: Int64(work.tree.size), count: Self.leavesPerPage))
                for leaf in page where work.result.findings.count < Self.findingsMax { work.check(leaf) }
                progress(work.tree.size, total)
                if page.count < Self.leavesPerPage || work.result.findings.count >= Self.findingsMax { break }
            }
            work.finish()
            let loose = try await transaction.one(LooseEntries())
            work.result.waitingCount = Int(loose.waiting)
            if loose.neither > 0 {
                work.result.findings.append("\(loose.neither) entries have no leaf and do not wait for one.")
            }
            return work.result
        }
    }
}

/// The state of one verification: the tree so far, and the links of every subject's chain.
private struct VerificationWork {
    var result = LogVerification()
    var tree = CompactRange()
    private let verifier: Ed25519NoteVerifier
    private var checkpoints: [Int: CheckpointRow] = [:]
    private var chains: [UUID: [Int64: (commitment: [UInt8], previous: [UInt8]?)]] = [:]

    init(verifier: Ed25519NoteVerifier) { self.verifier = verifier }

    mutating func loadCheckpoints(on executor: some Executor) async throws {
        for row in try await executor.query(AllCheckpoints()) { checkpoints[row.size] = row }
        result.checkpointCount = checkpoints.count
    }

    mutating func check(_ leaf: LeafRow) {
        if leaf.index != Int64(tree.size) {
            result.findings.append("Leaf \(tree.size) is missing; the next one is \(leaf.index).")
        }
        checkCommitment(leaf)
        tree.append(.leaf(CommittedEntry.label.leafData(leaf.commitment)))
        checkRoot(at: tree.size)
        result.leafCount += 1
    }

    private mutating func checkCommitment(_ leaf: LeafRow) {
        guard let (entry, salt) = leaf.entry else {
            result.erasedCount += 1
            if !leaf.isErasureRecorded { result.findings.append("The entry of leaf \(leaf.index) is gone without a recorded erasure.") }
            return
        }
        if (try? entry.commitment(salt: salt).leafData) != CommittedEntry.label.leafData(leaf.commitment) {
            result.findings.append("The entry of leaf \(leaf.index) is not what was committed to.")
        }
        guard let subject = entry.subjectID, let number = leaf.subjectNumber else { return }
        // Within a batch the leaves are shuffled, so a chain is checked by its links and not by the order of leaves.
        chains[subject, default: [:]][number] = (leaf.commitment, leaf.previousCommitment)
    }

    mutating func checkRoot(at size: Int) {
        guard let checkpoint = checkpoints[size] else { return }
        checkpoints[size] = nil
        guard let opened = try? Checkpoint.open(Array(checkpoint.note.utf8), log: verifier) else {
            result.findings.append("The checkpoint of size \(size) is not signed by this log's key.")
            return
        }
        if opened.size != size || opened.root != tree.root || checkpoint.root != tree.root.bytes {
            result.findings.append("The checkpoint of size \(size) does not have the root of the first \(size) leaves.")
        }
    }

    mutating func finish() {
        for size in checkpoints.keys.sorted() where size > tree.size {
            result.findings.append("There is a checkpoint of size \(size), and only \(tree.size) leaves.")
        }
        for chain in chains.values {
            for (number, link) in chain where number > 1 {
                // An erased entry's link cannot be followed; its leaf still stands.
                if let before = chain[number - 1], link.previous != before.commitment {
                    result.findings.append("The chain of one subject is broken before its entry number \(number).")
                }
            }
        }
        if tree.size > 0, !result.findings.contains(where: { $0.contains("checkpoint") }), result.checkpointCount == 0 {
            result.findings.append("There are leaves and no checkpoint.")
        }
    }
}
