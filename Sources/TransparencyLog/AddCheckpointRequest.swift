// What a log sends to a witness (c2sp.org/tlog-witness, add-checkpoint): its newest head, and the proof that it follows from the last one that the
// witness signed. Written by the log, read by the witness.
import Foundation

/// Not of the form of c2sp.org/tlog-witness.
public struct MalformedCheckpointRequest: Error, Hashable, Sendable {
    public init() {}
}

/// The body of `POST <prefix>/add-checkpoint`.
public struct AddCheckpointRequest: Sendable, CustomStringConvertible {
    /// What is read of a request: the longest proof takes 3 kB, and a checkpoint may carry a hundred signatures of a kilobyte each.
    public static let bytesMax = 128 * 1024
    /// C2SP's limit: a tree of more levels could not be counted.
    public static let proofHashesMax = 63

    /// Leaves under the last head that the witness signed; 0 when it signed none.
    public let oldSize: Int
    /// RFC 6962 §2.1.2, from `oldSize` to the checkpoint's size.
    public let proof: [MerkleHash]
    /// The signed note as the log published it.
    public let checkpoint: String

    public init(oldSize: Int, proof: [MerkleHash], checkpoint: String) {
        self.oldSize = oldSize
        self.proof = proof
        self.checkpoint = checkpoint
    }

    private static let oldPrefix = "old "

    /// Takes a request apart without believing it.
    public init(parsing body: some Sequence<UInt8>) throws(MalformedCheckpointRequest) {
        let bytes = Array(body.prefix(Self.bytesMax + 1))
        let newline = UInt8(ascii: "\n")
        // The note has an empty line of its own; the first in the request ends the proof.
        guard bytes.count <= Self.bytesMax,
            let end = bytes.indices.dropLast().first(where: { bytes[$0] == newline && bytes[$0 + 1] == newline }),
            let checkpoint = String(validating: bytes[(end + 2)...], as: UTF8.self)
        else { throw MalformedCheckpointRequest() }
        let lines = bytes[..<end].split(separator: newline, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard let first = lines.first, first.hasPrefix(Self.oldPrefix), let oldSize = treeSize(decimal: first.dropFirst(Self.oldPrefix.count)),
            lines.count - 1 <= Self.proofHashesMax
        else { throw MalformedCheckpointRequest() }
        let proof = lines.dropFirst().compactMap { MerkleHash(base64: $0) }
        guard proof.count == lines.count - 1 else { throw MalformedCheckpointRequest() }
        self.init(oldSize: oldSize, proof: proof, checkpoint: checkpoint)
    }

    /// The body.
    public var description: String {
        ([Self.oldPrefix + String(oldSize)] + proof.map(\.base64)).map { $0 + "\n" }.joined() + "\n" + checkpoint
    }
}

/// The body of a witness's 409: how many leaves the last head has that it signed.
public enum TreeSizeAnswer {
    /// What C2SP calls such a body.
    public static let contentType = "text/x.tlog.size"

    public static func write(_ size: Int) -> String { "\(size)\n" }

    /// Nil for anything but a plain decimal number and a newline.
    public static func read(_ body: some Collection<UInt8>) -> Int? {
        guard let text = String(validating: body, as: UTF8.self), text.utf8.last == UInt8(ascii: "\n") else { return nil }
        return treeSize(decimal: text.dropLast())
    }
}

/// A number of leaves without sign and leading zeros.
func treeSize(decimal text: some StringProtocol) -> Int? {
    guard let size = Int(text), size >= 0, String(size).utf8.elementsEqual(text.utf8) else { return nil }
    return size
}
