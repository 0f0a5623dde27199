// The file that somebody keeps to show years later, without the log's help, that something is in it (c2sp.org/tlog-proof): where it
// stands, the hashes from there up to the root, and the signed head with that root.
import Foundation

/// Why a file is not believed.
public enum LogProofError: Error, Hashable, Sendable {
    /// Longer than `LogProof.bytesMax`.
    case tooLarge
    /// Not of the form of c2sp.org/tlog-proof: nothing can be said of what it should show.
    /// - line: the first that is not as it should be, counted from 1; nil where no single one is.
    case malformed(line: Int?)
    /// The head is not signed by the log's key, or is not one of that log.
    case headNotSigned
    /// The signature of a witness that the reader knows does not fit the head.
    case cosignatureInvalid
    /// The leaf, its place, the path and the root of the head do not belong together.
    case notIncluded
}

/// A proof of inclusion with the head that it leads to. Reading one proves nothing: `verify` does.
public struct LogProof: Sendable, CustomStringConvertible {
    /// What is read of a file. One has some 2,000 bytes, with the longest names 8,000; each witness of a head adds a hundred.
    public static let bytesMax = 32 * 1024
    /// Hashes from a leaf to the root: a tree with more levels could not be counted (C2SP tlog-witness has the same limit).
    public static let pathHashesMax = 63

    /// What the application wants beside it. Nobody signed it.
    public let extra: [UInt8]
    /// The leaf's place, from 0.
    public let index: Int
    /// From the leaf's sibling up to the root's child.
    public let path: [MerkleHash]
    /// The signed note as the log published it.
    public let checkpoint: String

    public init(extra: [UInt8], index: Int, path: [MerkleHash], checkpoint: String) {
        self.extra = extra
        self.index = index
        self.path = path
        self.checkpoint = checkpoint
    }

    private static let firstLine = "c2sp.org/tlog-proof@v1"
    private static let extraPrefix = "extra "
    private static let indexPrefix = "index "

    /// Takes a file apart without believing it.
    /// - Throws: `LogProofError.tooLarge` or `.malformed`.
    public init(parsing file: some Sequence<UInt8>) throws(LogProofError) {
        let bytes = Array(file.prefix(Self.bytesMax + 1))
        guard bytes.count <= Self.bytesMax else { throw .tooLarge }
        let newline = UInt8(ascii: "\n")
        // The head has an empty line of its own; the first in the file ends the proof.
        guard let end = bytes.indices.dropLast().first(where: { bytes[$0] == newline && bytes[$0 + 1] == newline }),
            let checkpoint = String(validating: bytes[(end + 2)...], as: UTF8.self)
        else { throw .malformed(line: nil) }
        let lines = bytes[..<end].split(separator: newline, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        var next = 0
        func broken() -> LogProofError { .malformed(line: next + 1) }
        guard lines[next] == Self.firstLine else { throw broken() }
        next += 1
        var extra: [UInt8] = []
        if next < lines.count, lines[next].hasPrefix(Self.extraPrefix) {
            guard let data = bytesFromCanonicalBase64(String(lines[next].dropFirst(Self.extraPrefix.count))), !data.isEmpty else { throw broken() }
            extra = data
            next += 1
        }
        guard next < lines.count, lines[next].hasPrefix(Self.indexPrefix), let index = treeSize(decimal: lines[next].dropFirst(Self.indexPrefix.count))
        else { throw broken() }
        next += 1
        var path: [MerkleHash] = []
        while next < lines.count {
            guard path.count < Self.pathHashesMax, let hash = MerkleHash(base64: lines[next]) else { throw broken() }
            path.append(hash)
            next += 1
        }
        // Whether the head is signed is for `verify`; what is no signed note at all was damaged on the way.
        next += 1
        do { _ = try SignedNote(parsing: checkpoint) } catch { throw broken() }
        self.init(extra: extra, index: index, path: path, checkpoint: checkpoint)
    }

    /// The file.
    public var description: String {
        let extraLine = extra.isEmpty ? [] : [Self.extraPrefix + Data(extra).base64EncodedString()]
        let lines = [Self.firstLine] + extraLine + [Self.indexPrefix + String(index)] + path.map(\.base64)
        return lines.map { $0 + "\n" }.joined() + "\n" + checkpoint
    }

    /// Checks that a leaf is in the log: the head's signature, then the path to its root.
    /// - Parameters:
    ///   - leaf: the leaf hash of what the proof is about, which the application computes.
    ///   - log: the log's key, from somewhere trusted.
    /// - Returns: the head, which can be believed then.
    /// - Throws: `LogProofError.headNotSigned` or `.notIncluded`.
    public func verify(leaf: MerkleHash, log: any NoteVerifier) throws(LogProofError) -> Checkpoint {
        guard let head = try? Checkpoint.open(checkpoint.utf8, log: log) else { throw .headNotSigned }
        guard MerkleTree.verifyInclusion(of: leaf, at: index, size: head.size, proof: path, root: head.root) else { throw .notIncluded }
        return head
    }

    /// Which of the witnesses that the reader knows signed the head. Call `verify` as well: a witness vouches for the head, not for the leaf.
    /// - Throws: `LogProofError.cosignatureInvalid` where a signature under the name and id of a known one does not fit (C2SP: the note is refused).
    public func witnesses(among known: [CosignatureVerifier]) throws(LogProofError) -> [CosignatureVerifier] {
        guard let note = try? SignedNote(parsing: checkpoint) else { throw .malformed(line: nil) }
        var signers: [CosignatureVerifier] = []
        for witness in known {
            do {
                try note.verify([witness])
                signers.append(witness)
            } catch .noKnownSigner {
                continue
            } catch {
                throw .cosignatureInvalid
            }
        }
        return signers
    }
}
