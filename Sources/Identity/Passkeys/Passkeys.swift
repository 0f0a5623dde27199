// Use cases: somebody adds a passkey, signs in with one, or proves more with one. What an authenticator says is checked by WebAuthn; that a challenge serves
// once, and whose passkey it is, by the functions of migrations/0038_passkeys.sql.
import Crypto
import Foundation
import Postgres
import Primitives
import Web
import WebAuthn

/// What the page of a new passkey tells the browser.
struct NewPasskeyRequest: Sendable {
    let challenge: [UInt8]
    /// Names the account to the device (`user.id`), which shows it to nobody.
    let owner: [UInt8]
    /// The passkeys that are there: their devices need no second one.
    let known: [[UInt8]]
}

/// What the browser brings back of a new passkey.
struct NewPasskeyAnswer: Sendable {
    let clientData: [UInt8]
    let attestation: [UInt8]
}

/// What it brings back of one that was used.
struct PasskeyAnswer: Sendable {
    let passkeyID: [UInt8]
    let clientData: [UInt8]
    let authenticatorData: [UInt8]
    let signature: [UInt8]
}

/// The answer was not taken. The person may try again; what was wrong helps only whoever made it up.
struct PasskeyRefused: Error {}

extension IdentityService {
    private static let challengeBytes = 32

    /// A challenge for a passkey that is to be used.
    /// - Parameter session: the session that is to prove more; nil for signing in.
    func beginPasskey(_ session: CredentialHash?) async throws -> [UInt8] {
        let challenge = Base64URL.randomBytes(count: Self.challengeBytes)
        let isBegun = try await database.one(
            Done("SELECT identity.begin_passkey(\(Self.hash(challenge)), \(session?.bytes as [UInt8]?))"))
        guard isBegun else { throw FactorChangeRefusal.signedOut }
        return challenge
    }

    /// - Throws: ``FactorChangeRefusal``
    func beginNewPasskey(_ session: CredentialHash) async throws -> NewPasskeyRequest {
        let challenge = Base64URL.randomBytes(count: Self.challengeBytes)
        let begun = try await database.one(BeginNewPasskey(session: session, challengeHash: Self.hash(challenge)))
        if let refusal = begun.outcome.refusal { throw refusal }
        return NewPasskeyRequest(challenge: challenge, owner: begun.owner, known: begun.ids)
    }

    /// - Returns: the new token of the session.
    /// - Throws: ``PasskeyRefused``, ``FactorChangeRefusal``
    func addPasskey(_ answer: NewPasskeyAnswer, session: CredentialHash) async throws -> String {
        guard let challenge = RelyingParty.challenge(of: answer.clientData) else { throw PasskeyRefused() }
        let passkey: Passkey
        do {
            passkey = try relyingParty.register(clientData: answer.clientData, attestationObject: answer.attestation, challenge: challenge)
        } catch {
            throw PasskeyRefused()
        }
        let token = SessionCookie.newToken()
        let statement: SQL = """
            SELECT identity.add_passkey(
                \(session.bytes), \(Self.hash(challenge)), \(FactorID.new().uuid), \(passkey.id), \(passkey.publicKey), \(Int64(passkey.signCount)),
                \(CredentialHash(token: token).bytes))
            """
        switch try await database.exclusive({ try await $0.one(ChangeFactors(statement)) }).refusal {
        case nil: return token
        case .unknown: throw PasskeyRefused()
        case let refusal?: throw refusal
        }
    }

    /// Signs in, or proves more in a session.
    /// - Returns: the token of the session.
    /// - Throws: ``PasskeyRefused``
    func usePasskey(_ answer: PasskeyAnswer, session: CredentialHash?, isSharedComputer: Bool) async throws -> String {
        guard let challenge = RelyingParty.challenge(of: answer.clientData),
            let stored = try await database.optional(FindPasskey(id: answer.passkeyID))
        else { throw PasskeyRefused() }
        let signCount: UInt32
        do {
            signCount = try relyingParty.authenticate(
                clientData: answer.clientData, authenticatorData: answer.authenticatorData, signature: answer.signature, passkey: stored,
                challenge: challenge)
        } catch {
            throw PasskeyRefused()
        }
        let token = SessionCookie.newToken()
        let statement: SQL = """
            SELECT identity.use_passkey(
                \(Self.hash(challenge)), \(session?.bytes as [UInt8]?), \(stored.id), \(Int64(stored.signCount)), \(Int64(signCount)), \(isSharedComputer),
                \(CredentialHash(token: token).bytes))
            """
        guard try await database.exclusive({ try await $0.one(Done(statement)) }) else { throw PasskeyRefused() }
        return token
    }

    private static func hash(_ challenge: [UInt8]) -> [UInt8] { Array(SHA256.hash(data: challenge)) }

    var relyingParty: RelyingParty { RelyingParty(id: settings.baseURL.host, origin: settings.baseURL.origin) }
}

/// `identity.begin_new_passkey`.
private struct BeginNewPasskey: Query {
    let session: CredentialHash
    let challengeHash: [UInt8]

    var sql: SQL { "SELECT outcome, coalesce(owner, ''), coalesce(ids, '{}') FROM identity.begin_new_passkey(\(session.bytes), \(challengeHash))" }

    func decode(_ row: inout RowReader) throws -> (outcome: FactorChangeOutcome, owner: [UInt8], ids: [[UInt8]]) {
        (try FactorChangeOutcome(try row.next(String?.self)), try row.next(), try row.next())
    }
}

/// `identity.find_passkey`.
private struct FindPasskey: Query {
    let id: [UInt8]

    var sql: SQL { "SELECT public_key, sign_count FROM identity.find_passkey(\(id))" }

    func decode(_ row: inout RowReader) throws -> Passkey {
        Passkey(id: id, publicKey: try row.next(), signCount: UInt32(clamping: try row.next(Int64.self)), isBackedUp: false)
    }
}
