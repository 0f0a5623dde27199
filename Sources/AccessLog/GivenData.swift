// What one organisation was given of a resident's data so far, for the resident: out of the log, after that look is logged
// (access_log.given_to, migrations/0016). The page is Consent's, beside the switches of that organisation.
// Decided in `access_log.given_to` (0016_who_looked.sql).
public import Foundation
import Postgres
import Web

/// What an organisation received, by purpose.
public struct GivenData: Sendable {
    /// One kind of data: how often it was given, and when first and last.
    public struct Kind: Sendable, Hashable {
        public let attribute: String
        public let times: Int
        public let firstAt: Date
        public let lastAt: Date
    }

    /// From this moment on; nil where everything in the log is counted. A very long log is counted from its newest end.
    public let countedSince: Date?
    /// By purpose, in the order of the kinds of data.
    public let kinds: [String: [Kind]]

    public var isEmpty: Bool { kinds.isEmpty }

    init(_ rows: [GivenTo.Row]) {
        countedSince = rows.first?.countedSince
        kinds = Dictionary(grouping: rows.compactMap(\.given), by: \.purpose).mapValues { $0.map(\.kind) }
    }
}

/// `access_log.given_to`.
struct GivenTo: Query {
    struct Row: Sendable {
        let countedSince: Date?
        /// Nil in the one row that says that nothing was given.
        let given: (purpose: String, kind: GivenData.Kind)?
    }

    let credential: CredentialHash
    let organisation: String

    var sql: SQL {
        "SELECT counted_since, purpose, attribute, times, first_at, last_at FROM access_log.given_to(\(credential.bytes), \(organisation))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let since = try row.next(Date?.self)
        guard let purpose = try row.next(String?.self) else {
            row.skip(4)
            return Row(countedSince: since, given: nil)
        }
        let kind = GivenData.Kind(attribute: try row.next(), times: Int(try row.next(Int64.self)), firstAt: try row.next(), lastAt: try row.next())
        return Row(countedSince: since, given: (purpose, kind))
    }
}
