// What the log signs: "at this size, this is the root" (c2sp.org/tlog-checkpoint). Everything a reader believes about the log
// hangs on one of these.

/// Why a text is not a checkpoint.
public enum CheckpointError: Error, Hashable, Sendable {
    /// Fewer than three lines, an empty line, or no newline at the end.
    case malformed
    /// Empty, or with control characters.
    case invalidOrigin
    /// Not a plain decimal number without leading zeros, or beyond 63 bits.
    case invalidSize
    /// Not the base 64 of 32 bytes.
    case invalidRoot
    /// Extension lines are not empty and have no control characters.
    case invalidExtension
    /// It is a checkpoint of another log.
    case wrongOrigin
}

/// The head of a log's tree at one size.
public struct Checkpoint: Hashable, Sendable {
    /// The log's unique name, which is also the name of its key: a URL without a scheme, such as `stoa.example/log`.
    public let origin: String
    /// Leaves in the tree.
    public let size: Int
    public let root: MerkleHash
    /// Opaque further lines. C2SP advises against them, since nobody can audit them.
    public let extensionLines: [String]

    public init(origin: String, size: Int, root: MerkleHash, extensionLines: [String] = []) throws(CheckpointError) {
        guard isPlainLine(origin) else { throw .invalidOrigin }
        guard size >= 0 else { throw .invalidSize }
        guard extensionLines.allSatisfy(isPlainLine) else { throw .invalidExtension }
        self.origin = origin
        self.size = size
        self.root = root
        self.extensionLines = extensionLines
    }

    /// Reads the text of a note.
    public init(text: String) throws(CheckpointError) {
        let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard lines.count >= 4, lines.last == "", !lines.dropLast().contains("") else { throw .malformed }
        guard let size = treeSize(decimal: lines[1]) else { throw .invalidSize }
        guard let root = MerkleHash(base64: lines[2]) else { throw .invalidRoot }
        try self.init(origin: lines[0], size: size, root: root, extensionLines: Array(lines[3...].dropLast()))
    }

    /// The text to sign: origin, size and root, each on a line, then the extension lines.
    public var text: String {
        ([origin, String(size), root.base64] + extensionLines).map { $0 + "\n" }.joined()
    }

    /// The note to publish. The first signer should be the log itself, under a name equal to the origin.
    public func signed(by signers: [any NoteSigner]) throws -> SignedNote {
        try SignedNote(text: text, signers: signers)
    }

    /// Opens a published checkpoint: takes the note apart, checks the log's signature, and only then reads the text.
    /// - Parameters:
    ///   - note: as it was published; signatures of others, such as witnesses, may be on it.
    ///   - log: the log's key. Its name must be the checkpoint's origin.
    /// - Throws: `SignedNoteError` or `CheckpointError`.
    public static func open(_ note: some Sequence<UInt8>, log: any NoteVerifier) throws -> Checkpoint {
        let note = try SignedNote(parsing: note)
        try note.verify([log])
        let checkpoint = try Checkpoint(text: note.text)
        guard checkpoint.origin.utf8.elementsEqual(log.name.utf8) else { throw CheckpointError.wrongOrigin }
        return checkpoint
    }

    public static func == (left: Checkpoint, right: Checkpoint) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(size)
        hasher.combine(root)
    }
}

private func isPlainLine(_ line: String) -> Bool {
    !line.isEmpty && line.utf8.allSatisfy { $0 >= 0x20 }
}
