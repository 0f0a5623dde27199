// Tiles come with the heads and never change; what is served is the tree that the head was signed for, and nothing beyond it.
import City
import Crypto
import Foundation
import HTTPTypes
import HummingbirdTesting
import Logging
import NIOCore
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import AccessLog

/// A log that has grown by `count` entries, in batches of the door.
func grow(_ town: LogTown, by count: Int, _ staff: FixtureStaff) async throws {
    for start in stride(from: 0, to: count, by: 200) {
        let requests = (start..<min(start + 200, count)).map { _ in
            AccessRequest(
                credential: staff.session.hash, operation: .search, subject: .publicCode(town.resident.publicCode), attributes: [],
                purpose: "assistance", caseReference: "CASE-1")
        }
        for answer in try await town.door.read(requests) { _ = try answer.get() }
    }
}

/// RFC 6962 §2.1 written down once more, over leaf hashes.
func treeHash(_ hashes: ArraySlice<[UInt8]>) -> [UInt8] {
    guard hashes.count > 1 else { return hashes.first ?? Array(SHA256.hash(data: [UInt8]())) }
    var left = 1
    while left * 2 < hashes.count { left *= 2 }
    let middle = hashes.startIndex + left
    return Array(SHA256.hash(data: [1] + treeHash(hashes[..<middle]) + treeHash(hashes[middle...])))
}

private func leafHash(_ commitment: [UInt8]) -> [UInt8] {
    Array(SHA256.hash(data: [0] + Array("stoa access entry v1\n".utf8) + commitment))
}

@Suite("Stored tiles")
struct TileStoreTests {
    private struct Grown {
        let town: LogTown
        let staff: FixtureStaff

        init(_ count: Int) async throws {
            town = try await LogTown.make()
            staff = try await town.city.staff(roles: [.caseworker])
            try await town.sequencer.signEmptyTree()
            try await grow(town, by: count, staff)
            try await sequenceAll()
        }

        func sequenceAll() async throws {
            while try await town.sequencer.sequenceOnce() > 0 {}
        }

        func leafHashes() async throws -> [[UInt8]] {
            try await town.city.owner.query(OneValue("SELECT commitment FROM access_log.leaf ORDER BY index", of: [UInt8].self)).map(leafHash)
        }

        func leafCount() async throws -> Int64 {
            try await town.city.owner.one(OneValue("SELECT count(*) FROM access_log.leaf", of: Int64.self))
        }

        func tiles() async throws -> [[UInt8]] {
            try await town.city.app.query(OneValue("SELECT hashes FROM access_log.tile ORDER BY level, index", of: [UInt8].self))
        }
    }

    @Test("A tile comes with the head that fills it, holds its leaves, and stays what it is")
    func growth() async throws {
        let grown = try await Grown(255)
        #expect(try await grown.tiles() == [])
        try await grow(grown.town, by: 1, grown.staff)
        try await grown.sequenceAll()
        let hashes = try await grown.leafHashes()
        let first = try await grown.tiles()
        #expect(first == [hashes.flatMap(\.self)])
        try await grow(grown.town, by: 300, grown.staff)
        try await grown.sequenceAll()
        let later = try await grown.tiles()
        #expect(later.count == 2 && later[0] == first[0])
        #expect(try await later[1] == Array(grown.leafHashes()[256..<512].joined()))
        #expect(try await grown.town.verifier.verify().findings == [])
    }

    @Test("The database refuses to change, remove or add a tile", arguments: [
        "UPDATE access_log.tile SET root = sha256(root)", "DELETE FROM access_log.tile", "TRUNCATE access_log.tile",
        "INSERT INTO access_log.tile (level, index, hashes, root) SELECT 0, 1, hashes, root FROM access_log.tile",
    ])
    func refused(statement: String) async throws {
        let grown = try await Grown(256)
        await #expect(throws: DatabaseError.self) { try await grown.town.city.app.execute("\(unsafeRaw: statement)") }
        guard !statement.hasPrefix("INSERT") else { return }
        await #expect(throws: DatabaseError.self) { try await grown.town.city.owner.execute("\(unsafeRaw: statement)") }
    }

    @Test("Two sequencers at once make one head of each size and one tile of each place")
    func race() async throws {
        let grown = try await Grown(0)
        let town = grown.town
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await grow(town, by: 800, grown.staff) }
            for _ in 0..<2 {
                group.addTask {
                    let second = Sequencer(database: try town.city.appPool(sharedConnections: 1), signer: town.signer, logger: Logger(label: "test"))
                    while try await grown.leafCount() < 800 { _ = try await second.sequenceOnce() }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await grown.tiles().count == 3)
        #expect(try await town.city.owner.one(OneValue("SELECT count(*) = count(DISTINCT tree_size) AND count(*) = count(DISTINCT root) FROM access_log.checkpoint", of: Bool.self)))
        let result = try await town.verifier.verify()
        #expect(result.findings == [] && result.leafCount == 800)
    }

    @Test("What is cut off before its commit leaves neither leaf nor head nor tile, and is done again")
    func cutOff() async throws {
        let grown = try await Grown(200)
        struct CutOff: Error {}
        try await grow(grown.town, by: 100, grown.staff)
        await #expect(throws: CutOff.self) {
            try await grown.town.city.appPool(sharedConnections: 1).transaction { transaction in
                let leaves = try await transaction.query(SequenceEntries(entriesMax: 1000))
                try await transaction.execute(
                    """
                    INSERT INTO access_log.checkpoint (tree_size, root, frontier, note)
                    VALUES (\(Int64(200 + leaves.count)), sha256('x'), ARRAY[sha256('x')], 'never committed')
                    """)
                #expect(try await transaction.query(OneValue("SELECT count(*) FROM access_log.tile", of: Int64.self)) == [1])
                throw CutOff()
            }
        }
        #expect(try await grown.tiles() == [])
        try await grown.sequenceAll()
        #expect(try await grown.tiles().count == 1)
        #expect(try await grown.town.verifier.verify().findings == [])
    }

    @Test("A tile that is missing, changed or one too many is found", arguments: [
        ("DELETE FROM access_log.tile", "The tile 0 of level 0 is missing."),
        ("UPDATE access_log.tile SET hashes = set_byte(hashes, 8191, get_byte(hashes, 8191) # 1)", "The tile 0 of level 0 is not made of its leaves."),
        ("UPDATE access_log.tile SET root = sha256(root)", "The tile 0 of level 0 is not made of its leaves."),
        ("INSERT INTO access_log.tile SELECT 1, 7, hashes, root FROM access_log.tile", "There are 1 tiles more than the leaves fill."),
    ])
    func tampering(statement: String, finding: String) async throws {
        let grown = try await Grown(257)
        #expect(try await grown.town.verifier.verify().findings == [])
        try await grown.town.tamper(["\(unsafeRaw: statement)"])
        #expect(try await grown.town.verifier.verify().findings == [finding])
    }

    @Test("Where a leaf has vanished, no tile is made up for it and the log goes on")
    func vanishedLeaf() async throws {
        let grown = try await Grown(200)
        try await grown.town.tamper(["DELETE FROM access_log.leaf WHERE index = 7"])
        try await grow(grown.town, by: 100, grown.staff)
        try await grown.sequenceAll()
        #expect(try await grown.tiles() == [])
        let findings = try await grown.town.verifier.verify().findings
        #expect(findings.contains("Leaf 7 is missing; the next one is 8."), "\(findings)")
    }

    @Test("Above 65,536 leaves there are tiles of tiles, and every proof still leads to the root")
    func secondLevel() async throws {
        let grown = try await Grown(0)
        let town = grown.town
        let size = 65_536 + 2 * 256 + 77
        try await town.tamper([
            """
            INSERT INTO access_log.leaf (index, entry_id, commitment)
            SELECT n, gen_random_uuid(), sha256(int8send(n)) FROM generate_series(0::bigint, \(Int64(size - 1))) AS n
            """
        ])
        let hashes = try await grown.leafHashes()
        let root = treeHash(hashes[...])
        var tree = CompactRange()
        for hash in hashes { tree.append(try #require(MerkleHash(hash))) }
        let note = try Checkpoint(origin: town.signer.name, size: size, root: tree.root).signed(by: [town.signer]).description
        try await town.city.owner.execute(
            "INSERT INTO access_log.checkpoint (tree_size, root, frontier, note) VALUES (\(Int64(size)), \(root), \(tree.hashes.map(\.bytes)), \(note))")
        #expect(try await grown.tiles().count == 258 + 1)

        let stored = StoredTree(database: town.city.app)
        let top = try await stored.hashes(of: try #require(Tile(level: 1, index: 0)))
        #expect(top.map(\.bytes) == (0..<256).map { treeHash(hashes[$0 * 256..<($0 + 1) * 256]) })
        #expect(try await stored.hashes(of: try #require(Tile(level: 2, index: 0, width: 1))).map(\.bytes) == [treeHash(hashes[..<65_536])])
        #expect(try await stored.hashes(of: try #require(Tile(level: 1, index: 1, width: 2))).count == 2)
        let expected = try #require(MerkleHash(root))
        for index in [0, 1, 255, 256, 40_000, 65_535, 65_536, size - 78, size - 77, size - 1] {
            let path = try await stored.inclusionProof(of: index, size: size)
            let leaf = try #require(MerkleHash(hashes[index]))
            #expect(MerkleTree.verifyInclusion(of: leaf, at: index, size: size, proof: path, root: expected), "leaf \(index)")
            #expect(!MerkleTree.verifyInclusion(of: leaf, at: index ^ 1, size: size, proof: path, root: expected), "leaf \(index)")
        }
    }

    @Test("Anybody gets the tiles under the head, full ones to keep and partial ones for a moment, and nothing beyond it")
    func served() async throws {
        let grown = try await Grown(300)
        let town = grown.town
        let hashes = try await grown.leafHashes()
        try await town.city.serve {
            PublicLogRoutes(database: town.city.app, heads: town.heads).add(to: $0)
        } _: { client in
            func get(_ path: String) async throws -> (status: Int, body: [UInt8], headers: HTTPFields) {
                let answer = try await client.executeRequest(uri: "/log/tile/" + path, method: .get, headers: [:], body: nil)
                return (answer.status.code, Array(answer.body.readableBytesView), answer.headers)
            }
            let full = try await get("0/000")
            #expect(full.status == 200 && full.body == Array(hashes[..<256].joined()))
            #expect(full.headers[.contentType] == "application/octet-stream")
            #expect(full.headers[.cacheControl] == "public, max-age=31536000, immutable")
            let partial = try await get("0/001.p/44")
            #expect(partial.status == 200 && partial.body == Array(hashes[256...].joined()))
            #expect(partial.headers[.cacheControl] == "public, max-age=60")
            #expect(try await get("0/001.p/9").body == Array(hashes[256..<265].joined()))
            #expect(try await get("1/000.p/1").body == treeHash(hashes[..<256]))
            // Bundles hold what the hashes are of.
            for (path, range) in [("entries/000", 0..<256), ("entries/001.p/44", 256..<300)] {
                let bundle = try await get(path)
                var rest = bundle.body[...]
                var leaves: [[UInt8]] = []
                while let high = rest.popFirst(), let low = rest.popFirst() {
                    leaves.append(Array(rest.prefix(Int(high) << 8 | Int(low))))
                    rest = rest.dropFirst(Int(high) << 8 | Int(low))
                }
                #expect(bundle.status == 200 && leaves.map { Array(SHA256.hash(data: [0] + $0)) } == Array(hashes[range]), "\(path)")
            }
            for path in [
                "0/001", "0/001.p/45", "0/002.p/1", "1/000", "1/000.p/2", "2/000.p/1", "entries/001", "entries/001.p/45", "0/x001/000", "0/000.p/256",
                "00/000", "0/0", "0/000/", "/0/000", "63/000", "x/000", "0/x001/x001/x001/000", "0/x000/000.p/1",
            ] {
                let answer = try await get(path)
                #expect(answer.status == 404 && answer.headers[.contentType] == "application/problem+json", "\(path): \(answer.status)")
            }
        }
    }
}
