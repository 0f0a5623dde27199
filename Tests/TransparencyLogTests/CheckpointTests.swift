// The text of a checkpoint has one form, and only the log's own key opens it.
import Foundation
import Testing
import TransparencyLog

private let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="

@Suite("Checkpoints")
struct CheckpointTests {
    @Test("reads and writes the example of c2sp.org/tlog-checkpoint")
    func example() throws {
        let published = """
            example.com/behind-the-sofa
            20852163
            \(root)

            — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

            """
        let note = try SignedNote(parsing: published)
        let checkpoint = try Checkpoint(text: note.text)
        #expect(checkpoint.origin == "example.com/behind-the-sofa")
        #expect(checkpoint.size == 20_852_163)
        #expect(checkpoint.root.base64 == root)
        #expect(checkpoint.extensionLines.isEmpty)
        #expect(checkpoint.text.utf8.elementsEqual(note.text.utf8))
    }

    @Test("is opened with the log's key after a witness has signed it too")
    func signing() throws {
        let log = try Ed25519NoteSigner.generate(name: "city.example/log")
        let witness = try Ed25519NoteSigner.generate(name: "witness.example")
        let tree = MerkleTree.root(of: (0..<9).map { MerkleHash.leaf([$0]) })
        for extensionLines in [[], ["one", " two "]] {
            let checkpoint = try Checkpoint(origin: "city.example/log", size: 9, root: tree, extensionLines: extensionLines)
            let published = try checkpoint.signed(by: [log, witness]).description
            #expect(try Checkpoint.open(published.utf8, log: log.verifier) == checkpoint)
            #expect(throws: CheckpointError.wrongOrigin) { try Checkpoint.open(published.utf8, log: witness.verifier) }
            let changed = published.replacing("\n9\n", with: "\n8\n")
            #expect(throws: SignedNoteError.invalidSignature(name: log.name)) { try Checkpoint.open(changed.utf8, log: log.verifier) }
            let other = try Ed25519NoteSigner.generate(name: "city.example/log")
            #expect(throws: SignedNoteError.noKnownSigner) { try Checkpoint.open(published.utf8, log: other.verifier) }
        }
    }

    @Test("of the empty tree has size 0")
    func emptyTree() throws {
        let checkpoint = try Checkpoint(origin: "o", size: 0, root: .emptyTree)
        #expect(checkpoint.text == "o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
        #expect(try Checkpoint(text: checkpoint.text) == checkpoint)
    }

    @Test(
        "refuses texts of another form",
        arguments: [
            ("", .malformed), ("o\n1\n", .malformed), ("o\n1\n\(root)", .malformed), ("o\n\n1\n\(root)\n", .malformed),
            ("\n1\n\(root)\n", .malformed),
            ("o\n1\n\(root)\n\n", .malformed), ("o\n1\n\(root)\n\nx\n", .malformed), ("o\n01\n\(root)\n", .invalidSize),
            ("o\n+1\n\(root)\n", .invalidSize), ("o\n-1\n\(root)\n", .invalidSize), ("o\n-0\n\(root)\n", .invalidSize),
            ("o\n1 \n\(root)\n", .invalidSize),
            ("o\n0x1\n\(root)\n", .invalidSize), ("o\n١\n\(root)\n", .invalidSize), ("o\n9223372036854775808\n\(root)\n", .invalidSize),
            ("o\n1\nAAAA\n", .invalidRoot), ("o\n1\n\(root) \n", .invalidRoot), ("o\r\n1\n\(root)\n", .invalidOrigin),
            ("o\n1\n\(root)\nx\u{0}\n", .invalidExtension),
        ] as [(String, CheckpointError)])
    func malformed(text: String, expected: CheckpointError) {
        #expect(throws: expected) { try Checkpoint(text: text) }
    }

    @Test("cannot be made with parts that its text could not carry")
    func invalidParts() {
        #expect(throws: CheckpointError.invalidOrigin) { try Checkpoint(origin: "", size: 0, root: .emptyTree) }
        #expect(throws: CheckpointError.invalidOrigin) { try Checkpoint(origin: "a\nb", size: 0, root: .emptyTree) }
        #expect(throws: CheckpointError.invalidSize) { try Checkpoint(origin: "a", size: -1, root: .emptyTree) }
        for line in ["", "a\nb"] {
            #expect(throws: CheckpointError.invalidExtension) {
                try Checkpoint(origin: "a", size: 0, root: .emptyTree, extensionLines: [line])
            }
        }
    }
}
