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
        return LeafRow(
            index: index, commitment: commitment, subjectNumber: subjectNumber, previousCommitment: previous,
            isErasureRecorded: isErasureRecorded, entry: try entry(&row, subjectNumber, previous))
    }

    /// The entry's columns, nil where it was erased: then each of them is null.
    private func entry(
        _ row: inout RowReader, _ subjectNumber: Int64?, _ previous: [UInt8]?
    ) throws -> (entry: CommittedEntry, salt: [UInt8])? {
        let id = try row.next(UUID?.self)
        let at = try row.next(Date?.self)
        let subjectID = try row.next(UUID?.self)
        let actor = (kind: try row.next(String?.self), id: try row.next(String?.self), role: try row.next(String?.self))
        let (organisationID, clientID) = (try row.next(String?.self), try row.next(String?.self))
        let (operation, attributes) = (try row.next(String?.self), try row.next([String]?.self))
        let purpose = try row.next(String?.self)
        let (legalBasis, law) = (try row.next(String?.self), try row.next(String?.self))
        let consentEventID = try row.next(UUID?.self)
        let caseReference = try row.next(String?.self)
        let (outcome, refusal) = (try row.next(String?.self), try row.next(String?.self))
        let salt = try row.next([UInt8]?.self)
        guard let id, let at, let actorKind = actor.kind, let actorID = actor.id, let actorRole = actor.role, let operation, let attributes,
            let purpose, let outcome, let salt
        else { return nil }
        let entry = CommittedEntry(
            id: id, at: at, subjectID: subjectID, actorKind: actorKind, actorID: actorID, actorRole: actorRole, organisationID: organisationID,
            clientID: clientID, operation: operation, attributes: attributes, purpose: purpose, legalBasis: legalBasis, law: law,
            consentEventID: consentEventID, caseReference: caseReference, outcome: outcome, refusal: refusal, subjectNumber: subjectNumber,
            previousCommitment: previous)
        return (entry, salt)
    }
}
