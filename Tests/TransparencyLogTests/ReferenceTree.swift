// The tree once more, as slowly and literally as RFC 6962 §2.1 defines it, to hold the real one against. Shares no code with it:
// hashes are byte arrays, proofs are checked by rebuilding the tree top down.
import Crypto

typealias Bytes = [UInt8]

enum ReferenceTree {
    static func sha256(_ data: Bytes) -> Bytes { Array(SHA256.hash(data: data)) }
    static func node(_ left: Bytes, _ right: Bytes) -> Bytes { sha256([1] + left + right) }

    /// The largest power of two smaller than n.
    static func split(_ n: Int) -> Int {
        var k = 1
        while k * 2 < n { k *= 2 }
        return k
    }

    /// MTH(D[n])
    static func root(_ entries: ArraySlice<Bytes>) -> Bytes {
        if entries.isEmpty { return sha256([]) }
        if entries.count == 1 { return sha256([0] + entries[entries.startIndex]) }
        let middle = entries.startIndex + split(entries.count)
        return node(root(entries[..<middle]), root(entries[middle...]))
    }

    /// PATH(m, D[n])
    static func path(_ m: Int, _ entries: ArraySlice<Bytes>) -> [Bytes] {
        if entries.count == 1 { return [] }
        let k = split(entries.count)
        let middle = entries.startIndex + k
        return m < k
            ? path(m, entries[..<middle]) + [root(entries[middle...])]
            : path(m - k, entries[middle...]) + [root(entries[..<middle])]
    }

    /// PROOF(m, D[n]) = SUBPROOF(m, D[n], true)
    static func proof(_ m: Int, _ entries: ArraySlice<Bytes>) -> [Bytes] {
        subproof(m, entries, true)
    }

    static func subproof(_ m: Int, _ entries: ArraySlice<Bytes>, _ known: Bool) -> [Bytes] {
        if m == entries.count { return known ? [] : [root(entries)] }
        let k = split(entries.count)
        let middle = entries.startIndex + k
        return m <= k
            ? subproof(m, entries[..<middle], known) + [root(entries[middle...])]
            : subproof(m - k, entries[middle...], false) + [root(entries[..<middle])]
    }

    /// The root that a path leads to; nil if the path has the wrong length for the place.
    static func root(from leaf: Bytes, at m: Int, of n: Int, path: ArraySlice<Bytes>) -> Bytes? {
        if n == 1 { return path.isEmpty ? leaf : nil }
        guard let sibling = path.last else { return nil }
        let k = split(n)
        return m < k
            ? root(from: leaf, at: m, of: k, path: path.dropLast()).map { node($0, sibling) }
            : root(from: leaf, at: m - k, of: n - k, path: path.dropLast()).map { node(sibling, $0) }
    }

    /// The old and the new root that a consistency proof leads to; nil if it has the wrong length.
    static func roots(_ m: Int, _ n: Int, known: Bytes?, proof: ArraySlice<Bytes>) -> (old: Bytes, new: Bytes)? {
        if m == n {
            if let known { return proof.isEmpty ? (known, known) : nil }
            return proof.count == 1 ? (proof[proof.startIndex], proof[proof.startIndex]) : nil
        }
        guard let sibling = proof.last else { return nil }
        let k = split(n)
        if m <= k {
            guard let left = roots(m, k, known: known, proof: proof.dropLast()) else { return nil }
            return (left.old, node(left.new, sibling))
        }
        guard let right = roots(m - k, n - k, known: nil, proof: proof.dropLast()) else { return nil }
        return (node(sibling, right.old), node(sibling, right.new))
    }
}
