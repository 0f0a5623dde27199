// Where a page of a list ended that is ordered by moment and id: the next page begins after it.
public import Foundation
import Primitives

/// The last row of a page. As a text it is opaque to others and exact for the database.
public struct MomentCursor: Sendable, Hashable, LosslessStringConvertible {
    public let at: Date
    public let id: UUID

    public init(at: Date, id: UUID) {
        self.at = at
        self.id = id
    }

    /// Reads what ``description`` wrote; nil for anything else.
    public init?(_ description: String) {
        let parts = description.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 2, let microseconds = Int64(parts[0]), let id = UUID(text: parts[1]) else { return nil }
        // Far beyond any date of the city, and still exact in a Date.
        guard (0...Int64(1) << 53).contains(microseconds) else { return nil }
        at = Date(timeIntervalSince1970: Double(microseconds / 1_000_000) + Double(microseconds % 1_000_000) / 1_000_000)
        self.id = id
    }

    /// Reads a parameter of an address.
    /// - Throws: `Problem` 400 for what no page gave out; nil for none.
    public init?(parameter text: String?, named name: String = "cursor") throws {
        guard let text else { return nil }
        guard let cursor = MomentCursor(text) else { throw Problem.malformedCursor(name) }
        self = cursor
    }

    /// Microseconds since 1970, which is what PostgreSQL stores, and the id.
    public var description: String { "\(Int64((at.timeIntervalSince1970 * 1_000_000).rounded()))_\(id.text)" }
}
