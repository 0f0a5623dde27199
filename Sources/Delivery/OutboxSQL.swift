// Every statement of the outbox: the functions of migrations/0033_delivery.sql.
import AccessLog
import Foundation
import Postgres
import Primitives
import Web

/// A message that this node is to send now.
struct TakenMessage: Sendable {
    let id: OutgoingID
    /// Which attempt it is, from 1.
    let attempt: Int32
    let channel: String
    let template: String
    let language: String
    let sealedRecipient: [UInt8]?
    let sealedParameters: [UInt8]?
    let key: SealingKey
}

/// `delivery.take`. It updates rows, so it belongs on an exclusive connection.
struct TakeMessages: Query {
    let countMax: Int

    var sql: SQL {
        """
        SELECT id, attempt::integer, channel, template, language, sealed_recipient, sealed_parameters, holder_id, key_id, wrapped_key
        FROM delivery.take(\(Int32(countMax)))
        """
    }

    func decode(_ row: inout RowReader) throws -> TakenMessage {
        TakenMessage(
            id: OutgoingID(try row.next(UUID.self)), attempt: try row.next(), channel: try row.next(), template: try row.next(), language: try row.next(),
            sealedRecipient: try row.next(), sealedParameters: try row.next(),
            key: try SealingKey(&row))
    }
}

/// `delivery.note`.
func noteMessage(_ message: TakenMessage, _ outcome: SendOutcome) -> SQL {
    "SELECT delivery.note(\(message.id.uuid), \(message.attempt)::smallint, \(outcome.result.rawValue), \(outcome.words))"
}
