// The tree cut into pieces that never change once they are full (c2sp.org/tlog-tiles). Whoever fetches them can rebuild the tree and
// make any proof without asking the log a question.

/// A run of consecutive hashes of one level of the tree, where levels are counted in steps of eight: at level 0 leaf hashes, above it
/// the roots of the full tiles of the level below.
public struct Tile: Hashable, Sendable {
    /// Levels of the tree that a tile spans (C2SP).
    public static let height = 8
    /// Hashes in a full tile.
    public static let fullWidth = 1 << height
    /// Bytes of a full tile.
    public static let fullBytes = fullWidth * MerkleHash.byteCount

    /// 0 for leaves.
    public let level: Int
    /// Its place among the tiles of its level.
    public let index: Int
    /// Hashes in it: 256, or fewer at the right edge of the tree.
    public let width: Int
    /// The first leaf that it does not cover.
    public let endLeaf: Int

    /// Nil for anything that no tree can have: a level or index below 0, a width outside 1 … 256, leaves that cannot be counted in 63 bits.
    public init?(level: Int, index: Int, width: Int = fullWidth) {
        guard level >= 0, index >= 0, (1...Self.fullWidth).contains(width) else { return nil }
        let (start, overflows) = index.multipliedReportingOverflow(by: Self.fullWidth)
        let (end, endOverflows) = start.addingReportingOverflow(width)
        let shift = level * Self.height
        guard !overflows, !endOverflows, end.leadingZeroBitCount > shift else { return nil }
        self.level = level
        self.index = index
        self.width = width
        endLeaf = end << shift
    }

    /// The tile that a node of a tree of this size lies in, as wide as that tree has it.
    /// - Parameter node: of the tree, so that it covers none but its leaves.
    public init?(holding node: MerkleNode, treeSize: Int) {
        let level = node.level / Self.height
        let index = (node.index << (node.level % Self.height)) / Self.fullWidth
        let hashesOfLevel = treeSize >> (level * Self.height)
        self.init(level: level, index: index, width: min(Self.fullWidth, hashesOfLevel - index * Self.fullWidth))
    }

    public var isFull: Bool { width == Self.fullWidth }

    /// The places of its hashes among all of its level; for level 0 the indexes of leaves.
    public var hashIndexes: Range<Int> { index * Self.fullWidth..<index * Self.fullWidth + width }

    /// The hash of a node that lies in this tile, which spans eight levels of them.
    /// - Parameter hashes: the tile's.
    public func hash(of node: MerkleNode, in hashes: [MerkleHash]) -> MerkleHash {
        let height = node.level % Self.height
        let start = (node.index << height) - hashIndexes.lowerBound
        return MerkleTree.root(of: hashes[start..<start + (1 << height)])
    }

    /// A tile's content taken apart; nil where it is not a whole number of hashes.
    public static func hashes(in bytes: [UInt8]) -> [MerkleHash]? {
        guard bytes.count.isMultiple(of: MerkleHash.byteCount) else { return nil }
        return stride(from: 0, to: bytes.count, by: MerkleHash.byteCount).compactMap { MerkleHash(bytes[$0..<$0 + MerkleHash.byteCount]) }
    }
}

/// What a path below `<prefix>/tile/` names.
public enum TileResource: Hashable, Sendable {
    /// The hashes of a tile, one after the other.
    case hashes(Tile)
    /// The leaves themselves under a tile of level 0.
    case entries(Tile)

    /// Levels that a path can name (C2SP).
    private static let levels = 0...63

    /// Reads `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`. Each resource has one path and no other text is taken for it.
    public init?(path: some StringProtocol) {
        var parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard parts.count >= 2 else { return nil }
        let kind = parts.removeFirst()
        var width = Tile.fullWidth
        if parts.count >= 2, parts[parts.count - 2].hasSuffix(".p") {
            guard let partial = Int(parts.removeLast()), partial < Tile.fullWidth else { return nil }
            width = partial
            parts[parts.count - 1].removeLast(2)
        }
        let digits = parts.dropLast().map { $0.dropFirst() }.joined() + (parts.last ?? "")
        guard let level = kind == Self.entriesName ? 0 : Int(kind), Self.levels.contains(level), let index = Int(digits),
            let tile = Tile(level: level, index: index, width: width)
        else { return nil }
        self = kind == Self.entriesName ? .entries(tile) : .hashes(tile)
        // Reading was generous with signs, zeros and other digits: what counts is what would be written.
        guard self.path.utf8.elementsEqual(path.utf8) else { return nil }
    }

    /// The path that it is served under.
    public var path: String {
        switch self {
        case .hashes(let tile): "\(tile.level)/\(Self.place(of: tile))"
        case .entries(let tile): "\(Self.entriesName)/\(Self.place(of: tile))"
        }
    }

    private static let entriesName = "entries"

    /// 1234067 is `x001/x234/067`.
    private static func place(of tile: Tile) -> String {
        var groups: [String] = []
        var rest = tile.index
        repeat {
            let digits = String(rest % 1000)
            groups.append((groups.isEmpty ? "" : "x") + String(repeating: "0", count: 3 - digits.count) + digits)
            rest /= 1000
        } while rest > 0
        return groups.reversed().joined(separator: "/") + (tile.isFull ? "" : ".p/\(tile.width)")
    }
}

/// Leaves as they are published: each behind its length.
public enum EntryBundle {
    /// - Parameter leaves: the data of each leaf, at most 65,535 bytes.
    public static func bytes(of leaves: [[UInt8]]) -> [UInt8] {
        leaves.flatMap { leaf in
            let length = UInt16(leaf.count)
            return [UInt8(length >> 8), UInt8(length & 0xFF)] + leaf
        }
    }
}
