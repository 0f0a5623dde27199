// What a witness adds to a head (c2sp.org/tlog-cosignature, the Ed25519 kind): "at this moment, this was the largest tree of this log that I had
// seen, and it followed from all that I had seen before".
import Crypto
public import Foundation

/// C2SP's byte for timestamped Ed25519 cosignatures.
private let cosignatureType: UInt8 = 0x04

/// The signature of a witness with its moment: 8 bytes of seconds since 1970, big endian, and the 64 bytes of RFC 8032.
struct TimestampedSignature {
    static let byteCount = 72

    let seconds: Int64
    let signature: [UInt8]

    init(seconds: Int64, signature: [UInt8]) {
        self.seconds = seconds
        self.signature = signature
    }

    /// Nil for another length, and for a moment that is 0 or does not fit 63 bits, which no witness may write.
    init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        seconds = Int64(bitPattern: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
        signature = Array(bytes.dropFirst(8))
        guard seconds > 0 else { return nil }
    }

    var bytes: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: seconds >> (56 - 8 * $0)) } + signature }

    /// What is signed: a line that tells it from every other signature of the key, the moment, and the checkpoint's text.
    static func message(seconds: Int64, text: [UInt8]) -> [UInt8] { Array("cosignature/v1\ntime \(seconds)\n".utf8) + text }
}

/// A witness's public key with its name: checks cosignatures, and is passed around as a verifier key (`vkey`).
public struct CosignatureVerifier: NoteVerifier, Hashable, CustomStringConvertible {
    public let name: String
    public let keyID: UInt32
    /// 32 bytes (RFC 8032).
    public let publicKey: [UInt8]

    public init(name: String, publicKey: [UInt8]) throws(NoteKeyError) {
        try VerifierKeyText.check(name: name, publicKey: publicKey)
        self.name = name
        self.publicKey = publicKey
        keyID = VerifierKeyText.keyID(name: name, type: cosignatureType, publicKey: publicKey)
    }

    /// Reads `name+hex(key id)+base64(0x04 ‖ public key)`.
    public init(vkey: String) throws(NoteKeyError) {
        let (name, publicKey) = try VerifierKeyText.read(vkey, type: cosignatureType)
        try self.init(name: name, publicKey: publicKey)
    }

    /// The verifier key to publish.
    public var vkey: String { VerifierKeyText.write(name: name, type: cosignatureType, publicKey: publicKey) }

    public var description: String { vkey }

    /// - Parameters:
    ///   - signature: as it stands in the note behind the key id: moment and signature.
    ///   - text: of the checkpoint.
    public func isValid(_ signature: [UInt8], over text: [UInt8]) -> Bool {
        guard let stamped = TimestampedSignature(bytes: signature), let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)
        else { return false }
        return key.isValidSignature(stamped.signature, for: TimestampedSignature.message(seconds: stamped.seconds, text: text))
    }
}

/// A witness's private key with its name. Prints as its verifier key, never as itself.
public struct CosignatureSigner: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let privateKey: Curve25519.Signing.PrivateKey
    /// The public half.
    public let verifier: CosignatureVerifier

    /// - Parameter seed: the 32 bytes of the private key (RFC 8032).
    public init(name: String, seed: some ContiguousBytes) throws(NoteKeyError) {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else { throw .invalidKey }
        try self.init(name: name, privateKey: key)
    }

    /// A new key from the system's randomness.
    public static func generate(name: String) throws(NoteKeyError) -> CosignatureSigner {
        try CosignatureSigner(name: name, privateKey: Curve25519.Signing.PrivateKey())
    }

    private init(name: String, privateKey: Curve25519.Signing.PrivateKey) throws(NoteKeyError) {
        self.privateKey = privateKey
        verifier = try CosignatureVerifier(name: name, publicKey: Array(privateKey.publicKey.rawRepresentation))
    }

    /// The 32 secret bytes, for the key file and nothing else.
    public func revealSeed() -> [UInt8] { Array(privateKey.rawRepresentation) }

    /// Signs a checkpoint. The caller has checked that it follows from every other one that this key signed.
    /// - Parameters:
    ///   - text: of the checkpoint, its last newline included.
    ///   - moment: when this was the largest tree that the witness had seen; after 1970, and counted in whole seconds.
    public func cosign(_ text: String, at moment: Date) throws -> NoteSignature {
        let seconds = Int64(moment.timeIntervalSince1970)
        precondition(seconds > 0, "a cosignature without a moment says nothing")
        let signature = try privateKey.signature(for: TimestampedSignature.message(seconds: seconds, text: Array(text.utf8)))
        let stamped = TimestampedSignature(seconds: seconds, signature: Array(signature))
        return NoteSignature(name: verifier.name, keyID: verifier.keyID, signature: stamped.bytes)
    }

    public var description: String { "private key of \(verifier.vkey)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
