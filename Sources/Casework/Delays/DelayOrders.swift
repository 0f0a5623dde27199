// Orders by which an authority delays that a resident is told what one organisation reads about them. Auditors enter and review them; what an order does is the
// log's business (migrations/0049_delayed_disclosure.sql).
import AccessLog
import Foundation
import Postgres
import Primitives
import Web

/// What `DelayOrderID` names.
enum DelayOrderTag {}
typealias DelayOrderID = ID<DelayOrderTag>

/// A purpose of an organisation for which a law lets telling be delayed.
struct DelayableActivity: Sendable {
    let organisationID: String
    let purpose: String
    let organisationName: LocalisedText
    let purposeTitle: LocalisedText
    let law: String

    /// As forms name it.
    var key: String { "\(organisationID) \(purpose)" }
}

/// What an auditor enters.
struct NewDelayOrder: Sendable {
    let nationalNumber: [UInt8]
    let activity: DelayableActivity
    let authority: String
    let ground: String
    /// The order ends at the beginning of this day, unless it is kept.
    let review: CalendarDay
    let last: CalendarDay
}

/// `access_log.set_seal`
enum SettingDelay: String, Sendable {
    case set
    case notPermitted = "not_permitted"
    case activityUnknown = "activity_unknown"
    case datesInvalid = "dates_invalid"
    case subjectUnknown = "subject_unknown"
}

/// `access_log.review_seal`
enum ReviewingDelay: String, Sendable {
    case kept, ended, own, unknown
    case notPermitted = "not_permitted"
    case alreadyEnded = "already_ended"
    case datesInvalid = "dates_invalid"
}

/// An order that lasts. Whom it is about is told to nobody.
struct DelayOrder: Sendable {
    let id: DelayOrderID
    let authority: String
    let ground: String
    let organisationName: LocalisedText
    let purposeTitle: LocalisedText
    let setAt: Date
    let setBy: String
    /// Whether the auditor who asks set it, and so may not keep it.
    let isOwn: Bool
    let reviewAt: Date
    let lastAt: Date
}

/// What everybody may know of one authority's orders, as of the beginning of the month.
struct DelayFigures: Sendable {
    let authority: String
    let setCount: Int64
    let inForceCount: Int64
    let readCount: Int64
}

/// Enters, reviews and counts orders.
struct DelayOrders: Sendable {
    let database: Database
    /// Of the city, whose days count.
    let zone: TimeZone

    static let authorityCharactersMax = 100
    /// As long as a case reference, which it is in the log.
    static let groundCharactersMax = 64

    func activities() async throws -> [DelayableActivity] { try await database.query(DelayableActivities()) }

    /// Decided in `access_log.set_seal` (0049_delayed_disclosure.sql).
    func set(_ order: NewDelayOrder, by session: CredentialHash) async throws -> SettingDelay {
        try await database.exclusive { try await $0.one(SetSeal(order: order, zone: zone, session: session)) }
    }

    /// Decided in `access_log.review_seal` (0049_delayed_disclosure.sql).
    /// - Parameter review: the next day of review; nil ends the order now.
    func review(_ id: DelayOrderID, until review: CalendarDay?, by session: CredentialHash) async throws -> ReviewingDelay {
        try await database.exclusive { try await $0.one(ReviewSeal(id: id, review: review, zone: zone, session: session)) }
    }

    /// Those first that are to be reviewed first; nothing for anybody but an auditor.
    func inForce(for session: CredentialHash) async throws -> [DelayOrder] { try await database.query(SealsInForce(session: session)) }

    func figures() async throws -> [DelayFigures] { try await database.query(SealFigures(zone: zone)) }
}

// MARK: Statements

/// `access_log.delayable_activities`
private struct DelayableActivities: Query {
    var sql: SQL { "SELECT organisation_id, purpose, organisation_name, purpose_title, delay_law FROM access_log.delayable_activities()" }

    func decode(_ row: inout RowReader) throws -> DelayableActivity {
        DelayableActivity(
            organisationID: try row.next(), purpose: try row.next(), organisationName: try LocalisedText(row.next()),
            purposeTitle: try LocalisedText(row.next()), law: try row.next())
    }
}

private struct SetSeal: Query {
    let order: NewDelayOrder
    let zone: TimeZone
    let session: CredentialHash

    var sql: SQL {
        """
        SELECT access_log.set_seal(
            \(session.bytes), \(AccessEntryID.new()), \(order.nationalNumber), \(order.activity.organisationID), \(order.activity.purpose), \(order.authority),
            \(order.ground), \(order.review)::timestamp AT TIME ZONE \(zone.identifier)::text, \(order.last)::timestamp AT TIME ZONE \(zone.identifier)::text)
        """
    }

    func decode(_ row: inout RowReader) throws -> SettingDelay { try row.next(word: SettingDelay.self) }
}

private struct ReviewSeal: Query {
    let id: DelayOrderID
    let review: CalendarDay?
    let zone: TimeZone
    let session: CredentialHash

    var sql: SQL {
        "SELECT access_log.review_seal(\(session.bytes), \(id), (\(review as CalendarDay?)::date)::timestamp AT TIME ZONE \(zone.identifier)::text)"
    }

    func decode(_ row: inout RowReader) throws -> ReviewingDelay { try row.next(word: ReviewingDelay.self) }
}

/// `access_log.seals_in_force`
private struct SealsInForce: Query {
    let session: CredentialHash

    var sql: SQL {
        """
        SELECT id, authority, ground, organisation_name, purpose_title, set_at, set_by, is_own, review_at, maximum_at
        FROM access_log.seals_in_force(\(session.bytes))
        """
    }

    func decode(_ row: inout RowReader) throws -> DelayOrder {
        DelayOrder(
            id: DelayOrderID(try row.next(UUID.self)), authority: try row.next(), ground: try row.next(), organisationName: try LocalisedText(row.next()),
            purposeTitle: try LocalisedText(row.next()), setAt: try row.next(), setBy: try row.next(), isOwn: try row.next(), reviewAt: try row.next(),
            lastAt: try row.next())
    }
}

/// `access_log.seal_figures`
private struct SealFigures: Query {
    let zone: TimeZone

    var sql: SQL { "SELECT authority, set_count, in_force_count, read_count FROM access_log.seal_figures(\(zone.identifier))" }

    func decode(_ row: inout RowReader) throws -> DelayFigures {
        DelayFigures(authority: try row.next(), setCount: try row.next(), inForceCount: try row.next(), readCount: try row.next())
    }
}
