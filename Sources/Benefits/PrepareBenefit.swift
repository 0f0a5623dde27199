// Preparing a payment: the resident is looked up through the door first, under the case it is for; without that entry in the access log
// the database takes no payment for them. Decided in `benefits.prepare` (0011_benefits.sql).
import AccessLog
import Postgres
import Primitives
import Web

/// What the form asks for, understood.
struct BenefitDraft: Sendable {
    /// Made with the form, so that a form sent twice prepares one payment.
    let id: DisbursementID
    let publicCode: PublicCode
    let caseReference: String
    let programme: Programme
    let amount: Money
    let reason: String
}

/// Why a payment was not prepared.
enum PrepareRefusal: Error, Sendable, Hashable {
    /// The look-up was refused, or found nobody.
    case lookup(Refusal)
    case roleMissing
    case programmeUnknown
    case amountOverLimit
    /// The form's id was used for another payment.
    case idConflict
    /// The look-up is not in the log, or too long ago. Trying again helps.
    case lookupMissing
}

struct PrepareBenefit: Sendable {
    let database: Database
    let door: Door

    /// - Throws: ``PrepareRefusal``; `DatabaseError`; `GroupCommitError.queueFull`.
    func perform(_ draft: BenefitDraft, by credential: CredentialHash) async throws {
        let search = AccessRequest(
            credential: credential, operation: .search, subject: .publicCode(draft.publicCode), attributes: [], purpose: Self.purpose,
            caseReference: draft.caseReference)
        let entry: AccessEntryID
        do {
            entry = try await door.read(search).entryID
        } catch let refused as RefusedAccess {
            throw PrepareRefusal.lookup(refused.refusal)
        }
        let outcome = try await database.one(
            Prepare(
                credential: credential, id: draft.id, entry: entry, programme: draft.programme.id, amount: draft.amount, reason: draft.reason))
        switch outcome {
        case "prepared", "exists": return
        case "role_missing": throw PrepareRefusal.roleMissing
        case "programme_unknown": throw PrepareRefusal.programmeUnknown
        case "amount_over_limit": throw PrepareRefusal.amountOverLimit
        case "id_conflict": throw PrepareRefusal.idConflict
        default: throw PrepareRefusal.lookupMissing
        }
    }

    /// The staff reason of migrations/0008 that covers payments.
    static let purpose = "application"
}
