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
    public internal(set) var cosignatureCount = 0
    /// One sentence for each thing that is not as promised; empty: the log is whole.
    public internal(set) var findings: [String] = []
    public var isWhole: Bool { findings.isEmpty }
}

/// Recomputes commitments, per-subject chains, tiles, tree heads and signatures.
public struct LogVerifier: Sendable {
    /// Leaves read at a time: some 3 MB, so that a log of any length is verified in little memory.
    static let leavesPerPage = 5000
    /// After so many findings it is plain that the log is not whole.
    static let findingsMax = 50
    /// The sequencer takes entries in the order of their arrival, some four times a second. Those of one moment may overtake one another, and
    /// an entry appears when its transaction commits; one that entries a minute younger have overtaken was passed over.
    static let overtakenSeconds = 60

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
            work.witnesses = try await transaction.query(WitnessesOfLog())
            try await work.loadHeads(of: 0...0, on: transaction)
            work.checkRoot(at: 0)
            while true {
                let page = try await transaction.query(LeafPage(from: work.nextIndex, count: Self.leavesPerPage))
                try await work.loadHeads(of: work.tree.size + 1...work.tree.size + Self.leavesPerPage, on: transaction)
                for leaf in page where work.result.findings.count < Self.findingsMax { work.check(leaf) }
                try await work.checkTiles(on: transaction)
                progress(work.tree.size, total)
                if page.count < Self.leavesPerPage || work.result.findings.count >= Self.findingsMax { break }
            }
            try await work.finish(on: transaction)
            try await work.checkTileCount(on: transaction)
            try await checkChains(on: transaction, &work.result)
            try await checkEntriesWithoutLeaf(on: transaction, &work.result)
            try await RecordVerification(transaction).check(&work.result)
            work.result.findings += try await transaction.query(StandingHalts()).map(\.description)
            return work.result
        }
    }

    /// The entries about one subject are numbered 1, 2, 3 …, each leaf naming the commitment before it: what was left out leaves a hole, also
    /// for somebody who can sign heads. PostgreSQL compares, so that a log of any length takes no memory here.
    private func checkChains(on transaction: Transaction, _ result: inout LogVerification) async throws {
        let room = Self.findingsMax
        result.findings += try await transaction.query(NumberFindings(findingsMax: room))
        result.findings += try await transaction.query(LinkFindings(findingsMax: room))
        result.findings += try await transaction.query(ChainEndFindings(findingsMax: room))
    }

    private func checkEntriesWithoutLeaf(on transaction: Transaction, _ result: inout LogVerification) async throws {
        let loose = try await transaction.one(LooseEntries(overtakenSeconds: Self.overtakenSeconds))
        result.waitingCount = Int(loose.waiting)
        if loose.forgotten > 0 { result.findings.append("\(loose.forgotten) entries have no leaf and do not wait for one.") }
        if loose.overtaken > 0 { result.findings.append("\(loose.overtaken) entries still wait for a leaf, although later ones have theirs.") }
        if loose.vanished > 0 { result.findings.append("\(loose.vanished) entries are gone that waited for their leaf.") }
    }
}

/// The state of one verification: the tree so far, and the signed heads that the page of leaves at hand is to meet.
private struct VerificationWork {
    var result = LogVerification()
    var tree = CompactRange()
    var nextIndex: Int64 = 0
    private let verifier: Ed25519NoteVerifier
    /// The verifier keys of all that ever signed a head.
    var witnesses: [String] = []
    private var checkpoints: [Int: CheckpointRow] = [:]
    private var cosignatures: [Int: [CosignatureRow]] = [:]
    private var newestSize = 0
    /// For each level the hashes of the tile that is being filled, and the full ones that are still to be compared with what is stored.
    private var growingTiles: [[MerkleHash]] = []
    private var fullTiles: [TileRow] = []
    private var fullTileCount = 0
    /// Behind a missing leaf every tile is another: that leaf is the finding.
    private var hasGap = false

    init(verifier: Ed25519NoteVerifier) { self.verifier = verifier }

    /// The heads of these sizes, and what witnesses signed of them: a page at a time, like the leaves.
    mutating func loadHeads(of sizes: ClosedRange<Int>, on executor: some Executor) async throws {
        for row in try await executor.query(Checkpoints(sizes: sizes)) {
            checkpoints[row.size] = row
            newestSize = row.size
        }
        for row in try await executor.query(Cosignatures(witnesses: witnesses, sizes: sizes)) { cosignatures[row.size, default: []].append(row) }
    }

    mutating func check(_ leaf: LeafRow) {
        if leaf.index != nextIndex {
            result.findings.append("Leaf \(nextIndex) is missing; the next one is \(leaf.index).")
            hasGap = true
        }
        nextIndex = leaf.index + 1
        checkCommitment(leaf)
        let hash = MerkleHash.leaf(leaf.kind.label.leafData(leaf.commitment))
        tree.append(hash)
        if !hasGap { fillTiles(with: hash, level: 0) }
        checkRoot(at: tree.size)
        result.leafCount += 1
    }

    private mutating func fillTiles(with hash: MerkleHash, level: Int) {
        if growingTiles.count == level { growingTiles.append([]) }
        growingTiles[level].append(hash)
        guard growingTiles[level].count == Tile.fullWidth else { return }
        let root = MerkleTree.root(of: growingTiles[level])
        // The tile that ends with this leaf: so many times 256 to the power of its level and one.
        let index = (tree.size >> ((level + 1) * Tile.height)) - 1
        fullTiles.append(TileRow(level: level, index: Int64(index), hashes: growingTiles[level].flatMap(\.bytes), root: root.bytes))
        growingTiles[level] = []
        fillTiles(with: root, level: level + 1)
    }

    /// Compares the tiles that the last page of leaves filled with those that everybody is served.
    mutating func checkTiles(on executor: some Executor) async throws {
        var stored: [TileRow.Place: TileRow] = [:]
        for row in try await executor.query(StoredTiles(places: fullTiles.map(\.place))) { stored[row.place] = row }
        for tile in fullTiles where result.findings.count < LogVerifier.findingsMax {
            switch stored[tile.place] {
            case nil: result.findings.append("The tile \(tile.index) of level \(tile.level) is missing.")
            case tile: break
            default: result.findings.append("The tile \(tile.index) of level \(tile.level) is not made of its leaves.")
            }
        }
        fullTileCount += fullTiles.count
        fullTiles = []
    }

    mutating func checkTileCount(on executor: some Executor) async throws {
        guard result.findings.count < LogVerifier.findingsMax, !hasGap else { return }
        let surplus = Int(try await executor.one(CountTiles())) - fullTileCount
        if surplus > 0 { result.findings.append("There are \(surplus) tiles more than the leaves fill.") }
    }

    private mutating func checkCommitment(_ leaf: LeafRow) {
        let committed: Commitment?
        switch leaf.content {
        case .gone:
            result.erasedCount += 1
            if !leaf.isErasureRecorded { result.findings.append("The \(leaf.kind.words) of leaf \(leaf.index) is gone without a recorded erasure.") }
            return
        case .entry(let entry, let salt): committed = try? entry.commitment(salt: salt)
        case .record(let kind, let hash, let salt): committed = try? Commitment(label: kind.label, salt: salt, canonicalEntry: hash)
        }
        if committed?.leafData != leaf.kind.label.leafData(leaf.commitment) {
            result.findings.append("The \(leaf.kind.words) of leaf \(leaf.index) is not what was committed to.")
        }
    }

    mutating func checkRoot(at size: Int) {
        guard let checkpoint = checkpoints[size] else { return }
        checkpoints[size] = nil
        result.checkpointCount += 1
        checkCosignatures(of: checkpoint)
        guard let opened = try? Checkpoint.open(Array(checkpoint.note.utf8), log: verifier) else {
            result.findings.append("The checkpoint of size \(size) is not signed by this log's key.")
            return
        }
        if opened.size != size || opened.root != tree.root || checkpoint.root != tree.root.bytes {
            result.findings.append("The checkpoint of size \(size) does not have the root of the first \(size) leaves.")
        }
    }

    private mutating func checkCosignatures(of checkpoint: CheckpointRow) {
        for row in cosignatures.removeValue(forKey: checkpoint.size) ?? [] {
            result.cosignatureCount += 1
            let text = (try? SignedNote(parsing: checkpoint.note)).map { Array($0.text.utf8) } ?? []
            if (try? CosignatureVerifier(vkey: row.witness))?.isValid(row.signature, over: text) != true {
                result.findings.append("What the witness \(row.witness) is said to have signed of the checkpoint of size \(checkpoint.size) does not fit it.")
            }
        }
    }

    mutating func finish(on executor: some Executor) async throws {
        // Where reading stopped early the leaves after it are unknown, not missing.
        guard result.findings.count < LogVerifier.findingsMax else { return }
        for row in try await executor.query(Checkpoints(sizes: tree.size + 1...Int.max, countMax: LogVerifier.findingsMax)) {
            newestSize = row.size
            result.checkpointCount += 1
            result.findings.append("There is a checkpoint of size \(row.size), and only \(tree.size) leaves.")
        }
        // A leaf and the head that covers it are committed together, so there is no moment in which one may be behind.
        if newestSize < tree.size {
            result.findings.append("The newest signed head covers \(newestSize) leaves, and there are \(tree.size).")
        }
    }
}
