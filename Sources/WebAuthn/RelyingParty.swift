// What a browser brings back from an authenticator, checked: a new passkey (WebAuthn level 2 §7.1) and one that is used (§7.2). No database and no clock; that
// a challenge serves once is the caller's to see to.
import Crypto
import Foundation
import Primitives

/// Why an answer is not taken.
public enum WebAuthnError: Error, Sendable, Hashable {
    /// It is not of the form that the standard prescribes.
    case malformed
    /// It answers another challenge, or was made for another site or another purpose.
    case notForUs
    /// The authenticator did not make sure of the person.
    case userNotVerified
    case algorithmNotOffered
    /// An attestation of a kind that we did not ask for.
    case attestationNotAsked
    case signatureWrong
    /// The counter went back: there may be a copy of this passkey.
    case counterWentBack
}

/// The site as authenticators know it.
public struct RelyingParty: Sendable {
    /// The host name that passkeys are bound to.
    public let id: String
    /// Scheme, host and port as the browser writes them.
    public let origin: String

    public init(id: String, origin: String) {
        self.id = id
        self.origin = origin
    }
}

/// A passkey as it is stored.
public struct Passkey: Sendable, Hashable {
    public let id: [UInt8]
    /// A COSE_Key.
    public let publicKey: [UInt8]
    public let signCount: UInt32
    /// Whether it may be copied to the person's other devices.
    public let isBackedUp: Bool

    public init(id: [UInt8], publicKey: [UInt8], signCount: UInt32, isBackedUp: Bool) {
        self.id = id
        self.publicKey = publicKey
        self.signCount = signCount
        self.isBackedUp = isBackedUp
    }
}

extension RelyingParty {
    /// Longest that a credential's id may be, in bytes (WebAuthn level 2 §7.1 allows 1,023; the column follows).
    public static let credentialIDBytesMax = 1023

    /// Checks a new passkey (§7.1).
    /// - Parameters:
    ///   - clientData: the bytes of `clientDataJSON`.
    ///   - attestationObject: as the browser gave it; no attestation is asked for, so that none tells which device it is.
    ///   - challenge: what the server sent.
    public func register(clientData: [UInt8], attestationObject: [UInt8], challenge: [UInt8]) throws(WebAuthnError) -> Passkey {
        try check(clientData, type: "webauthn.create", challenge: challenge)
        guard let object = try? CBOR.readAll(attestationObject), let format = object["fmt"]?.string, let bytes = object["authData"]?.byteString,
            let statement = object["attStmt"], case .map(let members) = statement
        else { throw .malformed }
        let data = try AuthenticatorData(bytes)
        try check(data)
        guard let credential = data.credential, credential.id.count <= Self.credentialIDBytesMax else { throw .malformed }
        let key = try CredentialKey(cose: credential.publicKey)
        switch format {
        case "none":
            guard members.isEmpty else { throw .malformed }
        case "packed" where statement["x5c"] == nil:
            // Signed by the passkey itself (§8.2): says nothing about the device, and a browser may leave it in.
            guard statement["alg"]?.integer == key.algorithm.rawValue, let signature = statement["sig"]?.byteString else { throw .malformed }
            guard key.isSigned(bytes + Self.hash(clientData), by: signature) else { throw .signatureWrong }
        default: throw .attestationNotAsked
        }
        return Passkey(id: credential.id, publicKey: credential.publicKey, signCount: data.signCount, isBackedUp: data.flags.contains(.backedUp))
    }

    /// Checks the use of a passkey (§7.2).
    /// - Parameter passkey: as it was stored, found by the id that came with the answer.
    /// - Returns: the counter to store.
    public func authenticate(
        clientData: [UInt8], authenticatorData: [UInt8], signature: [UInt8], passkey: Passkey, challenge: [UInt8]
    ) throws(WebAuthnError) -> UInt32 {
        try check(clientData, type: "webauthn.get", challenge: challenge)
        let data = try AuthenticatorData(authenticatorData)
        try check(data)
        guard try CredentialKey(cose: passkey.publicKey).isSigned(authenticatorData + Self.hash(clientData), by: signature) else { throw .signatureWrong }
        // Authenticators without a counter say 0 for ever.
        guard data.signCount > passkey.signCount || (data.signCount == 0 && passkey.signCount == 0) else { throw .counterWentBack }
        return data.signCount
    }

    /// The challenge that an answer says it answers: by it the server finds out whether it sent that one. Nil for what is no client data.
    public static func challenge(of clientData: [UInt8]) -> [UInt8]? {
        guard let said = try? JSONDecoder().decode(ClientData.self, from: Data(clientData)) else { return nil }
        return Base64URL.decode(said.challenge)
    }

    private func check(_ clientData: [UInt8], type: String, challenge: [UInt8]) throws(WebAuthnError) {
        guard let said = try? JSONDecoder().decode(ClientData.self, from: Data(clientData)) else { throw .malformed }
        guard said.type == type, said.origin == origin, said.crossOrigin != true, said.challenge == Base64URL.encode(challenge) else { throw .notForUs }
    }

    private func check(_ data: AuthenticatorData) throws(WebAuthnError) {
        guard data.relyingPartyHash == Self.hash(Array(id.utf8)) else { throw .notForUs }
        guard data.flags.isSuperset(of: [.userPresent, .userVerified]) else { throw .userNotVerified }
    }

    private static func hash(_ bytes: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: bytes)) }
}

/// `CollectedClientData` (§5.8.1): what the browser vouches for.
private struct ClientData: Decodable {
    let type: String
    let challenge: String
    let origin: String
    let crossOrigin: Bool?
}

/// `authenticatorData` (§6.1): what the authenticator vouches for.
struct AuthenticatorData {
    struct Flags: OptionSet {
        let rawValue: UInt8
        static let userPresent = Flags(rawValue: 0x01)
        static let userVerified = Flags(rawValue: 0x04)
        /// Level 3 calls it “backup state”; level 2 leaves the bit free.
        static let backedUp = Flags(rawValue: 0x10)
        static let hasCredential = Flags(rawValue: 0x40)
        static let hasExtensions = Flags(rawValue: 0x80)
    }

    let relyingPartyHash: [UInt8]
    let flags: Flags
    let signCount: UInt32
    /// Of a new passkey: its id and its COSE_Key.
    let credential: (id: [UInt8], publicKey: [UInt8])?

    init(_ bytes: [UInt8]) throws(WebAuthnError) {
        guard bytes.count >= 37 else { throw .malformed }
        relyingPartyHash = Array(bytes[..<32])
        flags = Flags(rawValue: bytes[32])
        signCount = bytes[33..<37].reduce(0) { $0 << 8 | UInt32($1) }
        var rest = bytes[37...]
        if flags.contains(.hasCredential) {
            // AAGUID, 16 bytes; then the length of the id, two bytes.
            guard rest.count >= 18 else { throw .malformed }
            rest = rest.dropFirst(16)
            let length = Int(rest[rest.startIndex]) << 8 | Int(rest[rest.startIndex + 1])
            rest = rest.dropFirst(2)
            guard length > 0, rest.count > length else { throw .malformed }
            let id = Array(rest.prefix(length))
            rest = rest.dropFirst(length)
            guard let key = try? CBOR.read(rest) else { throw .malformed }
            credential = (id, Array(rest[rest.startIndex..<key.rest.startIndex]))
            rest = key.rest
        } else {
            credential = nil
        }
        if flags.contains(.hasExtensions) {
            guard let extensions = try? CBOR.read(rest), case .map = extensions.value else { throw .malformed }
            rest = extensions.rest
        }
        guard rest.isEmpty else { throw .malformed }
    }
}
