// The part of `stoa verify log` that is about what other slices keep: every consent event and every decision is the one that the log bound to, and none
// was left out. (Batches of the ledger are compared with the log by `stoa verify ledger`.)
import Foundation
import Postgres

/// Compares rows with the records of the log, within the snapshot of a verification.
struct RecordVerification {
    private let transaction: Transaction

    init(_ transaction: Transaction) { self.transaction = transaction }

    func check(_ result: inout LogVerification) async throws {
        try await check(CommittedConsentEvent.self, &result)
        try await check(CommittedDecision.self, &result)
        let loose = try await transaction.one(LooseRecords(overtakenSeconds: LogVerifier.overtakenSeconds))
        result.waitingCount += Int(loose.waiting)
        if loose.forgotten > 0 { result.findings.append("\(loose.forgotten) records have no leaf and do not wait for one.") }
        if loose.overtaken > 0 { result.findings.append("\(loose.overtaken) records still wait for a leaf, although heads were signed since.") }
        if loose.vanished > 0 { result.findings.append("\(loose.vanished) records are gone that waited for their leaf.") }
    }

    private func check<Record: CommittedRecord>(_: Record.Type, _ result: inout LogVerification) async throws {
        let words = Record.kind.words
        let unrecorded = try await transaction.one(CountUnrecorded<Record>())
        if unrecorded > 0 { result.findings.append("\(unrecorded) \(words)s were never brought into the log.") }
        var last: UUID?
        repeat {
            let page = try await transaction.query(RecordPage<Record>(after: last, count: LogVerifier.leavesPerPage))
            for row in page where result.findings.count < LogVerifier.findingsMax {
                let name = "The \(words) \(row.sourceID.uuidString.lowercased())"
                if row.source == nil { result.findings.append("\(name) is gone, and the log holds that there was one.") }
                // Where hash and salt were erased, the tree holds a commitment that nobody can open, and nothing is left to compare with.
                if let source = row.source, let hash = row.contentHash, source.contentHash != hash {
                    result.findings.append("\(name) is not what the log holds.")
                }
            }
            last = page.count < LogVerifier.leavesPerPage ? nil : page.last?.sourceID
        } while last != nil && result.findings.count < LogVerifier.findingsMax
    }
}

/// Records of one kind in the order of their sources' ids, each with its source.
private struct RecordPage<Record: CommittedRecord>: Query {
    let after: UUID?
    let count: Int

    struct Row: Sendable {
        let sourceID: UUID
        let contentHash: [UInt8]?
        let source: Record?
    }

    var sql: SQL {
        """
        SELECT r.source_id, r.content_hash, \(Record.columns)
        FROM (
            SELECT p.source_id, p.content_hash FROM access_log.record AS p
            WHERE p.kind = \(Record.kind.rawValue) AND p.source_id > coalesce(\(after as UUID?)::uuid, '00000000-0000-0000-0000-000000000000')
            ORDER BY p.source_id LIMIT \(count)) AS r
        LEFT JOIN LATERAL (SELECT v.* FROM \(Record.view) AS v WHERE v.id = r.source_id OFFSET 0) AS x ON true
        ORDER BY r.source_id
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(sourceID: try row.next(), contentHash: try row.next(), source: try Record.read(&row))
    }
}

/// Rows that the log knows nothing of.
private struct CountUnrecorded<Record: CommittedRecord>: Query {
    var sql: SQL {
        """
        SELECT count(*) FROM \(Record.view) AS x
        LEFT JOIN access_log.record AS r ON r.kind = \(Record.kind.rawValue) AND r.source_id = x.id
        WHERE r.id IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// Records without a leaf: those that wait for one; of these, those that heads were signed without; those that nobody would ever give one; and places in
/// the queue whose record is gone.
private struct LooseRecords: Query {
    let overtakenSeconds: Int

    var sql: SQL {
        """
        SELECT count(*) FILTER (WHERE r.id IS NOT NULL AND q.record_id IS NOT NULL),
            count(*) FILTER (WHERE r.id IS NOT NULL AND q.record_id IS NULL),
            count(*) FILTER (WHERE r.id IS NOT NULL AND q.queued_at < newest.signed_at - make_interval(secs => \(Int64(overtakenSeconds)))),
            count(*) FILTER (WHERE r.id IS NULL)
        FROM access_log.record AS r
        FULL JOIN access_log.record_queue AS q ON q.record_id = r.id
        LEFT JOIN access_log.leaf AS l ON l.entry_id = r.id
        CROSS JOIN (SELECT max(c.signed_at) AS signed_at FROM access_log.checkpoint AS c) AS newest
        WHERE l.entry_id IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> (waiting: Int64, forgotten: Int64, overtaken: Int64, vanished: Int64) {
        (try row.next(), try row.next(), try row.next(), try row.next())
    }
}
