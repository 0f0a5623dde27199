// The envelope in which a checkpoint travels (c2sp.org/signed-note): text, an empty line, and a line for each signature. Everything
// here works on bytes, because Swift compares strings by what they look like and a signature does not.
import Foundation

/// Why a note is not believed.
public enum SignedNoteError: Error, Hashable, Sendable {
    /// Larger than `SignedNote.bytesMax` or with more than `SignedNote.signaturesMax` signatures.
    case tooLarge
    /// Not UTF-8, control characters, no empty line, or a signature line of another form.
    case malformed
    /// A text to sign must be non-empty, end in a newline and be free of other control characters.
    case invalidText
    /// A signature under the name and id of a known key does not verify: the text was changed or the signature forged.
    case invalidSignature(name: String)
    /// No known key signed it.
    case noKnownSigner
}

/// One signature line: `— <name> base64(key id ‖ signature)`.
public struct NoteSignature: Sendable {
    public let name: String
    public let keyID: UInt32
    public let signature: [UInt8]

    public init(name: String, keyID: UInt32, signature: [UInt8]) {
        self.name = name
        self.keyID = keyID
        self.signature = signature
    }

    /// Whether it claims to be by this key: by name and id, for a key is free to share one of them with another. Names are compared byte by byte.
    public func isFrom(_ verifier: any NoteVerifier) -> Bool {
        keyID == verifier.keyID && name.utf8.elementsEqual(verifier.name.utf8)
    }

    /// The line as it stands in a note, its newline included.
    public var line: String { "— \(name) \(Data(bigEndianBytes(keyID) + signature).base64EncodedString())\n" }

    /// Takes lines apart that came without a note, as a witness answers them, and believes none.
    /// - Throws: `SignedNoteError.tooLarge` or `.malformed`, also when there is no line.
    public static func lines(parsing answer: some Sequence<UInt8>) throws(SignedNoteError) -> [NoteSignature] {
        let bytes = Array(answer.prefix(SignedNote.bytesMax + 1))
        guard bytes.count <= SignedNote.bytesMax else { throw .tooLarge }
        guard bytes.last == newline, !bytes.contains(where: isForbidden), String(validating: bytes, as: UTF8.self) != nil else { throw .malformed }
        return try lines(bytes[...])
    }

    /// - Parameter bytes: valid UTF-8 that ends in a newline.
    fileprivate static func lines(_ bytes: ArraySlice<UInt8>) throws(SignedNoteError) -> [NoteSignature] {
        let lines = bytes.split(separator: newline, omittingEmptySubsequences: false).dropLast()
        guard !lines.isEmpty else { throw .malformed }
        guard lines.count <= SignedNote.signaturesMax else { throw .tooLarge }
        var signatures: [NoteSignature] = []
        for line in lines { signatures.append(try NoteSignature(line: line)) }
        return signatures
    }

    private init(line: ArraySlice<UInt8>) throws(SignedNoteError) {
        guard line.starts(with: linePrefix) else { throw .malformed }
        let parts = line.dropFirst(linePrefix.count).split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw .malformed }
        let name = String(decoding: parts[0], as: UTF8.self)
        guard isValidNoteKeyName(name), let bytes = bytesFromCanonicalBase64(String(decoding: parts[1], as: UTF8.self)),
            bytes.count > keyIDBytes
        else { throw .malformed }
        self.init(name: name, keyID: bytes.prefix(keyIDBytes).reduce(0) { $0 << 8 | UInt32($1) }, signature: Array(bytes.dropFirst(keyIDBytes)))
    }
}

/// A text with signatures, by keys known or unknown. Reading one proves nothing: call `verify` before looking at the text.
public struct SignedNote: Sendable, CustomStringConvertible {
    /// C2SP asks for at least 16; a hundred leaves room for many witnesses and none for a flood.
    public static let signaturesMax = 100
    /// A checkpoint has some 200 bytes; a signature of a post-quantum witness nearly 5,000.
    public static let bytesMax = 1_000_000

    /// The signed text, its final newline included.
    public let text: String
    public private(set) var signatures: [NoteSignature]

    /// Signs a text.
    /// - Parameter text: non-empty, ending in a newline, without other control characters.
    /// - Throws: `SignedNoteError.invalidText`, or what a signer throws.
    public init(text: String, signers: [any NoteSigner]) throws {
        guard text.utf8.last == newline, !text.utf8.contains(where: isForbidden) else { throw SignedNoteError.invalidText }
        self.text = text
        signatures = []
        for signer in signers { try addSignature(of: signer) }
    }

    /// Adds a signature that somebody made over this text, such as a witness. It is not checked.
    public mutating func add(_ signature: NoteSignature) { signatures.append(signature) }

    /// Takes off the signatures of all others.
    public mutating func keep(signaturesOf known: [any NoteVerifier]) {
        signatures.removeAll { signature in !known.contains { signature.isFrom($0) } }
    }

    /// Adds a signature over the same text.
    public mutating func addSignature(of signer: any NoteSigner) throws {
        guard isValidNoteKeyName(signer.name) else { throw NoteKeyError.invalidName }
        signatures.append(NoteSignature(name: signer.name, keyID: signer.keyID, signature: try signer.sign(Array(text.utf8))))
    }

    /// Takes a note apart without believing it.
    /// - Throws: `SignedNoteError.tooLarge` or `.malformed`.
    public init(parsing note: some Sequence<UInt8>) throws(SignedNoteError) {
        let bytes = Array(note.prefix(Self.bytesMax + 1))
        guard bytes.count <= Self.bytesMax else { throw .tooLarge }
        guard bytes.last == newline, !bytes.contains(where: isForbidden),
            String(validating: bytes, as: UTF8.self) != nil,
            // The text may have empty lines of its own; the last one in the note ends it.
            let textEnd = bytes.indices.dropLast().last(where: { bytes[$0] == newline && bytes[$0 + 1] == newline })
        else { throw .malformed }

        text = String(decoding: bytes[...textEnd], as: UTF8.self)
        signatures = try NoteSignature.lines(bytes[(textEnd + 2)...])
    }

    /// The same for a note that is a string already.
    public init(parsing note: String) throws(SignedNoteError) {
        try self.init(parsing: note.utf8)
    }

    /// The note as it is published.
    public var description: String {
        signatures.reduce(into: text + "\n") { $0 += $1.line }
    }

    /// Checks every signature that claims to be by one of the known keys, and ignores all others, as C2SP demands.
    /// - Returns: the known keys that signed, at least one, in the order given.
    /// - Throws: `SignedNoteError.invalidSignature` if any of theirs fails, `.noKnownSigner` if there is none.
    @discardableResult
    public func verify(_ known: [any NoteVerifier]) throws(SignedNoteError) -> [any NoteVerifier] {
        let bytes = Array(text.utf8)
        var signers: [any NoteVerifier] = []
        for verifier in known {
            let claimed = signatures.filter { $0.isFrom(verifier) }
            guard claimed.allSatisfy({ verifier.isValid($0.signature, over: bytes) }) else { throw .invalidSignature(name: verifier.name) }
            if !claimed.isEmpty { signers.append(verifier) }
        }
        guard !signers.isEmpty else { throw .noKnownSigner }
        return signers
    }
}

private let newline = UInt8(ascii: "\n")
private let linePrefix = Array("— ".utf8)
private let keyIDBytes = 4

private func isForbidden(_ byte: UInt8) -> Bool { byte < 0x20 && byte != newline }
