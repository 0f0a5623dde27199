// Beside the requests: holds that have expired are ended. No balance depends on when, because expired ones count for nothing.
public import Postgres

/// Ends holds that have expired.
public enum LedgerJanitor {
    /// In one transaction, which holds the accounts that it writes about: a few milliseconds of theirs.
    static let holdsPerRunMax = 200

    /// - Returns: how many were ended.
    /// - Throws: `DatabaseError`.
    @discardableResult
    public static func expireHolds(in database: Database) async throws -> Int {
        var ended = 0
        while true {
            // It waits for whoever posts to the same account.
            let count = Int(try await database.exclusive { try await $0.one(ExpireHolds(countMax: holdsPerRunMax)) })
            ended += count
            if count < holdsPerRunMax { return ended }
        }
    }
}
