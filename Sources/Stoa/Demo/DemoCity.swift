// The demo city: made once through the same doors that a real city uses, with the same rules. Running it again changes nothing, also
// after it was interrupted: ids come from names, and passwords from the installation's own key.
import AccessLog
import Casework
import Consent
import Crypto
import Foundation
import Identity
import Logging
import OpenID
import Postgres
import Primitives
import Register
import TransparencyLog
import Web

/// A person who can sign in.
struct DemoPerson: Sendable {
    let name: String
    let username: String
    let password: String
    let publicCode: String
    let roles: [String]
    /// What there is to see as this person.
    let hint: String
    /// What their authenticator app makes its codes of, in base 32; nil for those who have none.
    var totpSecret: String?
}

/// The loaded city, as the start-up message and demo.json tell it.
struct DemoCity: Sendable {
    var baseURL: String
    var residents: [DemoPerson] = []
    var staff: [DemoPerson] = []
    var organisations: [DemoOrganisationFile] = []
    var services: [DemoService] = []
    var ledgerClient: DemoLedgerClient?
    var logVerifierKey: String
    /// Where e-mails and short messages go as files.
    var messagesFolder: String

    /// Loads what is missing and writes demo.json.
    static func load(in installation: Installation, keys: KeyRing) async throws -> DemoCity {
        let logger = installation.configuration.makeLogger()
        return try await installation.withPool(.owner, logger: logger) { owner in
            try await installation.withPool(.app, logger: logger) { app in
                let loader = try DemoLoader(installation: installation, keys: keys, owner: owner, app: app)
                let city = try await loader.load()
                try writePrivateFile(city.file(), to: installation.data.demoFile)
                return city
            }
        }
    }

    /// What `make run` prints.
    var introduction: String {
        var lines = ["", "The demo city is open: \(baseURL)", "", "Residents sign in with:"]
        lines += residents.map { "  \($0.username.padded(12)) \($0.password)   \($0.hint)" }
        lines += ["", "Staff sign in at the same page with:"]
        lines += staff.map { "  \($0.username.padded(12)) \($0.password)   \($0.hint)" }
        lines += [
            "", "Try first: sign in as amina, switch one sharing on under Sharing; then look up \(residents.first?.publicCode ?? "") as clerk in",
            "another browser; then open \"Who looked at your data\" as amina: the clerk is there, with the reason.", "", "E-mails and short messages to residents are files in \(messagesFolder).", "", "Ctrl-C stops.", "",
        ]
        return lines.joined(separator: "\n")
    }
}

extension String {
    fileprivate func padded(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// Loads the city, part by part.
struct DemoLoader {
    let installation: Installation
    let keys: KeyRing
    let owner: Database
    let app: Database
    let identity: IdentityService
    private let passwords: PasswordHasher

    init(installation: Installation, keys: KeyRing, owner: Database, app: Database) throws {
        self.installation = installation
        self.keys = keys
        self.owner = owner
        self.app = app
        let configuration = installation.configuration
        passwords = try PasswordHasher(cost: configuration.passwords, threadCount: configuration.passwordThreads)
        identity = IdentityService(
            database: app, passwords: passwords, vault: keys.vault, lookup: keys.lookup,
            // The clerk of the demonstration has no hands: its password is enough here.
            settings: IdentitySettings(city: configuration.city.name, staffSecondFactor: .whenAsked, baseURL: configuration.baseURL))
    }

    func load() async throws -> DemoCity {
        var city = DemoCity(baseURL: installation.configuration.baseURL.origin, logVerifierKey: keys.logSigner.verifier.vkey, messagesFolder: installation.configuration.delivery.folder)
        _ = try await ImportResidents(
            database: app, vault: keys.vault, lookup: keys.lookup, today: try installation.configuration.today
        ).run(file: installation.configuration.rootDirectory + "/config/demo/residents.csv")
        city.staff = try await loadStaff()
        city.residents = try await loadResidents()
        city.organisations = try await loadOrganisations(residents: city.residents)
        try await loadApp()
        city.services = try await loadServices()
        try await loadMoney(residents: city.residents, staff: city.staff)
        city.ledgerClient = try await loadLedgerClient()
        for index in city.staff.indices { city.staff[index].totpSecret = try await giveApp(to: city.staff[index].username) }
        return city
    }

    /// A password of this installation for a name: four groups that can be read out, 80 bits.
    func password(_ username: String) -> String {
        let digits = Array("abcdefghjkmnpqrstuvwxyz23456789")
        let bytes = keys.lookup.attempt("demo password", username)
        let characters = bytes.prefix(16).map { digits[Int($0) % digits.count] }
        return stride(from: 0, to: 16, by: 4).map { String(characters[$0..<($0 + 4)]) }.joined(separator: "-")
    }

    // MARK: Staff

    private func loadStaff() async throws -> [DemoPerson] {
        let administration = try staffAdministration()
        var people: [DemoPerson] = []
        for (username, name, roles, hint) in DemoScript.staff {
            let person = DemoPerson(
                name: name, username: username, password: password(username), publicCode: "", roles: roles.map(\.rawValue), hint: hint)
            do {
                try await administration.create(
                    NewStaff(username: username, name: name, password: Redacted(person.password), roles: Set(roles)))
            } catch StaffAdministrationError.usernameTaken {
                // Made at an earlier start.
            }
            people.append(person)
        }
        return people
    }

    /// An authenticator app whose secret is this installation's, as the password is.
    private func giveApp(to username: String) async throws -> String {
        let secret = Array(keys.lookup.attempt("demo app", username).prefix(20))
        return try await staffAdministration().giveApp(to: username, secret: secret, vault: keys.vault)
    }

    private func staffAdministration() throws -> StaffAdministration {
        StaffAdministration(
            owner: owner, passwords: passwords, lookup: keys.lookup,
            rules: try PasswordRules(rootDirectory: installation.configuration.rootDirectory))
    }

    // MARK: Residents

    private func loadResidents() async throws -> [DemoPerson] {
        var people: [DemoPerson] = []
        for resident in DemoScript.residents {
            guard let name = SignInName.username(resident.username) else { continue }
            let password = Redacted(password(resident.username))
            do {
                let account = try await identity.register(Registration(names: [name], password: password, language: resident.language))
                if let number = resident.nationalNumber { try await prove(number, account: account.publicCode) }
            } catch RegistrationError.usernameTaken {
                // Made at an earlier start; one that was interrupted before the counter is linked now.
                if let number = resident.nationalNumber, try await owner.one(AccountFacts(nameHMAC: keys.lookup.signInName(name.normalForm))).assurance == 0 {
                    let code = try await owner.one(AccountFacts(nameHMAC: keys.lookup.signInName(name.normalForm))).publicCode
                    if let code = PublicCode(code) { try await prove(number, account: code) }
                }
            }
            let facts = try await owner.one(AccountFacts(nameHMAC: keys.lookup.signInName(name.normalForm)))
            people.append(
                DemoPerson(
                    name: resident.name, username: resident.username, password: password.reveal(), publicCode: facts.publicCode, roles: [],
                    hint: resident.hint))
        }
        return people
    }

    /// The first caseworker proves the identity at the counter, as on any other day; it stands in the resident's log.
    private func prove(_ nationalNumber: String, account: PublicCode) async throws {
        let clerk = DemoScript.staff[0].username
        guard case .session(let token) = try await identity.signIn(
            typedName: clerk, password: Redacted(password(clerk)), address: "", isSharedComputer: false)
        else { throw SetupError("The demo city was interrupted before its accounts were linked. Remove its data directory and start again.") }
        let session = CredentialHash(token: token)
        let outcome = try await Counter(database: app, door: Door(database: app)).proveIdentity(
            session: session, record: .nationalNumber(keys.lookup.nationalNumber(nationalNumber)), accountCode: account,
            caseReference: "DEMO-1", language: .english)
        try await identity.signOut(session)
        guard outcome == "linked" || outcome == "already_linked" else { throw SetupError("The demo city cannot link an account: \(outcome).") }
    }
}

/// What the owner's role reads about a demo account.
struct AccountFacts: Query {
    let nameHMAC: [UInt8]

    var sql: SQL {
        """
        SELECT r.id, r.public_code, r.identity_assurance FROM identity.sign_in_name AS n
        JOIN identity.account AS a ON a.id = n.account_id JOIN register.resident AS r ON r.id = a.resident_id
        WHERE n.hmac = \(nameHMAC)
        """
    }

    func decode(_ row: inout RowReader) throws -> (id: ResidentID, publicCode: String, assurance: Int) {
        (ResidentID(try row.next(UUID.self)), try row.next(), try row.next())
    }
}

/// The same id for the same name in every demo city (RFC 9562 §5.8, version 8).
func demoUUID(_ name: String) -> UUID {
    var bytes = Array(SHA256.hash(data: Data("stoa demo city/\(name)".utf8)).prefix(16))
    bytes[6] = bytes[6] & 0x0F | 0x80
    bytes[8] = bytes[8] & 0x3F | 0x80
    return bytes.withUnsafeBytes { UUID(uuid: $0.loadUnaligned(as: uuid_t.self)) }
}
