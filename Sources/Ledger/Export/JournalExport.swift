// What moved money, all of it, as a file for other programs: CSV for spreadsheets, a journal for hledger (hledger.org) or Beancount (beancount.github.io),
// which then add it up by themselves. Run by an auditor, who may read the tables; rows come a few thousand at a time, whatever the ledger holds.
public import Foundation
public import Postgres
import Primitives
import Web

/// What a journal can be written as.
public enum JournalFormat: String, Sendable, Hashable, CaseIterable {
    /// RFC 4180, a line for each transfer.
    case csv
    /// Plain text accounting as hledger 1.25 reads it. Debits are positive and credits negative, as there.
    case hledger
    /// Plain text accounting as Beancount 2.3 reads it: accounts are opened before they are used, and debits are positive as well.
    case beancount
}

/// One transfer that moved money.
struct JournalLine: Sendable {
    let id: TransferID
    let kind: String
    let effectiveAt: Date
    let recordedAt: Date
    let debitKind: String
    let debitAccount: LedgerAccountID
    let creditKind: String
    let creditAccount: LedgerAccountID
    let amount: Money
    let reference: String
    let holdID: TransferID?
    let reversalOf: TransferID?
}

/// Writes all that moved money, in the order in which it counts.
public struct JournalExport: Sendable {
    private let auditor: Database
    private let format: JournalFormat
    private let dayFormat: Date.ISO8601FormatStyle

    /// Rows that are in memory at once: about a megabyte of text.
    private static let linesPerFetch: Int32 = 5_000

    /// - Parameters:
    ///   - auditor: a database of the role `stoa_auditor`.
    ///   - zone: of the city, whose days the journal has.
    public init(auditor: Database, format: JournalFormat, zone: TimeZone) {
        self.auditor = auditor
        self.format = format
        dayFormat = Date.ISO8601FormatStyle(timeZone: zone).year().month().day()
    }

    /// Reads one snapshot; postings go on meanwhile.
    /// - Parameters:
    ///   - start: what counts from before it is left out; nil for none. The balances of a journal that begins late are movements only.
    ///   - end: what counts from this moment on is left out; nil for none.
    ///   - write: takes the next bytes of the file.
    /// - Throws: `DatabaseError`, and what `write` throws.
    public func write(from start: Date?, to end: Date?, _ write: @Sendable ([UInt8]) throws -> Void) async throws {
        try await auditor.transaction(isolation: .repeatableRead) { transaction in
            // Sorting a large ledger takes longer than a page may.
            try await transaction.execute("SET LOCAL statement_timeout = 0")
            try write(head)
            if format == .beancount {
                try await transaction.execute(UsedAccounts.declare(from: start, to: end))
                try await pages(of: UsedAccounts(count: Self.linesPerFetch), on: transaction) { try write($0.flatMap(opening)) }
            }
            try await transaction.execute(JournalLines.declare(from: start, to: end))
            try await pages(of: JournalLines(count: Self.linesPerFetch), on: transaction) { try write($0.flatMap(bytes)) }
        }
    }

    private func pages<Rows: Query>(of fetch: Rows, on transaction: Transaction, _ take: ([Rows.Row]) throws -> Void) async throws {
        while true {
            let rows = try await transaction.query(fetch)
            try take(rows)
            if rows.count < Int(Self.linesPerFetch) { return }
        }
    }

    private var head: [UInt8] {
        switch format {
        case .csv:
            CSV.record([
                "id", "kind", "effective_at", "recorded_at", "debit_account", "credit_account", "amount_minor_units", "amount", "currency", "reference",
                "hold_id", "reversal_of",
            ])
        case .hledger:
            Array("; Written by stoa ledger export. Debits are positive, credits negative.\ndecimal-mark .\n\n".utf8)
        case .beancount:
            Array("; Written by stoa ledger export. Debits are positive, credits negative.\noption \"title\" \"Stoa\"\n\n".utf8)
        }
    }

    private func opening(_ account: UsedAccount) -> [UInt8] {
        Array("\(account.firstDay.formatted(dayFormat)) open \(Self.beancountName(account.kind, account.id)) \(account.currency)\n".utf8)
    }

    private func bytes(_ line: JournalLine) -> [UInt8] {
        switch format {
        case .csv:
            CSV.record([
                line.id.description, line.kind, RFC3339.text(line.effectiveAt), RFC3339.text(line.recordedAt), line.debitAccount.description,
                line.creditAccount.description, String(line.amount.minorUnits), line.amount.decimal, line.amount.currency.code, line.reference,
                line.holdID?.description ?? "", line.reversalOf?.description ?? "",
            ])
        case .hledger:
            Array(
                """
                \(line.effectiveAt.formatted(dayFormat)) (\(line.id)) \(Self.description(line.reference))  ; kind:\(line.kind)
                    \(line.debitKind):\(line.debitAccount)  \(line.amount.decimal) \(line.amount.currency.code)
                    \(line.creditKind):\(line.creditAccount)  -\(line.amount.decimal) \(line.amount.currency.code)


                """.utf8)
        case .beancount:
            Array(
                """

                \(line.effectiveAt.formatted(dayFormat)) * "\(Self.quotable(line.reference))" ^\(line.id)
                  kind: "\(line.kind)"
                  \(Self.beancountName(line.debitKind, line.debitAccount))  \(line.amount.decimal) \(line.amount.currency.code)
                  \(Self.beancountName(line.creditKind, line.creditAccount))  -\(line.amount.decimal) \(line.amount.currency.code)

                """.utf8)
        }
    }

    /// Each part of a name begins with a capital or a digit, and the first is one of Beancount's five.
    private static func beancountName(_ kind: String, _ id: LedgerAccountID) -> String {
        let type =
            switch kind {
            case "funding": "Assets"
            case "treasury": "Equity"
            case "revenue", "fees": "Income"
            default: "Liabilities"
            }
        return "\(type):\(kind.prefix(1).uppercased())\(kind.dropFirst()):\(id.description.uppercased())"
    }

    /// What stands between quotation marks, on one line.
    private static func quotable(_ reference: String) -> String {
        var text = ""
        for scalar in reference.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { text.unicodeScalars.append("\\") }
            text.unicodeScalars.append(isBreak(scalar) ? " " : scalar)
        }
        return text
    }

    private static func isBreak(_ scalar: Unicode.Scalar) -> Bool { CharacterSet.newlines.union(.controlCharacters).contains(scalar) }

    /// A description ends at a semicolon or at the end of the line.
    private static func description(_ reference: String) -> String {
        String(String.UnicodeScalarView(reference.unicodeScalars.map { scalar in
            scalar == ";" ? "," : isBreak(scalar) ? " " : scalar
        }))
    }
}

/// An account that the journal names, and the day on which it opened, or from which something in it counts if that is earlier.
struct UsedAccount: Sendable {
    let kind: String
    let id: LedgerAccountID
    let currency: String
    let firstDay: Date
}

/// The next lines of the cursor `used`.
private struct UsedAccounts: Query {
    let count: Int32

    static func declare(from start: Date?, to end: Date?) -> SQL {
        """
        DECLARE used NO SCROLL CURSOR FOR
        SELECT a.kind, a.id, a.currency, least(a.created_at, min(e.effective_at))
        FROM ledger.account AS a JOIN ledger.entry AS e ON e.account_id = a.id
        WHERE e.effective_at >= coalesce(\(start as Date?), '-infinity') AND e.effective_at < coalesce(\(end as Date?), 'infinity')
        GROUP BY a.id ORDER BY a.id
        """
    }

    var sql: SQL { "FETCH \(unsafeRaw: String(count)) FROM used" }

    func decode(_ row: inout RowReader) throws -> UsedAccount {
        UsedAccount(kind: try row.next(), id: LedgerAccountID(try row.next(UUID.self)), currency: try row.next(), firstDay: try row.next())
    }
}

/// The next lines of the cursor `journal`.
private struct JournalLines: Query {
    let count: Int32

    static func declare(from start: Date?, to end: Date?) -> SQL {
        """
        DECLARE journal NO SCROLL CURSOR FOR
        SELECT t.id, t.kind, t.effective_at, t.recorded_at, d.kind, d.id, c.kind, c.id, t.currency, t.amount, t.reference, t.hold_id, t.reversal_of
        FROM ledger.transfer AS t JOIN ledger.account AS d ON d.id = t.debit_account JOIN ledger.account AS c ON c.id = t.credit_account
        WHERE t.outcome = 'posted' AND t.effective_at >= coalesce(\(start as Date?), '-infinity') AND t.effective_at < coalesce(\(end as Date?), 'infinity')
        ORDER BY t.effective_at, t.id
        """
    }

    var sql: SQL { "FETCH \(unsafeRaw: String(count)) FROM journal" }

    func decode(_ row: inout RowReader) throws -> JournalLine {
        let (id, kind) = (TransferID(try row.next(UUID.self)), try row.next(String.self))
        let (effectiveAt, recordedAt) = (try row.next(Date.self), try row.next(Date.self))
        let (debitKind, debit) = (try row.next(String.self), LedgerAccountID(try row.next(UUID.self)))
        let (creditKind, credit) = (try row.next(String.self), LedgerAccountID(try row.next(UUID.self)))
        let currency = try Currency(column: row.next())
        return JournalLine(
            id: id, kind: kind, effectiveAt: effectiveAt, recordedAt: recordedAt, debitKind: debitKind, debitAccount: debit, creditKind: creditKind,
            creditAccount: credit, amount: Money(minorUnits: try row.next(), currency: currency), reference: try row.next(),
            holdID: try row.next(UUID?.self).map { TransferID($0) }, reversalOf: try row.next(UUID?.self).map { TransferID($0) })
    }
}
