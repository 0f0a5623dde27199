// What a verification reads, as stoa_auditor.
import Foundation
import Postgres
import Primitives
import TransparencyLog

struct CountLeaves: Query {
    var sql: SQL { "SELECT count(*) FROM access_log.leaf" }
    func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// Entries without a leaf: those that wait for one, and those that nobody would ever give one.
struct LooseEntries: Query {
    var sql: SQL {
        """
        SELECT count(*) FILTER (WHERE q.entry_id IS NOT NULL), count(*) FILTER (WHERE q.entry_id IS NULL)
        FROM access_log.entry AS e LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id LEFT JOIN access_log.queue AS q ON q.entry_id = e.id
        WHERE l.entry_id IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> (waiting: Int64, neither: Int64) { (try row.next(), try row.next()) }
}

struct CheckpointRow: Sendable {
    let size: Int
    let root: [UInt8]
    let note: String
}

struct AllCheckpoints: Query {
    var sql: SQL { "SELECT tree_size, root, note FROM access_log.checkpoint" }

    func decode(_ row: inout RowReader) throws -> CheckpointRow {
        CheckpointRow(size: Int(try row.next(Int64.self)), root: try row.next(), note: try row.next())
    }
}

/// A leaf with the entry that it stands for, unless that was erased.
struct LeafRow: Sendable {
    let index: Int64
    let commitment: [UInt8]
    let subjectNumber: Int64?
    let previousCommitment: [UInt8]?
    let isErasureRecorded: Bool
    let entry: (entry: CommittedEntry, salt: [UInt8])?
}

struct LeafPage: Query {
    let from: Int64
    let count: Int

    var sql: SQL {
        """
        SELECT l.index, l.commitment, l.subject_number, l.previous_commitment, x.entry_id IS NOT NULL,
            e.id, e.at, e.subject_id, e.actor_kind, e.actor_id, e.actor_role, e.organisation_id, e.client_id, e.operation, e.attributes,
            e.purpose, e.legal_basis, e.law, e.consent_event_id, e.case_reference, e.outcome, e.refusal, e.salt
        FROM access_log.leaf AS l
        LEFT JOIN access_log.entry AS e ON e.id = l.entry_id
        LEFT JOIN access_log.erasure AS x ON x.entry_id = l.entry_id
        WHERE l.index >= \(from) ORDER BY l.index LIMIT \(count)
        """
    }

    func decode(_ row: inout RowReader) throws -> LeafRow {
        let index = try row.next(Int64.self)
        let commitment = try row.next([UInt8].self)
        let subjectNumber = try row.next(Int64?.self)
        let previous = try row.next([UInt8]?.self)
        let isErasureRecorded = try row.next(Bool.self)
        guard let id = try row.next(UUID?.self) else {
            return LeafRow(
                index: index, commitment: commitment, subjectNumber: subjectNumber, previousCommitment: previous,
                isErasureRecorded: isErasureRecorded, entry: nil)
        }
        let entry = CommittedEntry(
            id: id, at: try row.next(), subjectID: try row.next(), actorKind: try row.next(), actorID: try row.next(),
            actorRole: try row.next(), organisationID: try row.next(), clientID: try row.next(), operation: try row.next(),
            attributes: try row.next(), purpose: try row.next(), legalBasis: try row.next(), law: try row.next(),
            consentEventID: try row.next(), caseReference: try row.next(), outcome: try row.next(), refusal: try row.next(),
            subjectNumber: subjectNumber, previousCommitment: previous)
        return LeafRow(
            index: index, commitment: commitment, subjectNumber: subjectNumber, previousCommitment: previous,
            isErasureRecorded: isErasureRecorded, entry: (entry, try row.next()))
    }
}
