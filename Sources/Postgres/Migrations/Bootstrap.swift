// What a superuser does once, before the first migration: the roles, and a database that stoa_owner owns. Stoa does it by itself
// on its embedded cluster and the tests on theirs; on a server elsewhere an administrator does it with psql (docs/OPERATIONS.md).
import Foundation

public enum Bootstrap {
    /// Makes the roles and the database where they are missing. Running it again changes nothing.
    /// - Parameters:
    ///   - script: the text of migrations/bootstrap.sql.
    ///   - database: the name of the database; letters, digits and underscores.
    ///   - superuserURL: a libpq connection string of a superuser for a database of the given name.
    /// - Returns: whether the database was made now.
    /// - Throws: `MigrationError`, `DatabaseError`
    @discardableResult
    public static func run(script: String, database: String, superuserURL: @Sendable (String) -> String) async throws -> Bool {
        try await runScript(script, on: superuserURL("postgres"))
        let made = try await withScriptConnection(to: superuserURL("postgres")) { connection in
            guard try connection.query("SELECT FROM pg_catalog.pg_database WHERE datname = $1", [database]).isEmpty else { return false }
            try connection.run("CREATE DATABASE \(quotedIdentifier(database)) OWNER stoa_owner TEMPLATE template0 ENCODING 'UTF8'")
            return true
        }
        // Also when the database was there: an earlier start may have been killed between the two.
        try await runScript(handOver, on: superuserURL(database))
        return made
    }

    /// Run by a superuser in the city's database: what migrations need and its owner cannot give itself.
    /// Large objects would be a place to keep data that no right of a table covers; PostgreSQL lets everybody make them.
    public static let handOver = """
        ALTER SCHEMA public OWNER TO stoa_owner;
        REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea) FROM PUBLIC
        """
}
