// The two statements of the door, and nothing else: every read of personal data is one of these, in arrays.
import Foundation
import Postgres
import Primitives
import Web

/// Decides and logs: `access_log.authorise`.
struct AuthoriseAccess: Query {
    let requests: [AccessRequest]

    struct Row: Sendable {
        let requestID: AccessEntryID
        /// The entry to release under; another one than asked for when an own view is repeated in a session.
        let entryID: AccessEntryID
        let refusal: Refusal?
        let missing: [String]
    }

    var sql: SQL {
        """
        SELECT request_id, entry_id, refusal, missing FROM access_log.authorise(
            \(requests.map(\.id.uuid)), \(requests.map(\.credential.bytes)), \(requests.map(\.operation.rawValue)),
            \(requests.map(\.subject.kind)), \(requests.map(\.subject.key)), \(requests.map { $0.attributes.joined(separator: ",") }),
            \(requests.map(\.purpose)), \(requests.map(\.caseReference)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let requestID = AccessEntryID(try row.next(UUID.self))
        let entryID = AccessEntryID(try row.next(UUID.self))
        let refusal = try row.next(String?.self)
        return Row(
            requestID: requestID, entryID: entryID,
            // A word that this server does not know is a refusal all the same.
            refusal: refusal.map { Refusal(rawValue: $0) ?? .operationUnknown },
            missing: try row.next([String].self))
    }
}

/// Gives out what committed entries permit: `access_log.release`.
struct ReleaseData: Query {
    let entries: [AccessEntryID]

    struct Row: Sendable {
        let record: ReleasedRecord
        let attribute: SealedAttribute?
    }

    var sql: SQL {
        """
        SELECT entry_id, resident_id, public_code, identity_assurance, holder_id, key_id, wrapped_key, attribute, sealed_value, source, recorded_at
        FROM access_log.release(\(entries.map(\.uuid)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let entryID = AccessEntryID(try row.next(UUID.self))
        let residentID = ResidentID(try row.next(UUID.self))
        let publicCode = try row.next(String.self)
        let assurance = try row.next(Int.self)
        let key = SealingKey(
            holderID: ResidentID(try row.next(UUID.self)), keyID: try row.next(), wrappedKey: try row.next())
        let record = ReleasedRecord(
            entryID: entryID, residentID: residentID, publicCode: publicCode, identityAssurance: assurance,
            key: key.holderID == residentID ? key : nil, attributes: [])
        let attribute = try row.next(String?.self)
        let sealedValue = try row.next([UInt8]?.self)
        let source = try row.next(String?.self)
        let recordedAt = try row.next(Date?.self)
        guard let attribute, let sealedValue, let source, let recordedAt else { return Row(record: record, attribute: nil) }
        return Row(
            record: record,
            attribute: SealedAttribute(attribute: attribute, sealedValue: sealedValue, source: source, recordedAt: recordedAt, key: key))
    }
}
