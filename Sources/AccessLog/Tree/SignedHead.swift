// A head of the tree that this log's own key signed. Heads are rows that the server's role may insert, so what is stored is
// believed only as far as its signature goes: a false head is passed over, never built on and never shown.
import Postgres
import TransparencyLog

/// A head whose note verifies and whose stored tree edge has the root that the note names.
struct SignedHead: Sendable {
    let tree: CompactRange
    /// The log's signature is the first; those of witnesses may follow.
    var note: SignedNote

    /// Heads that are looked through for one that verifies. False ones come from whoever took the server's role over; more than this
    /// many, and somebody must look before anything is signed again.
    static let searchedMax = 100

    /// - Parameter query: asks the database or a transaction.
    /// - Returns: nil when the log has not begun.
    /// - Throws: ``SignedHeadError`` when there are heads and none is this key's.
    static func newest(verifier: Ed25519NoteVerifier, query: (StoredHeads) async throws -> [StoredHeads.Row]) async throws -> SignedHead? {
        // Nearly always the very newest is a good one.
        for count in [1, searchedMax] {
            let stored = try await query(StoredHeads(count: count))
            if stored.isEmpty { return nil }
            if let head = stored.lazy.compactMap({ SignedHead($0, verifier: verifier) }).first { return head }
        }
        throw SignedHeadError.noneVerifies
    }

    /// Nil when it does not stand.
    init?(_ row: StoredHeads.Row, verifier: Ed25519NoteVerifier) {
        let hashes = row.frontier.compactMap { MerkleHash($0) }
        guard hashes.count == row.frontier.count, let tree = try? CompactRange(size: Int(row.size), hashes: hashes),
            let checkpoint = try? Checkpoint.open(Array(row.note.utf8), log: verifier),
            checkpoint.size == tree.size, checkpoint.root == tree.root, let note = try? SignedNote(parsing: row.note)
        else { return nil }
        self.tree = tree
        self.note = note
    }
}

/// Nothing is signed, and nothing shown, while this holds.
enum SignedHeadError: Error {
    /// There are heads, and not one of the newest is signed by this log's key.
    case noneVerifies
}
