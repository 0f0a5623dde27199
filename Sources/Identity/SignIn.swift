// Use case: name and password open a session. The same words and the same time whether the name exists or not.
import Foundation
import Postgres
public import Primitives
import Register
public import Web

public enum SignInError: Error, Sendable, Hashable {
    /// Unknown name or wrong password; nobody is told which.
    case wrongNameOrPassword
    /// Too many attempts for this name from this address. Other ways and other addresses are not affected.
    case tooManyAttempts(waitMinutes: Int)
}

/// Who signed in.
public enum SignedIn: Sendable, Hashable {
    case resident(AccountID)
    case staff(StaffID)
}

/// Attempts for one name from one address in a quarter of an hour: enough for somebody who tries all passwords they know, and
/// a thousand a day for a guesser, who needs millions.
public let signInAttemptsMax = 10
/// How long the address must then wait, in minutes: the window in which attempts are counted.
public let signInWaitMinutes = 15

extension IdentityService {
    /// Checks and opens a session. Returns the session's token, for the cookie; only its hash is stored.
    /// - Parameters:
    ///   - address: what attempts from the same place have in common (`PageContext.clientAddress`).
    ///   - isSharedComputer: the session ends after 5 instead of 15 idle minutes.
    /// - Throws: ``SignInError``, ``PasswordHasherError``, `DatabaseError`.
    public func signIn(
        typedName: String, password: Redacted<String>, address: String, isSharedComputer: Bool
    ) async throws -> (token: String, who: SignedIn) {
        // What can be no name is looked up all the same, and found by nobody.
        let nameHMAC = lookup.signInName(SignInName.any(typedName)?.normalForm ?? typedName)
        let addressHMAC = lookup.attempt("address", address)
        let attempt = BeginAttempt(nameHMAC: nameHMAC, addressHMAC: addressHMAC, attemptsMax: signInAttemptsMax)
        guard try await database.exclusive({ try await $0.one(attempt) }) else {
            throw SignInError.tooManyAttempts(waitMinutes: signInWaitMinutes)
        }
        let found = try await database.optional(FindSignIn(nameHMAC: nameHMAC))
        guard try await passwords.check(password, against: found?.passwordHash), let found, let who = found.who else {
            throw SignInError.wrongNameOrPassword
        }
        let token = try await database.transaction { transaction in
            try await transaction.execute(IdentityStatements.forgetAttempts(nameHMAC: nameHMAC, addressHMAC: addressHMAC))
            return try await openSession(of: who, isSharedComputer: isSharedComputer, on: transaction)
        }
        return (token, who)
    }

    /// Opens a session for somebody who has just made an account. Attempts at its name from before it existed do not count.
    /// - Returns: the session's token, for the cookie; only its hash is stored.
    func openSession(of account: RegisteredAccount, isSharedComputer: Bool) async throws -> String {
        try await openSession(of: .resident(account.accountID), isSharedComputer: isSharedComputer, on: database)
    }

    private func openSession(of who: SignedIn, isSharedComputer: Bool, on executor: some Executor) async throws -> String {
        let token = SessionCookie.newToken()
        try await executor.execute(
            IdentityStatements.openSession(CredentialHash(token: token), of: who, idleMinutes: isSharedComputer ? 5 : 15))
        return token
    }

    /// Ends a session now, on every node.
    public func signOut(_ session: CredentialHash) async throws {
        try await database.execute(IdentityStatements.endSession(session))
    }
}

extension FindSignIn.Row {
    fileprivate var who: SignedIn? {
        accountID.map(SignedIn.resident) ?? staffID.map(SignedIn.staff)
    }
}
