// The costly part of an import: keying what is looked up by, and sealing every value under the resident's own data key. It uses
// all cores, because the database is waiting.
import Foundation
import Postgres
import Primitives
import Web

/// Keyed hashes of a record: what it is found by, and whether it changed.
struct RecordFingerprint: Sendable {
    let nationalNumber: [UInt8]
    let nameAndBirthDate: [UInt8]
    let content: [UInt8]
}

/// A record that is new or differs from what the register holds.
struct PendingRecord: Sendable {
    let record: ResidentRecord
    let fingerprint: RecordFingerprint
    /// Nil for a new resident.
    let imported: ImportedRecord?
}

/// A row for `register.import_staging`.
struct SealedRecord: Sendable {
    let residentID: ResidentID
    let publicCode: PublicCode
    let wrappedKey: WrappedKey
    let fingerprint: RecordFingerprint
    let attributes: [Attribute]
    let sealedValues: [[UInt8]]

    static let columns = [
        "batch_id", "resident_id", "public_code", "key_id", "wrapped_key", "national_number_hmac", "name_and_birth_date_hmac", "content_hmac",
        "attributes", "sealed_values",
    ]

    func fields(batch: UUID) -> [any CopyField] {
        // Array literals: attribute ids are plain words; bytea's backslash is itself escaped within an array.
        let values = sealedValues.map { "\"\\" + ($0.copyText ?? "") + "\"" }.joined(separator: ",")
        return [
            batch, residentID, publicCode.description, wrappedKey.keyID, wrappedKey.bytes, fingerprint.nationalNumber,
            fingerprint.nameAndBirthDate, fingerprint.content, "{\(attributes.map(\.rawValue).joined(separator: ","))}", "{\(values)}",
        ]
    }
}

struct ImportSealing: Sendable {
    let vault: ResidentVault
    let lookup: LookupKey

    func fingerprint(_ record: ResidentRecord) -> RecordFingerprint {
        RecordFingerprint(
            nationalNumber: lookup.nationalNumber(record.nationalNumber),
            nameAndBirthDate: lookup.nameAndBirthDate(givenNames: record.givenNames, familyName: record.familyName, born: record.born),
            content: lookup.recordContent(record.values))
    }

    /// Seals records on all cores. Their order is kept.
    func seal(_ records: [PendingRecord]) async throws -> [SealedRecord] {
        let share = max(1, (records.count + ProcessInfo.processInfo.activeProcessorCount - 1) / ProcessInfo.processInfo.activeProcessorCount)
        let slices = stride(from: 0, to: records.count, by: share).map { records[$0..<min($0 + share, records.count)] }
        return try await withThrowingTaskGroup(of: (Int, [SealedRecord]).self) { group in
            for (index, slice) in slices.enumerated() {
                group.addTask { (index, try slice.map(seal)) }
            }
            return try await group.reduce(into: [Int: [SealedRecord]]()) { $0[$1.0] = $1.1 }.sorted { $0.key < $1.key }.flatMap(\.value)
        }
    }

    private func seal(_ pending: PendingRecord) throws -> SealedRecord {
        let resident = pending.imported?.residentID ?? ResidentID.new()
        let (key, wrapped) = try pending.imported.map { (try vault.unwrap($0.wrappedKey, of: resident), $0.wrappedKey) } ?? vault.makeDataKey(for: resident)
        // An empty field is a value that the register does not hold.
        let held = zip(ResidentRecord.attributes, pending.record.values).filter { !$0.1.isEmpty }
        return SealedRecord(
            residentID: resident, publicCode: .random(), wrappedKey: wrapped, fingerprint: pending.fingerprint, attributes: held.map(\.0),
            sealedValues: try held.map { try vault.seal($0.1, as: $0.0, of: resident, under: key) })
    }
}
