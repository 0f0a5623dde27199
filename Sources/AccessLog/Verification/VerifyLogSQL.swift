// What a verification reads, as stoa_auditor.
import Foundation
import Postgres
import Primitives
import TransparencyLog

struct CountLeaves: Query {
    var sql: SQL { "SELECT count(*) FROM access_log.leaf" }
    func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// Entries without a leaf: those that wait for one; of these, those that younger ones have overtaken; those that nobody would ever give one;
/// and places in the queue whose entry is gone.
struct LooseEntries: Query {
    let overtakenSeconds: Int

    var sql: SQL {
        """
        SELECT count(*) FILTER (WHERE e.id IS NOT NULL AND q.entry_id IS NOT NULL),
            count(*) FILTER (WHERE e.id IS NOT NULL AND q.entry_id IS NULL),
            count(*) FILTER (WHERE q.entry_id IS NOT NULL AND e.at < newest.at - make_interval(secs => \(Int64(overtakenSeconds)))),
            count(*) FILTER (WHERE e.id IS NULL)
        FROM access_log.entry AS e
        FULL JOIN access_log.queue AS q ON q.entry_id = e.id
        LEFT JOIN access_log.leaf AS l ON l.entry_id = e.id
        CROSS JOIN (SELECT max(x.at) AS at FROM access_log.entry AS x JOIN access_log.leaf AS y ON y.entry_id = x.id) AS newest
        WHERE l.entry_id IS NULL
        """
    }

    func decode(_ row: inout RowReader) throws -> (waiting: Int64, forgotten: Int64, overtaken: Int64, vanished: Int64) {
        (try row.next(), try row.next(), try row.next(), try row.next())
    }
}

/// The leaves with the chain that they are in: of whom they are about, or of the order that delayed telling that. Of an erased entry nobody can say that any more, and
/// its links alone hold its place.
private let links: SQL = """
    WITH link AS (
        SELECT l.index, l.subject_number AS number, l.commitment, l.previous_commitment AS previous, coalesce(e.seal_id, e.subject_id) AS chain_id,
            e.id IS NULL AS is_erased
        FROM access_log.leaf AS l LEFT JOIN access_log.entry AS e ON e.id = l.entry_id
        WHERE l.kind = 'access_entry')
    """

/// Entries about somebody that have no number, or a number that another one has as well.
struct NumberFindings: Query {
    let findingsMax: Int

    var sql: SQL {
        links + """
            SELECT min(k.index), k.number, count(*) FROM link AS k
            WHERE k.chain_id IS NOT NULL
            GROUP BY k.chain_id, k.number HAVING k.number IS NULL OR count(*) > 1
            ORDER BY min(k.index) LIMIT \(Int64(findingsMax))
            """
    }

    func decode(_ row: inout RowReader) throws -> String {
        let (index, number, count) = (try row.next(Int64.self), try row.next(Int64?.self), try row.next(Int64.self))
        guard let number else { return "Leaf \(index) is about a subject and has no number." }
        return "\(count) entries about one subject have the number \(number)."
    }
}

/// Leaves that do not follow the one of the number before, and leaves that follow one which another leaf follows already.
struct LinkFindings: Query {
    let findingsMax: Int

    var sql: SQL {
        links + """
            SELECT k.index, k.number, false FROM link AS k
            LEFT JOIN link AS b ON b.commitment = k.previous AND b.number = k.number - 1
                AND (b.is_erased OR k.is_erased OR b.chain_id = k.chain_id)
            WHERE k.number > 1 AND b.index IS NULL
            UNION ALL
            SELECT max(k.index), max(k.number), true FROM link AS k WHERE k.previous IS NOT NULL GROUP BY k.previous HAVING count(*) > 1
            ORDER BY 1 LIMIT \(Int64(findingsMax))
            """
    }

    func decode(_ row: inout RowReader) throws -> String {
        let (index, number, isFork) = (try row.next(Int64.self), try row.next(Int64.self), try row.next(Bool.self))
        return isFork
            ? "Leaf \(index) is not the only one that follows number \(number - 1) of one subject."
            : "Leaf \(index), number \(number) of one subject does not follow number \(number - 1)."
    }
}

/// Chains that do not end where the sequencer left them: it keeps the last number and commitment of each subject.
struct ChainEndFindings: Query {
    let findingsMax: Int

    var sql: SQL {
        links + """
            , last AS (SELECT k.chain_id, max(k.number) AS number FROM link AS k WHERE k.chain_id IS NOT NULL GROUP BY k.chain_id)
            SELECT coalesce(h.number, last.number) FROM access_log.subject_head AS h
            FULL JOIN last ON last.chain_id = h.chain_id
            LEFT JOIN link AS k ON k.commitment = h.commitment AND k.number = h.number
            WHERE k.index IS NULL OR last.number > h.number
            ORDER BY 1 LIMIT \(Int64(findingsMax))
            """
    }

    func decode(_ row: inout RowReader) throws -> String {
        "The chain of one subject does not end with its number \(try row.next(Int64.self)), as it should."
    }
}

struct CheckpointRow: Sendable {
    let size: Int
    let root: [UInt8]
    let note: String
}

/// Heads of these sizes, the smallest first.
struct Checkpoints: Query {
    let sizes: ClosedRange<Int>
    var countMax = Int.max

    var sql: SQL {
        """
        SELECT tree_size, root, note FROM access_log.checkpoint
        WHERE tree_size BETWEEN \(Int64(sizes.lowerBound)) AND \(Int64(sizes.upperBound)) ORDER BY tree_size LIMIT \(Int64(countMax))
        """
    }

    func decode(_ row: inout RowReader) throws -> CheckpointRow {
        CheckpointRow(size: Int(try row.next(Int64.self)), root: try row.next(), note: try row.next())
    }
}

struct CosignatureRow: Sendable {
    let size: Int
    /// The witness's verifier key.
    let witness: String
    let signature: [UInt8]
}

/// Who signed heads, by verifier key: read once, so that each page of signatures is a few probes.
struct WitnessesOfLog: Query {
    var sql: SQL { "SELECT DISTINCT witness FROM access_log.cosignature" }
    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// What these witnesses signed of the heads of these sizes.
struct Cosignatures: Query {
    let witnesses: [String]
    let sizes: ClosedRange<Int>

    var sql: SQL {
        """
        SELECT c.tree_size, c.witness, c.signature
        FROM unnest(\(witnesses)) AS w (witness)
        JOIN access_log.cosignature AS c ON c.witness = w.witness
            AND c.tree_size BETWEEN \(Int64(sizes.lowerBound)) AND \(Int64(sizes.upperBound))
        """
    }

    func decode(_ row: inout RowReader) throws -> CosignatureRow {
        CosignatureRow(size: Int(try row.next(Int64.self)), witness: try row.next(), signature: try row.next())
    }
}

/// A full tile.
struct TileRow: Sendable, Equatable {
    struct Place: Sendable, Hashable {
        let level: Int
        let index: Int64
    }

    let level: Int
    let index: Int64
    let hashes: [UInt8]
    let root: [UInt8]

    var place: Place { Place(level: level, index: index) }
}

struct StoredTiles: Query {
    let places: [TileRow.Place]

    var sql: SQL {
        """
        SELECT t.level::integer, t.index, t.hashes, t.root
        FROM unnest(\(places.map { Int64($0.level) }), \(places.map(\.index))) AS asked (level, index)
        JOIN access_log.tile AS t ON t.level = asked.level AND t.index = asked.index
        """
    }

    func decode(_ row: inout RowReader) throws -> TileRow {
        TileRow(level: try row.next(), index: try row.next(), hashes: try row.next(), root: try row.next())
    }
}

struct CountTiles: Query {
    var sql: SQL { "SELECT count(*) FROM access_log.tile" }
    func decode(_ row: inout RowReader) throws -> Int64 { try row.next() }
}

/// A leaf with what it stands for.
struct LeafRow: Sendable {
    enum Content: Sendable {
        case entry(CommittedEntry, salt: [UInt8])
        case record(LeafKind, hash: [UInt8], salt: [UInt8])
        /// Erased, let us hope.
        case gone
    }

    let index: Int64
    let commitment: [UInt8]
    let isErasureRecorded: Bool
    let kind: LeafKind
    let content: Content
}

struct LeafPage: Query {
    let from: Int64
    let count: Int

    var sql: SQL {
        """
        SELECT l.index, l.commitment, l.subject_number, l.previous_commitment, x.entry_id IS NOT NULL, l.kind, r.kind, r.content_hash, r.salt,
            e.id, e.at, e.subject_id, e.actor_kind, e.actor_id, e.actor_role, e.organisation_id, e.client_id, e.operation, e.attributes,
            e.purpose, e.legal_basis, e.law, e.consent_event_id, e.case_reference, e.outcome, e.refusal, e.salt, e.count, e.break_glass, e.seal_id
        FROM access_log.leaf AS l
        LEFT JOIN access_log.entry AS e ON e.id = l.entry_id
        LEFT JOIN access_log.record AS r ON r.id = l.entry_id
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
        // A kind that there is not was written in by hand: as an entry the leaf stands for nothing.
        let kind = LeafKind(rawValue: try row.next()) ?? .accessEntry
        let record = (kind: try row.next(String?.self), hash: try row.next([UInt8]?.self), salt: try row.next([UInt8]?.self))
        var content = try entry(&row, subjectNumber, previous)
        if let recordKind = record.kind.flatMap({ LeafKind(rawValue: $0) }), let hash = record.hash, let salt = record.salt {
            content = .record(recordKind, hash: hash, salt: salt)
        }
        return LeafRow(index: index, commitment: commitment, isErasureRecorded: isErasureRecorded, kind: kind, content: content)
    }

    /// The entry's columns: where it was erased, each of them is null.
    private func entry(_ row: inout RowReader, _ subjectNumber: Int64?, _ previous: [UInt8]?) throws -> LeafRow.Content {
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
        let count = try row.next(Int32?.self)
        let (breakGlass, sealID) = (try row.next(UUID?.self), try row.next(UUID?.self))
        guard let id, let at, let actorKind = actor.kind, let actorID = actor.id, let actorRole = actor.role, let operation, let attributes,
            let purpose, let outcome, let salt
        else { return .gone }
        let entry = CommittedEntry(
            id: id, at: at, subjectID: subjectID, actorKind: actorKind, actorID: actorID, actorRole: actorRole, organisationID: organisationID,
            clientID: clientID, operation: operation, attributes: attributes, purpose: purpose, legalBasis: legalBasis, law: law,
            consentEventID: consentEventID, caseReference: caseReference, outcome: outcome, refusal: refusal, subjectNumber: subjectNumber,
            previousCommitment: previous, count: count.map(Int64.init), breakGlass: breakGlass, sealID: sealID)
        return .entry(entry, salt: salt)
    }
}
