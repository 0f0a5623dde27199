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

/// One page of messages, newest first: `messages.messages_of`.
struct MessagesOf: Query {
    let credential: CredentialHash
    let before: MomentCursor?
    let pageSize: Int

    var sql: SQL {
        """
        SELECT id, kind, parameters, sent_at
        FROM messages.messages_of(\(credential.bytes), \(before?.at as Date?), \(before?.id as UUID?), \(pageSize)::integer)
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
