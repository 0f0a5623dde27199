// Roots and proofs of the Merkle tree of RFC 6962 §2.1. What a proof consists of is first worked out as ranges of leaves, so
// that the hashes can come from an array in memory, from stored nodes or from tiles alike.

/// What no proof exists for.
public enum MerkleTreeError: Error, Hashable, Sendable {
    /// The leaf is not in a tree of that size.
    case indexOutOfRange(index: Int, size: Int)
    /// The older tree must not be larger than the newer.
    case sizeOutOfRange(size: Int, newerSize: Int)
}

public enum MerkleTree {
    /// The root over leaf hashes in order: RFC 6962's MTH.
    public static func root(of leaves: some Sequence<MerkleHash>) -> MerkleHash {
        var range = CompactRange()
        for leaf in leaves { range.append(leaf) }
        return range.root
    }

    /// The root over the perfect subtrees that stand side by side under it, the largest first, as `perfectSubtrees(in:)` lists them.
    public static func root(ofPerfectSubtrees hashes: [MerkleHash]) -> MerkleHash {
        guard var root = hashes.last else { return .emptyTree }
        for left in hashes.dropLast().reversed() { root = .node(left, root) }
        return root
    }

    /// The proof that a leaf is in the tree over `leaves`: RFC 6962 §2.1.1, PATH(index, leaves), from the leaf's sibling upward.
    public static func inclusionProof(of index: Int, in leaves: [MerkleHash]) throws(MerkleTreeError) -> [MerkleHash] {
        try inclusionRanges(of: index, size: leaves.count).map { root(of: leaves[$0]) }
    }

    /// The proof that the tree over the first `size` leaves is a prefix of the one over all: RFC 6962 §2.1.2, PROOF(size, leaves).
    ///
    /// Empty when the sizes are equal, and from the empty tree, which is a prefix of everything.
    public static func consistencyProof(from size: Int, in leaves: [MerkleHash]) throws(MerkleTreeError) -> [MerkleHash] {
        try consistencyRanges(from: size, to: leaves.count).map { root(of: leaves[$0]) }
    }

    /// The ranges of leaves whose roots are the inclusion proof, in the proof's order.
    public static func inclusionRanges(of index: Int, size: Int) throws(MerkleTreeError) -> [Range<Int>] {
        guard index >= 0, index < size else { throw .indexOutOfRange(index: index, size: size) }
        var siblings: [Range<Int>] = []
        var subtree = 0..<size
        while subtree.count > 1 {
            let (left, right) = children(of: subtree)
            siblings.append(left.contains(index) ? right : left)
            subtree = left.contains(index) ? left : right
        }
        return siblings.reversed()
    }

    /// The ranges of leaves whose roots are the consistency proof, in the proof's order.
    public static func consistencyRanges(from size: Int, to newerSize: Int) throws(MerkleTreeError) -> [Range<Int>] {
        guard size >= 0, size <= newerSize else { throw .sizeOutOfRange(size: size, newerSize: newerSize) }
        guard size > 0, size < newerSize else { return [] }
        var siblings: [Range<Int>] = []
        var subtree = 0..<newerSize
        // Follows the border between the old leaves and the new until a subtree ends exactly at it.
        while subtree.upperBound != size {
            let (left, right) = children(of: subtree)
            siblings.append(size <= left.upperBound ? right : left)
            subtree = size <= left.upperBound ? left : right
        }
        // A verifier knows the old root. It has to be told this subtree only where that is not the whole old tree.
        if subtree.lowerBound > 0 { siblings.append(subtree) }
        return siblings.reversed()
    }

    /// The nodes whose hashes `root(ofPerfectSubtrees:)` joins to the root of a range that one of the functions above returned.
    ///
    /// - Parameter range: must begin at a multiple of the smallest power of two that holds it, as every subtree of the tree does.
    public static func perfectSubtrees(in range: Range<Int>) -> [MerkleNode] {
        var nodes: [MerkleNode] = []
        var start = range.lowerBound
        while start < range.upperBound {
            let level = Int.bitWidth - 1 - (range.upperBound - start).leadingZeroBitCount
            precondition(start & ((1 << level) - 1) == 0, "not a subtree: it begins off its boundary")
            nodes.append(MerkleNode(level: level, index: start >> level))
            start += 1 << level
        }
        return nodes
    }

    /// Splits after the largest power of two that is smaller than the count.
    private static func children(of subtree: Range<Int>) -> (left: Range<Int>, right: Range<Int>) {
        let levels = Int.bitWidth - (subtree.count - 1).leadingZeroBitCount
        let middle = subtree.lowerBound + (1 << (levels - 1))
        return (subtree.lowerBound..<middle, middle..<subtree.upperBound)
    }
}
