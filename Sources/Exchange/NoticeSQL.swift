// Every statement about notices. Which organisation asks is derived from the credential by the functions of migrations/0024_notices.sql.
import Foundation
import Postgres
import Primitives
import Web

/// What an organisation's token finds.
enum NoticeRow: Sendable {
    case scopeMissing
    /// There is no such notice, or none behind that number.
    case none
    case found(Notice)
}

/// `exchange.notices_of`. It waits for whoever numbers the same notices, so it belongs on an exclusive connection. No row when the token ended.
struct NoticesOf: Query {
    let credential: CredentialHash
    var after: Int64 = 0
    var notice: NoticeID?
    var countMax: Int = 1

    var sql: SQL {
        """
        SELECT may_read, number, id, organisation_id, subject, purpose, reason, attributes, since, made_at, due_at, state, done, law, acknowledged_at
        FROM exchange.notices_of(\(credential.bytes), \(after), \(notice as NoticeID?), \(Int32(countMax)))
        """
    }

    func decode(_ row: inout RowReader) throws -> NoticeRow {
        let mayRead = try row.next(Bool.self)
        guard let number = try row.next(Int64?.self) else {
            row.skip(13)
            return mayRead ? .none : .scopeMissing
        }
        return .found(try Notice(number: number, &row))
    }
}

extension Notice {
    /// The columns from `id` on.
    init(number: Int64, _ row: inout RowReader) throws {
        self.number = number
        id = NoticeID(try row.next(UUID.self))
        organisationID = try row.next()
        subject = try row.next()
        purpose = try row.next()
        reason = try row.next()
        attributes = try row.next()
        since = try row.next()
        madeAt = try row.next()
        dueAt = try row.next()
        state = try row.next()
        let done = try row.next(String?.self)
        let law = try row.next(String?.self)
        let at = try row.next(Date?.self)
        acknowledgement = if let done, let at { Acknowledgement(done: done, law: law, at: at) } else { nil }
    }
}

/// What exchange.acknowledge answers.
enum AcknowledgeOutcome: String, Sendable {
    case recorded
    case unchanged
    /// It said something else before.
    case stands
    case noticeUnknown = "notice_unknown"
    case scopeMissing = "scope_missing"
    case credentialInvalid = "credential_invalid"
}

/// `exchange.acknowledge`. It waits for whoever acknowledges the same notice, so it belongs on an exclusive connection.
struct Acknowledge: Query {
    let credential: CredentialHash
    let notice: NoticeID
    let body: AcknowledgementBody

    var sql: SQL {
        "SELECT exchange.acknowledge(\(credential.bytes), \(notice), \(body.done.rawValue), \(body.law as String?))"
    }

    func decode(_ row: inout RowReader) throws -> AcknowledgeOutcome {
        guard let outcome = AcknowledgeOutcome(rawValue: try row.next()) else {
            throw DatabaseError.decoding(column: "acknowledge", reason: "is no outcome that this server knows")
        }
        return outcome
    }
}

/// An organisation that has notices to answer.
struct Recipient: Sendable {
    let name: LocalisedText
    let openCount: Int
    let overdueCount: Int
    /// When the first of them is or was due.
    let firstDueAt: Date
    /// How many its webhook did not take.
    let unpostedCount: Int
    /// What its webhook answered last: `status 503`, or a word; nil where none did not take one.
    let outcome: String?
}

/// `exchange.recipients`: for auditors; no row for anybody else.
struct Recipients: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT name, open_count, overdue_count, first_due_at, unposted_count, outcome FROM exchange.recipients(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> Recipient {
        Recipient(
            name: try LocalisedText(row.next()), openCount: try row.next(), overdueCount: try row.next(), firstDueAt: try row.next(),
            unpostedCount: try row.next(), outcome: try row.next())
    }
}

/// A notice to post, and where.
struct Delivery: Sendable {
    let url: String
    /// Which attempt it is, from 1.
    let attempt: Int32
    let notice: Notice
}

/// `exchange.take_deliveries`. It waits for whoever numbers the same notices, so it belongs on an exclusive connection.
struct TakeDeliveries: Query {
    let countMax: Int
    /// Of one organisation.
    var shareMax = NoticeDelivery.deliveriesPerOrganisationMax
    /// Organisations whose earlier posts are not over.
    var busy: [String] = []

    var sql: SQL {
        """
        SELECT url, attempt::integer, number, id, organisation_id, subject, purpose, reason, attributes, since, made_at, due_at, state, done, law, acknowledged_at
        FROM exchange.take_deliveries(\(Int32(countMax)), \(Int32(shareMax)), \(busy))
        """
    }

    func decode(_ row: inout RowReader) throws -> Delivery {
        let (url, attempt) = (try row.next(String.self), try row.next(Int32.self))
        return Delivery(url: url, attempt: attempt, notice: try Notice(number: try row.next(), &row))
    }
}

/// `exchange.note_delivery`.
func noteDelivery(_ delivery: Delivery, isDelivered: Bool, outcome: String) -> SQL {
    "SELECT exchange.note_delivery(\(delivery.notice.id), \(delivery.attempt)::smallint, \(isDelivered), \(outcome))"
}
