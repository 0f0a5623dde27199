// What a reader of the log does with a proof. Written after the step-by-step algorithms of RFC 9162, not after the code that
// makes the proofs, so that a fault in one does not hide in the other.

extension MerkleTree {
    /// Checks that a leaf is in a tree (RFC 9162 §2.1.3.2).
    /// - Returns: false for any index, size, proof or root that do not belong together; never traps, whatever it is given.
    public static func verifyInclusion(
        of leaf: MerkleHash, at index: Int, size: Int, proof: [MerkleHash], root: MerkleHash
    ) -> Bool {
        guard index >= 0, index < size else { return false }
        var position = index
        var last = size - 1
        var hash = leaf
        for sibling in proof {
            if last == 0 { return false }
            if position & 1 == 1 || position == last {
                hash = .node(sibling, hash)
                // On the right edge, levels without a sibling are skipped.
                while position & 1 == 0 && position != 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                hash = .node(hash, sibling)
            }
            position >>= 1
            last >>= 1
        }
        return last == 0 && hash == root
    }

    /// Checks that an older tree is a prefix of a newer one (RFC 9162 §2.1.4.2): nothing was changed, removed or inserted.
    ///
    /// The RFC leaves two cases open, which are settled as witnesses do: equal sizes need equal roots and an empty proof, and the empty tree,
    /// if the older root is its root, is a prefix of every tree, with an empty proof.
    /// - Returns: false for any sizes, roots or proof that do not belong together; never traps, whatever it is given.
    public static func verifyConsistency(
        from size: Int, root: MerkleHash, to newerSize: Int, newerRoot: MerkleHash, proof: [MerkleHash]
    ) -> Bool {
        guard size >= 0, size <= newerSize else { return false }
        if size == newerSize { return proof.isEmpty && root == newerRoot && (size > 0 || root == .emptyTree) }
        if size == 0 { return proof.isEmpty && root == .emptyTree }

        // The old tree itself is the first subtree when it is perfect, and is then left out of the proof.
        let path = size & (size - 1) == 0 ? [root] + proof : proof
        guard !proof.isEmpty, let first = path.first else { return false }
        var position = size - 1
        var last = newerSize - 1
        while position & 1 == 1 {
            position >>= 1
            last >>= 1
        }
        var oldHash = first
        var newHash = first
        for sibling in path.dropFirst() {
            if last == 0 { return false }
            if position & 1 == 1 || position == last {
                oldHash = .node(sibling, oldHash)
                newHash = .node(sibling, newHash)
                while position & 1 == 0 && position != 0 {
                    position >>= 1
                    last >>= 1
                }
            } else {
                newHash = .node(newHash, sibling)
            }
            position >>= 1
            last >>= 1
        }
        return last == 0 && oldHash == root && newHash == newerRoot
    }
}
