// A migrated database for a test, with the two roles that matter: the owner, who writes the city, and the app, which is tested.
import Foundation
import Logging
public import Postgres
import TestSupport

extension CityFixture {
    /// A city in a database of its own, with nobody in it yet.
    public static func make() async throws -> CityFixture {
        let test = try await TestCluster.migrated()
        return CityFixture(
            owner: try pool(test.ownerURL, sharedConnections: 1), app: try pool(test.appURL, sharedConnections: 2), test: test)
    }

    /// A further pool with the app's role, for what needs connections of its own, such as the door.
    public func appPool(sharedConnections: Int) throws -> Database {
        try Self.pool(test.appURL, sharedConnections: sharedConnections)
    }

    private static func pool(_ url: String, sharedConnections: Int) throws -> Database {
        var configuration = Database.Configuration(url: url)
        configuration.sharedConnections = sharedConnections
        // Races send hundreds of callers at a few connections, on machines of any speed: what they are about is never the wait.
        configuration.checkoutTimeout = .seconds(120)
        configuration.statementTimeout = .seconds(120)
        configuration.sharedLockTimeout = .seconds(120)
        var logger = Logger(label: "test")
        // What the database refuses is what these tests ask for.
        logger.logLevel = .critical
        return try Database(configuration: configuration, logger: logger)
    }
}
