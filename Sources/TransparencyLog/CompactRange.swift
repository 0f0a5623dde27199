// What the sequencer keeps between batches: enough of the tree to append to it and to know its root, a few hashes however
// large it grows.

/// Why a stored tree edge cannot be one.
public enum CompactRangeError: Error, Hashable, Sendable {
    /// A tree of this size has one perfect subtree for each 1 bit of the size; the number of hashes differs, or the size is negative.
    case hashCountDoesNotFitSize(size: Int, hashes: Int)
}

/// A node of the tree that covers a perfect subtree: level 0 are the leaves, and the node at (level, index) covers the leaves
/// `index << level ..< (index + 1) << level`.
public struct MerkleNode: Hashable, Sendable {
    public let level: Int
    public let index: Int

    public init(level: Int, index: Int) {
        self.level = level
        self.index = index
    }
}

/// The right edge of an RFC 6962 tree: the roots of the perfect subtrees that its leaves fill, the largest (leftmost) first.
///
/// Appending takes amortised one hash, the root O(log n). Store `size` and `hashes` and give them back to go on.
public struct CompactRange: Hashable, Sendable {
    /// Leaves in the tree.
    public private(set) var size: Int
    /// One hash for each 1 bit of `size`, from the highest bit to the lowest.
    public private(set) var hashes: [MerkleHash]

    /// The empty tree.
    public init() {
        size = 0
        hashes = []
    }

    /// A tree edge from storage.
    /// - Throws: `CompactRangeError` if the number of hashes does not fit the size. Whether they are the right ones, only the root can tell.
    public init(size: Int, hashes: [MerkleHash]) throws(CompactRangeError) {
        guard size >= 0, size.nonzeroBitCount == hashes.count else {
            throw .hashCountDoesNotFitSize(size: size, hashes: hashes.count)
        }
        self.size = size
        self.hashes = hashes
    }

    /// Appends a leaf.
    /// - Parameters:
    ///   - leaf: its leaf hash.
    ///   - completed: is called with the leaf and every node above it that it completes, from the bottom up. Those hashes never
    ///     change again, so whoever stores them can make any proof without the leaves.
    public mutating func append(_ leaf: MerkleHash, completed: (MerkleNode, MerkleHash) -> Void = { _, _ in }) {
        var node = MerkleNode(level: 0, index: size)
        var hash = leaf
        completed(node, hash)
        // A right child (odd index) completes its parent; its left sibling is the last perfect subtree so far.
        while node.index & 1 == 1, let left = hashes.popLast() {
            node = MerkleNode(level: node.level + 1, index: node.index >> 1)
            hash = .node(left, hash)
            completed(node, hash)
        }
        hashes.append(hash)
        size += 1
    }

    /// The root of the tree (RFC 6962 §2.1).
    public var root: MerkleHash { MerkleTree.root(ofPerfectSubtrees: hashes) }
}
