// What the use cases of the slice share: the database, the hasher, and the keys that seal and find.
public import Postgres
public import Register
public import Web

/// What a city decides about signing in.
public struct IdentitySettings: Sendable {
    /// Whose accounts they are, as an authenticator app lists them.
    public var city: String
    /// Whether staff without a second factor must make one before they come in.
    public var staffNeedSecondFactor: Bool
    /// Where people reach the site: passkeys are bound to its host.
    public var baseURL: BaseURL

    public init(city: String = "Stoa", staffNeedSecondFactor: Bool = false, baseURL: BaseURL) {
        self.city = city
        self.staffNeedSecondFactor = staffNeedSecondFactor
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
