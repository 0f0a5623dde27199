// The schema as the migrations make it, once a run; every test gets a clone of its own.
public import Foundation
import Postgres

extension TestCluster {
    /// A database with the whole schema and nothing in it but what the migrations put there.
    public static func migrated() async throws -> TestDatabase {
        try await database(preparedBy: "migrations") { ownerURL, superuserURL in
            let folder = projectRoot.appendingPathComponent("migrations")
            try await runScript(String(contentsOf: folder.appendingPathComponent("bootstrap.sql"), encoding: .utf8), on: superuserURL)
            try await runScript(Bootstrap.handOver, on: superuserURL)
            _ = try await Migrations(folder: folder.path).apply(to: ownerURL)
        }
    }

    /// The root of the checkout, whatever directory the tests were started in.
    public static let projectRoot = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
}
