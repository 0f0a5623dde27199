// `stoa import residents FILE.csv`: from records of a file to sealed rows of the register. Records travel in batches, each committed
// whole, so an import that was interrupted is simply run again: what is there already and unchanged is left alone.
// Decided in `register.merge_import` (0002_register.sql).
import Foundation
public import Postgres
import Primitives
import Web

/// What an import did with the records of a file. `inserted + updated + unchanged + refused == records`.
public struct ImportReport: Sendable, Equatable {
    public internal(set) var records = 0
    public internal(set) var inserted = 0
    public internal(set) var updated = 0
    public internal(set) var unchanged = 0
    public internal(set) var refused = 0
    /// Where the refused records are; nil when there are none.
    public internal(set) var rejectedFile: String?
}

/// Loads residents into the register with the rights of the role that serves: it can add to the register and not read it.
public struct ImportResidents: Sendable {
    /// Large enough that a commit counts little, small enough that an interrupted import loses a blink.
    static let recordsPerBatch = 500
    /// How often a batch is tried when another import, or a public code that was taken, gets in its way.
    static let attemptsMax = 5

    private let database: Database
    private let sealing: ImportSealing
    private let today: CalendarDay

    /// - Parameter today: nobody is born after it.
    public init(database: Database, vault: ResidentVault, lookup: LookupKey, today: CalendarDay) {
        self.database = database
        sealing = ImportSealing(vault: vault, lookup: lookup)
        self.today = today
    }

    /// - Parameters:
    ///   - path: a CSV file in UTF-8 with the columns of `ResidentCSV`.
    ///   - progress: told bytes read, bytes in all, and records so far.
    ///   - refused: told each refused record, in the order of the file.
    /// - Throws: `ResidentFileError` for a file that is none; `DatabaseError`; an error of the file system when the refused records
    ///   cannot be written. What was committed before stays.
    public func run(
        file path: String, progress: @Sendable (_ bytes: Int, _ of: Int, _ records: Int) -> Void = { _, _, _ in },
        refused: @Sendable (RefusedRecord) -> Void = { _ in }
    ) async throws -> ImportReport {
        var file = try ResidentCSV(Self.contents(of: path))
        let rules = ResidentRecordRules(today: today)
        let rejected = RejectedRecords(input: path)
        var report = ImportReport()
        var firstWithNumber: [String: RawRecord.Place] = [:]
        var batch: [ResidentRecord] = []

        while let raw = file.next() {
            report.records += 1
            do {
                let record = try rules.judge(try raw.content.get())
                if let first = firstWithNumber[record.nationalNumber] {
                    throw RecordDefects(reasons: ["national_number is that of record \(first.number) (line \(first.line))"])
                }
                firstWithNumber[record.nationalNumber] = RawRecord.Place(number: raw.number, line: raw.line)
                batch.append(record)
            } catch {
                let refusal = RefusedRecord(number: raw.number, line: raw.line, reason: Self.reason(of: error))
                report.refused += 1
                try rejected.add(refusal, bytes: raw.bytes)
                refused(refusal)
            }
            if batch.count == Self.recordsPerBatch {
                try await load(batch, into: &report)
                batch.removeAll(keepingCapacity: true)
            }
            progress(file.bytesRead, file.bytesTotal, report.records)
        }
        if !batch.isEmpty { try await load(batch, into: &report) }
        try rejected.close()
        report.rejectedFile = rejected.path
        return report
    }

    private static func contents(of path: String) throws -> [UInt8] {
        do {
            return Array(try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe))
        } catch {
            throw ResidentFileError.unreadable("\(path): \(error.localizedDescription)")
        }
    }

    private static func reason(of error: any Error) -> String {
        switch error {
        case let defects as RecordDefects: defects.reasons.joined(separator: "; ")
        case let defect as CSVDefect: defect.reason
        default: "\(error)"
        }
    }

    /// Commits one batch. A violated uniqueness means that somebody else was quicker, or that a random public code was taken: looking again
    /// and drawing again mends both.
    private func load(_ batch: [ResidentRecord], into report: inout ImportReport) async throws {
        var attempt = 1
        while true {
            do {
                let merged = try await loadOnce(batch)
                report.inserted += merged.inserted
                report.updated += merged.updated
                report.unchanged += batch.count - merged.inserted - merged.updated
                return
            } catch let error as DatabaseError where error.isUniqueViolation && attempt < Self.attemptsMax {
                attempt += 1
            }
        }
    }

    private func loadOnce(_ batch: [ResidentRecord]) async throws -> (inserted: Int, updated: Int) {
        let fingerprints = batch.map(sealing.fingerprint)
        let known = try await database.query(ImportedRecords(nationalNumberHMACs: fingerprints.map(\.nationalNumber)))
        let byNumber = Dictionary(known.map { ($0.nationalNumberHMAC, $0) }) { first, _ in first }
        let pending = zip(batch, fingerprints).compactMap { record, fingerprint -> PendingRecord? in
            let imported = byNumber[fingerprint.nationalNumber]
            return imported?.contentHMAC == fingerprint.content ? nil : PendingRecord(record: record, fingerprint: fingerprint, imported: imported)
        }
        guard !pending.isEmpty else { return (0, 0) }
        let sealed = try await sealing.seal(pending)
        let batchID = UUID()
        return try await database.transaction { transaction in
            try await transaction.execute("SET LOCAL statement_timeout = '60s'")
            _ = try await transaction.copyIn(table: "register.import_staging", columns: SealedRecord.columns) { writer in
                for record in sealed { try await writer.row(record.fields(batch: batchID)) }
            }
            return try await transaction.one(MergeImport(batch: batchID))
        }
    }
}

extension RawRecord {
    /// Where a record stands in the file.
    struct Place: Sendable {
        let number: Int
        let line: Int
    }
}

/// Which of these records an import has seen, and the key to seal a changed one under.
struct ImportedRecords: Query {
    let nationalNumberHMACs: [[UInt8]]

    var sql: SQL {
        "SELECT national_number_hmac, resident_id, content_hmac, key_id, wrapped_key FROM register.imported(\(nationalNumberHMACs))"
    }

    func decode(_ row: inout RowReader) throws -> ImportedRecord {
        ImportedRecord(
            nationalNumberHMAC: try row.next(), residentID: ResidentID(try row.next(UUID.self)), contentHMAC: try row.next(),
            wrappedKey: WrappedKey(keyID: try row.next(), bytes: try row.next()))
    }
}

/// A record that an earlier import took in.
struct ImportedRecord: Sendable {
    let nationalNumberHMAC: [UInt8]
    let residentID: ResidentID
    let contentHMAC: [UInt8]
    let wrappedKey: WrappedKey
}

private struct MergeImport: Query {
    let batch: UUID
    var sql: SQL { "SELECT inserted, updated FROM register.merge_import(\(batch))" }

    func decode(_ row: inout RowReader) throws -> (inserted: Int, updated: Int) {
        (Int(try row.next(Int32.self)), Int(try row.next(Int32.self)))
    }
}
