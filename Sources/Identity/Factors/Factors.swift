// Use cases: somebody adds, uses and removes what they sign in with beside the password. Who may do what is decided by the functions of
// migrations/0030_factors.sql; here codes are made and compared, because the secrets behind them open with keys that the database does not hold.
public import Foundation
import Postgres
public import Primitives
import Register
public import Web

public enum FactorTag {}
public typealias FactorID = ID<FactorTag>

/// What people prove who they are with beside the password.
public enum FactorKind: String, Sendable, CaseIterable {
    /// An authenticator app.
    case totp
    /// A printed sheet of numbered codes.
    case codeSheet = "code_sheet"
    /// For the day on which the others are lost.
    case recoveryCodes = "recovery_codes"
    /// A key pair in a device, which opens it only to its person. Used on a page of its own, and never by a code.
    case passkey

    /// Whether it is used by typing a code.
    var isTyped: Bool { self != .passkey }
}

/// One of somebody's factors.
public struct Factor: Sendable {
    public let id: FactorID
    public let kind: FactorKind
    public let addedAt: Date
    public let lastUsedAt: Date?
    /// A hundred wrong codes in a row closed it.
    public let isClosed: Bool
    /// Of a list.
    public let codesLeft: Int
    /// The code that a sheet asks for next.
    public let nextNumber: Int?

    /// A sheet of which so few codes are left that it is time for another: who comes once a week has a month to print it.
    var isSheetRunningOut: Bool { kind == .codeSheet && codesLeft <= 5 }
}

/// Why factors cannot be changed now.
public enum FactorChangeRefusal: Error, Sendable, Hashable {
    /// The first factor needs the password within five minutes.
    case passwordNeeded
    /// Every later change needs a second factor within fifteen minutes.
    case secondFactorNeeded
    /// The session or the sign-in ended.
    case signedOut
    /// There is no such factor, or it is not this person's.
    case unknown
    /// The code is not right.
    case wrongCode
}

/// New codes on a list, as they are shown once.
struct NewCodes: Sendable {
    let kind: FactorKind
    /// In the order of their numbers, as printed.
    let codes: [String]
}

/// What an app's sealed secret is bound to, with the id of its row.
let totpLabel: StaticString = "totp"

extension IdentityService {
    /// The factors of whoever holds a session, or a sign-in under way.
    public func factors(of credential: CredentialHash) async throws -> [Factor] {
        try await database.query(FactorsOf(credential: credential))
    }

    // MARK: Using one

    /// Checks the code of a second factor, and raises the session, or makes one of the sign-in under way.
    /// - Parameter address: what attempts from the same place have in common (`PageContext.clientAddress`).
    /// - Returns: the new token of the session, for the cookie: the former opens nothing any more.
    /// - Throws: ``SignInError`` (`wrongNameOrPassword` for a wrong code), ``FactorChangeRefusal/signedOut``, `DatabaseError`.
    public func useFactor(_ kind: FactorKind, code: Redacted<String>, credential: CredentialHash, address: String) async throws -> String {
        let addressHMAC = addressHMAC(address)
        let attempt = BeginFactorAttempt(credential: credential, kind: kind, addressHMAC: addressHMAC)
        guard let begun = try await database.exclusive({ try await $0.optional(attempt) }) else { throw FactorChangeRefusal.signedOut }
        if let refusal = begun.outcome.refusal { throw refusal }
        let token = SessionCookie.newToken()
        guard let use = try await statement(for: code.reveal(), kind, begun, credential, addressHMAC, CredentialHash(token: token)),
            try await database.exclusive({ try await $0.one(use) })
        else { throw SignInError.wrongNameOrPassword }
        return token
    }

    /// The statement that uses a right code once; nil for a wrong one, or where there is no such factor.
    private func statement(
        for typed: String, _ kind: FactorKind, _ begun: BeginFactorAttempt.Row, _ credential: CredentialHash, _ addressHMAC: [UInt8],
        _ newHash: CredentialHash
    ) async throws -> UseFactor? {
        guard let factor = begun.factorID else { return nil }
        if let sealed = begun.sealedSecret {
            let totp = TOTP(secret: try vault.openSecret(sealed, as: totpLabel, id: factor.uuid))
            return totp.step(of: typed, at: begun.at).map {
                UseFactor(credential: credential, factor: factor, proof: .step($0), addressHMAC: addressHMAC, newHash: newHash)
            }
        }
        guard let salt = begun.salt, let code = ListedCodes.read(typed, as: kind) else { return nil }
        let hash = try await passwords.hash(listed: [code], salt: salt, under: lookup)[0]
        return UseFactor(
            credential: credential, factor: factor, proof: .listed(number: begun.number, hash: hash), addressHMAC: addressHMAC, newHash: newHash)
    }

    // MARK: Changing them

    /// What is missing before factors can be changed; nil when nothing is.
    func factorChangeNeeds(_ credential: CredentialHash) async throws -> FactorChangeRefusal? {
        try await database.one(FactorChangeNeeds(credential: credential)).refusal
    }

    /// Begins an authenticator app: its secret waits for a first code.
    func beginTOTP(_ credential: CredentialHash) async throws {
        let id = FactorID.new()
        let sealed = try vault.sealSecret(TOTP.random().secret, as: totpLabel, id: id.uuid)
        try await change(ChangeFactors("SELECT identity.begin_totp(\(credential.bytes), \(id.uuid), \(sealed))"))
    }

    /// The app that waits for its first code; nil when none was begun within the hour.
    func pendingTOTP(_ credential: CredentialHash) async throws -> TOTP? {
        try await pending(credential).map { TOTP(secret: try vault.openSecret($0.sealedSecret, as: totpLabel, id: $0.id.uuid)) }
    }

    /// The first code of an app: from now on it counts, and this session has its level.
    /// - Returns: the new token of the session.
    /// - Throws: ``FactorChangeRefusal``
    func confirmTOTP(code: Redacted<String>, _ credential: CredentialHash) async throws -> String {
        guard let row = try await pending(credential) else { throw FactorChangeRefusal.unknown }
        let totp = TOTP(secret: try vault.openSecret(row.sealedSecret, as: totpLabel, id: row.id.uuid))
        guard let step = totp.step(of: code.reveal(), at: row.at) else { throw FactorChangeRefusal.wrongCode }
        let token = SessionCookie.newToken()
        try await change(
            ChangeFactors("SELECT identity.confirm_totp(\(credential.bytes), \(row.id.uuid), \(step), \(CredentialHash(token: token).bytes))"))
        return token
    }

    private func pending(_ credential: CredentialHash) async throws -> PendingTOTP.Row? {
        try await database.query(PendingTOTP(credential: credential)).first
    }

    /// Makes a sheet, or recovery codes, in place of the earlier ones.
    /// - Throws: ``FactorChangeRefusal``, ``PasswordHasherError``
    func makeCodes(_ kind: FactorKind, _ credential: CredentialHash) async throws -> NewCodes {
        // Asked before the work, and again by the statement that counts.
        if let refusal = try await factorChangeNeeds(credential) { throw refusal }
        let (codes, salt) = (ListedCodes.random(for: kind), ListedCodes.randomSalt())
        let hashes = try await passwords.hash(listed: codes, salt: salt, under: lookup)
        try await change(
            ChangeFactors("SELECT identity.make_codes(\(credential.bytes), \(FactorID.new().uuid), \(kind.rawValue), \(salt), \(hashes))"))
        return NewCodes(kind: kind, codes: codes.map { ListedCodes.printed($0, of: kind) })
    }

    /// - Throws: ``FactorChangeRefusal``
    func removeFactor(_ id: FactorID, _ credential: CredentialHash) async throws {
        try await change(ChangeFactors("SELECT identity.remove_factor(\(credential.bytes), \(id.uuid))"))
    }

    private func change(_ statement: ChangeFactors) async throws {
        let outcome = try await database.exclusive { try await $0.one(statement) }
        if let refusal = outcome.refusal { throw refusal }
    }
}
