// Use case: somebody makes an account. It is linked to no register record: knowing a name, a number or an address proves nothing.
import Foundation
import Messages
import Postgres
public import Primitives
import Register
public import Web

/// What somebody typed, read and well formed.
public struct Registration: Sendable {
    /// A user name signs in at once. E-mail and phone do when they are proven (Addresses), so they are not part of the account yet.
    public var names: [SignInName]
    public var password: Redacted<String>
    public var language: Language

    /// The name that the account begins with.
    var username: SignInName? { names.first { $0.kind == .username } }
    /// What is to be proven.
    var addresses: [TypedAddress] { names.compactMap { TypedAddress($0) } }

    public init(names: [SignInName], password: Redacted<String>, language: Language) {
        self.names = names
        self.password = password
        self.language = language
    }
}

public enum RegistrationError: Error, Sendable, Hashable {
    /// The user name belongs to an account already.
    case usernameTaken
    /// Too many attempts to register from this address.
    case tooManyAttempts(waitMinutes: Int)
}

/// Registrations from one address in a quarter of an hour, whatever becomes of them: each costs a password hash and tells whether
/// names are taken. A class in a library's computer room, or a block of flats behind one address, stays below it; who wants to know
/// which of a million addresses have accounts needs a year.
let registrationAttemptsMax = 30
/// The window in which they are counted, and so the longest wait.
let registrationWindowMinutes = 15

/// Three random codes in a row were taken: the source of randomness is broken.
struct NoFreePublicCode: Error {}

/// A new account and the resident that stands behind it until the counter links a register record.
public struct RegisteredAccount: Sendable {
    public let accountID: AccountID
    public let residentID: ResidentID
    public let publicCode: PublicCode
    /// By this it signs in for the first time.
    let passwordHash: String
}

extension IdentityService {
    /// Counts an attempt to register. Comes before the work that it limits.
    /// - Parameter address: what attempts from the same place have in common (`PageContext.clientAddress`).
    /// - Throws: ``RegistrationError/tooManyAttempts(waitMinutes:)``, `DatabaseError`.
    func countRegistration(from address: String) async throws {
        guard try await database.exclusive({ try await $0.one(BeginRegistration(addressHMAC: addressHMAC(address))) }) else {
            throw RegistrationError.tooManyAttempts(waitMinutes: registrationWindowMinutes)
        }
    }

    /// Makes the account, with its user name sealed, and a welcome message, in one transaction. Addresses are added to it afterwards, in its session.
    /// - Throws: ``RegistrationError``, ``PasswordHasherError``, `DatabaseError`.
    public func register(_ registration: Registration) async throws -> RegisteredAccount {
        let passwordHash = try await passwords.hash(registration.password)
        let residentID = ResidentID.new()
        let (key, wrapped) = try vault.makeDataKey(for: residentID)
        let names = registration.username.map { [$0] } ?? []
        let sealed = try names.map { (attribute: Attribute.username, value: try vault.seal($0.normalForm, as: .username, of: residentID, under: key)) }
        // A public code is random and may be taken, once in 10¹² times the number of residents: then another one is drawn.
        for _ in 0..<3 {
            let new = NewAccount(
                accountID: .new(), residentID: residentID, publicCode: .random(), language: registration.language, names: names,
                nameHMACs: names.map { lookup.signInName($0.normalForm) }, wrappedKey: wrapped, sealed: sealed)
            do {
                try await database.transaction { transaction in
                    try await transaction.execute(new.insert(passwordHash: passwordHash))
                    try await Messages.send(.welcome, to: residentID, on: transaction)
                }
                return RegisteredAccount(accountID: new.accountID, residentID: residentID, publicCode: new.publicCode, passwordHash: passwordHash)
            } catch let error as DatabaseError where error.constraint == "sign_in_name_pkey" {
                throw RegistrationError.usernameTaken
            } catch let error as DatabaseError where error.constraint == "resident_public_code_key" {
                continue
            }
        }
        throw NoFreePublicCode()
    }
}
