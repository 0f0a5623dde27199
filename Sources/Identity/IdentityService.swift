// What the use cases of the slice share: the database, the hasher, and the keys that seal and find.
public import Postgres
public import Register

/// The public face of the slice: registering, signing in and out.
public struct IdentityService: Sendable {
    let database: Database
    let passwords: PasswordHasher
    let vault: ResidentVault
    let lookup: LookupKey

    public init(database: Database, passwords: PasswordHasher, vault: ResidentVault, lookup: LookupKey) {
        self.database = database
        self.passwords = passwords
        self.vault = vault
        self.lookup = lookup
    }
}
