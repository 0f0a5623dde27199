// What errors say, and to whom.
import Foundation
import Logging
import Postgres
import Synchronization
import Testing

@Suite struct ErrorTests {
    @Test func constraintsAreNamed() async throws {
        try await withDatabase { database in
            try await database.execute(
                """
                CREATE TABLE constrained (
                    id int8 CONSTRAINT constrained_pk PRIMARY KEY,
                    name text CONSTRAINT constrained_name_given CHECK (name <> ''),
                    parent int8 CONSTRAINT constrained_parent REFERENCES constrained,
                    needed text NOT NULL DEFAULT '')
                """)
            try await database.execute("INSERT INTO constrained VALUES (1, 'Ada', NULL)")
            let unique = await databaseError { try await database.execute("INSERT INTO constrained VALUES (\(1), 'Bob', NULL)") }
            #expect(unique?.constraint == "constrained_pk")
            #expect(unique?.isUniqueViolation == true)
            let check = await databaseError { try await database.execute("INSERT INTO constrained VALUES (2, '', NULL)") }
            #expect(check?.constraint == "constrained_name_given")
            #expect(check?.sqlState == "23514")
            let foreign = await databaseError { try await database.execute("INSERT INTO constrained VALUES (2, 'Bob', 9)") }
            #expect(foreign?.constraint == "constrained_parent")
            #expect(foreign?.isForeignKeyViolation == true)
            let null = await databaseError { try await database.execute("INSERT INTO constrained VALUES (2, 'Bob', NULL, NULL)") }
            #expect(null?.serverError?.column == "needed")
            #expect(null?.serverError?.table == "constrained")
            let denied = await databaseError { try await database.execute("SELECT * FROM pg_authid") }
            #expect(denied?.isPermissionDenied == true)
        }
    }

    @Test func descriptionsHoldNoValues() async throws {
        try await withDatabase { database in
            try await database.execute("CREATE TABLE private (email text CONSTRAINT private_email_once UNIQUE)")
            try await database.execute("INSERT INTO private VALUES (\("ada@example.org"))")
            let error = try #require(await databaseError { try await database.execute("INSERT INTO private VALUES (\("ada@example.org"))") })
            #expect(error.description == "SQLSTATE 23505 constraint private_email_once table private")
            let server = try #require(error.serverError)
            for text in ["\(error)", "\(error as any Error)", "\(server)", "\(Mirror(reflecting: server).children.map { "\($0.value)" })"] {
                #expect(!text.contains("ada"), "\(text)")
            }
            #expect(error.debugDescription.contains("ada@example.org"))
            let syntax = try #require(await databaseError { try await database.execute("SELECT 'ada'::int8") })
            #expect(syntax.description == "SQLSTATE 22P02")
        }
    }

    @Test func noticesGoToTheLog() async throws {
        let lines = Lines()
        let logger = Logger(label: "notices") { _ in lines }
        try await withDatabase(logger: logger) { database in
            try await database.execute("DO $$ BEGIN RAISE NOTICE 'the bell rings'; RAISE WARNING 'the roof burns'; END $$")
            try await eventually { lines.all.count >= 2 }
        }
        #expect(lines.all.contains("info the bell rings"))
        #expect(lines.all.contains("warning the roof burns"))
    }
}

/// Keeps what was logged.
private final class Lines: LogHandler, Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }

    func log(event: LogEvent) {
        lines.withLock { $0.append("\(event.level) \(event.message)") }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .debug }
        set {}
    }
}
