// migrations/schema.sql shows the whole schema at a glance. It must be what the migrations make; `make schema` writes it anew.
import Foundation
import TestSupport
import Testing

@testable import Stoa

@Suite("Schema")
struct SchemaTests {
    private static let file = TestCluster.projectRoot.appendingPathComponent("migrations/schema.sql")

    @Test func theDumpInTheCheckoutIsWhatTheMigrationsMake() async throws {
        let database = try await TestCluster.migrated()
        let dump = try await dumpedSchema(of: database)
        try await database.drop()
        if ProcessInfo.processInfo.environment["STOA_WRITE_SCHEMA"] != nil {
            try Data(dump.utf8).write(to: Self.file)
        }
        let kept = try String(contentsOf: Self.file, encoding: .utf8)
        let difference = zip(kept.split(separator: "\n"), dump.split(separator: "\n")).first { $0 != $1 }
        #expect(kept == dump, "migrations/schema.sql is out of date, first at: \(difference.map { "\($0) → \($1)" } ?? "its end"). `make schema` writes it anew.")
    }

    /// What pg_dump prints, less the lines that differ from one version or run to the next.
    private func dumpedSchema(of database: TestDatabase) async throws -> String {
        let user = try ClusterUser.current()
        let binaries = try await PostgresBinaries.find(majorVersion: nil, user: user)
        let (status, output) = try await runProgram(
            [binaries.directory + "/pg_dump", "--schema-only", "--dbname", database.superuserURL], environment: ["LC_ALL": "C", "PATH": "/usr/bin:/bin"])
        try #require(status == 0, "pg_dump failed: \(output)")
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            !line.hasPrefix("--") && !line.hasPrefix("\\restrict") && !line.hasPrefix("\\unrestrict") && !line.hasPrefix("SET ")
                && !line.hasPrefix("SELECT pg_catalog.set_config")
        }
        var text = lines.joined(separator: "\n")
        while let range = text.range(of: "\n\n\n") { text.replaceSubrange(range, with: "\n\n") }
        return "-- The schema that the migrations make, dumped by pg_dump. Written by `make schema`; a test compares it.\n\n"
            + text.trimmingCharacters(in: .newlines) + "\n"
    }
}
