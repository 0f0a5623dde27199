// The public face of consent: who may ask for what, why, and what one resident has decided about it. Other slices take these
// types and `ConsentRegister`; the switch itself is in DecideConsent.swift, its rules in ConsentRules.swift and migrations/0007.
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

/// A text that a register holds in several languages.
public struct RegisterText: Sendable, Hashable {
    /// By language tag; English is always there.
    let texts: [String: String]

    /// - Parameter json: an object of texts by language tag, as in `consent.organisation.name`.
    /// - Throws: `DatabaseError.decoding` when the column holds anything else.
    public init(_ json: JSONText) throws {
        guard case .object(let members)? = try? JSONScanner.scan(Array(json.text.utf8)) else {
            throw DatabaseError.decoding(column: "a text in several languages", reason: "is no JSON object")
        }
        texts = Dictionary(members.compactMap { member in member.value.text.map { (member.name, $0) } }, uniquingKeysWith: { first, _ in first })
    }

    /// The text in a language, in English where it is missing.
    public func text(in language: Language) -> String {
        texts[language.tag] ?? texts[Language.english.tag] ?? ""
    }
}

/// An organisation's purpose as it stands today, with the policy version that people are shown.
public struct ProcessingActivity: Sendable, Hashable {
    public let id: ActivityID
    public let organisationID: String
    public let organisationName: RegisterText
    /// A stable word, like `vaccination-reminders`.
    public let purpose: String
    public let legalBasis: LegalBasis
    /// The law that is named where consent is not the basis.
    public let law: String?
    public let policyVersion: Int
    /// What is read, in the policy's order.
    public let attributes: [String]
    public let title: RegisterText
    public let explanation: RegisterText
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
