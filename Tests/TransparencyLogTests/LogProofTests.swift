// A proof file as C2SP writes it: what stands is accepted, and whatever is changed, added or left out is not.
import Foundation
import Testing
import TransparencyLog

@Suite("Proof files")
struct LogProofTests {
    private let signer: Ed25519NoteSigner
    private let leaves: [MerkleHash]
    private let checkpoint: String

    init() throws {
        signer = try Ed25519NoteSigner.generate(name: "example.com/log")
        leaves = (0..<11).map { MerkleHash.leaf([UInt8($0)]) }
        checkpoint = try Checkpoint(origin: signer.name, size: leaves.count, root: MerkleTree.root(of: leaves)).signed(by: [signer]).description
    }

    private func proof(of index: Int, extra: [UInt8] = [1, 2, 3]) throws -> LogProof {
        LogProof(extra: extra, index: index, path: try MerkleTree.inclusionProof(of: index, in: leaves), checkpoint: checkpoint)
    }

    /// Whether the file shows that the leaf is in the log.
    private func accepts(_ file: [UInt8], leaf: MerkleHash) -> Bool {
        guard let proof = try? LogProof(parsing: file) else { return false }
        return (try? proof.verify(leaf: leaf, log: signer.verifier)) != nil
    }

    @Test("Has the lines of the specification, and reads what it writes")
    func form() throws {
        let proof = try proof(of: 4)
        let text = proof.description
        #expect(text == "c2sp.org/tlog-proof@v1\nextra AQID\nindex 4\n" + proof.path.map { $0.base64 + "\n" }.joined() + "\n" + checkpoint)
        let read = try LogProof(parsing: text.utf8)
        #expect(read.extra == [1, 2, 3] && read.index == 4 && read.path == proof.path && read.checkpoint == checkpoint)
        let bare = try self.proof(of: 0, extra: [])
        #expect(bare.description.hasPrefix("c2sp.org/tlog-proof@v1\nindex 0\n"))
        #expect(try LogProof(parsing: bare.description.utf8).extra == [])
    }

    @Test("Every leaf is proven, and none by the proof of another")
    func everyLeaf() throws {
        for index in leaves.indices {
            let file = Array(try proof(of: index).description.utf8)
            #expect(try LogProof(parsing: file).verify(leaf: leaves[index], log: signer.verifier).size == leaves.count)
            for other in leaves.indices where other != index { #expect(!accepts(file, leaf: leaves[other])) }
        }
    }

    @Test("Each bit of the file counts, save those of the extra data, which nobody signed")
    func flippedBits() throws {
        let file = Array(try proof(of: 4, extra: []).description.utf8)
        #expect(accepts(file, leaf: leaves[4]))
        for position in file.indices {
            for bit in 0..<8 {
                var changed = file
                changed[position] ^= 1 << UInt8(bit)
                #expect(!accepts(changed, leaf: leaves[4]), "byte \(position), bit \(bit)")
            }
        }
    }

    @Test("What is cut, doubled, reordered or written in another way is refused")
    func otherForms() throws {
        let proof = try proof(of: 4)
        let lines = proof.description.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for position in lines.indices.dropLast() {
            var without = lines
            without.remove(at: position)
            // Without the extra line it is a proof all the same: nobody signed that.
            #expect(accepts(Array(without.joined(separator: "\n").utf8), leaf: leaves[4]) == (position == 1), "without line \(position)")
            var doubled = lines
            doubled.insert(lines[position], at: position)
            #expect(!accepts(Array(doubled.joined(separator: "\n").utf8), leaf: leaves[4]) || position > lines.count - 3, "line \(position) twice")
        }
        for (from, to) in [
            ("index 4", "index 04"), ("index 4", "index +4"), ("index 4", "index -4"), ("index 4", "index 5"), ("index 4", "index  4"), ("\n", "\r\n"),
            ("extra AQID", "extra"), ("extra AQID", "extra "), ("extra AQID", "extra AQI"), ("@v1", "@v2"), ("c2sp", " c2sp"),
        ] {
            #expect(!accepts(Array(proof.description.replacing(from, with: to).utf8), leaf: leaves[4]), "\(to)")
        }
        #expect(throws: LogProofError.malformed(line: nil)) { try LogProof(parsing: []) }
        #expect(throws: LogProofError.tooLarge) { try LogProof(parsing: Bytes(repeating: 10, count: LogProof.bytesMax + 1)) }
    }

    @Test("Only the log's own key counts")
    func otherKey() throws {
        let proof = try LogProof(parsing: proof(of: 4).description.utf8)
        let stranger = try Ed25519NoteSigner.generate(name: signer.name).verifier
        #expect(throws: LogProofError.headNotSigned) { try proof.verify(leaf: leaves[4], log: stranger) }
        #expect(throws: LogProofError.notIncluded) { try proof.verify(leaf: leaves[5], log: signer.verifier) }
    }
}

@Suite("Reading canonical records")
struct CanonicalDecodingTests {
    @Test("Every kind of value comes back")
    func roundTrip() throws {
        var encoding = CanonicalEncoding()
        let id = UUID()
        let moment = Date(timeIntervalSince1970: 1_795_000_000.123456)
        encoding.add(1, uuid: id)
        encoding.add(2, timestamp: moment)
        encoding.add(3, string: "é ✓")
        encoding.add(4, string: nil)
        encoding.add(7, integer: -5)
        encoding.add(9, bytes: [0, 255])
        encoding.add(10, strings: ["", "a"])
        encoding.add(255, boolean: true)
        let fields = try CanonicalDecoding.fields(of: encoding.bytes)
        #expect(fields[1] == .uuid(id) && fields[3] == .string("é ✓") && fields[4] == .nothing && fields[7] == .integer(-5))
        #expect(fields[9] == .bytes([0, 255]) && fields[10] == .list([.string(""), .string("a")]) && fields[255] == .boolean(true))
        var again = CanonicalEncoding()
        again.add(2, try #require(fields[2]))
        var first = CanonicalEncoding()
        first.add(2, timestamp: moment)
        #expect(again.bytes == first.bytes)
    }

    @Test("Bytes that nobody writes so are refused", arguments: [
        "01", "0101", "010100000001", "01010000000141" + "01010000000141", "02010000000141" + "01010000000141", "000100000000", "01000000000100",
        "0102000000070000000000000000", "010100000001FF", "01060000000102", "0107000000020000", "0105000000040000000100", "01050000000400000001",
        "010500000005" + "0000000000", "0109000000 00", "0105FFFFFFFF", "01050000000D" + "00000001" + "0500000004" + "00000000",
    ])
    func refused(hex: String) {
        #expect(throws: CanonicalDecodingError.self) { try CanonicalDecoding.fields(of: bytes(hex: hex.replacing(" ", with: ""))) }
    }
}
