// What staff may choose and what a search may be, as types. Pure.
import Consent
import Foundation
import Postgres
import Primitives

/// Why a record is opened; the law behind each is in `access_log.staff_reason`.
enum OpeningReason: String, CaseIterable, Sendable {
    case identityProofing = "identity_proofing"
    case application
    case correction
    case complaint
    case assistance
}

/// What was seen at the counter.
enum EvidenceKind: String, CaseIterable, Sendable {
    case passport
    case identityCard = "identity_card"
    case residencePermit = "residence_permit"
}

/// The three exact ways to find somebody. There is no browsing and no part of a name.
enum SearchKind: String, CaseIterable, Sendable {
    case publicCode = "public_code"
    case nationalNumber = "national_number"
    case nameAndBirthDate = "name_and_birth_date"
}

/// How a paper form was signed.
enum SignatureMethod: String, CaseIterable, Sendable {
    case signature
    case thumbprint
    /// Somebody else attests it, and is named.
    case witness
}

/// What a paper consent form says.
enum PaperDecision: String, CaseIterable, Sendable {
    case given
    case withdrawn
}

/// A paper consent form as it is keyed.
struct PaperConsent: Sendable {
    var id: UUID
    var formReference: PublicCode
    var activityID: ActivityID
    var decision: PaperDecision
    /// What was ticked; nil for a withdrawal, which ends everything.
    var attributes: [String]?
    var helperName: String
    var signatureMethod: SignatureMethod
    var witnessName: String?
    var wasReadBack: Bool
    var signedOn: CalendarDay
}

enum CaseworkLimits {
    /// Longest case reference, in characters: what the log's column takes.
    static let caseReferenceCharactersMax = 64
    /// Longest name of a person, in characters: what the columns take.
    static let nameCharactersMax = 200
    /// Longest corrected value, in characters: as in an import.
    static let valueCharactersMax = 200
    /// Longest full given names in a search, in characters; some cultures write many.
    static let searchNameCharactersMax = 500
}
