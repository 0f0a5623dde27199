// Seals and opens personal data. Every resident has a data key; the city's key-encryption key wraps it. Erasing the wrapped key
// erases the person, in the database and in every backup, while the logs stay whole.
public import Crypto
public import Foundation
public import Primitives
public import Web

/// Why something could not be opened. None of these carries the data.
public enum VaultError: Error, Hashable, Sendable {
    /// The data key was wrapped under a key that this server does not hold.
    case unknownKey(keyID: String)
    /// The bytes were changed, moved to another row, or sealed under another key.
    case notAuthentic
}

/// A resident's own AES-256 key, in the clear, for as long as a request takes.
public struct DataKey: Sendable {
    fileprivate let key: SymmetricKey
}

/// A data key as it is stored: AES-256-GCM (NIST SP 800-38D) under the key-encryption key, bound to the resident.
public struct WrappedKey: Hashable, Sendable {
    public let keyID: String
    /// Nonce (12 bytes), encrypted key (32), tag (16).
    public let bytes: [UInt8]

    public init(keyID: String, bytes: [UInt8]) {
        self.keyID = keyID
        self.bytes = bytes
    }
}

/// Seals values under data keys and wraps data keys under the key-encryption key.
public struct ResidentVault: Sendable {
    /// Names the key-encryption key in every wrapped key: the first 16 hexadecimal digits of SHA-256 over a label and the key.
    public let keyID: String
    private let keyEncryptionKey: SymmetricKey

    /// - Parameter keyEncryptionKey: 32 bytes, from a file of mode 0600 or the environment.
    public init(keyEncryptionKey: [UInt8]) {
        self.keyEncryptionKey = SymmetricKey(data: keyEncryptionKey)
        keyID = SHA256.hash(data: Array("stoa/key-id/1".utf8) + keyEncryptionKey).prefix(8).map { String(format: "%02x", $0) }.joined()
    }

    /// A fresh data key for a resident, and the form to store.
    public func makeDataKey(for resident: ResidentID) throws -> (DataKey, WrappedKey) {
        let key = SymmetricKey(size: .bits256)
        let box = try AES.GCM.seal(
            key.withUnsafeBytes { Data($0) }, using: keyEncryptionKey, authenticating: dataKeyContext(resident))
        return (DataKey(key: key), WrappedKey(keyID: keyID, bytes: box.allBytes))
    }

    /// Opens a stored data key. Throws ``VaultError``.
    public func unwrap(_ wrapped: WrappedKey, of resident: ResidentID) throws(VaultError) -> DataKey {
        guard wrapped.keyID == keyID else { throw .unknownKey(keyID: wrapped.keyID) }
        do {
            let box = try AES.GCM.SealedBox(combined: wrapped.bytes)
            return DataKey(key: SymmetricKey(data: try AES.GCM.open(box, using: keyEncryptionKey, authenticating: dataKeyContext(resident))))
        } catch {
            throw .notAuthentic
        }
    }

    /// Seals one value: nonce, ciphertext and tag, bound to the resident and the attribute so that rows cannot be exchanged.
    public func seal(_ value: String, as attribute: Attribute, of resident: ResidentID, under key: DataKey) throws -> [UInt8] {
        try AES.GCM.seal(Data(value.utf8), using: key.key, authenticating: valueContext(resident, attribute.rawValue)).allBytes
    }

    /// Opens one value. Throws ``VaultError``.
    public func open(_ sealed: [UInt8], as attribute: Attribute, of resident: ResidentID, under key: DataKey) throws(VaultError) -> String {
        do {
            let box = try AES.GCM.SealedBox(combined: sealed)
            let bytes = try AES.GCM.open(box, using: key.key, authenticating: valueContext(resident, attribute.rawValue))
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            throw .notAuthentic
        }
    }

    /// Seals a secret that is no resident's data, under the key-encryption key itself: such as what an authenticator app makes its codes of, or a key that signs.
    /// - Parameters:
    ///   - label: what kind of secret it is; none can take the place of one of another kind.
    ///   - id: of the row that holds it; none can be moved to another row.
    public func sealSecret(_ secret: [UInt8], as label: StaticString, id: UUID) throws -> [UInt8] {
        try AES.GCM.seal(secret, using: keyEncryptionKey, authenticating: secretContext(label, id)).allBytes
    }

    /// Opens what ``sealSecret(_:as:id:)`` sealed. Throws ``VaultError``.
    public func openSecret(_ sealed: [UInt8], as label: StaticString, id: UUID) throws(VaultError) -> [UInt8] {
        do {
            return Array(try AES.GCM.open(try AES.GCM.SealedBox(combined: sealed), using: keyEncryptionKey, authenticating: secretContext(label, id)))
        } catch {
            throw .notAuthentic
        }
    }

    /// A key of the city for one use, the same on every node: HKDF (RFC 5869) of the key-encryption key.
    /// - Returns: 32 bytes.
    public func derivedKey(for use: String) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(inputKeyMaterial: keyEncryptionKey, info: Data("stoa/derived-key/1 \(use)".utf8), outputByteCount: 32)
    }

    /// A value that only this key-encryption key opens: stored with an empty database, tried at every start.
    public func sealTestValue() throws -> [UInt8] {
        try AES.GCM.seal(testValue, using: keyEncryptionKey, authenticating: Data("stoa/key-check/1".utf8)).allBytes
    }

    /// Whether this key made the stored test value.
    public func opensTestValue(_ sealed: [UInt8]) -> Bool {
        guard let box = try? AES.GCM.SealedBox(combined: sealed),
            let opened = try? AES.GCM.open(box, using: keyEncryptionKey, authenticating: Data("stoa/key-check/1".utf8))
        else { return false }
        return opened == testValue
    }
}

private let testValue = Data("this key opens this city".utf8)

// What a ciphertext is bound to (additional authenticated data). The label says which kind of thing it is, so that a wrapped key
// can never pass for a value; the resident's 16 bytes have a fixed length, so nothing is ambiguous.
private func dataKeyContext(_ resident: ResidentID) -> [UInt8] {
    boundBytes("stoa/data-key/1", resident)
}

private func valueContext(_ resident: ResidentID, _ attribute: String) -> [UInt8] {
    boundBytes("stoa/attribute/1", resident, attribute)
}

private func secretContext(_ label: StaticString, _ id: UUID) -> [UInt8] {
    // The id comes first: its length is fixed, so no two contexts look alike.
    label.withUTF8Buffer { label in Array("stoa/secret/1".utf8) + withUnsafeBytes(of: id.uuid) { Array($0) } + Array(label) }
}

private func boundBytes(_ label: StaticString, _ resident: ResidentID, _ suffix: String = "") -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(label.utf8CodeUnitCount + 16 + suffix.utf8.count)
    label.withUTF8Buffer { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: resident.uuid.uuid) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: suffix.utf8)
    return bytes
}

extension AES.GCM.SealedBox {
    fileprivate var allBytes: [UInt8] { Array(nonce) + Array(ciphertext) + Array(tag) }
}
