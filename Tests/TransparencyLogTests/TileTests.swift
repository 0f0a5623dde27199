// Tiles against the definition of C2SP and the slow reference tree: the paths that it names, the widths that it counts, the hashes that
// RFC 6962 gives.
import Testing
import TransparencyLog

@Suite("Tiles")
struct TileTests {
    @Test("A path names one resource, and each resource has one path", arguments: [
        ("0/000", 0, 0, 256), ("0/999", 0, 999, 256), ("1/x001/000", 1, 1000, 256), ("0/x001/x234/067", 0, 1_234_067, 256),
        ("0/x001/x234/067.p/1", 0, 1_234_067, 1), ("2/000.p/255", 2, 0, 255), ("6/000.p/1", 6, 0, 1),
    ])
    func paths(path: String, level: Int, index: Int, width: Int) throws {
        let tile = try #require(Tile(level: level, index: index, width: width))
        #expect(TileResource(path: path) == .hashes(tile))
        #expect(TileResource.hashes(tile).path == path)
        guard level == 0 else { return }
        let entries = "entries" + path.dropFirst()
        #expect(TileResource(path: entries) == .entries(tile))
        #expect(TileResource.entries(tile).path == entries)
    }

    @Test("Any other text names nothing", arguments: [
        "", "/", "0", "0/", "0/0", "0/00", "0/0000", "0/ 00", "0/+00", "0/-01", "0/x000", "0/x000/001", "0/001/002", "0/x001/x002", "0/X001/002",
        "0/x01/002", "0/x0012/003", "0//000", "/0/000", "0/000/", "00/000", "01/000", "+0/000", "-1/000", "64/000", "8/000", "7/x001/000", "x/000",
        "0/000.p", "0/000.p/", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/+1", "0/000.p/-1", "0/000.p/1/", "0/000.p/1.p/1", "0/000.q/1",
        "0/000.P/1", "0/x001.p/000", "entries", "entries/", "entries/0", "Entries/000", "entries/0/000", "0/٠٠١", "0/x999/x999/x999/x999/x999/x999/999",
        "0/000%2Ep/1", "0/000?p", "0/.p/1",
    ])
    func otherPaths(path: String) {
        #expect(TileResource(path: path) == nil)
    }

    @Test("A tree of 70,000 leaves has the tiles that C2SP counts in its example")
    func example() throws {
        let size = 70_000
        let widths = try [0, 1, 2].map { level in
            try #require(Tile(holding: MerkleNode(level: level * 8, index: (size >> (level * 8)) - 1), treeSize: size))
        }
        #expect(widths.map(\.index) == [273, 1, 0])
        #expect(widths.map(\.width) == [112, 17, 1])
        #expect(try #require(Tile(holding: MerkleNode(level: 0, index: 5), treeSize: size)).isFull)
    }

    @Test("Every node of every tree up to 700 leaves is found in its tile with the hash that RFC 6962 gives it")
    func nodes() throws {
        let entries: [Bytes] = (0..<700).map { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        let leaves = entries.map { MerkleHash.leaf($0) }
        let full = [try #require(Tile(level: 0, index: 0)), try #require(Tile(level: 0, index: 1))]
        let roots = full.map { MerkleTree.root(of: leaves[$0.hashIndexes]) }
        for size in [1, 2, 255, 256, 257, 511, 512, 513, 700] {
            for level in 0...9 {
                for index in 0..<(size >> level) {
                    let node = MerkleNode(level: level, index: index)
                    let tile = try #require(Tile(holding: node, treeSize: size))
                    #expect(tile.endLeaf <= size)
                    let hashes = tile.level == 0 ? Array(leaves[tile.hashIndexes]) : Array(roots[tile.hashIndexes])
                    let covered = entries[(index << level)..<((index + 1) << level)]
                    if level < 3 || index == (size >> level) - 1 { #expect(tile.hash(of: node, in: hashes).bytes == ReferenceTree.root(covered)) }
                }
            }
        }
    }

    @Test("A bundle holds each leaf behind its length, the high byte first")
    func bundle() {
        let long = Bytes(repeating: 7, count: 258)
        #expect(EntryBundle.bytes(of: [[1, 2, 3], [], long]) == [0, 3, 1, 2, 3, 0, 0, 1, 2] + long)
    }
}
