// The one kind of value that the tree is made of: leaves become hashes here, and hashes become their parents.
import Crypto
public import Foundation

/// A SHA-256 hash in the Merkle tree of RFC 6962 §2.1: of a leaf, of an inner node, or the root.
public struct MerkleHash: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Bytes in a hash.
    public static let byteCount = 32

    // Four words rather than an array: a proof or a batch of leaves then costs one allocation, not one for every hash.
    private let words: (UInt64, UInt64, UInt64, UInt64)

    /// Takes exactly 32 bytes; nil for any other number.
    public init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes) }
        self.words = words
    }

    /// Reads standard base 64 with padding (RFC 4648 §4) in its one canonical form; nil for anything else.
    public init?(base64 text: String) {
        guard let bytes = bytesFromCanonicalBase64(text) else { return nil }
        self.init(bytes)
    }

    private init(_ digest: SHA256.Digest) {
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { target in
            digest.withUnsafeBytes { target.copyMemory(from: $0) }
        }
        self.words = words
    }

    private static let leafPrefix: [UInt8] = [0x00]
    private static let nodePrefix: [UInt8] = [0x01]

    /// The hash of a tree without leaves: SHA-256 of the empty string.
    public static let emptyTree = MerkleHash(SHA256().finalize())

    /// The hash of a leaf: SHA-256(0x00 ‖ data).
    public static func leaf(_ data: some DataProtocol) -> MerkleHash {
        var hasher = SHA256()
        hasher.update(data: leafPrefix)
        hasher.update(data: data)
        return MerkleHash(hasher.finalize())
    }

    /// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right). The prefix keeps a node from being passed off as a leaf.
    public static func node(_ left: MerkleHash, _ right: MerkleHash) -> MerkleHash {
        var hasher = SHA256()
        hasher.update(data: nodePrefix)
        withUnsafeBytes(of: left.words) { hasher.update(bufferPointer: $0) }
        withUnsafeBytes(of: right.words) { hasher.update(bufferPointer: $0) }
        return MerkleHash(hasher.finalize())
    }

    /// The 32 bytes.
    public var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    /// Standard base 64 with padding, 44 characters: the form in checkpoints and proofs.
    public var base64: String { Data(bytes).base64EncodedString() }

    /// 64 hexadecimal digits in lower case.
    public var description: String { hexadecimal(bytes) }

    public static func == (left: MerkleHash, right: MerkleHash) -> Bool { left.words == right.words }

    public func hash(into hasher: inout Hasher) {
        withUnsafeBytes(of: words) { hasher.combine(bytes: $0) }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let hash = MerkleHash(base64: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not the base 64 of 32 bytes")
        }
        self = hash
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(base64)
    }
}

/// Foundation's decoder lets unused bits at the end pass, so that several texts decode to the same bytes. What is signed or compared
/// must have one form.
func bytesFromCanonicalBase64(_ text: String) -> [UInt8]? {
    guard let data = Data(base64Encoded: text), data.base64EncodedString().utf8.elementsEqual(text.utf8) else { return nil }
    return Array(data)
}

/// Two digits for each byte, in lower case.
public func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}
