// The one door to personal data. Callers that ask at the same moment share a transaction (Primitives.GroupCommit): the entries of
// all of them are committed, then the values of all of them are released, in one round trip of two pipelined statements (and a third for
// own views that are repeated in a session).
// Decided in `access_log.authorise` and `access_log.release` (0008_access_log.sql).
import Foundation
public import Postgres
public import Primitives
public import Web

/// Asks the database for personal data, on behalf of whoever a credential names.
public final class Door: Sendable {
    private let gathered: GroupCommit<AccessRequest, Result<ReleasedRecord, any Error>>
    private let database: Database

    /// Most reads in one transaction. Cost per read flattens beyond 64; 256 keeps one transaction under about ten milliseconds.
    public static let readsPerBatchMax = 256
    /// Most reads that wait. Beyond it the answer is 503 at once: half a second of work, longer than a caller should wait.
    public static let readsQueuedMax = 8192

    /// Batches on the way to the database. The second lies in the connection's buffer when the first ends, so that the database does not
    /// wait for a round trip through this process: a twelfth more reads a second. A third made the batches smaller and gave nothing.
    static let batchesInFlightMax = 2
    /// Reads that make a second batch worth its fixed cost, about as much as four reads.
    static let readsPerFurtherBatchMin = 8

    /// - Parameter database: one pipelined connection of its own, so that no other statement waits behind a batch; and exclusive ones for
    ///   lists, so that no single read waits behind a list.
    public init(database: Database) {
        self.database = database
        gathered = GroupCommit(
            name: "door", itemsPerBatchMax: Self.readsPerBatchMax, itemsQueuedMax: Self.readsQueuedMax,
            batchesInFlightMax: Self.batchesInFlightMax, itemsPerFurtherBatchMin: Self.readsPerFurtherBatchMin,
            // An item that the database refuses fails alone. When the database is away, asking again for each makes matters worse.
            retriesSingly: { !(($0 as? DatabaseError)?.isUnavailability ?? false) },
            commit: { requests in
                try await Self.authoriseAndRelease(requests, on: database) { try await database.pipeline($0, $1) }
            })
    }

    /// One read. The entry is committed before this returns, permitted or refused.
    /// - Returns: the sealed record. It has no attributes for a search, and lacks those that the city does not hold.
    /// - Throws: ``RefusedAccess``; ``DatabaseError``; `GroupCommitError.queueFull`.
    public func read(_ request: AccessRequest) async throws -> ReleasedRecord {
        try await gathered.submit(request).get()
    }

    /// A resident looks at something of their own: an entry once a session or token and kind, before anything is shown.
    /// - Parameters:
    ///   - kind: of view, which of an app's token is the scope.
    ///   - attributes: what of the register is shown with it.
    /// - Returns: the record, with the key that the resident's own words are sealed under.
    /// - Throws: `Problem` for a credential that may not; ``DatabaseError``; `GroupCommitError.queueFull`.
    @discardableResult
    public func ownView(_ kind: String, of credential: CredentialHash, attributes: [String] = []) async throws -> ReleasedRecord {
        do {
            return try await read(
                AccessRequest(credential: credential, operation: .ownView, subject: .own, attributes: attributes, purpose: kind, caseReference: ""))
        } catch let refused as RefusedAccess {
            throw refused.problem(scope: kind)
        }
    }

    /// Many reads in one transaction, an entry each; answers in the order of the requests. They join no batch: the database decides a thousand
    /// in some 30 ms, and single reads go on beside that over the pipelined connection, and are counted apart. Requests of the operation
    /// `list` come from one asker.
    public func read(_ requests: [AccessRequest]) async throws -> [Result<ReleasedRecord, any Error>] {
        try await database.exclusive { connection in
            try await Self.authoriseAndRelease(requests, on: database) { authorise, release in
                let decisions = try await connection.query(authorise)
                do { return (decisions, .success(try await connection.query(release))) } catch { return (decisions, .failure(error)) }
            }
        }
    }

    /// An auditor looks into somebody's log. What they are shown then is given out under this entry (`access_log.look_of_staff`).
    /// - Throws: `Problem` for somebody who may not.
    public func look(intoLogOf resident: ResidentID, for reason: String, caseReference: String, session: CredentialHash) async throws -> AccessEntryID {
        do {
            return try await read(
                AccessRequest(
                    credential: session, operation: .logView, subject: .resident(resident), attributes: [], purpose: reason, caseReference: caseReference)
            ).entryID
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    /// - Parameter send: carries the two statements to the database, each a transaction of its own, and throws only what became of the first.
    /// - Throws: only while nothing is committed, so that what throws can be tried again. Once the entries stand, what goes wrong is the
    ///   answer of those whom it concerns.
    private static func authoriseAndRelease(
        _ requests: [AccessRequest], on database: Database,
        send: (AuthoriseAccess, ReleaseData) async throws -> ([AuthoriseAccess.Row], Result<[ReleasedRecord], any Error>)
    ) async throws -> [Result<ReleasedRecord, any Error>] {
        let (decisions, released) = try await send(AuthoriseAccess(requests: requests), ReleaseData(entries: requests.map(\.id)))
        let records = released.map(gatherRecords)
        let earlierRecords = await releaseEarlier(decisions, on: database)
        let decisionOf = Dictionary(decisions.map { ($0.requestID, $0) }, uniquingKeysWith: { first, _ in first })
        return requests.map { request in
            Result {
                guard let decision = decisionOf[request.id] else { throw DoorError.noDecision }
                if let refusal = decision.refusal { throw RefusedAccess(refusal: refusal, missing: decision.missing) }
                let source = decision.isEarlier ? earlierRecords : records
                guard let record = try source.get()[decision.entryID] else { throw DoorError.permittedButNotReleased }
                return decision.isEarlier ? record : record.separatingBases(asked: request.attributes)
            }
        }
    }

    /// An own view that this session has logged before is released under that earlier entry: one more round trip, for such batches.
    private static func releaseEarlier(
        _ decisions: [AuthoriseAccess.Row], on database: Database
    ) async -> Result<[AccessEntryID: ReleasedRecord], any Error> {
        let entries = decisions.filter { $0.refusal == nil && $0.isEarlier }.map(\.entryID)
        guard !entries.isEmpty else { return .success([:]) }
        do { return .success(gatherRecords(try await database.query(ReleaseData(entries: entries)))) } catch { return .failure(error) }
    }

    /// An entry's rows, one a key, as one record.
    private static func gatherRecords(_ rows: [ReleasedRecord]) -> [AccessEntryID: ReleasedRecord] {
        Dictionary(rows.map { ($0.entryID, $0) }) { record, further in
            var record = record
            record.holdings += further.holdings
            return record
        }
    }
}

/// The database broke its own promise: an answer without a decision, or a permission without data. Read as "closed".
enum DoorError: Error {
    case noDecision
    case permittedButNotReleased
    case valuesDoNotMatch
}
