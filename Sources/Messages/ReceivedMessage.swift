// A message as its resident gets it: the row, the statement that reads it, and its words.
public import Foundation
import Postgres
public import Primitives
public import Web

/// A message to the resident who asks for it.
public struct ReceivedMessage: Sendable {
    public let id: MessageID
    public let kind: String
    public let parameters: [String: String]
    public let sentAt: Date

    /// What it says, in the reader's language.
    public func text(_ context: some PageContext) -> String {
        guard MessageKind(rawValue: kind) != nil else { return kind }
        return context.text("messages.kind.\(kind)", parameters)
    }
}

/// Where the next page begins: after this message.
struct MessageCursor: Sendable, LosslessStringConvertible {
    let at: Date
    let id: MessageID

    init(_ message: ReceivedMessage) {
        at = message.sentAt
        id = message.id
    }

    /// Reads what ``description`` wrote; nil for anything else.
    init?(_ description: String) {
        let parts = description.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 2, let microseconds = Int64(parts[0]), let id = MessageID(String(parts[1])) else { return nil }
        // Far beyond any date of a message, and still exact in a Date.
        guard (0...Int64(1) << 53).contains(microseconds) else { return nil }
        at = Date(timeIntervalSince1970: Double(microseconds / 1_000_000) + Double(microseconds % 1_000_000) / 1_000_000)
        self.id = id
    }

    /// Microseconds since 1970, which is what PostgreSQL stores, and the id.
    var description: String { "\(Int64((at.timeIntervalSince1970 * 1_000_000).rounded()))_\(id)" }
}

/// One page of messages, newest first: `messages.messages_of`.
struct MessagesOf: Query {
    let credential: CredentialHash
    let before: MessageCursor?
    let pageSize: Int

    var sql: SQL {
        """
        SELECT id, kind, parameters, sent_at
        FROM messages.messages_of(\(credential.bytes), \(before?.at as Date?), \(before?.id.uuid as UUID?), \(pageSize)::integer)
        """
    }

    func decode(_ row: inout RowReader) throws -> ReceivedMessage {
        let id = MessageID(try row.next(UUID.self))
        let kind = try row.next(String.self)
        let json = try row.next(JSONText.self)
        let parameters = (try? JSONDecoder().decode([String: String].self, from: Data(json.text.utf8))) ?? [:]
        return ReceivedMessage(id: id, kind: kind, parameters: parameters, sentAt: try row.next())
    }
}
