// A city with the site's Identity pages and people who can sign in, for the tests of this folder.
import City
import HummingbirdTesting
import Foundation
import Messages
import Postgres
import Primitives
import Register
import TestSupport
import Testing
import Web

@testable import Identity

/// One city, with what its residents and staff sign in by.
struct Household: Sendable {
    /// Hashes that cost little: the cost itself is tested once (PasswordHasherTests).
    static let cheap = PasswordCost(memoryKibibytes: 64, passes: 1, lanes: 1)
    static let password = "four plain words"

    let city: CityFixture
    let identity: IdentityService

    /// - Parameter sharedConnections: more for races, so that they are truly at the same moment.
    init(staffSecondFactor: StaffSecondFactor = .whenAsked, sharedConnections: Int = 2) async throws {
        city = try await CityFixture.make()
        identity = IdentityService(
            database: try city.appPool(sharedConnections: sharedConnections), passwords: try PasswordHasher(cost: Self.cheap), vault: city.vault,
            lookup: city.lookup, settings: IdentitySettings(city: "Marisport", staffSecondFactor: staffSecondFactor, baseURL: try BaseURL("http://localhost:8080")))
    }

    /// A resident who registered with these names, and has proven those that are addresses.
    func resident(_ names: SignInName?...) async throws {
        let account = try await identity.register(
            Registration(names: names.compactMap(\.self), password: Redacted(Self.password), language: .english))
        for name in names.compactMap(\.self) where name.kind != .username {
            try await city.owner.execute(
                """
                INSERT INTO identity.sign_in_name (hmac, kind, account_id)
                VALUES (\(city.lookup.signInName(name.normalForm)), \(name.kind.rawValue), \(account.accountID))
                """)
        }
    }

    func staff(_ username: String) async throws {
        try await StaffAdministration(
            owner: city.owner, passwords: identity.passwords, lookup: city.lookup, rules: try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        ).create(NewStaff(username: username, name: username, password: Redacted(Self.password), roles: [.caseworker]))
    }

    func signIn(_ name: String, password: String = password, address: String = "192.0.2.1", isShared: Bool = false) async throws -> SignedIn {
        try await identity.signIn(typedName: name, password: Redacted(password), address: address, isSharedComputer: isShared)
    }

    /// The session of somebody without a second factor.
    func session(_ name: String, isShared: Bool = false) async throws -> CredentialHash {
        guard case .session(let token) = try await signIn(name, isShared: isShared) else { throw NoSession() }
        return CredentialHash(token: token)
    }

    /// A session that the password alone opened, whatever factors there are: as one that was stolen.
    func passwordSession(_ name: String) async throws -> CredentialHash {
        let credential = CredentialHash(token: SessionCookie.newToken())
        try await city.owner.execute(
            """
            SELECT identity.open_session(\(credential.bytes), n.account_id, n.staff_id, 'password', public.stoa_now(), NULL, false)
            FROM identity.sign_in_name AS n WHERE n.hmac = \(city.lookup.signInName(name))
            """)
        return credential
    }

    /// The sign-in under way of somebody with a second factor.
    func half(_ name: String) async throws -> CredentialHash {
        guard case .needsSecondFactor(let token) = try await signIn(name) else { throw NoSession() }
        return CredentialHash(token: token)
    }

    /// An authenticator app for whoever holds the session: the app, and the session under its new hash.
    func addApp(_ session: CredentialHash) async throws -> (app: TOTP, session: CredentialHash) {
        try await identity.beginTOTP(session)
        let app = try #require(try await identity.pendingTOTP(session))
        let token = try await identity.confirmTOTP(code: Redacted(app.code(atStep: try await step())), session)
        return (app, CredentialHash(token: token))
    }

    /// The time step that the database's clock stands in.
    func step() async throws -> Int64 {
        TOTP.step(at: try await city.owner.one(OneValue("SELECT public.stoa_now()", of: Date.self)))
    }

    /// Who holds a session now; nil for none.
    func caller(_ credential: CredentialHash) async throws -> Caller? { try await Site.resolver(using: city.app)(credential, .session) }

    /// Which of these are live sessions.
    func areOpen(_ credentials: CredentialHash...) async throws -> [Bool] {
        var open: [Bool] = []
        for credential in credentials { open.append(try await caller(credential) != nil) }
        return open
    }

    func level(_ credential: CredentialHash) async throws -> Int? {
        switch try await caller(credential) {
        case .resident(let resident): resident.authentication.level
        case .staff(let staff): staff.authentication.level
        default: nil
        }
    }

    /// The kinds of the messages that residents have, in the order of the alphabet.
    func messages() async throws -> [String] {
        try await city.owner.query(OneValue("SELECT kind FROM messages.message ORDER BY kind", of: String.self))
    }

    /// Serves the pages of the slice to browsers.
    func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        let rules = try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        try await city.serve {
            IdentityRoutes(identity: identity, passwordRules: rules, database: city.app).add(to: $0)
            MessagesRoutes(database: city.app).add(to: $0)
        } _: { client in
            try await body(client)
        }
    }

    struct NoSession: Error {}
}
