// At start-up: does this server hold the key that opens this database? A server with another key would seal new data that nobody
// else can open, and could open nothing that is there.
public import Postgres

public enum KeyCheckError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The database was made with another key-encryption key.
    case keyDoesNotOpenDatabase(expected: String, held: String)

    public var description: String {
        switch self {
        case .keyDoesNotOpenDatabase(let expected, let held):
            "The key-encryption key (id \(held)) is not the one of this database (id \(expected)). Restore the key file that belongs to it."
        }
    }
}

extension ResidentVault {
    /// Leaves a test value in an empty database; refuses a database that another key has marked.
    public func checkKey(of database: Database) async throws {
        if let check = try await database.query(KeyChecks()).first {
            guard check.keyID == keyID, opensTestValue(check.sealedTest) else {
                throw KeyCheckError.keyDoesNotOpenDatabase(expected: check.keyID, held: keyID)
            }
            return
        }
        try await database.execute(
            "INSERT INTO register.key_check (key_id, sealed_test) VALUES (\(keyID), \(try sealTestValue())) ON CONFLICT DO NOTHING")
    }
}
