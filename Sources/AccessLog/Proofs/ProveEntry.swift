// A resident asks for the proof of one entry: the view is logged first, as for the list; then the entry is found among those about that
// resident alone, and its path made from the tree.
// Decided in `access_log.own_entry` (0018_tiles.sql).
import Foundation
import Postgres
import Primitives
import TransparencyLog
import Web

/// What a resident is told instead of a proof.
enum NoEntryProof: Error, Hashable, Sendable {
    /// There is no such entry, it was erased, or it is about somebody else: the same for all three.
    case noSuchEntry
    /// The entry waits for its leaf, which comes within a second.
    case notInTreeYet
}

/// One entry of the resident whom a credential names.
struct ProveEntry: Sendable {
    let credential: CredentialHash
    let entry: AccessEntryID

    /// - Parameter heads: of the log: a proof is given out only when it stands.
    /// - Returns: the file.
    /// - Throws: ``NoEntryProof``; `Problem` when the credential may not read the log.
    func perform(entries: AccessEntries, database: Database, heads: LogHeads) async throws -> String {
        try await entries.logView(of: credential)
        guard let own = try await database.optional(OwnEntry(credential: credential, entry: entry)) else { throw NoEntryProof.noSuchEntry }
        let opening = CommittedEntry.opening(salt: own.salt, canonicalBytes: own.canonical)
        guard let index = own.leafIndex, let file = try await heads.proof(opening: opening, leaf: Int(index)) else { throw NoEntryProof.notInTreeYet }
        return file
    }
}

extension LogHeads {
    /// The file that shows that a leaf is in the log, for whoever may have what opens it.
    /// - Parameter opening: what its commitment is the SHA-256 of: label, salt, and the entry's bytes or the record's hash.
    /// - Returns: nil while no head covers the leaf.
    public func proof(opening: [UInt8], leaf index: Int) async throws -> String? {
        guard let head = try await over(leaf: index) else { return nil }
        let path = try await StoredTree(database: database).inclusionProof(of: index, size: head.tree.size)
        let file = LogProof(extra: opening, index: index, path: path, checkpoint: head.note.description).description
        // The server reads its own words once: what does not stand is our fault, never the resident's surprise.
        _ = try ProvenEntry(checking: file.utf8, log: verifier, witnesses: witnesses)
        return file
    }
}

/// An entry with what opens its commitment: `access_log.own_entry`.
struct OwnEntry: Query {
    let credential: CredentialHash
    let entry: AccessEntryID

    struct Row: Sendable {
        let leafIndex: Int64?
        let salt: [UInt8]
        let canonical: [UInt8]
    }

    var sql: SQL { "SELECT leaf_index, salt, canonical FROM access_log.own_entry(\(credential.bytes), \(entry.uuid))" }
    func decode(_ row: inout RowReader) throws -> Row { Row(leafIndex: try row.next(), salt: try row.next(), canonical: try row.next()) }
}
