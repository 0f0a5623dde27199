// The part of `stoa verify ledger` that is about batches: the hash of each is made again of its transfers, with an encoder written apart from the database's
// (ledger.canonical in 0047_ledger_batches.sql), so that each finds out an error of the other. Whether every transfer is in one batch, every batch follows
// the one before it, and the log holds them all, is compared by ledger.batch_findings.
import Crypto
import Foundation
import Postgres
import TransparencyLog

/// Recomputes the batches, within the snapshot of a verification.
struct BatchVerification {
    /// Rows that are in memory at once: about a megabyte.
    private static let rowsPerFetch: Int32 = 5_000
    private static let label = CommitmentLabel("stoa ledger batch v1")

    /// A batch whose transfers are being read.
    private struct OpenBatch {
        let number: Int64
        let hash: [UInt8]
        var hasher = SHA256()
    }

    private(set) var batchCount = 0
    private(set) var findings: [LedgerFinding] = []
    private var open: OpenBatch?

    mutating func run(on transaction: Transaction) async throws {
        try await transaction.execute(BatchRows.declaration)
        while true {
            let rows = try await transaction.query(BatchRows(count: Self.rowsPerFetch))
            for row in rows where findings.count < LedgerVerification.findingsMax { check(row) }
            if rows.count < Int(Self.rowsPerFetch) || findings.count >= LedgerVerification.findingsMax { break }
        }
        finishBatch()
    }

    private mutating func check(_ row: BatchRow) {
        if row.number != open?.number {
            finishBatch()
            open = Self.begin(row)
        }
        guard let transfer = row.transferBytes else {
            findings.append(LedgerFinding(kind: "batch_transfer", subject: row.transferName, expected: "a transfer of batch \(row.number)", found: "none"))
            return
        }
        withUnsafeBytes(of: UInt32(transfer.count).bigEndian) { open?.hasher.update(bufferPointer: $0) }
        open?.hasher.update(data: transfer)
    }

    private static func begin(_ row: BatchRow) -> OpenBatch {
        var batch = OpenBatch(number: row.number, hash: row.hash)
        var head = CanonicalEncoding()
        head.add(1, integer: row.number)
        head.add(2, bytes: row.previousHash)
        head.add(3, integer: row.transferCount)
        batch.hasher.update(data: label.bytes)
        batch.hasher.update(data: head.bytes)
        return batch
    }

    private mutating func finishBatch() {
        guard let batch = open else { return }
        open = nil
        batchCount += 1
        let computed = Array(batch.hasher.finalize())
        if computed != batch.hash {
            findings.append(
                LedgerFinding(kind: "batch_hash", subject: "batch \(batch.number)", expected: Self.hex(computed), found: Self.hex(batch.hash)))
        }
    }

    private static func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// One transfer that a batch names, with what is said of the batch.
private struct BatchRow: Sendable {
    let number: Int64
    let previousHash: [UInt8]?
    let hash: [UInt8]
    let transferCount: Int64
    let transferName: String
    /// Nil where there is no such transfer.
    let transferBytes: [UInt8]?
}

/// The next rows of the cursor `chained`: batch by batch, in each in the order of the ids.
private struct BatchRows: Query {
    let count: Int32

    static let declaration: SQL = """
        DECLARE chained NO SCROLL CURSOR FOR
        SELECT b.number, b.previous_hash, b.hash, cardinality(b.transfer_ids)::bigint, u.id, t.id, t.kind, t.debit_account, t.credit_account, t.amount, t.currency,
            t.reference, t.effective_at, t.recorded_at, t.outcome, t.actor_kind, t.actor_id, t.expires_at, t.hold_id, t.reversal_of
        FROM ledger.batch AS b CROSS JOIN LATERAL unnest(b.transfer_ids) AS u (id) LEFT JOIN ledger.transfer AS t ON t.id = u.id
        ORDER BY b.number, u.id
        """

    var sql: SQL { "FETCH \(unsafeRaw: String(count)) FROM chained" }

    func decode(_ row: inout RowReader) throws -> BatchRow {
        let (number, previousHash) = (try row.next(Int64.self), try row.next([UInt8]?.self))
        let (hash, transferCount, name) = (try row.next([UInt8].self), try row.next(Int64.self), try row.next(UUID.self))
        let id = try row.next(UUID?.self)
        var encoding = CanonicalEncoding()
        encoding.add(1, uuid: id)
        encoding.add(2, string: try row.next())
        encoding.add(3, uuid: try row.next())
        encoding.add(4, uuid: try row.next())
        encoding.add(5, integer: try row.next())
        encoding.add(6, string: try row.next())
        encoding.add(7, string: try row.next())
        encoding.add(8, timestamp: try row.next())
        encoding.add(9, timestamp: try row.next())
        encoding.add(10, string: try row.next())
        encoding.add(11, string: try row.next())
        encoding.add(12, string: try row.next())
        encoding.add(13, timestamp: try row.next())
        encoding.add(14, uuid: try row.next())
        encoding.add(15, uuid: try row.next())
        return BatchRow(
            number: number, previousHash: previousHash, hash: hash, transferCount: transferCount, transferName: name.uuidString.lowercased(),
            transferBytes: id == nil ? nil : encoding.bytes)
    }
}
