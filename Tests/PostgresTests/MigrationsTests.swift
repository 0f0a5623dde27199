// Migrations against real databases: once each, in order, never edited, safe when two nodes start together.
import Foundation
import Logging
import Postgres
import TestSupport
import Testing

@Suite("Migrations")
struct MigrationsTests {
    /// A folder of scripts in the temporary directory.
    private func folder(_ scripts: [String: String]) throws -> String {
        let folder = try TemporaryFolder.make()
        for (name, sql) in scripts { try Data(sql.utf8).write(to: folder.appendingPathComponent(name)) }
        return folder.path
    }

    private func emptyDatabase() async throws -> TestDatabase {
        let database = try await TestCluster.shared().makeDatabase()
        try await runScript(Bootstrap.handOver, on: database.superuserURL)
        return database
    }

    private let first = "CREATE TABLE public.a (id integer); INSERT INTO public.a VALUES (1); -- two statements, and a ; in a comment"
    private let second = "CREATE FUNCTION public.f() RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END"

    @Test func runsEachScriptOnceAndInOrder() async throws {
        let database = try await emptyDatabase()
        let one = try folder(["0001_a.sql": first])
        #expect(try await Migrations(folder: one).apply(to: database.ownerURL) == ["0001_a.sql"])
        #expect(try await Migrations(folder: one).apply(to: database.ownerURL) == [])
        let two = try folder(["0001_a.sql": first, "0002_f.sql": second, "schema.sql": "not run", "bootstrap.sql": "not run", "notes.md": ""])
        #expect(try await Migrations(folder: two).apply(to: database.ownerURL) == ["0002_f.sql"])
        #expect(try await database.psql("SELECT count(*), public.f() FROM public.a") == "1|2")
        #expect(try await database.psql("SELECT tableowner FROM pg_tables WHERE tablename = 'migration'") == "stoa_owner")
    }

    @Test func refusesAnEditedScript() async throws {
        let database = try await emptyDatabase()
        _ = try await Migrations(folder: folder(["0001_a.sql": first])).apply(to: database.ownerURL)
        let edited = try Migrations(folder: folder(["0001_a.sql": first + " ", "0002_f.sql": second]))
        await #expect(throws: MigrationError.edited("0001_a.sql")) { try await edited.apply(to: database.ownerURL) }
        #expect(try await database.psql("SELECT count(*) FROM public.migration") == "1")
    }

    @Test func refusesAMissingOrARenamedScript() async throws {
        let database = try await emptyDatabase()
        _ = try await Migrations(folder: folder(["0001_a.sql": first, "0002_f.sql": second])).apply(to: database.ownerURL)
        let missing = try Migrations(folder: folder(["0001_a.sql": first]))
        await #expect(throws: MigrationError.missing("0002_f.sql")) { try await missing.apply(to: database.ownerURL) }
        let renamed = try Migrations(folder: folder(["0001_a.sql": first, "0002_g.sql": second]))
        await #expect(throws: MigrationError.missing("0002_f.sql")) { try await renamed.apply(to: database.ownerURL) }
    }

    @Test func refusesAScriptThatComesTooLate() async throws {
        let database = try await emptyDatabase()
        _ = try await Migrations(folder: folder(["0002_f.sql": second])).apply(to: database.ownerURL)
        let late = try Migrations(folder: folder(["0001_a.sql": first, "0002_f.sql": second]))
        await #expect(throws: MigrationError.outOfOrder("0001_a.sql", after: "0002_f.sql")) { try await late.apply(to: database.ownerURL) }
    }

    @Test func leavesNothingOfAScriptThatFails() async throws {
        let database = try await emptyDatabase()
        let failing = try Migrations(folder: folder(["0001_a.sql": first, "0002_b.sql": "CREATE TABLE public.b (id integer); SELECT 1 / 0"]))
        let error = await #expect(throws: MigrationError.self) { try await failing.apply(to: database.ownerURL) }
        #expect(error?.description.contains("0002_b.sql") == true && error?.description.contains("division by zero") == true)
        #expect(try await database.psql("SELECT to_regclass('public.a') IS NOT NULL, to_regclass('public.b') IS NULL") == "t|t")
        #expect(try await database.psql("SELECT string_agg(name, ',') FROM public.migration") == "0001_a.sql")
    }

    @Test func refusesAScriptThatEndsItsTransaction() async throws {
        let database = try await emptyDatabase()
        let committing = try Migrations(folder: folder(["0001_a.sql": "CREATE TABLE public.a (id integer); COMMIT"]))
        await #expect(throws: MigrationError.endedItsTransaction("0001_a.sql")) { try await committing.apply(to: database.ownerURL) }
    }

    @Test func refusesNamesThatSayNoOrder() throws {
        #expect(throws: MigrationError.badName("late.sql")) { try Migrations(folder: folder(["late.sql": ""])) }
        #expect(throws: MigrationError.badName("001_short.sql")) { try Migrations(folder: folder(["001_short.sql": ""])) }
        #expect(throws: MigrationError.numberTwice("0001_a.sql", "0001_b.sql")) {
            try Migrations(folder: folder(["0001_a.sql": "", "0001_b.sql": ""]))
        }
        #expect(throws: MigrationError.folderUnreadable("/nowhere")) { try Migrations(folder: "/nowhere") }
    }

    @Test func eightNodesThatStartTogetherMigrateOnce() async throws {
        let database = try await emptyDatabase()
        let slow = "SELECT pg_sleep(0.2); " + first
        let migrations = try Migrations(folder: folder(["0001_a.sql": slow, "0002_f.sql": second]))
        let runs = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<8 { group.addTask { try await migrations.apply(to: database.ownerURL) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(runs.filter { !$0.isEmpty } == [["0001_a.sql", "0002_f.sql"]])
        #expect(try await database.psql("SELECT count(*) FROM public.a") == "1")
    }

    @Test func saysThatRolesAreMissing() async throws {
        let cluster = try await TestCluster.start()
        try await cluster.psql("DROP ROLE stoa_auditor")
        let migrations = try Migrations(folder: folder(["0001_a.sql": first]))
        await #expect(throws: MigrationError.rolesMissing(["stoa_auditor"])) {
            try await migrations.apply(to: cluster.url(database: "postgres", role: .superuser))
        }
        await cluster.remove()
    }

    @Test func tellsTheServerWhatIsPending() async throws {
        let database = try await emptyDatabase()
        let migrations = try Migrations(folder: folder(["0001_a.sql": first, "0002_f.sql": second]))
        let app = try Database(configuration: Database.Configuration(url: database.appURL), logger: Logger(label: "test"))
        #expect(try await migrations.pending(in: app) == ["0001_a.sql", "0002_f.sql"])
        _ = try await Migrations(folder: folder(["0001_a.sql": first])).apply(to: database.ownerURL)
        #expect(try await migrations.pending(in: app) == ["0002_f.sql"])
        await app.shutdown()
    }

    @Test func bootstrapsACluster() async throws {
        let cluster = try await TestCluster.start()
        let script = try String(contentsOf: TestCluster.projectRoot.appendingPathComponent("migrations/bootstrap.sql"), encoding: .utf8)
        let url: @Sendable (String) -> String = { cluster.url(database: $0, role: .superuser) }
        #expect(try await Bootstrap.run(script: script, database: "city", superuserURL: url))
        #expect(try await Bootstrap.run(script: script, database: "city", superuserURL: url) == false)
        _ = try await Migrations(folder: folder(["0001_a.sql": first])).apply(to: cluster.url(database: "city", role: .owner))
        await cluster.remove()
    }
}
