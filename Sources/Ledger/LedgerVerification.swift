// `stoa verify ledger`: recomputes everything that the ledger claims, from its entries. Run by an auditor, who may read the tables and
// change nothing; the sums are made in the database, so memory stays the same whatever the ledger holds.
public import Postgres

/// Something that does not add up.
public struct LedgerFinding: Sendable, Hashable {
    /// As `ledger.findings`, `ledger.conversion_findings` and `ledger.batch_findings` name it, or `batch_hash` or `batch_transfer`.
    public let kind: String
    /// The account, transfer, batch or currency.
    public let subject: String
    public let expected: String
    public let found: String
}

/// What was verified, and what was found.
public struct LedgerReport: Sendable {
    public let accounts: Int64
    public let transfers: Int64
    public let entries: Int64
    /// Whose hashes stand in the log.
    public let batches: Int
    /// Transfers that wait for their batch.
    public let waiting: Int64
    /// At most ``LedgerVerification/findingsMax``.
    public let findings: [LedgerFinding]

    public var isSound: Bool { findings.isEmpty }
}

/// Verifies the ledger: every account equals the sum of its entries, all entries sum to zero in each currency, and every transfer is the one that the hash of its
/// batch was made of.
public struct LedgerVerification: Sendable {
    private let auditor: Database

    /// Beyond this many a person needs no more to know that something is wrong.
    public static let findingsMax = 1_000

    /// - Parameter auditor: a database of the role `stoa_auditor`.
    public init(auditor: Database) {
        self.auditor = auditor
    }

    /// Reads one snapshot of the whole ledger; postings go on meanwhile.
    /// - Throws: `DatabaseError`
    public func run() async throws -> LedgerReport {
        try await auditor.transaction(isolation: .repeatableRead) { transaction in
            // A full pass takes about four seconds a million entries; the usual limit is for pages.
            try await transaction.execute("SET LOCAL statement_timeout = 0")
            let counts = try await transaction.one(LedgerCounts())
            var findings = try await transaction.query(LedgerFindings(countMax: Self.findingsMax))
            findings += try await transaction.query(ConversionFindings(countMax: Self.findingsMax))
            findings += try await transaction.query(BatchFindings(countMax: Self.findingsMax))
            var batches = BatchVerification()
            try await batches.run(on: transaction)
            findings += batches.findings
            return LedgerReport(
                accounts: counts.accounts, transfers: counts.transfers, entries: counts.entries, batches: batches.batchCount, waiting: counts.waiting,
                findings: Array(findings.prefix(Self.findingsMax)))
        }
    }
}

private struct LedgerCounts: Query {
    var sql: SQL {
        """
        SELECT (SELECT count(*) FROM ledger.account), (SELECT count(*) FROM ledger.transfer), (SELECT count(*) FROM ledger.entry),
            (SELECT coalesce(sum(q.transfer_count), 0)::bigint FROM ledger.batch_queue AS q)
        """
    }

    func decode(_ row: inout RowReader) throws -> (accounts: Int64, transfers: Int64, entries: Int64, waiting: Int64) {
        (try row.next(), try row.next(), try row.next(), try row.next())
    }
}

private struct LedgerFindings: Query {
    let countMax: Int

    var sql: SQL { "SELECT kind, subject, expected, found FROM ledger.findings(\(Int32(clamping: countMax)))" }

    func decode(_ row: inout RowReader) throws -> LedgerFinding { try LedgerFinding(&row) }
}

private struct ConversionFindings: Query {
    let countMax: Int

    var sql: SQL { "SELECT kind, subject, expected, found FROM ledger.conversion_findings(\(Int32(clamping: countMax)))" }

    func decode(_ row: inout RowReader) throws -> LedgerFinding { try LedgerFinding(&row) }
}

private struct BatchFindings: Query {
    let countMax: Int

    var sql: SQL { "SELECT kind, subject, expected, found FROM ledger.batch_findings(\(Int32(clamping: countMax)))" }

    func decode(_ row: inout RowReader) throws -> LedgerFinding { try LedgerFinding(&row) }
}

extension LedgerFinding {
    fileprivate init(_ row: inout RowReader) throws {
        self.init(kind: try row.next(), subject: try row.next(), expected: try row.next(), found: try row.next())
    }
}
