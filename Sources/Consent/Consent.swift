// The public face of consent: who may ask for what, why, and what one resident has decided about it. The counter takes these
// types and `ConsentRegister` for its paper forms; the switch itself is in DecideConsent.swift, its rules in ConsentRules.swift and migrations/0007.
public import Primitives
public import Postgres
public import Web

/// What `ActivityID` names: organisation × purpose.
public enum ProcessingActivityTag {}
public typealias ActivityID = ID<ProcessingActivityTag>

/// Why the law lets an organisation process personal data: GDPR Art. 6(1), letters a to f.
public enum LegalBasis: String, Sendable, CaseIterable, Hashable {
    case consent
    case contract
    case legalObligation = "legal_obligation"
    case vitalInterests = "vital_interests"
    case publicTask = "public_task"
    case legitimateInterests = "legitimate_interests"
}

/// An organisation's purpose as it stands today, with the policy version that people are shown.
public struct ProcessingActivity: Sendable, Hashable {
    public let id: ActivityID
    public let organisationID: String
    public let organisationName: LocalisedText
    /// A stable word, like `vaccination-reminders`.
    public let purpose: String
    public let legalBasis: LegalBasis
    /// The law that is named where consent is not the basis.
    public let law: String?
    /// How long the organisation keeps what it received; nil where it has not said.
    public let retention: LocalisedText?
    /// The law that says so, if one does.
    public let retentionLaw: String?
    public let policyVersion: Int
    /// For how many months an agreement to this version lasts; nil: until it is withdrawn.
    public let validMonths: Int?
    /// How many times in 24 hours the organisation reads it at most; nil: not said.
    public let readsPerDayMax: Int?
    /// What is read, in the policy's order.
    public let attributes: [String]
    public let title: LocalisedText
    public let explanation: LocalisedText
}

/// The register of processing activities, for every slice that has to name them.
public struct ConsentRegister: Sendable {
    private let database: Database

    public init(database: Database) {
        self.database = database
    }

    /// Every organisation's purposes, by organisation and then by purpose.
    public func activities() async throws -> [ProcessingActivity] {
        try await database.query(AllActivities())
    }
}
