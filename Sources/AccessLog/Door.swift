// The one door to personal data. Callers that ask at the same moment share a transaction (Primitives.GroupCommit): the entries of
// all of them are committed, then the values of all of them are released, in one round trip of two pipelined statements.
import Foundation
public import Postgres
import Primitives
import Web

/// Asks the database for personal data, on behalf of whoever a credential names.
public final class Door: Sendable {
    private let gathered: GroupCommit<AccessRequest, Result<ReleasedRecord, RefusedAccess>>
    private let database: Database

    /// Most reads in one transaction. Cost per read flattens beyond 64; 256 keeps one transaction under about ten milliseconds.
    public static let readsPerBatchMax = 256
    /// Most reads that wait. Beyond it the answer is 503 at once: half a second of work, longer than a caller should wait.
    public static let readsQueuedMax = 8192

    /// - Parameter database: one pipelined connection of its own, so that no other statement waits behind a batch.
    public init(database: Database) {
        self.database = database
        gathered = GroupCommit(
            name: "door", itemsPerBatchMax: Self.readsPerBatchMax, itemsQueuedMax: Self.readsQueuedMax,
            // An item that the database refuses fails alone. When the database is away, asking again for each makes matters worse.
            retriesSingly: { !(($0 as? DatabaseError)?.isUnavailability ?? false) },
            commit: { try await Self.authoriseAndRelease($0, on: database) })
    }

    /// One read. The entry is committed before this returns, permitted or refused.
    /// - Returns: the sealed record. It has no attributes for a search, and lacks those that the city does not hold.
    /// - Throws: ``RefusedAccess``; ``DatabaseError``; `GroupCommitError.queueFull`.
    public func read(_ request: AccessRequest) async throws -> ReleasedRecord {
        try await gathered.submit(request).get()
    }

    /// Many reads in one transaction, an entry each; answers in the order of the requests.
    public func read(_ requests: [AccessRequest]) async throws -> [Result<ReleasedRecord, RefusedAccess>] {
        try await Self.authoriseAndRelease(requests, on: database)
    }

    private static func authoriseAndRelease(
        _ requests: [AccessRequest], on database: Database
    ) async throws -> [Result<ReleasedRecord, RefusedAccess>] {
        let (decisions, released) = try await database.pipeline(
            AuthoriseAccess(requests: requests), ReleaseData(entries: requests.map(\.id)))
        var records = gatherRecords(released)
        // An own view that this session has logged before is released under that earlier entry.
        let earlier = decisions.filter { $0.refusal == nil && $0.entryID != $0.requestID }.map(\.entryID)
        if !earlier.isEmpty {
            records.merge(gatherRecords(try await database.query(ReleaseData(entries: earlier)))) { first, _ in first }
        }
        let decisionOf = Dictionary(decisions.map { ($0.requestID, $0) }, uniquingKeysWith: { first, _ in first })
        return try requests.map { request in
            guard let decision = decisionOf[request.id] else { throw DoorError.noDecision }
            if let refusal = decision.refusal { return .failure(RefusedAccess(refusal: refusal, missing: decision.missing)) }
            guard let record = records[decision.entryID] else { throw DoorError.permittedButNotReleased }
            return .success(record)
        }
    }

    private static func gatherRecords(_ rows: [ReleaseData.Row]) -> [AccessEntryID: ReleasedRecord] {
        var records: [AccessEntryID: ReleasedRecord] = [:]
        records.reserveCapacity(rows.count)
        for row in rows {
            if let key = row.record.key { records[row.record.entryID, default: row.record].key = key }
            if let attribute = row.attribute { records[row.record.entryID, default: row.record].attributes.append(attribute) }
        }
        return records
    }
}

/// The database broke its own promise: an answer without a decision, or a permission without data. Read as "closed".
enum DoorError: Error {
    case noDecision
    case permittedButNotReleased
}
