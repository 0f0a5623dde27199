// Beside the requests: what ran out is written into the history. Nothing depends on when, because the clock decides at the door.
// Decided in `consent.record_expiries` (0007_consent.sql).
public import Postgres

/// Writes down agreements and requests whose time is over.
public enum ConsentJanitor {
    /// In one transaction, which holds a lock for each switch that it writes about: few enough for a moment.
    static let eventsPerRunMax: Int32 = 200

    /// - Returns: how many events were written.
    /// - Throws: `DatabaseError`.
    @discardableResult
    public static func recordExpiries(in database: Database) async throws -> Int {
        var written = 0
        while true {
            // It waits for whoever moves the same switch.
            let recorded = try await database.exclusive { try await $0.one(RecordExpiries(eventsMax: eventsPerRunMax)) }
            written += recorded
            if recorded < Int(eventsPerRunMax) { return written }
        }
    }
}

private struct RecordExpiries: Query {
    let eventsMax: Int32

    var sql: SQL { "SELECT consent.record_expiries(\(eventsMax))" }

    func decode(_ row: inout RowReader) throws -> Int { Int(try row.next(Int32.self)) }
}
