// Taking the data: logged before anything is read, then read part by part through the slices' own faces.
import AccessLog
import Foundation
import Postgres
import Web

/// Who takes, and when: what stands at the head of every file.
struct Taking: Sendable {
    let publicCode: String
    let at: Date
}

/// Reads what a resident takes with them.
struct DataExport: Sendable {
    /// What an app's token needs, beside the scopes of the parts; also the kind of the own view in the log.
    static let scope = "export"

    let database: Database
    let door: Door

    /// Logs that the resident takes their data: once a session or token, as every own view.
    /// - Throws: `Problem` for a credential that may not.
    func begin(_ reader: OwnDataReader) async throws -> Taking {
        let record = try await door.ownView(Self.scope, of: reader.credential)
        return Taking(publicCode: record.publicCode, at: try await database.one(Moment()))
    }

    /// The pages of a part, one after the other.
    static func pages(of part: OwnDataPart, for reader: OwnDataReader) -> AsyncThrowingStream<[JSONValue], any Error> {
        let position = Position()
        return AsyncThrowingStream {
            guard let page = try await position.next(of: part, for: reader) else { return nil }
            return page.items
        }
    }

    /// The portable parts as a whole: details and decisions, which are few.
    func portableParts(for reader: OwnDataReader) async throws -> [(name: String, items: [JSONValue])] {
        var parts: [(name: String, items: [JSONValue])] = []
        for part in reader.context.ownData where part.isPortable {
            var items: [JSONValue] = []
            for try await page in Self.pages(of: part, for: reader) { items += page }
            parts.append((part.name, items))
        }
        return parts
    }
}

/// How far the reading of one part has come.
private actor Position {
    private var cursor: String?
    private var isOver = false

    func next(of part: OwnDataPart, for reader: OwnDataReader) async throws -> OwnDataPage? {
        guard !isOver else { return nil }
        let page = try await part.read(reader, cursor)
        cursor = page.next
        isOver = page.next == nil
        return page
    }
}

/// What time it is by the database's clock.
private struct Moment: Query {
    var sql: SQL { "SELECT public.stoa_now()" }
    func decode(_ row: inout RowReader) throws -> Date { try row.next() }
}
