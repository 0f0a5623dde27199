// What the use cases of the slice share: the database, the hasher, and the keys that seal and find.
public import Postgres
public import Register
public import Web

/// When members of staff show a second factor.
public enum StaffSecondFactor: String, Sendable, CaseIterable {
    /// Whenever they sign in; who has none makes one right after the password.
    case required
    /// Where something asks for AAL2: a change of their factors, or a service that they sign in at.
    case whenAsked = "when_asked"
}

/// What a city decides about signing in.
public struct IdentitySettings: Sendable {
    /// Whose accounts they are, as an authenticator app lists them.
    public var city: String
    /// When staff show a second factor.
    public var staffSecondFactor: StaffSecondFactor
    /// How long after somebody showed papers at a counter a new way into the account opens: time for its owner, if that is not who came, to stop it.
    public var recoveryWaitHours: Int
    /// Where people reach the site: passkeys are bound to its host.
    public var baseURL: BaseURL

    public init(city: String = "Stoa", staffSecondFactor: StaffSecondFactor = .required, recoveryWaitHours: Int = 24, baseURL: BaseURL) {
        self.city = city
        self.staffSecondFactor = staffSecondFactor
        self.recoveryWaitHours = recoveryWaitHours
        self.baseURL = baseURL
    }
}

/// The public face of the slice: registering, signing in and out, factors and sessions.
public struct IdentityService: Sendable {
    let database: Database
    let passwords: PasswordHasher
    let vault: ResidentVault
    let lookup: LookupKey
    let settings: IdentitySettings

    public init(
        database: Database, passwords: PasswordHasher, vault: ResidentVault, lookup: LookupKey, settings: IdentitySettings
    ) {
        self.database = database
        self.passwords = passwords
        self.vault = vault
        self.lookup = lookup
        self.settings = settings
    }

    /// The addresses of residents.
    public var addresses: Addresses { Addresses(database: database, vault: vault, lookup: lookup) }

    /// By what failed attempts from one place are counted; a keyed hash, so that no list of addresses is kept.
    func addressHMAC(_ address: String) -> [UInt8] { lookup.attempt("address", address) }
}
