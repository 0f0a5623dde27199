// Notes of other implementations are understood, ours are, and nothing else is.
import Foundation
import Testing
import TransparencyLog

/// The note and key of the documentation of Go's `golang.org/x/mod/sumdb/note`.
private let goVKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
private let goSeed = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
private let goText = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
private let goNote = """
    \(goText)
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=

    """

/// The example of c2sp.org/signed-note.
private let c2spVKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
private let c2spNote = """
    This is an example message.

    — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=

    """

/// An algorithm of its own, as witnesses have: the last two bytes of the text are the signature.
private struct LastBytesKey: NoteSigner, NoteVerifier {
    let name: String
    let keyID: UInt32
    func sign(_ text: [UInt8]) -> [UInt8] { Array(text.suffix(2)) }
    func isValid(_ signature: [UInt8], over text: [UInt8]) -> Bool { signature == Array(text.suffix(2)) }
}

@Suite("Signed notes")
struct SignedNoteTests {
    @Test("verifies the published notes and writes them back byte for byte", arguments: [(goVKey, goNote), (c2spVKey, c2spNote)])
    func knownNotes(vkey: String, published: String) throws {
        let verifier = try Ed25519NoteVerifier(vkey: vkey)
        #expect(verifier.vkey == vkey)
        let note = try SignedNote(parsing: published)
        #expect(try note.verify([verifier]).map(\.name) == [verifier.name])
        #expect(note.description.utf8.elementsEqual(published.utf8))
    }

    @Test("derives the published verifier key from the private key and signs what it verifies")
    func knownKey() throws {
        let seed = try #require(Data(base64Encoded: goSeed)).dropFirst()
        let signer = try Ed25519NoteSigner(name: "PeterNeumann", seed: seed)
        #expect(signer.verifier.vkey == goVKey)
        #expect(signer.revealSeed() == Array(seed))
        let note = try SignedNote(text: goText, signers: [signer])
        try SignedNote(parsing: note.description).verify([Ed25519NoteVerifier(vkey: goVKey)])
        for text in ["\(signer)", String(reflecting: signer), String(describing: Mirror(reflecting: signer).children.map { $0 })] {
            #expect(!text.contains(String(goSeed.dropFirst(6).prefix(12))))
        }
    }

    @Test("refuses a note with any one bit flipped")
    func flippedBits() throws {
        let verifier = try Ed25519NoteVerifier(vkey: c2spVKey)
        let original = Array(c2spNote.utf8)
        for position in original.indices {
            for bit in 0..<8 {
                var wrong = original
                wrong[position] ^= 1 << UInt8(bit)
                #expect(throws: (any Error).self, "byte \(position), bit \(bit)") { try SignedNote(parsing: wrong).verify([verifier]) }
            }
        }
    }

    @Test("ignores signatures of unknown keys, also those that share the name or the id of a known one")
    func unknownKeys() throws {
        let log = try Ed25519NoteSigner.generate(name: "city.example/log")
        let sameName = LastBytesKey(name: log.name, keyID: log.keyID ^ 1)
        let sameID = LastBytesKey(name: "city.example/log2", keyID: log.keyID)
        let note = try SignedNote(parsing: SignedNote(text: "a\n", signers: [sameName, sameID, log]).description)
        #expect(note.signatures.count == 3)
        #expect(try note.verify([log.verifier]).count == 1)
        let stranger = try Ed25519NoteSigner.generate(name: log.name)
        #expect(throws: SignedNoteError.noKnownSigner) { try note.verify([stranger.verifier]) }
        #expect(throws: SignedNoteError.noKnownSigner) { try note.verify([]) }
    }

    @Test("takes signers of any algorithm, and one forged signature of a known key spoils the note")
    func severalSigners() throws {
        let log = try Ed25519NoteSigner.generate(name: "city.example/log")
        let witness = LastBytesKey(name: "witness.example", keyID: 7)
        var note = try SignedNote(text: "text\n", signers: [log])
        try note.addSignature(of: witness)
        #expect(try note.verify([witness, log.verifier]).map(\.name) == ["witness.example", "city.example/log"])

        let forged = LastBytesKey(name: log.name, keyID: log.keyID)
        try note.addSignature(of: forged)
        #expect(throws: SignedNoteError.invalidSignature(name: log.name)) { try note.verify([witness, log.verifier]) }
        #expect(try note.verify([witness]).count == 1)
    }

    @Test("keeps empty lines in the text apart from the one that ends it")
    func emptyLines() throws {
        let log = try Ed25519NoteSigner.generate(name: "log")
        for text in ["\n", "a\n\n", "a\n\nb\n", "\n\na\n", "é\u{301}\n", "— x AAAAAAA=\n"] {
            let note = try SignedNote(parsing: SignedNote(text: text, signers: [log]).description)
            #expect(note.text.utf8.elementsEqual(text.utf8))
            try note.verify([log.verifier])
        }
    }

    @Test("refuses to sign what could not be read back", arguments: ["", "no newline", "a\r\n", "a\tb\n", "a\0\n"])
    func invalidTexts(text: String) throws {
        let log = try Ed25519NoteSigner.generate(name: "log")
        #expect(throws: SignedNoteError.invalidText) { try SignedNote(text: text, signers: [log]) }
    }

    @Test(
        "refuses notes of another form",
        arguments: [
            "", "\n", "\n\n", "a\n", "a\n\n", "a\n\nb\n", "a\n\n— log\n", "a\n\n— log AAAAAAA=", "a\n\n-- log AAAAAAA=\n",
            "a\n\n— log AAAA\n",  // three bytes: no room for an id
            "a\n\n— log AAAAAA==\n",  // an id and no signature
            "a\n\n— log AAAAAAB=\n",  // unused bits set
            "a\n\n— log  AAAAAAA=\n", "a\n\n— log AAAAAAA= \n", "a\n\n— lo+g AAAAAAA=\n", "a\n\n—  AAAAAAA=\n",
            "a\n\n— lo\u{A0}g AAAAAAA=\n", "a\n\n— log AAAAAAA=\r\n", "a\r\n\r\n— log AAAAAAA=\r\n", "a\n\n— log AAAAAAA=\n— log\n",
            "a\n\n—log AAAAAAA=\n", "a\n\n— log AAAAAAA=\nmore\n",
        ])
    func malformed(note: String) {
        #expect(throws: SignedNoteError.malformed) { try SignedNote(parsing: note) }
    }

    @Test("refuses bytes that are not UTF-8 and notes beyond the limits")
    func limits() throws {
        #expect(throws: SignedNoteError.malformed) {
            try SignedNote(parsing: Array("a".utf8) + [0xFF] + Array("\n\n— log AAAAAAA=\n".utf8))
        }
        let line = "— log AAAAAAA=\n"
        #expect(try SignedNote(parsing: "a\n\n" + String(repeating: line, count: 100)).signatures.count == 100)
        #expect(throws: SignedNoteError.tooLarge) { try SignedNote(parsing: "a\n\n" + String(repeating: line, count: 101)) }
        #expect(throws: SignedNoteError.tooLarge) { try SignedNote(parsing: String(repeating: "a", count: 1_000_000) + "\n\n" + line) }
    }

    @Test("tells names apart that only look the same")
    func lookAlikeNames() throws {
        let composed = LastBytesKey(name: "caf\u{E9}", keyID: 1)
        let decomposed = LastBytesKey(name: "cafe\u{301}", keyID: 1)
        let note = try SignedNote(text: "a\n", signers: [composed])
        #expect(try note.verify([composed]).count == 1)
        #expect(throws: SignedNoteError.noKnownSigner) { try note.verify([decomposed]) }
    }

    @Test(
        "refuses verifier keys that were damaged or are of another kind",
        arguments: [
            ("", .malformed), ("PeterNeumann", .malformed), ("PeterNeumann+c74f20a3", .malformed),
            ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .idMismatch),
            ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .idMismatch),
            ("PeterNewmann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .idMismatch),
            ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX", .idMismatch),
            ("PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .unsupportedAlgorithm),
            ("PeterNeumann+c74f20a3+ARpc", .invalidKey), ("PeterNeumann+c74f20a3+", .malformed),
            ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .invalidName),
            ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", .invalidName),
        ] as [(String, NoteKeyError)])
    func damagedKeys(vkey: String, expected: NoteKeyError) {
        #expect(throws: expected) { try Ed25519NoteVerifier(vkey: vkey) }
    }

    @Test("refuses names that a signature line could not carry", arguments: ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7}b"])
    func invalidNames(name: String) {
        #expect(throws: NoteKeyError.invalidName) { try Ed25519NoteSigner.generate(name: name) }
        #expect(throws: NoteKeyError.invalidName) { try SignedNote(text: "a\n", signers: [LastBytesKey(name: name, keyID: 1)]) }
    }
}
