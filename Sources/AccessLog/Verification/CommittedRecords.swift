// Consent events and decisions as the bytes that the log's leaves bind to, by their hash. The database makes the same bytes in SQL (consent.canonical,
// access_log.hash_of); these are written apart from it, so that each finds out an error of the other when a log is verified.
import Crypto
import Foundation
import Postgres
import TransparencyLog

/// What another slice keeps and the log binds to.
protocol CommittedRecord: Sendable {
    static var kind: LeafKind { get }
    /// Begins what the hash is over.
    static var hashLabel: CommitmentLabel { get }
    /// Its columns among those of the view, which is called `x`, and what it is called there.
    static var columns: SQL { get }
    static var view: SQL { get }
    var canonicalBytes: [UInt8] { get }
    /// Reads the columns; nil where there is no such row.
    static func read(_ row: inout RowReader) throws -> Self?
}

extension CommittedRecord {
    var contentHash: [UInt8] { Array(SHA256.hash(data: Self.hashLabel.bytes + canonicalBytes)) }
}

/// `access_log.consent_event`.
struct CommittedConsentEvent: CommittedRecord {
    static let kind = LeafKind.consentEvent
    static let hashLabel = CommitmentLabel("stoa consent event v1")
    static let view: SQL = "access_log.consent_event"
    static let columns: SQL = """
        x.id, x.resident_id, x.activity_id, x.policy_version, x.sequence, x.kind, x.attributes, x.at, x.account_id, x.staff_id, x.client_id, x.capacity,
        x.method, x.language, x.form_reference, x.valid_until, x.request_id, x.previous_hash
        """

    let canonicalBytes: [UInt8]

    static func read(_ row: inout RowReader) throws -> Self? {
        let id = try row.next(UUID?.self)
        var encoding = CanonicalEncoding()
        encoding.add(1, uuid: id)
        encoding.add(2, uuid: try row.next())
        encoding.add(3, uuid: try row.next())
        encoding.add(4, integer: try row.next(Int32?.self).map(Int64.init))
        encoding.add(5, integer: try row.next(Int32?.self).map(Int64.init))
        encoding.add(6, string: try row.next())
        encoding.add(7, strings: try row.next())
        encoding.add(8, timestamp: try row.next())
        encoding.add(9, uuid: try row.next())
        encoding.add(10, uuid: try row.next())
        encoding.add(11, string: try row.next())
        encoding.add(12, string: try row.next())
        encoding.add(13, string: try row.next())
        encoding.add(14, string: try row.next())
        encoding.add(15, string: try row.next())
        encoding.add(16, timestamp: try row.next())
        encoding.add(17, uuid: try row.next())
        encoding.add(18, bytes: try row.next())
        return id == nil ? nil : Self(canonicalBytes: encoding.bytes)
    }
}

/// `access_log.decision`.
struct CommittedDecision: CommittedRecord {
    static let kind = LeafKind.decision
    static let hashLabel = CommitmentLabel("stoa decision v1")
    static let view: SQL = "access_log.decision"
    static let columns: SQL = "x.id, x.about, x.at, x.resident_id, x.decided_by, x.outcome, x.matter, x.words_hash"

    let canonicalBytes: [UInt8]

    static func read(_ row: inout RowReader) throws -> Self? {
        let id = try row.next(UUID?.self)
        var encoding = CanonicalEncoding()
        encoding.add(1, uuid: id)
        encoding.add(2, string: try row.next())
        encoding.add(3, timestamp: try row.next())
        encoding.add(4, uuid: try row.next())
        encoding.add(5, uuid: try row.next())
        encoding.add(6, string: try row.next())
        encoding.add(7, string: try row.next())
        encoding.add(8, bytes: try row.next())
        return id == nil ? nil : Self(canonicalBytes: encoding.bytes)
    }
}
