// Beside the posting: what was written since the last batch becomes the next one, whose hash goes into the log.
// Decided in `ledger.chain_transfers` (0047_ledger_batches.sql).
public import Postgres

/// Chains transfers in batches.
public enum TransferChain {
    /// How long transfers gather. Each batch is a leaf of the log: one a second at most, whatever is posted.
    public static let interval = Duration.seconds(1)
    /// Transfers of one batch: some 60 ms of a core each second, so that a burst of postings is chained after it and not at its cost. A city that posts
    /// more than this all day would fall behind.
    static let transfersPerBatchMax = 10_000

    /// Makes one batch.
    /// - Returns: of how many transfers; 0 when none wait, or another node is at it.
    /// - Throws: `DatabaseError`.
    @discardableResult
    public static func makeBatch(in database: Database) async throws -> Int {
        // Longer than what shares a connection with others may take.
        Int(try await database.exclusive { try await $0.one(ChainTransfers(transfersMax: transfersPerBatchMax)) })
    }
}

/// `ledger.chain_transfers`; the row is how many.
private struct ChainTransfers: Query {
    let transfersMax: Int

    var sql: SQL { "SELECT ledger.chain_transfers(\(Int32(clamping: transfersMax)))" }

    func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}
