// The tree as the database holds it: full tiles, which came with the heads, and at the right edge leaves and roots of tiles. Tiles are
// served and proofs made from here, each with a few reads by key however large the log is.
import Foundation
import Postgres
import TransparencyLog

/// Hashes of the log's tree, up to any size that it had.
struct StoredTree: Sendable {
    private let database: Database

    init(database: Database) {
        self.database = database
    }

    /// - Parameter tile: of leaves that a head covers.
    /// - Throws: ``StoredTreeError`` where the database does not hold what a head promised.
    func hashes(of tile: Tile) async throws -> [MerkleHash] {
        let hashes: [MerkleHash]
        if tile.isFull {
            hashes = try await database.optional(StoredTile(level: tile.level, index: tile.index)).flatMap(Tile.hashes) ?? []
        } else if tile.level == 0 {
            hashes = try await leaves(of: tile).map { .leaf($0) }
        } else {
            hashes = try await database.query(TileRoots(level: tile.level - 1, indexes: tile.hashIndexes)).compactMap { MerkleHash($0) }
        }
        guard hashes.count == tile.width else { throw StoredTreeError.incomplete(tile) }
        return hashes
    }

    /// The data of the leaves under a tile of level 0: label and commitment.
    func leaves(of tile: Tile) async throws -> [[UInt8]] {
        let range = Int64(tile.hashIndexes.lowerBound)..<Int64(tile.hashIndexes.upperBound)
        let leaves = try await database.query(Leaves(indexes: range))
        guard leaves.count == tile.width else { throw StoredTreeError.incomplete(tile) }
        return leaves
    }

    /// The proof that a leaf is in the tree of the first `size` leaves (RFC 6962 §2.1.1).
    func inclusionProof(of index: Int, size: Int) async throws -> [MerkleHash] {
        try await roots(of: MerkleTree.inclusionRanges(of: index, size: size), size: size)
    }

    /// The proof that the tree of the first `size` leaves is the beginning of the one of `newerSize` (RFC 6962 §2.1.2).
    func consistencyProof(from size: Int, to newerSize: Int) async throws -> [MerkleHash] {
        try await roots(of: MerkleTree.consistencyRanges(from: size, to: newerSize), size: newerSize)
    }

    /// The root over the first `size` leaves, read from the tree of `newerSize`.
    func root(of size: Int, in newerSize: Int) async throws -> MerkleHash {
        try await roots(of: [0..<size], size: newerSize)[0]
    }

    /// Two tiles a level at most: the one with the leaf's ancestor and the one at the right edge. Each is read once.
    private func roots(of ranges: [Range<Int>], size: Int) async throws -> [MerkleHash] {
        var tiles: [Tile: [MerkleHash]] = [:]
        var roots: [MerkleHash] = []
        for range in ranges {
            var subtrees: [MerkleHash] = []
            for node in MerkleTree.perfectSubtrees(in: range) {
                guard let tile = Tile(holding: node, treeSize: size) else { throw StoredTreeError.noSuchNode(node) }
                if tiles[tile] == nil { tiles[tile] = try await hashes(of: tile) }
                subtrees.append(tile.hash(of: node, in: tiles[tile] ?? []))
            }
            roots.append(MerkleTree.root(ofPerfectSubtrees: subtrees))
        }
        return roots
    }
}

/// What must not be under a signed head.
enum StoredTreeError: Error {
    case incomplete(Tile)
    case noSuchNode(MerkleNode)
}

/// The hashes of one full tile.
private struct StoredTile: Query {
    let level: Int
    let index: Int

    var sql: SQL { "SELECT hashes FROM access_log.tile WHERE level = \(level)::smallint AND index = \(Int64(index))" }
    func decode(_ row: inout RowReader) throws -> [UInt8] { try row.next() }
}

/// The roots of consecutive full tiles of one level, in order.
private struct TileRoots: Query {
    let level: Int
    let indexes: Range<Int>

    var sql: SQL {
        """
        SELECT root FROM access_log.tile
        WHERE level = \(level)::smallint AND index >= \(Int64(indexes.lowerBound)) AND index < \(Int64(indexes.upperBound)) ORDER BY index
        """
    }

    func decode(_ row: inout RowReader) throws -> [UInt8] { try row.next() }
}
