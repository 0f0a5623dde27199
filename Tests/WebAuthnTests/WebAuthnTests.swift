// Passkeys: what is refused, and that each of the three kinds of key is made and used.
import Authenticator
import Crypto
import CryptoExtras
import Foundation
import Testing

@testable import WebAuthn

@Suite("Passkeys")
struct WebAuthnTests {
    private static let city = RelyingParty(id: "city.example", origin: "https://city.example")
    private static let challenge = [UInt8](32..<64)

    private static func authenticator() -> Authenticator { Authenticator(key: .es256(P256.Signing.PrivateKey())) }

    @Test("A passkey of each kind is registered and used; its counter goes up", arguments: CredentialKey.Algorithm.allCases)
    func kinds(algorithm: CredentialKey.Algorithm) throws {
        let key: Authenticator.Key =
            switch algorithm {
            case .es256: .es256(P256.Signing.PrivateKey())
            case .eddsa: .eddsa(Curve25519.Signing.PrivateKey())
            case .rs256: .rs256(try _RSA.Signing.PrivateKey(keySize: .bits2048))
            }
        var authenticator = Authenticator(key: key)
        let passkey = try Self.city.register(
            clientData: authenticator.clientData("webauthn.create", Self.challenge), attestationObject: authenticator.attestation(), challenge: Self.challenge)
        #expect(passkey.id == authenticator.id && passkey.publicKey == authenticator.cose && passkey.signCount == 1 && !passkey.isBackedUp)
        authenticator.signCount = 2
        #expect(try Self.use(authenticator, passkey) == 2)
    }

    private static func use(_ authenticator: Authenticator, _ passkey: Passkey, type: String = "webauthn.get", crossOrigin: Bool = false) throws -> UInt32 {
        let clientData = authenticator.clientData(type, challenge, crossOrigin: crossOrigin)
        let assertion = try authenticator.assertion(clientData)
        return try city.authenticate(
            clientData: clientData, authenticatorData: assertion.data, signature: assertion.signature, passkey: passkey, challenge: challenge)
    }

    private static func passkey(_ authenticator: Authenticator, signCount: UInt32 = 0) -> Passkey {
        Passkey(id: authenticator.id, publicKey: authenticator.cose, signCount: signCount, isBackedUp: false)
    }

    @Test("What was made for another site, another purpose or within another page is refused")
    func notForUs() throws {
        let ours = Self.authenticator()
        var elsewhere = ours
        elsewhere.origin = "https://city.example.evil.example"
        var otherPort = ours
        otherPort.origin = "https://city.example:8443"
        var otherParty = ours
        otherParty.relyingParty = "evil.example"
        for authenticator in [elsewhere, otherPort, otherParty] {
            #expect(throws: WebAuthnError.notForUs) { _ = try Self.use(authenticator, Self.passkey(ours)) }
            #expect(throws: WebAuthnError.notForUs) {
                _ = try Self.city.register(
                    clientData: authenticator.clientData("webauthn.create", Self.challenge), attestationObject: authenticator.attestation(),
                    challenge: Self.challenge)
            }
        }
        #expect(throws: WebAuthnError.notForUs) { _ = try Self.use(ours, Self.passkey(ours), type: "webauthn.create") }
        #expect(throws: WebAuthnError.notForUs) { _ = try Self.use(ours, Self.passkey(ours), crossOrigin: true) }
        #expect(throws: WebAuthnError.notForUs) {
            _ = try Self.city.register(
                clientData: ours.clientData("webauthn.create", [1, 2, 3]), attestationObject: ours.attestation(), challenge: Self.challenge)
        }
    }

    @Test("An authenticator that did not verify the person, or that the person did not touch, is refused", arguments: [0x00, 0x01, 0x04] as [UInt8])
    func notVerified(flags: UInt8) throws {
        var authenticator = Self.authenticator()
        authenticator.flags = flags
        let passkey = Self.passkey(authenticator)
        #expect(throws: WebAuthnError.userNotVerified) { _ = try Self.use(authenticator, passkey) }
        #expect(throws: WebAuthnError.userNotVerified) {
            _ = try Self.city.register(
                clientData: authenticator.clientData("webauthn.create", Self.challenge), attestationObject: authenticator.attestation(),
                challenge: Self.challenge)
        }
    }

    @Test("A signature by another key, or over anything else, is refused")
    func signatures() throws {
        let authenticator = Self.authenticator()
        #expect(throws: WebAuthnError.signatureWrong) { _ = try Self.use(Self.authenticator(), Self.passkey(authenticator)) }
        let clientData = authenticator.clientData("webauthn.get", Self.challenge)
        let (data, signature) = try authenticator.assertion(clientData)
        var counted = data
        counted[36] ^= 1
        for (data, signature) in [(counted, signature), (data, signature.dropLast()), (data, [])] as [([UInt8], [UInt8])] {
            #expect(throws: WebAuthnError.signatureWrong) {
                _ = try Self.city.authenticate(
                    clientData: clientData, authenticatorData: data, signature: signature, passkey: Self.passkey(authenticator), challenge: Self.challenge)
            }
        }
    }

    @Test("A counter that does not go up tells of a copy; authenticators without one stay at zero", arguments: [
        (stored: 5, sent: 5, isTaken: false), (5, 4, false), (5, 0, false), (0, 0, true), (0, 1, true), (5, 6, true),
    ] as [(stored: UInt32, sent: UInt32, isTaken: Bool)])
    func counters(stored: UInt32, sent: UInt32, isTaken: Bool) throws {
        var authenticator = Self.authenticator()
        authenticator.signCount = sent
        let passkey = Self.passkey(authenticator, signCount: stored)
        if isTaken {
            #expect(try Self.use(authenticator, passkey) == sent)
        } else {
            #expect(throws: WebAuthnError.counterWentBack) { _ = try Self.use(authenticator, passkey) }
        }
    }

    @Test("An attestation by the passkey itself must be right; any other was not asked for")
    func attestations() throws {
        let authenticator = Self.authenticator()
        let clientData = authenticator.clientData("webauthn.create", Self.challenge)
        func register(_ format: String, _ statement: [UInt8]) throws -> Passkey {
            try Self.city.register(
                clientData: clientData, attestationObject: authenticator.attestation(format: format, statement: statement), challenge: Self.challenge)
        }
        let signature = try authenticator.sign(authenticator.data(withCredential: true) + Array(SHA256.hash(data: clientData)))
        func packed(_ signature: [UInt8], alg: UInt8 = 0x26) -> [UInt8] {
            [0xA2] + Authenticator.text("alg") + [alg] + Authenticator.text("sig") + Authenticator.bytes(signature)
        }
        #expect(try register("packed", packed(signature)).id == authenticator.id)
        #expect(throws: WebAuthnError.signatureWrong) { _ = try register("packed", packed(Array(signature.reversed()))) }
        #expect(throws: WebAuthnError.malformed) { _ = try register("packed", packed(signature, alg: 0x27)) }
        #expect(throws: WebAuthnError.malformed) { _ = try register("none", packed(signature)) }
        #expect(throws: WebAuthnError.attestationNotAsked) { _ = try register("tpm", [0xA0]) }
    }

    @Test("Cut off anywhere, or with something behind, an answer is malformed and nothing breaks")
    func cutOff() throws {
        let authenticator = Self.authenticator()
        let clientData = authenticator.clientData("webauthn.create", Self.challenge)
        let whole = authenticator.attestation()
        for length in 0..<whole.count {
            #expect(throws: (any Error).self) {
                _ = try Self.city.register(clientData: clientData, attestationObject: Array(whole[..<length]), challenge: Self.challenge)
            }
        }
        #expect(throws: WebAuthnError.malformed) {
            _ = try Self.city.register(clientData: clientData, attestationObject: whole + [0], challenge: Self.challenge)
        }
        for length in 0..<37 {
            #expect(throws: WebAuthnError.malformed) { _ = try AuthenticatorData(Array(authenticator.data(withCredential: false)[..<length])) }
        }
        for text in ["", "{", "[]", #"{"type":"webauthn.create"}"#] {
            #expect(throws: WebAuthnError.malformed) {
                _ = try Self.city.register(clientData: Array(text.utf8), attestationObject: whole, challenge: Self.challenge)
            }
        }
    }

    @Test("Keys that we do not offer, or that lie about themselves, are refused")
    func keys() throws {
        // ES384; ES256 that claims Ed25519's curve; a point that is on no curve; an RSA key of 1,024 bits.
        let zeros = Authenticator.bytes([UInt8](repeating: 0, count: 32))
        #expect(throws: WebAuthnError.algorithmNotOffered) { _ = try CredentialKey(cose: [0xA3, 0x01, 0x02, 0x03, 0x38, 0x22, 0x20, 0x02]) }
        #expect(throws: WebAuthnError.malformed) { _ = try CredentialKey(cose: [0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x06, 0x21] + zeros + [0x22] + zeros) }
        #expect(throws: WebAuthnError.malformed) { _ = try CredentialKey(cose: [0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21] + zeros + [0x22] + zeros) }
        let small = Authenticator.bytes([0xC1] + [UInt8](repeating: 0x55, count: 127))
        #expect(throws: WebAuthnError.malformed) {
            _ = try CredentialKey(cose: [0xA4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20] + small + [0x21] + Authenticator.bytes([1, 0, 1]))
        }
    }

    @Test("CBOR that is not in the canonical form of CTAP2 is refused", arguments: [
        [0x18, 0x17], [0x19, 0x00, 0xFF], [0x5F, 0x41, 0x00, 0xFF], [0x9F, 0xFF], [0xA2, 0x02, 0x00, 0x01, 0x00], [0xA2, 0x01, 0x00, 0x01, 0x00],
        [0x81, 0x81, 0x81, 0x81, 0x81, 0x00], [0xFB, 0, 0, 0, 0, 0, 0, 0, 0], [0xC0, 0x60], [0x62, 0xC3, 0x28], [0x1C], [0x5B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [],
    ] as [[UInt8]])
    func strictCBOR(bytes: [UInt8]) {
        #expect(throws: CBOR.Malformed.self) { _ = try CBOR.readAll(bytes) }
    }

    @Test("CBOR reads as RFC 8949, Appendix A, says")
    func cbor() throws {
        let examples: [([UInt8], CBOR)] = [
            ([0x00], .unsigned(0)), ([0x17], .unsigned(23)), ([0x18, 0x18], .unsigned(24)), ([0x19, 0x03, 0xE8], .unsigned(1000)),
            ([0x1A, 0x00, 0x0F, 0x42, 0x40], .unsigned(1_000_000)), ([0x20], .negative(0)), ([0x39, 0x03, 0xE7], .negative(999)), ([0xF4], .bool(false)),
            ([0xF5], .bool(true)), ([0xF6], .null), ([0x44, 1, 2, 3, 4], .bytes([1, 2, 3, 4])), ([0x64, 0x49, 0x45, 0x54, 0x46], .text("IETF")),
            ([0x83, 0x01, 0x02, 0x03], .array([.unsigned(1), .unsigned(2), .unsigned(3)])),
            ([0xA2, 0x61, 0x61, 0x01, 0x61, 0x62, 0x82, 0x02, 0x03], .map([.text("a"): .unsigned(1), .text("b"): .array([.unsigned(2), .unsigned(3)])])),
        ]
        for (bytes, value) in examples { #expect(try CBOR.readAll(bytes) == value) }
        #expect(CBOR.negative(999).integer == -1000)
    }
}
