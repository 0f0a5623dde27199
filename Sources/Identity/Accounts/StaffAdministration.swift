// Staff accounts are made by the city's engineers, with the owner's role; the role that serves cannot make one.
import Foundation
public import Postgres
public import Primitives
public import Register
public import Web

/// A new member of staff.
public struct NewStaff: Sendable {
    /// Small letters, digits, dots, dashes and underscores; a letter first.
    public var username: String
    /// What other staff and letters show.
    public var name: String
    public var password: Redacted<String>
    public var roles: Set<StaffRole>
    public var language: Language
    /// Code of their own record in the register, where it is known: colleagues who open it stand out.
    public var ownCode: PublicCode?

    public init(
        username: String, name: String, password: Redacted<String>, roles: Set<StaffRole>, language: Language = .english, ownCode: PublicCode? = nil
    ) {
        self.username = username
        self.name = name
        self.password = password
        self.roles = roles
        self.language = language
        self.ownCode = ownCode
    }
}

public enum StaffAdministrationError: Error, Hashable, Sendable, CustomStringConvertible {
    case usernameMalformed(String)
    case usernameTaken(String)
    case noRole
    /// Nobody has this code, or another member of staff has this record.
    case recordUnknown(PublicCode)
    case passwordRefused(PasswordRefusal)
    case usernameUnknown(String)

    public var description: String {
        switch self {
        case .usernameMalformed(let name): "\"\(name)\" is no user name: write \(SignInName.usernameCharacters.lowerBound) to \(SignInName.usernameCharacters.upperBound) small letters, digits, dots, dashes or underscores, a letter first."
        case .usernameTaken(let name): "\"\(name)\" is taken, by a resident or by another member of staff. Choose another user name."
        case .usernameUnknown(let name): "No member of staff signs in as \"\(name)\"."
        case .noRole: "Give at least one role."
        case .recordUnknown(let code): "No record has the code \(code), or it is another member of staff’s already."
        case .passwordRefused(.short): "Give a password of at least \(passwordCharactersMin) characters."
        case .passwordRefused(.common): "This password is among the first that guessers try. Choose another one; a few words in a row are good."
        case .passwordRefused(.holdsName): "Choose a password that does not hold the user name."
        }
    }
}

/// Makes staff accounts.
public struct StaffAdministration: Sendable {
    private let owner: Database
    private let passwords: PasswordHasher
    private let lookup: LookupKey
    private let rules: PasswordRules

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database, passwords: PasswordHasher, lookup: LookupKey, rules: PasswordRules) {
        self.owner = owner
        self.passwords = passwords
        self.lookup = lookup
        self.rules = rules
    }

    /// - Throws: ``StaffAdministrationError``, ``PasswordHasherError``, `DatabaseError`.
    @discardableResult
    public func create(_ staff: NewStaff) async throws -> StaffID {
        guard let name = SignInName.username(staff.username), name.normalForm == staff.username, staff.username.utf8.allSatisfy({ $0 < 0x80 })
        else { throw StaffAdministrationError.usernameMalformed(staff.username) }
        guard !staff.roles.isEmpty else { throw StaffAdministrationError.noRole }
        if let refusal = rules.refusal(of: staff.password.reveal(), names: [name]) { throw StaffAdministrationError.passwordRefused(refusal) }
        let hash = try await passwords.hash(staff.password)
        let id = StaffID.new()
        do {
            try await owner.transaction { transaction in
                try await transaction.execute(
                    """
                    INSERT INTO identity.staff (id, username, display_name, password_hash, roles, language)
                    VALUES (\(id.uuid), \(staff.username), \(staff.name), \(hash), \(staff.roles.map(\.rawValue).sorted()), \(staff.language.tag))
                    """)
                if let code = staff.ownCode {
                    let linked = try await transaction.execute(
                        """
                        UPDATE identity.staff AS s SET resident_id = coalesce(r.superseded_by, r.id) FROM register.resident AS r
                        WHERE s.id = \(id.uuid) AND r.public_code = \(code.description)
                          AND NOT EXISTS (SELECT FROM identity.staff AS o WHERE o.resident_id = coalesce(r.superseded_by, r.id))
                        """)
                    guard linked == 1 else { throw StaffAdministrationError.recordUnknown(code) }
                }
                try await transaction.execute(
                    """
                    INSERT INTO identity.sign_in_name (hmac, kind, staff_id)
                    VALUES (\(lookup.signInName(name.normalForm)), 'username', \(id.uuid))
                    """)
            }
        } catch let error as DatabaseError where error.isUniqueViolation {
            throw StaffAdministrationError.usernameTaken(staff.username)
        }
        return id
    }

    /// Gives a member of staff an authenticator app with a secret that they are told apart from this, unless they have one.
    /// - Returns: the secret in base 32.
    /// - Throws: ``StaffAdministrationError/usernameUnknown(_:)``, `DatabaseError`.
    public func giveApp(to username: String, secret: [UInt8], vault: ResidentVault) async throws -> String {
        let id = FactorID.new()
        let sealed = try vault.sealSecret(secret, as: totpLabel, id: id.uuid)
        try await owner.transaction { transaction in
            guard try await transaction.execute("SELECT FROM identity.staff AS s WHERE s.username = \(username)") == 1 else {
                throw StaffAdministrationError.usernameUnknown(username)
            }
            try await transaction.execute(
                """
                INSERT INTO identity.factor (id, staff_id, kind, sealed_secret, confirmed_at, last_step)
                SELECT \(id.uuid), s.id, 'totp', \(sealed), public.stoa_now(), 0 FROM identity.staff AS s WHERE s.username = \(username)
                ON CONFLICT DO NOTHING
                """)
        }
        return Base32.encode(secret)
    }

    /// Takes all second factors of a member of staff away, and ends their sessions.
    /// - Parameter owner: a database of the role `stoa_owner`.
    /// - Throws: ``StaffAdministrationError/usernameUnknown(_:)``, `DatabaseError`.
    public static func forgetFactors(of username: String, owner: Database) async throws {
        try await owner.transaction { transaction in
            guard try await transaction.execute("SELECT FROM identity.staff AS s WHERE s.username = \(username) FOR UPDATE") == 1 else {
                throw StaffAdministrationError.usernameUnknown(username)
            }
            try await transaction.execute(
                """
                SELECT identity.end_factor(f.id) FROM identity.factor AS f JOIN identity.staff AS s ON s.id = f.staff_id
                WHERE s.username = \(username) AND f.removed_at IS NULL
                """)
            try await transaction.execute(
                "SELECT identity.end_sessions(NULL, s.id, NULL) FROM identity.staff AS s WHERE s.username = \(username)")
            try await transaction.execute(
                """
                UPDATE identity.factor_failures AS f SET failures = 0 FROM identity.staff AS s
                WHERE s.username = \(username) AND f.subject = uuid_send(s.id) AND f.factor <> 'password'
                """)
        }
    }
}
