// What is read and written of the heads that this city signed for others (migrations/0021_witness.sql).
import Foundation
import Postgres
import TransparencyLog

/// The newest head of a log that this witness signed, and the moment as of which it was the newest.
struct LatestHead: Query {
    let witness: CosignatureVerifier
    let origin: String

    struct Row: Sendable {
        let asOf: Date
        /// Nil where none was signed.
        let head: WitnessedHead?
        /// With the log's signature and the witness's.
        let note: String?
    }

    var sql: SQL {
        """
        SELECT public.stoa_now(), h.tree_size, h.root, h.note FROM (SELECT) AS one
        LEFT JOIN LATERAL (
            SELECT c.tree_size, c.root, c.note FROM witness.cosigned_head AS c
            WHERE c.witness = \(witness.vkey) AND c.origin = \(origin) ORDER BY c.tree_size DESC LIMIT 1) AS h ON true
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let asOf = try row.next(Date.self)
        let (size, root) = (try row.next(Int64?.self), try row.next([UInt8]?.self))
        var head: WitnessedHead?
        if let size, let root = root.flatMap({ MerkleHash($0) }) { head = WitnessedHead(size: Int(size), root: root) }
        return Row(asOf: asOf, head: head, note: try row.next())
    }
}

/// The next head of a log. No row is written when another one follows the same head already.
struct NewHead {
    let witness: CosignatureVerifier
    let origin: String
    let head: WitnessedHead
    let previousSize: Int?
    let note: String

    var sql: SQL {
        """
        INSERT INTO witness.cosigned_head (witness, origin, tree_size, root, previous_size, note)
        VALUES (\(witness.vkey), \(origin), \(Int64(head.size)), \(head.root.bytes), \(previousSize.map { Int64($0) } as Int64?), \(note))
        ON CONFLICT DO NOTHING
        """
    }
}
