// `stoa verify consents`: every event's hash again from its row, every link, and the state that the newest event leaves. The question is
// consent.verify_chains of migrations/0007, asked with the auditor's role.
public import Foundation
public import Postgres

/// Recomputes the chains of consent events.
public struct ConsentVerification: Sendable {
    /// Something that is not as it was written.
    public struct Finding: Sendable, CustomStringConvertible {
        public let residentID: UUID
        public let activityID: UUID
        /// The event's place in the chain of this resident and activity.
        public let sequence: Int
        /// `hash_differs`, `link_differs` or `state_differs`.
        public let kind: String

        public var description: String { "\(kind) resident \(residentID) activity \(activityID) event \(sequence)" }
    }

    private let auditor: Database

    /// - Parameter auditor: a database of the role `stoa_auditor`.
    public init(auditor: Database) {
        self.auditor = auditor
    }

    /// - Returns: what is wrong, by place; nothing when all is whole.
    /// - Throws: `DatabaseError`.
    public func run() async throws -> [Finding] { try await auditor.query(ChainFindings()) }
}

private struct ChainFindings: Query {
    var sql: SQL { "SELECT resident_id, activity_id, sequence, finding FROM consent.verify_chains() ORDER BY resident_id, activity_id, sequence, finding" }

    func decode(_ row: inout RowReader) throws -> ConsentVerification.Finding {
        ConsentVerification.Finding(
            residentID: try row.next(), activityID: try row.next(), sequence: Int(try row.next(Int32.self)), kind: try row.next())
    }
}
