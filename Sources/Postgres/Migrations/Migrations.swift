// The schema comes from numbered SQL scripts, forward only. Each runs once, in a transaction of its own together with the row that
// remembers it, under a lock that lets two nodes start at the same time.
import Foundation

/// What happens during `Migrations.apply`, for whoever waits.
public enum MigrationProgress: Sendable, Equatable {
    /// Another node is migrating the same database.
    case waitingForAnotherNode
    case applying(name: String, number: Int, count: Int)
}

/// Why the scripts and the database do not fit together, in words that say what to do.
public enum MigrationError: Error, Sendable, Equatable, CustomStringConvertible {
    case cannotConnect(String)
    case folderUnreadable(String)
    case badName(String)
    case numberTwice(String, String)
    case rolesMissing([String])
    case edited(String)
    case missing(String)
    case outOfOrder(String, after: String)
    case endedItsTransaction(String)
    /// The script itself is wrong; `message` is PostgreSQL's.
    case failed(String, message: String)

    public var description: String {
        switch self {
        case .cannotConnect(let reason):
            "The database cannot be reached: \(reason)"
        case .folderUnreadable(let folder):
            "There are no migrations in \(folder). Start Stoa from the root of its checkout."
        case .badName(let name):
            "The migration \(name) is not named like 0001_what_it_does.sql. Rename it."
        case .numberTwice(let first, let second):
            "The migrations \(first) and \(second) have the same number. Give the one that came later the next free number."
        case .rolesMissing(let roles):
            "The database server lacks the roles \(roles.joined(separator: ", ")). Let its administrator run migrations/bootstrap.sql once."
        case .edited(let name):
            "The migration \(name) was changed after this database was migrated with it. Restore the file, and put the change into a new migration."
        case .missing(let name):
            "This database was migrated with \(name), which is not here. Use the version of Stoa that has it, or a newer one."
        case .outOfOrder(let name, let last):
            "The migration \(name) comes before \(last), which this database already has. Give it the next free number."
        case .endedItsTransaction(let name):
            "The migration \(name) holds a COMMIT or ROLLBACK. Take it out: each migration runs in a transaction of its own."
        case .failed(let name, let message):
            "The migration \(name) failed, and the database is as it was before it: \(message)"
        }
    }
}

/// The migrations of a folder, in order.
public struct Migrations: Sendable {
    struct Script: Sendable {
        let number: Int
        let name: String
        let sql: String
    }

    let scripts: [Script]

    /// Files of the folder that are not migrations: what a superuser runs before the first one, and the dump of the result.
    private static let otherFiles: Set<String> = ["bootstrap.sql", "schema.sql"]
    /// Any number will do, as long as no other lock of Stoa uses it: "stoa" and "migr" in ASCII.
    private static let lockKey = "8319396949573758322"

    /// Reads the scripts. Throws `MigrationError`.
    public init(folder: String) throws {
        guard let files = try? FileManager.default.contentsOfDirectory(atPath: folder) else { throw MigrationError.folderUnreadable(folder) }
        var scripts: [Script] = []
        for file in files.sorted() where file.hasSuffix(".sql") && !Self.otherFiles.contains(file) {
            let parts = file.split(separator: "_", maxSplits: 1)
            guard parts.count == 2, parts[0].count == 4, parts[0].allSatisfy(\.isASCII), let number = Int(parts[0]), number > 0 else {
                throw MigrationError.badName(file)
            }
            if let last = scripts.last, last.number == number { throw MigrationError.numberTwice(last.name, file) }
            guard let sql = try? String(contentsOfFile: folder + "/" + file, encoding: .utf8) else {
                throw MigrationError.folderUnreadable(folder + "/" + file)
            }
            scripts.append(Script(number: number, name: file, sql: sql))
        }
        guard !scripts.isEmpty else { throw MigrationError.folderUnreadable(folder) }
        self.scripts = scripts
    }

    init(scripts: [Script]) {
        self.scripts = scripts
    }

    /// Brings a database up to the last script. Does nothing when it is there already.
    /// - Parameters:
    ///   - url: a libpq connection string of the role that owns the schema (stoa_owner).
    ///   - progress: called before each script that is run.
    /// - Returns: the names of the scripts that were run.
    /// - Throws: `MigrationError`; what ran before the one that failed stays.
    public func apply(to url: String, progress: @escaping @Sendable (MigrationProgress) -> Void = { _ in }) async throws -> [String] {
        try await withScriptConnection(to: url) { connection in
            let pending: ArraySlice<Script>
            do {
                try checkRoles(connection)
                try lock(connection, progress)
                pending = try compare(with: try appliedScripts(connection), on: connection)
            } catch let error as DatabaseError {
                throw MigrationError.failed("table public.migration", message: error.debugDescription)
            }
            for (index, script) in pending.enumerated() {
                progress(.applying(name: script.name, number: index + 1, count: pending.count))
                try run(script, on: connection)
            }
            // The lock goes with the connection.
            return pending.map(\.name)
        }
    }

    /// The scripts that a database still lacks, as the role that serves sees it: empty when the database is ready for this version.
    /// - Throws: `DatabaseError`
    public func pending(in database: some Executor) async throws -> [String] {
        guard try await database.one(HasMigrationTable()) else { return scripts.map(\.name) }
        let applied = Set(try await database.query(AppliedNames()))
        return scripts.map(\.name).filter { !applied.contains($0) }
    }

    // MARK: On the script connection

    private func checkRoles(_ connection: ScriptConnection) throws {
        let needed = ["stoa_owner", "stoa_app", "stoa_auditor", "stoa_door"]
        let there = Set(try connection.query("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname LIKE 'stoa\\_%'").compactMap { $0[0] })
        let missing = needed.filter { !there.contains($0) }
        guard missing.isEmpty else { throw MigrationError.rolesMissing(missing) }
    }

    private func lock(_ connection: ScriptConnection, _ progress: (MigrationProgress) -> Void) throws {
        if try connection.query("SELECT pg_catalog.pg_try_advisory_lock(\(Self.lockKey))")[0][0] == "t" { return }
        progress(.waitingForAnotherNode)
        try connection.query("SELECT pg_catalog.pg_advisory_lock(\(Self.lockKey))")
    }

    private func appliedScripts(_ connection: ScriptConnection) throws -> [(number: Int, name: String)] {
        try connection.run(Self.table)
        return try connection.query("SELECT number, name FROM public.migration ORDER BY number").map { row in
            (Int(row[0] ?? "") ?? 0, row[1] ?? "")
        }
    }

    private static let table = """
        CREATE TABLE IF NOT EXISTS public.migration (
            number integer PRIMARY KEY,
            name text NOT NULL UNIQUE,
            checksum bytea NOT NULL CHECK (octet_length(checksum) = 32),
            applied_at timestamptz NOT NULL DEFAULT statement_timestamp()
        );
        COMMENT ON TABLE public.migration IS 'The scripts of migrations/ that made this schema, and the SHA-256 of each.';
        GRANT SELECT ON public.migration TO stoa_app, stoa_auditor;
        """

    /// What is left to do, once it is certain that what was done is what the files say.
    private func compare(with done: [(number: Int, name: String)], on connection: ScriptConnection) throws -> ArraySlice<Script> {
        let byNumber = Dictionary(uniqueKeysWithValues: scripts.map { ($0.number, $0) })
        for applied in done {
            guard let script = byNumber[applied.number], script.name == applied.name else { throw MigrationError.missing(applied.name) }
            let same = try connection.query(
                "SELECT checksum = sha256(convert_to($1, 'UTF8')) FROM public.migration WHERE number = $2::integer", [script.sql, String(script.number)])
            guard same.first?[0] == "t" else { throw MigrationError.edited(script.name) }
        }
        guard let last = done.last else { return scripts[...] }
        let applied = Set(done.map(\.number))
        if let early = scripts.first(where: { $0.number < last.number && !applied.contains($0.number) }) {
            throw MigrationError.outOfOrder(early.name, after: last.name)
        }
        return scripts.drop { $0.number <= last.number }
    }

    private func run(_ script: Script, on connection: ScriptConnection) throws {
        try connection.run("BEGIN")
        do {
            // Migrations may take as long as they need; they must not wait for ever for a lock that a reader holds.
            try connection.run("SET LOCAL lock_timeout = '30s'; SET LOCAL statement_timeout = 0")
            try connection.run(script.sql)
            guard connection.isInTransaction else { throw MigrationError.endedItsTransaction(script.name) }
            try connection.query(
                "INSERT INTO public.migration (number, name, checksum) VALUES ($1::integer, $2, sha256(convert_to($3, 'UTF8')))",
                [String(script.number), script.name, script.sql])
            try connection.run("COMMIT")
        } catch let error as DatabaseError {
            try? connection.run("ROLLBACK")
            throw MigrationError.failed(script.name, message: error.debugDescription)
        }
    }
}

private struct HasMigrationTable: Query {
    var sql: SQL { "SELECT to_regclass('public.migration') IS NOT NULL" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

private struct AppliedNames: Query {
    var sql: SQL { "SELECT name FROM public.migration ORDER BY number" }
    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}
