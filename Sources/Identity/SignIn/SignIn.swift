// Use case: name and password open a session, or lead to the second factor. The same words and the same time whether the name exists or not.
import Foundation
import Postgres
public import Primitives
import Register
public import Web

/// What the right password led to. The token is for a cookie; only its hash is stored.
public enum SignedIn: Sendable, Hashable {
    case session(token: String)
    /// A sign-in is under way, and its token goes into the `SignInCookie`: a second factor is missing.
    case needsSecondFactor(token: String)
    /// Likewise: a member of staff must make a second factor first.
    case needsEnrolment(token: String)
}

extension IdentityService {
    /// Checks name and password. Decided in `identity.begin_sign_in` (0004_identity.sql) and `identity.sign_in` (0030_factors.sql).
    /// - Parameters:
    ///   - address: what attempts from the same place have in common (`PageContext.clientAddress`).
    ///   - isSharedComputer: the session ends after 5 instead of 15 idle minutes.
    /// - Throws: ``SignInError``, ``PasswordHasherError``, `DatabaseError`.
    public func signIn(typedName: String, password: Redacted<String>, address: String, isSharedComputer: Bool) async throws -> SignedIn {
        // What can be no name is looked up all the same, and found by nobody.
        let nameHMAC = lookup.signInName(SignInName.any(typedName)?.normalForm ?? typedName)
        let addressHMAC = addressHMAC(address)
        // Once more where the stored hash is another by now: somebody signed in beside and renewed it, or the password was changed and this one is wrong.
        for _ in 0..<2 {
            let attempt = try await database.exclusive { try await $0.one(BeginSignIn(nameHMAC: nameHMAC, addressHMAC: addressHMAC)) }
            if let refusal = attempt.outcome.refusal { throw refusal }
            guard try await passwords.check(password, against: attempt.passwordHash), let passwordHash = attempt.passwordHash else { break }
            guard let signedIn = try await open(nameHMAC, passwordHash, addressHMAC, isSharedComputer: isSharedComputer) else { continue }
            if passwords.isWeaker(passwordHash) { try await renew(passwordHash, of: nameHMAC, password) }
            return signedIn
        }
        throw SignInError.wrongNameOrPassword
    }

    /// Stores the password under today's parameters, in place of a hash that cost less. Whoever changes it meanwhile was first.
    /// Decided in `identity.renew_password_hash` (0041_password_hashes.sql).
    private func renew(_ weaker: String, of nameHMAC: [UInt8], _ password: Redacted<String>) async throws {
        // Where many sign in at once the next time will do.
        guard let stronger = try? await passwords.hash(password) else { return }
        try await database.exclusive { _ = try await $0.execute("SELECT identity.renew_password_hash(\(nameHMAC), \(weaker), \(stronger))") }
    }

    /// Opens the first session for somebody who has just made an account, which may have no name to sign in with yet.
    /// - Returns: the session's token, for the cookie; only its hash is stored.
    func openSession(of account: RegisteredAccount, isSharedComputer: Bool) async throws -> String {
        let token = SessionCookie.newToken()
        let statement = OpenFirstSession(account: account, tokenHash: CredentialHash(token: token), isShared: isSharedComputer)
        guard try await database.exclusive({ try await $0.one(statement) }) else { throw SignInError.wrongNameOrPassword }
        return token
    }

    /// - Returns: nil when the password was changed since it was checked.
    private func open(_ nameHMAC: [UInt8], _ passwordHash: String, _ addressHMAC: [UInt8], isSharedComputer: Bool) async throws -> SignedIn? {
        let token = SessionCookie.newToken()
        let statement = OpenSignIn(
            nameHMAC: nameHMAC, passwordHash: passwordHash, addressHMAC: addressHMAC, tokenHash: CredentialHash(token: token),
            isShared: isSharedComputer, staffNeedSecondFactor: settings.staffSecondFactor == .required)
        switch try await database.exclusive({ try await $0.one(statement) }) {
        case .session: return .session(token: token)
        case .secondFactor: return .needsSecondFactor(token: token)
        case .enrolment: return .needsEnrolment(token: token)
        case nil: return nil
        }
    }

    /// Ends a session now, on every node; on a shared computer all sessions of the person.
    public func signOut(_ session: CredentialHash) async throws {
        try await database.execute("SELECT identity.sign_out(\(session.bytes))")
    }
}
