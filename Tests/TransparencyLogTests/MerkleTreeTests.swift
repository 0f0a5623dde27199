// The real tree against published values and against the reference, for every leaf and every pair of sizes up to 130.
import Crypto
import Foundation
import Testing
import TransparencyLog

private let entries: [Bytes] = (0..<130).map { [UInt8($0)] }
private let leaves = entries.map { MerkleHash.leaf($0) }

func bytes(hex text: String) -> Bytes {
    stride(from: 0, to: text.utf8.count, by: 2).compactMap { UInt8(text.dropFirst($0).prefix(2), radix: 16) }
}

private func hash(_ bytes: Bytes) throws -> MerkleHash { try #require(MerkleHash(bytes)) }

/// The hash with one bit turned over.
private func flipped(_ hash: MerkleHash, bit: Int) throws -> MerkleHash {
    var bytes = hash.bytes
    bytes[bit / 8] ^= 1 << UInt8(bit % 8)
    return try #require(MerkleHash(bytes))
}

/// The leaves of the Certificate Transparency reference implementation's tests and the values that all implementations share.
@Suite("Merkle tree: published vectors")
struct MerklePublishedVectorTests {
    private let ctLeaves: [MerkleHash] = [
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    ].map { MerkleHash.leaf(bytes(hex: $0)) }

    private let ctRoots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]

    @Test("has the known root over the first n of the eight leaves", arguments: 0...8)
    func knownRoots(size: Int) {
        #expect(MerkleTree.root(of: ctLeaves.prefix(size)).description == ctRoots[size])
        #expect(MerkleHash.emptyTree.description == ctRoots[0])
    }

    @Test("has the known inner nodes and the known edge of seven leaves")
    func knownNodes() {
        var completed: [MerkleNode: String] = [:]
        var range = CompactRange()
        for leaf in ctLeaves.prefix(7) { range.append(leaf) { completed[$0] = $1.description } }
        let known = [
            MerkleNode(level: 0, index: 2): "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
            MerkleNode(level: 0, index: 6): "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            MerkleNode(level: 1, index: 1): "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            MerkleNode(level: 1, index: 2): "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            MerkleNode(level: 2, index: 0): "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
        for (node, hash) in known { #expect(completed[node] == hash) }
        #expect(completed.count == 7 + 3 + 1)
        #expect(
            range.hashes.map(\.description) == [
                "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
                "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
                "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
            ])
    }

    /// A range is a subtree if it begins at a multiple of the smallest power of two that holds it.
    private func isSubtree(_ start: Int, _ end: Int) -> Bool {
        if start == 0 || start == end { return true }
        var width = 1
        while width < end - start { width *= 2 }
        return start % width == 0
    }

    @Test("has the accumulated hash over all subtrees up to 130 leaves (draft-ietf-plants-merkle-tree-certs, subtree test vectors)")
    func accumulatedSubtreeHashes() {
        var accumulated = SHA256()
        for end in 0...130 {
            for start in 0...end where isSubtree(start, end) {
                accumulated.update(data: Data("[\(start), \(end)) \(MerkleTree.root(of: leaves[start..<end]))\n".utf8))
            }
        }
        #expect(Bytes(accumulated.finalize()) == bytes(hex: "b82806ad4265bb151c1119c0f4db437bb4d1a1f887b3a7fba1cd4ebf552e3e81"))
    }

    @Test("has the accumulated inclusion proofs of all leaves in all subtrees up to 130 leaves (same source)")
    func accumulatedInclusionProofs() throws {
        // The roots of ranges repeat: keep them, or this takes minutes.
        var roots: [Range<Int>: String] = [:]
        var accumulated = SHA256()
        for end in 0...130 {
            for start in 0...end where isSubtree(start, end) {
                for index in start..<end {
                    var line = "\(index) [\(start), \(end))"
                    for range in try MerkleTree.inclusionRanges(of: index - start, size: end - start) {
                        let absolute = (range.lowerBound + start)..<(range.upperBound + start)
                        let root = roots[absolute] ?? MerkleTree.root(of: leaves[absolute]).description
                        roots[absolute] = root
                        line += " " + root
                    }
                    accumulated.update(data: Data((line + "\n").utf8))
                }
            }
        }
        #expect(Bytes(accumulated.finalize()) == bytes(hex: "ac2a8f989e44d99e399db448050ff5f19757df53cfb716aa81015d3955d8163f"))
    }
}

@Suite("Merkle tree: roots and the growing edge")
struct CompactRangeTests {
    @Test("grows to the reference root at every size, also when stored and taken up again after each leaf")
    func grows() throws {
        var range = CompactRange()
        var nodes: [MerkleNode: MerkleHash] = [:]
        for size in 0...130 {
            #expect(range.root == (try hash(ReferenceTree.root(entries[..<size]))))
            #expect(range.root == MerkleTree.root(of: leaves.prefix(size)))
            #expect(range.size == size)
            range = try CompactRange(size: range.size, hashes: range.hashes.map { try hash($0.bytes) })
            if size < 130 { range.append(leaves[size]) { nodes[$0] = $1 } }
        }
        // 130 leaves and, at each level, as many parents as have both children.
        #expect(nodes.count == 130 + 65 + 32 + 16 + 8 + 4 + 2 + 1)
        for (node, value) in nodes {
            let covered = (node.index << node.level)..<((node.index + 1) << node.level)
            #expect(value == (try hash(ReferenceTree.root(entries[covered]))))
        }
    }

    @Test("makes every proof out of the stored nodes alone")
    func proofsFromNodes() throws {
        var range = CompactRange()
        var nodes: [MerkleNode: MerkleHash] = [:]
        func root(_ leaves: Range<Int>) throws -> MerkleHash {
            MerkleTree.root(ofPerfectSubtrees: try MerkleTree.perfectSubtrees(in: leaves).map { try #require(nodes[$0]) })
        }
        for size in 1...70 {
            range.append(leaves[size - 1]) { nodes[$0] = $1 }
            for other in 0..<size {
                let inclusion = try MerkleTree.inclusionRanges(of: other, size: size).map { try root($0).bytes }
                #expect(inclusion == ReferenceTree.path(other, entries[..<size]))
                guard other > 0 else { continue }
                let consistency = try MerkleTree.consistencyRanges(from: other, to: size).map { try root($0).bytes }
                #expect(consistency == ReferenceTree.proof(other, entries[..<size]))
            }
        }
    }

    @Test("refuses a stored edge that does not fit its size", arguments: [(0, 1), (1, 0), (3, 1), (4, 2), (-1, 64), (7, 4)])
    func refusesWrongCount(size: Int, count: Int) {
        let hashes = Array(leaves.prefix(count))
        #expect(throws: CompactRangeError.hashCountDoesNotFitSize(size: size, hashes: count)) {
            try CompactRange(size: size, hashes: hashes)
        }
    }
}

@Suite("Merkle tree: inclusion")
struct InclusionTests {
    @Test("proves every leaf of every tree up to 130 leaves exactly as the reference does")
    func everyLeaf() throws {
        for size in 1...130 {
            let root = MerkleTree.root(of: leaves.prefix(size))
            for index in 0..<size {
                let proof = try MerkleTree.inclusionProof(of: index, in: Array(leaves.prefix(size)))
                #expect(proof.map(\.bytes) == ReferenceTree.path(index, entries[..<size]))
                #expect(MerkleTree.verifyInclusion(of: leaves[index], at: index, size: size, proof: proof, root: root))
            }
        }
    }

    @Test("refuses a flipped bit anywhere, another leaf, another index, and a proof too long, too short or in another order")
    func refusals() throws {
        for size in [1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 64, 100, 130] {
            let root = MerkleTree.root(of: leaves.prefix(size))
            for index in Set([0, 1, size / 2, size - 2, size - 1]) where (0..<size).contains(index) {
                let leaf = leaves[index]
                let proof = try MerkleTree.inclusionProof(of: index, in: Array(leaves.prefix(size)))
                func accepts(_ leaf: MerkleHash, _ index: Int, _ proof: [MerkleHash], _ root: MerkleHash) -> Bool {
                    MerkleTree.verifyInclusion(of: leaf, at: index, size: size, proof: proof, root: root)
                }
                for bit in 0..<256 {
                    #expect(!accepts(try flipped(leaf, bit: bit), index, proof, root))
                    #expect(!accepts(leaf, index, proof, try flipped(root, bit: bit)))
                }
                for position in proof.indices {
                    for bit in stride(from: position, to: 256, by: 17) {
                        var wrong = proof
                        wrong[position] = try flipped(proof[position], bit: bit)
                        #expect(!accepts(leaf, index, wrong, root))
                    }
                    var shorter = proof
                    shorter.remove(at: position)
                    #expect(!accepts(leaf, index, shorter, root))
                    var doubled = proof
                    doubled.insert(proof[position], at: position)
                    #expect(!accepts(leaf, index, doubled, root))
                    if position > 0 {
                        var swapped = proof
                        swapped.swapAt(position, position - 1)
                        #expect(!accepts(leaf, index, swapped, root))
                    }
                }
                for added in [root, leaf, .emptyTree] {
                    #expect(!accepts(leaf, index, proof + [added], root))
                    #expect(!accepts(leaf, index, [added] + proof, root))
                }
                for other in -1...(size + 1) where other != index { #expect(!accepts(leaf, other, proof, root)) }
            }
        }
    }

    @Test("judges any index and size as the reference does")
    func agreesWithReference() throws {
        // A root alone does not fix the size: some wrong sizes lead to the same root. So the reference says which ones must pass.
        for size in 1...20 {
            let root = MerkleTree.root(of: leaves.prefix(size))
            for index in 0..<size {
                let proof = try MerkleTree.inclusionProof(of: index, in: Array(leaves.prefix(size)))
                for claimedSize in 1...40 {
                    for claimedIndex in 0..<claimedSize {
                        let expected = ReferenceTree.root(
                            from: leaves[index].bytes, at: claimedIndex, of: claimedSize, path: proof.map(\.bytes)[...])
                        let accepted = MerkleTree.verifyInclusion(
                            of: leaves[index], at: claimedIndex, size: claimedSize, proof: proof, root: root)
                        #expect(accepted == (expected == root.bytes))
                    }
                }
            }
        }
    }

    @Test("survives nonsense and the largest numbers")
    func extremes() {
        let leaf = leaves[0]
        let long = Array(repeating: leaf, count: 200)
        for (index, size) in [(0, 0), (-1, 1), (1, 1), (.max, .max), (.max - 1, .max), (0, .max), (.min, .min), (0, .min)] as [(Int, Int)] {
            #expect(!MerkleTree.verifyInclusion(of: leaf, at: index, size: size, proof: long, root: leaf))
            #expect(!MerkleTree.verifyInclusion(of: leaf, at: index, size: size, proof: [], root: leaf))
        }
        #expect(throws: MerkleTreeError.indexOutOfRange(index: 3, size: 3)) {
            try MerkleTree.inclusionProof(of: 3, in: Array(leaves.prefix(3)))
        }
        #expect(throws: MerkleTreeError.indexOutOfRange(index: -1, size: 3)) { try MerkleTree.inclusionRanges(of: -1, size: 3) }
        #expect(throws: MerkleTreeError.indexOutOfRange(index: 0, size: 0)) { try MerkleTree.inclusionRanges(of: 0, size: 0) }
        #expect((try? MerkleTree.inclusionRanges(of: .max - 1, size: .max))?.count == 62)
    }
}

@Suite("Merkle tree: consistency")
struct ConsistencyTests {
    @Test("proves every pair of sizes up to 130 exactly as the reference does")
    func everyPair() throws {
        let roots = (0...130).map { MerkleTree.root(of: leaves.prefix($0)) }
        for newer in 0...130 {
            let all = Array(leaves.prefix(newer))
            for older in 0...newer {
                let proof = try MerkleTree.consistencyProof(from: older, in: all)
                if older > 0 {
                    #expect(proof.map(\.bytes) == ReferenceTree.proof(older, entries[..<newer]))
                } else {
                    #expect(proof.isEmpty)
                }
                #expect(MerkleTree.verifyConsistency(from: older, root: roots[older], to: newer, newerRoot: roots[newer], proof: proof))
            }
        }
    }

    @Test("refuses a flipped bit anywhere, swapped roots, and a proof too long, too short or in another order")
    func refusals() throws {
        for (older, newer) in [
            (1, 1), (1, 2), (1, 8), (2, 3), (3, 8), (4, 8), (6, 8), (5, 9), (64, 65), (63, 130), (64, 128), (129, 130), (77, 113),
        ] {
            let oldRoot = MerkleTree.root(of: leaves.prefix(older))
            let newRoot = MerkleTree.root(of: leaves.prefix(newer))
            let proof = try MerkleTree.consistencyProof(from: older, in: Array(leaves.prefix(newer)))
            func accepts(_ oldRoot: MerkleHash, _ newRoot: MerkleHash, _ proof: [MerkleHash]) -> Bool {
                MerkleTree.verifyConsistency(from: older, root: oldRoot, to: newer, newerRoot: newRoot, proof: proof)
            }
            for bit in 0..<256 {
                #expect(!accepts(try flipped(oldRoot, bit: bit), newRoot, proof))
                #expect(!accepts(oldRoot, try flipped(newRoot, bit: bit), proof))
            }
            if older != newer {
                #expect(!accepts(newRoot, oldRoot, proof))
                #expect(!accepts(oldRoot, oldRoot, proof) && !accepts(newRoot, newRoot, proof))
                #expect(!accepts(oldRoot, newRoot, []))
            }
            for position in proof.indices {
                for bit in stride(from: position, to: 256, by: 17) {
                    var wrong = proof
                    wrong[position] = try flipped(proof[position], bit: bit)
                    #expect(!accepts(oldRoot, newRoot, wrong))
                }
                var shorter = proof
                shorter.remove(at: position)
                #expect(!accepts(oldRoot, newRoot, shorter))
                var doubled = proof
                doubled.insert(proof[position], at: position)
                #expect(!accepts(oldRoot, newRoot, doubled))
                if position > 0 {
                    var swapped = proof
                    swapped.swapAt(position, position - 1)
                    #expect(!accepts(oldRoot, newRoot, swapped))
                }
            }
            for added in [oldRoot, newRoot, .emptyTree] {
                #expect(!accepts(oldRoot, newRoot, proof + [added]))
                #expect(!accepts(oldRoot, newRoot, [added] + proof))
            }
        }
    }

    @Test("judges any two sizes as the reference does")
    func agreesWithReference() throws {
        for newer in 2...16 {
            let newRoot = MerkleTree.root(of: leaves.prefix(newer))
            for older in 1..<newer {
                let oldRoot = MerkleTree.root(of: leaves.prefix(older))
                let proof = try MerkleTree.consistencyProof(from: older, in: Array(leaves.prefix(newer)))
                for claimedNewer in 2...33 {
                    for claimedOlder in 1..<claimedNewer {
                        let expected = ReferenceTree.roots(claimedOlder, claimedNewer, known: oldRoot.bytes, proof: proof.map(\.bytes)[...])
                        let accepted = MerkleTree.verifyConsistency(
                            from: claimedOlder, root: oldRoot, to: claimedNewer, newerRoot: newRoot, proof: proof)
                        #expect(accepted == (expected.map { $0.old == oldRoot.bytes && $0.new == newRoot.bytes } ?? false))
                    }
                }
            }
        }
    }

    @Test("refuses a history that was rewritten, at every leaf")
    func rewrittenHistory() throws {
        let honest = MerkleTree.root(of: leaves.prefix(13))
        for changed in 0..<13 {
            var other = Array(leaves.prefix(29))
            other[changed] = MerkleHash.leaf([0xFF, UInt8(changed)])
            let proof = try MerkleTree.consistencyProof(from: 13, in: other)
            #expect(!MerkleTree.verifyConsistency(from: 13, root: honest, to: 29, newerRoot: MerkleTree.root(of: other), proof: proof))
        }
    }

    @Test("settles empty and equal trees, and survives nonsense and the largest numbers")
    func extremes() {
        let some = leaves[0]
        let long = Array(repeating: some, count: 200)
        func accepts(_ older: Int, _ oldRoot: MerkleHash, _ newer: Int, _ newRoot: MerkleHash, _ proof: [MerkleHash]) -> Bool {
            MerkleTree.verifyConsistency(from: older, root: oldRoot, to: newer, newerRoot: newRoot, proof: proof)
        }
        #expect(accepts(0, .emptyTree, 0, .emptyTree, []))
        #expect(accepts(0, .emptyTree, 5, some, []))
        #expect(accepts(5, some, 5, some, []))
        #expect(!accepts(0, some, 0, some, []))
        #expect(!accepts(0, some, 5, some, []))
        #expect(!accepts(0, .emptyTree, 5, some, [some]))
        #expect(!accepts(5, some, 5, some, [some]))
        #expect(!accepts(5, some, 5, leaves[1], []))
        for (older, newer) in [(-1, 5), (6, 5), (1, .max), (.max - 1, .max), (.min, .max), (1 << 62, .max)] as [(Int, Int)] {
            #expect(!accepts(older, some, newer, some, long))
            #expect(!accepts(older, some, newer, some, []))
        }
        #expect(throws: MerkleTreeError.sizeOutOfRange(size: 4, newerSize: 3)) {
            try MerkleTree.consistencyProof(from: 4, in: Array(leaves.prefix(3)))
        }
        #expect(throws: MerkleTreeError.sizeOutOfRange(size: -1, newerSize: 3)) { try MerkleTree.consistencyRanges(from: -1, to: 3) }
    }
}

@Suite("Merkle hash")
struct MerkleHashTests {
    @Test("travels as base 64 in its one form and as 32 bytes")
    func forms() throws {
        let text = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
        let hash = try #require(MerkleHash(base64: text))
        #expect(hash.base64 == text)
        #expect(MerkleHash(hash.bytes) == hash)
        #expect(hash.description == hash.bytes.map { String(format: "%02x", $0) }.joined())
        #expect(try JSONDecoder().decode([MerkleHash].self, from: JSONEncoder().encode([hash])) == [hash])
        for wrong in ["", String(text.dropLast()), text + "\n", text.replacing("2I=", with: "2J="), "AAAA", text.replacing("/", with: "_")]
        {
            #expect(MerkleHash(base64: wrong) == nil)
        }
        #expect(MerkleHash(Bytes(repeating: 0, count: 31)) == nil)
        #expect(MerkleHash(Bytes(repeating: 0, count: 33)) == nil)
    }
}
