// One line of "who looked at your data", as the database gives it to the resident whom it is about.
public import Foundation
public import Primitives
public import Web

/// An access entry with the names that the registers give to its ids.
public struct AccessEntry: Sendable {
    public let id: AccessEntryID
    public let at: Date
    public let organisationID: String?
    public let organisationName: LocalisedText?
    /// The organisation's system that asked; nil for people.
    public let clientID: String?
    let actorRole: String
    public let operation: String
    let purpose: String
    let purposeTitle: LocalisedText?
    /// The processing activity that the purpose belongs to: where its switch is, or the law that stands in its place.
    let activityID: UUID?
    let attributes: [String]
    let legalBasis: String?
    let law: String?
    let consentAt: Date?
    let caseReference: String?
    let outcome: String
    let refusal: String?
    /// Whether the paper form that was brought was entered, or refused and nothing changed; nil for everything else.
    let formEntered: Bool?
    /// Who helped the resident with a paper form, as it stands on the form.
    let helperName: String?
    let leafIndex: Int64?
    /// How many people the list was about that this entry is one of; nil for what is no list.
    let count: Int?
    /// The resident's question about this entry, if there is one.
    let question: QuestionState?
    /// The emergency in which a protected record was opened; nil for everything else.
    let emergency: EmergencyState?
    /// Who acted, where an auditor decided to tell the name.
    let releasedName: ReleasedName?

    /// A guardian's look at what is shared of the child that the resident is (migrations/0023).
    var isGuardianView: Bool { operation == "guardian_view" }
    /// Somebody acted for the resident under a mandate.
    var isHelp: Bool { operation == "mandate_view" || operation == "mandate_act" }

    /// Residents' views of their own data, which nobody else has to answer for.
    public var isOwnView: Bool { operation == AccessOperation.ownView.rawValue }
}

/// How far a question about an entry has come.
struct QuestionState: Sendable {
    let askedAt: Date
    let dueAt: Date
    let answeredAt: Date?
}

/// How far the review of an emergency has come.
struct EmergencyState: Sendable {
    /// Nil where nobody wrote a reason after all, and so nothing was opened.
    let reviewDueAt: Date?
    /// `justified` or `not_justified`.
    let finding: String?
    let reviewedAt: Date?
}

/// A member of staff by name.
struct ReleasedName: Sendable, CustomStringConvertible {
    let name: String
    let username: String

    var description: String { "\(name) (\(username))" }
}
