// What a witness signs and what it refuses (c2sp.org/tlog-witness), as a rule without a database: whoever applies it keeps the last head between
// two requests, and lets no two of them decide at once.

/// A head that a witness signed.
public struct WitnessedHead: Hashable, Sendable {
    public let size: Int
    public let root: MerkleHash

    public init(size: Int, root: MerkleHash) {
        self.size = size
        self.root = root
    }

    /// Where no head was signed yet: the empty tree, from which every other one follows.
    public static let none = WitnessedHead(size: 0, root: .emptyTree)
}

/// Why a witness does not sign.
public enum WitnessRefusal: Error, Hashable, Sendable {
    /// The request counts more old leaves than its head has (400).
    case oldSizeTooLarge
    /// The last head that was signed has another size than the request says (409, with that size).
    case anotherSize(Int)
    /// The head does not follow from the last one that was signed (422).
    case inconsistent
}

public enum WitnessRules {
    /// - Parameters:
    ///   - head: of the request; the log's signature is checked already.
    ///   - oldSize: the size of the last signed head, as the request says.
    ///   - latest: the last signed head as the witness knows it.
    /// - Throws: the first ``WitnessRefusal`` in the order of the specification.
    public static func check(_ head: WitnessedHead, oldSize: Int, proof: [MerkleHash], latest: WitnessedHead) throws(WitnessRefusal) {
        guard oldSize <= head.size else { throw .oldSizeTooLarge }
        guard oldSize == latest.size else { throw .anotherSize(latest.size) }
        guard MerkleTree.verifyConsistency(from: latest.size, root: latest.root, to: head.size, newerRoot: head.root, proof: proof)
        else { throw .inconsistent }
    }
}
