// At start-up: does this server hold the keys of this database? With another key-encryption key it would seal new data that nobody
// else can open, and open nothing that is there; with another look-up key it would find nobody, and an import would enter every
// resident a second time. (The log's signing key is checked by AccessLog/LogKeyCheck.swift.)
public import Postgres

public enum KeyCheckError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The database was made with another key-encryption key.
    case anotherEncryptionKey(expected: String, held: String)
    /// The database was made with another look-up key.
    case anotherLookupKey

    public var description: String {
        switch self {
        case .anotherEncryptionKey(let expected, let held):
            "The key-encryption key (id \(held)) is not the one of this database (id \(expected)). Restore the key that belongs to it from your copy."
        case .anotherLookupKey:
            "The look-up key is not the one of this database: nobody would be found. Restore the key that belongs to it from your copy."
        }
    }
}

/// The test values by which a database knows its keys.
public struct KeyCheck: Sendable {
    private let vault: ResidentVault
    private let lookup: LookupKey

    public init(vault: ResidentVault, lookup: LookupKey) {
        self.vault = vault
        self.lookup = lookup
    }

    /// Leaves test values in a database that has none, and refuses one that other keys have marked.
    /// - Throws: ``KeyCheckError``
    public func run(on database: Database) async throws {
        // Two nodes with different keys may come to an empty database together: one row stays, and both compare with it.
        try await database.execute(
            """
            INSERT INTO register.key_check (key_id, sealed_test, lookup_test)
            SELECT \(vault.keyID), \(try vault.sealTestValue()), \(lookup.testValue)
            WHERE NOT EXISTS (SELECT FROM register.key_check) ON CONFLICT DO NOTHING
            """)
        let kept = try await database.one(KeptTestValues())
        guard kept.keyID == vault.keyID, vault.opensTestValue(kept.sealedTest) else {
            throw KeyCheckError.anotherEncryptionKey(expected: kept.keyID, held: vault.keyID)
        }
        guard kept.lookupTest == lookup.testValue else { throw KeyCheckError.anotherLookupKey }
    }
}

private struct KeptTestValues: Query {
    var sql: SQL { "SELECT key_id, sealed_test, lookup_test FROM register.key_check" }

    func decode(_ row: inout RowReader) throws -> (keyID: String, sealedTest: [UInt8], lookupTest: [UInt8]) {
        (try row.next(), try row.next(), try row.next())
    }
}
