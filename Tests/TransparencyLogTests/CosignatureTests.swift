// What witnesses sign: keys of other implementations are understood, and a signature counts for one key, one moment and one text.
import Crypto
import Foundation
import Testing
import TransparencyLog

@Suite("Cosignatures")
struct CosignatureTests {
    private let checkpoint = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    private let moment = Date(timeIntervalSince1970: 1_679_315_147.9)

    /// The key of a public witness, as github.com/transparency-dev/formats tests with it.
    private let publicVKey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"

    @Test("The key of a public witness is read and written back")
    func publicKey() throws {
        let verifier = try CosignatureVerifier(vkey: publicVKey)
        #expect(verifier.vkey == publicVKey && verifier.name == "remora.n621.de" && verifier.keyID == 0xda77_ade7)
        #expect(throws: NoteKeyError.unsupportedAlgorithm) { try Ed25519NoteVerifier(vkey: publicVKey) }
        #expect(throws: NoteKeyError.idMismatch) { try CosignatureVerifier(vkey: publicVKey.replacing("remora", with: "remore")) }
        let log = try Ed25519NoteSigner.generate(name: "a").verifier.vkey
        #expect(throws: NoteKeyError.unsupportedAlgorithm) { try CosignatureVerifier(vkey: log) }
    }

    @Test("What is signed is what C2SP says, byte for byte")
    func message() throws {
        let signer = try CosignatureSigner(name: "witness.example/w1", seed: Data(repeating: 7, count: 32))
        let signature = try signer.cosign(checkpoint, at: moment)
        #expect(signature.name == "witness.example/w1" && signature.keyID == signer.verifier.keyID && signature.signature.count == 72)
        // The moment is in whole seconds, 8 bytes, big endian.
        #expect(Array(signature.signature.prefix(8)) == [0, 0, 0, 0, 0x64, 0x18, 0x50, 0xCB])
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: Data(repeating: 7, count: 32)).publicKey
        #expect(key.isValidSignature(Data(signature.signature.dropFirst(8)), for: Data("cosignature/v1\ntime 1679315147\n\(checkpoint)".utf8)))
    }

    @Test("It counts for this key, moment and text alone")
    func otherThings() throws {
        let signer = try CosignatureSigner.generate(name: "witness.example/w1")
        let signature = try signer.cosign(checkpoint, at: moment).signature
        #expect(signer.verifier.isValid(signature, over: Array(checkpoint.utf8)))
        #expect(!signer.verifier.isValid(signature, over: Array((checkpoint + "x\n").utf8)))
        #expect(try !CosignatureSigner.generate(name: "witness.example/w1").verifier.isValid(signature, over: Array(checkpoint.utf8)))
        for position in signature.indices {
            var wrong = signature
            wrong[position] ^= 1
            #expect(!signer.verifier.isValid(wrong, over: Array(checkpoint.utf8)), "byte \(position)")
        }
        for wrong in [[], Array(signature.dropLast()), signature + [0], [UInt8](repeating: 0, count: 8) + signature.dropFirst(8)] {
            #expect(!signer.verifier.isValid(wrong, over: Array(checkpoint.utf8)))
        }
        // The log's own signature by the same key is none.
        let plain = try Curve25519.Signing.PrivateKey(rawRepresentation: signer.revealSeed()).signature(for: Data(checkpoint.utf8))
        #expect(!signer.verifier.isValid(Array(signature.prefix(8)) + Array(plain), over: Array(checkpoint.utf8)))
    }

    @Test("It stands in a note beside the log's, and its line is read back")
    func lines() throws {
        let log = try Ed25519NoteSigner.generate(name: "example.com/behind-the-sofa")
        let (one, two) = (try CosignatureSigner.generate(name: "w/1"), try CosignatureSigner.generate(name: "w/2"))
        var note = try SignedNote(text: checkpoint, signers: [log])
        let answer = try one.cosign(checkpoint, at: moment).line + two.cosign(checkpoint, at: moment).line
        let lines = try NoteSignature.lines(parsing: answer.utf8)
        #expect(lines.map(\.name) == ["w/1", "w/2"] && lines[0].isFrom(one.verifier) && !lines[0].isFrom(two.verifier))
        for line in lines { note.add(line) }
        let read = try SignedNote(parsing: note.description)
        #expect(try read.verify([log.verifier, one.verifier, two.verifier]).count == 3)
        note.keep(signaturesOf: [two.verifier])
        #expect(note.signatures.map(\.name) == ["w/2"])
        for wrong in ["", "\n", "— w/1\n", answer + "x\n", String(answer.dropLast()), "- " + answer.dropFirst(2)] {
            #expect(throws: SignedNoteError.malformed, "\(wrong)") { try NoteSignature.lines(parsing: wrong.utf8) }
        }
    }

    @Test("A key is never printed")
    func secrets() throws {
        let signer = try CosignatureSigner.generate(name: "w")
        let secret = Data(signer.revealSeed()).base64EncodedString()
        for text in ["\(signer)", String(reflecting: signer)] { #expect(!text.contains(secret) && text.contains(signer.verifier.vkey)) }
    }

    @Test("A proof says which of the witnesses that the reader knows signed its head, and is refused where one did not")
    func proofs() throws {
        let log = try Ed25519NoteSigner.generate(name: "example.com/log")
        let (one, two) = (try CosignatureSigner.generate(name: "w/1"), try CosignatureSigner.generate(name: "w/2"))
        let leaf = MerkleHash.leaf([1])
        var note = try Checkpoint(origin: log.name, size: 1, root: leaf).signed(by: [log])
        note.add(try one.cosign(note.text, at: moment))
        let proof = LogProof(extra: [], index: 0, path: [], checkpoint: note.description)
        #expect(try proof.witnesses(among: [two.verifier, one.verifier]) == [one.verifier])
        #expect(try proof.witnesses(among: []) == [])
        var forged = try Checkpoint(origin: log.name, size: 1, root: leaf).signed(by: [log])
        forged.add(try one.cosign("another\n1\n\(leaf.base64)\n", at: moment))
        let wrong = LogProof(extra: [], index: 0, path: [], checkpoint: forged.description)
        #expect(throws: LogProofError.cosignatureInvalid) { try wrong.witnesses(among: [one.verifier]) }
        #expect(try wrong.witnesses(among: [two.verifier]) == [])
    }
}
