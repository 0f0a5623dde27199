// What enters the public tree in place of an entry: a fingerprint that binds to every byte of it and, for want of the salt, tells
// nothing about it.
import Crypto
import Foundation

/// The kind of a leaf, so that an entry of one kind cannot be passed off as one of another.
///
/// Its bytes are the text and a newline, which the text itself cannot contain; so no label begins another one.
public struct CommitmentLabel: Hashable, Sendable {
    /// Long enough for a name and a version, short enough to be repeated in every leaf.
    public static let charactersMax = 64

    public let bytes: [UInt8]

    /// - Parameter text: a constant of the program, such as `stoa access entry v1`: 1 to 64 printable ASCII characters.
    public init(_ text: StaticString) {
        let characters = text.withUTF8Buffer { Array($0) }
        precondition(
            (1...Self.charactersMax).contains(characters.count) && characters.allSatisfy { (0x20...0x7E).contains($0) },
            "a label is short printable ASCII")
        bytes = characters + [UInt8(ascii: "\n")]
    }
}

public enum CommitmentError: Error, Hashable, Sendable {
    /// The salt must have `Commitment.saltBytes` bytes.
    case saltLength(Int)
}

/// The data of a leaf: label ‖ SHA-256(label ‖ salt ‖ canonical entry).
///
/// Only the leaf is public. Whoever is given entry and salt can check that they belong to it; without the salt the entry cannot even be guessed
/// and tried, and when the salt is deleted with the entry nobody can ever again tell what it was, while the tree stays whole.
public struct Commitment: Hashable, Sendable {
    /// Bytes in a salt: as many as in the hash, so that guessing salts is no easier than breaking it.
    public static let saltBytes = 32

    /// What the tree's leaf hash is computed from.
    public let leafData: [UInt8]

    /// - Parameters:
    ///   - salt: 32 random bytes, used for this entry only.
    ///   - canonicalEntry: the entry's bytes, from `CanonicalEncoding`.
    public init(label: CommitmentLabel, salt: [UInt8], canonicalEntry: [UInt8]) throws(CommitmentError) {
        guard salt.count == Self.saltBytes else { throw .saltLength(salt.count) }
        var hasher = SHA256()
        hasher.update(data: label.bytes)
        hasher.update(data: salt)
        hasher.update(data: canonicalEntry)
        leafData = label.bytes + Array(hasher.finalize())
    }
}
