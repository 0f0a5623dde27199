// Every statement of the slice. What there is to find comes from the view `catalogue.item` (migrations/0025_catalogue.sql), which holds nothing about
// anybody.
import Foundation
import Postgres
import Web

/// What can be described.
enum CatalogueKind: String, Sendable, CaseIterable, LosslessStringConvertible {
    case attribute
    case service

    init?(_ description: String) { self.init(rawValue: description) }

    var description: String { rawValue }
}

/// Of which kind data are (the city's rule on data classes).
enum Classification: String, Sendable, CaseIterable {
    case open
    case `internal`
    case confidential
}

/// What a steward says of something.
struct Description: Sendable, Hashable {
    let version: Int
    let steward: String
    let classification: Classification
    let schema: String
    let retention: String
}

/// One kind of data, or one service of an organisation.
struct CatalogueItem: Sendable {
    /// What an organisation does with data, and why it may.
    struct Service: Sendable {
        let organisationID: String
        let organisation: LocalisedText
        let title: LocalisedText
        let explanation: LocalisedText
        let purpose: String
        let legalBasis: String
        /// Nil where consent is the basis.
        let law: String?
    }

    let kind: CatalogueKind
    let subject: String
    /// Of a derived attribute: the one that it is an answer about.
    let derivedFrom: String?
    /// Nil for an attribute.
    let service: Service?
    /// What a service reads.
    let attributes: [String]
    let ownerID: String
    let owner: LocalisedText
    /// Nil where no steward has described it yet.
    let described: Description?

    /// Personal data of which nobody said otherwise are confidential.
    var classification: Classification { described?.classification ?? .confidential }
}

/// Everything there is, attributes in the register's order, then services by organisation and purpose.
struct CatalogueItems: Query {
    var sql: SQL {
        """
        SELECT kind, subject, derived_from, organisation_id, organisation_name, title, explanation, purpose, legal_basis, law, attributes, owner_id, owner_name,
            version, steward, classification, schema, retention
        FROM catalogue.item ORDER BY kind, position, organisation_name ->> 'en', purpose
        """
    }

    func decode(_ row: inout RowReader) throws -> CatalogueItem {
        guard let kind = CatalogueKind(rawValue: try row.next()) else { throw DatabaseError.decoding(column: "kind", reason: "is no kind that this server knows") }
        let (subject, derivedFrom) = (try row.next(String.self), try row.next(String?.self))
        return CatalogueItem(
            kind: kind, subject: subject, derivedFrom: derivedFrom, service: try CatalogueItem.Service(&row), attributes: try row.next(), ownerID: try row.next(),
            owner: try LocalisedText(row.next()), described: try Description(&row))
    }
}

extension CatalogueItem.Service {
    /// Nil for an attribute.
    fileprivate init?(_ row: inout RowReader) throws {
        guard let organisationID = try row.next(String?.self) else {
            row.skip(6)
            return nil
        }
        self.organisationID = organisationID
        organisation = try LocalisedText(row.next())
        title = try LocalisedText(row.next())
        explanation = try LocalisedText(row.next())
        purpose = try row.next()
        legalBasis = try row.next()
        law = try row.next()
    }
}

extension Description {
    /// Nil where there is none.
    fileprivate init?(_ row: inout RowReader) throws {
        guard let version = try row.next(Int32?.self) else {
            row.skip(4)
            return nil
        }
        self.version = Int(version)
        steward = try row.next()
        classification = Classification(rawValue: try row.next()) ?? .confidential
        schema = try row.next()
        retention = try row.next()
    }
}

/// How much one organisation asked for in one month; nil: less than is told.
struct MonthlySharing: Sendable {
    /// The first of the month.
    let month: CalendarDay
    let organisation: LocalisedText
    let count: Int?
}

/// `catalogue.sharing_of_month`, the newest first.
struct MonthlySharings: Query {
    /// Two years of fifty organisations.
    private static let rowsMax: Int32 = 1200

    var sql: SQL {
        "SELECT month, name, count FROM catalogue.sharing_of_month ORDER BY month DESC, name ->> 'en' LIMIT \(Self.rowsMax)"
    }

    func decode(_ row: inout RowReader) throws -> MonthlySharing {
        MonthlySharing(month: try row.next(), organisation: try LocalisedText(row.next()), count: try row.next())
    }
}

/// What a steward wants to say.
struct NewDescription: Sendable {
    let kind: CatalogueKind
    let subject: String
    /// The version that the form showed; 0: there was none.
    let readVersion: Int
    let ownerID: String
    let steward: String
    let classification: Classification
    let schema: String
    let retention: String
}

/// What catalogue.describe answers.
enum DescribeOutcome: String, Sendable {
    case recorded
    case unchanged
    /// Somebody else described it meanwhile.
    case stale
    case subjectUnknown = "subject_unknown"
    case ownerUnknown = "owner_unknown"
    case notAllowed = "not_allowed"
}

/// `catalogue.describe`. It waits for whoever describes the same, so it belongs on an exclusive connection.
struct Describe: Query {
    let credential: CredentialHash
    let new: NewDescription

    var sql: SQL {
        """
        SELECT catalogue.describe(\(credential.bytes), \(new.kind.rawValue), \(new.subject), \(Int32(clamping: new.readVersion)), \(new.ownerID), \(new.steward),
            \(new.classification.rawValue), \(new.schema), \(new.retention))
        """
    }

    func decode(_ row: inout RowReader) throws -> DescribeOutcome {
        guard let outcome = DescribeOutcome(rawValue: try row.next()) else {
            throw DatabaseError.decoding(column: "describe", reason: "is no outcome that this server knows")
        }
        return outcome
    }
}

/// One version of a description, with who wrote it.
struct DescriptionVersion: Sendable {
    let version: Int
    let owner: LocalisedText
    let steward: String
    let classification: Classification
    let schema: String
    let retention: String
    let author: String
    let at: Date
}

/// `catalogue.history_of`: no row for anybody but those who describe.
struct DescriptionHistory: Query {
    let credential: CredentialHash
    let kind: CatalogueKind
    let subject: String

    var sql: SQL {
        """
        SELECT version, owner_name, steward, classification, schema, retention, author, at
        FROM catalogue.history_of(\(credential.bytes), \(kind.rawValue), \(subject))
        """
    }

    func decode(_ row: inout RowReader) throws -> DescriptionVersion {
        DescriptionVersion(
            version: Int(try row.next(Int32.self)), owner: try LocalisedText(row.next()), steward: try row.next(),
            classification: Classification(rawValue: try row.next()) ?? .confidential, schema: try row.next(), retention: try row.next(), author: try row.next(),
            at: try row.next())
    }
}

/// Organisations that can be named as owners.
struct Owners: Query {
    var sql: SQL { "SELECT owner_id, owner_name FROM catalogue.owner ORDER BY owner_name ->> 'en'" }

    func decode(_ row: inout RowReader) throws -> (id: String, name: LocalisedText) { (try row.next(), try LocalisedText(row.next())) }
}
