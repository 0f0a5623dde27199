// Organisations and their purposes are entered by the city's engineers, with the owner's role; the role that serves cannot add one.
public import Postgres
public import Primitives
public import Web
import Foundation

/// A purpose of an organisation, with the first version of its policy.
public struct NewActivity: Sendable {
    public var id: ActivityID
    public var organisationID: String
    public var purpose: String
    public var legalBasis: LegalBasis
    /// Named to residents; nil exactly where consent is the basis.
    public var law: String?
    /// How long the organisation keeps what it received, in words for residents; nil: it has not said.
    public var retention: LocalisedText?
    /// The law that says so; only beside `retention`.
    public var retentionLaw: String?
    /// The law by which an authority may delay what residents are told of it; nil: none, and always where consent is the basis.
    public var delayLaw: String?
    public var attributes: [String]
    public var title: LocalisedText
    /// What people read before they switch it on, or beside the law.
    public var explanation: LocalisedText
    /// For how many months an agreement lasts, at most 120; nil: until it is withdrawn.
    public var validMonths: Int?
    /// How many times in 24 hours the organisation reads about one resident at most, up to 1,000; nil: as often as its volume allows.
    public var readsPerDayMax: Int?

    public init(
        id: ActivityID = .new(), organisationID: String, purpose: String, legalBasis: LegalBasis = .consent, law: String? = nil, attributes: [String],
        title: LocalisedText, explanation: LocalisedText, validMonths: Int? = nil, retention: LocalisedText? = nil, retentionLaw: String? = nil,
        delayLaw: String? = nil, readsPerDayMax: Int? = nil
    ) {
        self.id = id
        self.organisationID = organisationID
        self.purpose = purpose
        self.legalBasis = legalBasis
        self.law = law
        self.attributes = attributes
        self.title = title
        self.explanation = explanation
        self.validMonths = validMonths
        self.retention = retention
        self.retentionLaw = retentionLaw
        self.delayLaw = delayLaw
        self.readsPerDayMax = readsPerDayMax
    }
}

/// Enters organisations and purposes.
public struct ConsentAdministration: Sendable {
    private let owner: Database

    /// - Parameter owner: a database of the role `stoa_owner`.
    public init(owner: Database) {
        self.owner = owner
    }

    /// Adds an organisation. Returns false when there is one with this id, which stays as it is.
    /// - Parameters:
    ///   - kind: one of `consent.organisation.kind`.
    ///   - owner: a connection of the owner's role; a transaction where its client is to be registered with it or not at all.
    public static func addOrganisation(id: String, name: LocalisedText, kind: String, with owner: some Executor) async throws -> Bool {
        try await owner.execute(
            "INSERT INTO consent.organisation (id, name, kind) VALUES (\(id), \(name.json), \(kind)) ON CONFLICT (id) DO NOTHING") == 1
    }

    /// Adds a purpose with its policy. Returns false when the organisation has this purpose already, which stays as it is.
    /// - Throws: `DatabaseError` naming the rule that is broken: an unknown attribute, a law beside consent.
    public func addActivity(_ activity: NewActivity) async throws -> Bool {
        try await owner.transaction { transaction in
            let added = try await transaction.execute(
                """
                INSERT INTO consent.processing_activity (id, organisation_id, purpose, legal_basis, law, retention, retention_law, delay_law)
                VALUES (\(activity.id.uuid), \(activity.organisationID), \(activity.purpose), \(activity.legalBasis.rawValue), \(activity.law as String?),
                        \(activity.retention?.json as JSONText?), \(activity.retentionLaw as String?), \(activity.delayLaw as String?))
                ON CONFLICT (organisation_id, purpose) DO NOTHING
                """)
            guard added == 1 else { return false }
            try await transaction.execute(
                """
                INSERT INTO consent.policy (activity_id, version, attributes, title, explanation, valid_months, reads_per_day_max)
                VALUES (\(activity.id.uuid), 1, \(activity.attributes), \(activity.title.json), \(activity.explanation.json),
                        \(activity.validMonths.map { Int32(clamping: $0) } as Int32?), \(activity.readsPerDayMax.map { Int32(clamping: $0) } as Int32?))
                """)
            return true
        }
    }
}
