// The log has stopped: a witness has seen what this database does not hold. From here on nothing is signed, because whatever is signed now would be a
// second log under the same name. Entries go on being written and wait (docs/OPERATIONS.md says what to do).
// Decided in `access_log.end_halt` (0021_witness.sql).
public import Foundation
public import Postgres

/// Why the log stands still.
public struct LogHalt: Sendable, CustomStringConvertible {
    /// When the witness answered so.
    public let at: Date
    /// The witness's verifier key.
    public let witness: String
    /// Leaves under the newest head that was signed here.
    public let treeSize: Int
    /// Leaves that the witness has seen signed; nil: it has seen no more, but another tree.
    public let witnessSize: Int?

    public var description: String {
        let name = witness.split(separator: "+").first.map(String.init) ?? witness
        let seen = witnessSize.map { "has seen \($0) leaves of this log, and this database signed \(treeSize)" }
            ?? "has seen another tree of this log than the one of \(treeSize) leaves that this database signed"
        return "The log has stopped: the witness \(name) \(seen). The database was restored from an old backup, or another one signs under the same key. "
            + "Entries are written and wait; nothing more is signed until somebody decides (docs/OPERATIONS.md, \"When the log has stopped\")."
    }
}

/// What has not been ended yet, oldest first: `access_log.standing_halt`.
public struct StandingHalts: Query {
    public init() {}

    public var sql: SQL { "SELECT at, witness, tree_size, witness_size FROM access_log.standing_halt ORDER BY id" }

    public func decode(_ row: inout RowReader) throws -> LogHalt {
        LogHalt(at: try row.next(), witness: try row.next(), treeSize: Int(try row.next(Int64.self)), witnessSize: try row.next(Int64?.self).map { Int($0) })
    }
}

/// The readiness probe's question: the database answers, and says whether the log has stopped.
public struct IsLogHalted: Query {
    public init() {}

    public var sql: SQL { "SELECT EXISTS (SELECT FROM access_log.standing_halt)" }
    public func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// Lets the log go on after somebody has decided to: `access_log.end_halt`, for the owner's role alone.
public struct EndHalt: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// - Parameter authority: who decided it, 3 to 200 characters, kept on record.
    /// - Returns: what stood in the way until now; nothing when the log had not stopped.
    public func perform(authority: String) async throws -> [LogHalt] {
        try await owner.transaction { transaction in
            let halts = try await transaction.query(StandingHalts())
            try await transaction.execute("SELECT access_log.end_halt(\(authority))")
            return halts
        }
    }
}
