// The statements about the log itself: the queue, the tree heads, and what a resident sees of it.
import Foundation
import Postgres
import Primitives
import TransparencyLog
import Web

/// How many seconds the first entry of the queue has waited for its leaf; nil when none waits.
struct LongestWait: Query {
    var sql: SQL { "SELECT access_log.longest_wait_seconds()" }
    func decode(_ row: inout RowReader) throws -> Int64? { try row.next() }
}

struct SequenceEntries: Query {
    let entriesMax: Int

    struct Row: Sendable {
        let index: Int64
        let commitment: [UInt8]
    }

    var sql: SQL { "SELECT index, commitment FROM access_log.sequence(\(entriesMax)::integer)" }
    func decode(_ row: inout RowReader) throws -> Row { Row(index: try row.next(), commitment: try row.next()) }
}

/// Stored heads, newest first.
struct StoredHeads: Query {
    struct Row: Sendable {
        let size: Int64
        let frontier: [[UInt8]]
        let note: String
    }

    let count: Int

    var sql: SQL { "SELECT tree_size, frontier, note FROM access_log.checkpoint ORDER BY tree_size DESC LIMIT \(count)" }

    func decode(_ row: inout RowReader) throws -> Row { Row(size: try row.next(), frontier: try row.next(), note: try row.next()) }
}

/// Commitments of leaves in their order, from one index up to and without another: `access_log.commitments`.
struct Commitments: Query {
    let indexes: Range<Int64>

    var sql: SQL { "SELECT commitment FROM access_log.commitments(\(indexes.lowerBound), \(indexes.upperBound)) ORDER BY index" }

    func decode(_ row: inout RowReader) throws -> [UInt8] { try row.next() }
}

/// One page of who looked at the data of the resident whom the credential names: `access_log.entries_about`.
struct EntriesAbout: Query {
    let credential: CredentialHash
    let before: EntryCursor?
    let pageSize: Int
    let withOwn: Bool

    var sql: SQL {
        """
        SELECT id, at, organisation_id, organisation_name, actor_role, operation, purpose, purpose_title, attributes, legal_basis, law,
            consent_at, case_reference, outcome, refusal, form_entered, helper_name, leaf_index, count
        FROM access_log.entries_about(\(credential.bytes), \(before?.at as Date?), \(before?.id.uuid as UUID?), \(pageSize)::integer, \(withOwn))
        """
    }

    func decode(_ row: inout RowReader) throws -> AccessEntry {
        AccessEntry(
            id: AccessEntryID(try row.next(UUID.self)), at: try row.next(), organisationID: try row.next(),
            organisationName: try row.next(JSONText?.self).map(LocalisedText.init), actorRole: try row.next(), operation: try row.next(),
            purpose: try row.next(), purposeTitle: try row.next(JSONText?.self).map(LocalisedText.init), attributes: try row.next(),
            legalBasis: try row.next(), law: try row.next(), consentAt: try row.next(), caseReference: try row.next(),
            outcome: try row.next(), refusal: try row.next(), formEntered: try row.next(), helperName: try row.next(), leafIndex: try row.next(),
            count: try row.next(Int32?.self).map(Int.init))
    }
}
