// The two statements of the door, and nothing else. What the register holds about people is read by these alone, in arrays.
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

        /// Whether an own view was logged before in this session.
        var isEarlier: Bool { entryID != requestID }
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

    var sql: SQL {
        """
        SELECT entry_id, resident_id, public_code, identity_assurance, holder_id, key_id, wrapped_key, attributes, sealed_values, sources, recorded_at, at
        FROM access_log.release(\(entries.map(\.uuid)))
        """
    }

    /// One key's values: an entry has a row for each key.
    func decode(_ row: inout RowReader) throws -> ReleasedRecord {
        let entryID = AccessEntryID(try row.next(UUID.self))
        let residentID = ResidentID(try row.next(UUID.self))
        let publicCode = try row.next(String.self)
        let assurance = try row.next(Int.self)
        let key = try SealingKey(&row)
        let attributes = try row.next([String]?.self) ?? []
        let values = try row.next([[UInt8]]?.self) ?? []
        let sources = try row.next([String]?.self) ?? []
        let moments = try row.next([Date]?.self) ?? []
        guard values.count == attributes.count, sources.count == attributes.count, moments.count == attributes.count else {
            throw DoorError.valuesDoNotMatch
        }
        let sealed = attributes.indices.map {
            SealedAttribute(attribute: attributes[$0], sealedValue: values[$0], source: sources[$0], recordedAt: moments[$0])
        }
        return ReleasedRecord(
            entryID: entryID, at: try row.next(), residentID: residentID, publicCode: publicCode, identityAssurance: assurance,
            holdings: [SealedHolding(key: key, attributes: sealed)])
    }
}
