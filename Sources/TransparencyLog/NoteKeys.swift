// Who signs notes and who checks them. Protocols, because C2SP gives each algorithm a type byte and witnesses add their own.
import Crypto
public import Foundation

/// What is wrong with a note key or its text form. The description finishes the sentence "the key …".
public enum NoteKeyError: Error, Hashable, Sendable, CustomStringConvertible {
    /// A key name is non-empty and has neither spaces nor plus signs nor control characters.
    case invalidName
    /// Not `name+id+key` as C2SP writes it.
    case malformed
    /// The id does not belong to the name and key: a copying error.
    case idMismatch
    /// The type byte names another algorithm: not Ed25519, or a log's key where a witness's is due, or the other way round.
    case unsupportedAlgorithm
    /// Not 32 bytes, or not a point on the curve.
    case invalidKey

    public var description: String {
        switch self {
        case .invalidName: "has no name, or one with spaces or control characters"
        case .malformed: "is not of the form name+id+key, with an id of eight digits or letters a to f and a key in base 64 (C2SP signed-note)"
        case .idMismatch: "was mistyped: its id, between the plus signs, is not the one of this name and key"
        case .unsupportedAlgorithm: "is of another kind: a log signs with one kind (its last part begins with A), a witness with another (it begins with B)"
        case .invalidKey: "is no Ed25519 key: its last part is damaged"
        }
    }
}

/// Makes signatures for notes under a name.
public protocol NoteSigner: Sendable {
    var name: String { get }
    /// The C2SP key id: which of the name's keys it is.
    var keyID: UInt32 { get }
    /// Signs the bytes of a note's text, the final newline included.
    func sign(_ text: [UInt8]) throws -> [UInt8]
}

/// Checks signatures of one key, which was obtained beforehand from somewhere trusted.
public protocol NoteVerifier: Sendable {
    var name: String { get }
    var keyID: UInt32 { get }
    func isValid(_ signature: [UInt8], over text: [UInt8]) -> Bool
}

/// C2SP's byte for Ed25519 signatures over the text as it is.
private let ed25519SignatureType: UInt8 = 0x01

/// A public key as text, `name+hex(key id)+base64(type ‖ public key)` (C2SP signed-note), for the algorithms whose keys have 32 bytes.
enum VerifierKeyText {
    /// The first four bytes, big endian, of SHA-256(name ‖ 0x0A ‖ type ‖ public key).
    static func keyID(name: String, type: UInt8, publicKey: [UInt8]) -> UInt32 {
        var hasher = SHA256()
        hasher.update(data: Array(name.utf8) + [0x0A, type])
        hasher.update(data: publicKey)
        return hasher.finalize().prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func write(name: String, type: UInt8, publicKey: [UInt8]) -> String {
        let id = hexadecimal(bigEndianBytes(keyID(name: name, type: type, publicKey: publicKey)))
        return "\(name)+\(id)+\(Data([type] + publicKey).base64EncodedString())"
    }

    static func read(_ vkey: String, type: UInt8) throws(NoteKeyError) -> (name: String, publicKey: [UInt8]) {
        // The key's base 64 may itself contain a plus sign; the name and the id cannot.
        let parts = vkey.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[1].utf8.count == 8, let bytes = bytesFromCanonicalBase64(String(parts[2])) else { throw .malformed }
        guard bytes.first == type else { throw bytes.isEmpty ? .malformed : .unsupportedAlgorithm }
        let (name, publicKey) = (String(parts[0]), Array(bytes.dropFirst()))
        try check(name: name, publicKey: publicKey)
        guard write(name: name, type: type, publicKey: publicKey).utf8.elementsEqual(vkey.utf8) else { throw .idMismatch }
        return (name, publicKey)
    }

    static func check(name: String, publicKey: [UInt8]) throws(NoteKeyError) {
        guard isValidNoteKeyName(name) else { throw .invalidName }
        guard (try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey)) != nil else { throw .invalidKey }
    }
}

/// A public Ed25519 key with its name: checks signatures, and is passed around as a verifier key (`vkey`).
public struct Ed25519NoteVerifier: NoteVerifier, Hashable, CustomStringConvertible {
    public let name: String
    public let keyID: UInt32
    /// 32 bytes (RFC 8032).
    public let publicKey: [UInt8]

    public init(name: String, publicKey: [UInt8]) throws(NoteKeyError) {
        try VerifierKeyText.check(name: name, publicKey: publicKey)
        self.name = name
        self.publicKey = publicKey
        keyID = VerifierKeyText.keyID(name: name, type: ed25519SignatureType, publicKey: publicKey)
    }

    /// Reads `name+hex(key id)+base64(0x01 ‖ public key)`.
    public init(vkey: String) throws(NoteKeyError) {
        let (name, publicKey) = try VerifierKeyText.read(vkey, type: ed25519SignatureType)
        try self.init(name: name, publicKey: publicKey)
    }

    /// The verifier key to publish.
    public var vkey: String { VerifierKeyText.write(name: name, type: ed25519SignatureType, publicKey: publicKey) }

    public var description: String { vkey }

    public func isValid(_ signature: [UInt8], over text: [UInt8]) -> Bool {
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: publicKey) else { return false }
        return key.isValidSignature(signature, for: text)
    }
}

/// A private Ed25519 key with its name. Prints as its verifier key, never as itself.
public struct Ed25519NoteSigner: NoteSigner, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let privateKey: Curve25519.Signing.PrivateKey
    /// The public half.
    public let verifier: Ed25519NoteVerifier

    /// - Parameter seed: the 32 bytes of the private key (RFC 8032).
    public init(name: String, seed: some ContiguousBytes) throws(NoteKeyError) {
        guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else { throw .invalidKey }
        try self.init(name: name, privateKey: key)
    }

    /// A new key from the system's randomness.
    public static func generate(name: String) throws(NoteKeyError) -> Ed25519NoteSigner {
        try Ed25519NoteSigner(name: name, privateKey: Curve25519.Signing.PrivateKey())
    }

    private init(name: String, privateKey: Curve25519.Signing.PrivateKey) throws(NoteKeyError) {
        self.privateKey = privateKey
        verifier = try Ed25519NoteVerifier(name: name, publicKey: Array(privateKey.publicKey.rawRepresentation))
    }

    public var name: String { verifier.name }
    public var keyID: UInt32 { verifier.keyID }

    /// The 32 secret bytes, for the key file and nothing else.
    public func revealSeed() -> [UInt8] { Array(privateKey.rawRepresentation) }

    public func sign(_ text: [UInt8]) throws -> [UInt8] { Array(try privateKey.signature(for: text)) }

    public var description: String { "private key of \(verifier.vkey)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Non-empty, without Unicode spaces, plus signs and control characters (C2SP signed-note).
func isValidNoteKeyName(_ name: String) -> Bool {
    !name.isEmpty && name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0 != "+" && !$0.properties.isWhitespace }
}

func bigEndianBytes(_ number: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
}
