// Every statement of the slice. The functions behind them derive the member of staff from the session (migrations/0012_casework.sql).
import AccessLog
import Consent
import Foundation
import Postgres
public import Primitives
import Register
import Web

public enum OpeningTag {}
public typealias OpeningID = ID<OpeningTag>

/// Keeps the reason of a permitted search for the pages about the record that it found.
struct OpenRecord: Query {
    let credential: CredentialHash
    let openingID: OpeningID
    let searchEntryID: AccessEntryID

    var sql: SQL { "SELECT casework.open_record(\(credential.bytes), \(openingID.uuid), \(searchEntryID.uuid))" }
    func decode(_ row: inout RowReader) throws -> OpeningID? { try row.next(UUID?.self).map(OpeningID.init) }
}

/// A record that is open for this member of staff, with the reason that was given.
struct Opening: Sendable {
    let id: OpeningID
    let residentID: ResidentID
    let publicCode: String
    let reason: String
    let caseReference: String
    let expiresAt: Date
    let hasAccount: Bool
}

struct FindOpening: Query {
    let credential: CredentialHash
    let id: OpeningID

    var sql: SQL {
        "SELECT resident_id, public_code, reason, case_reference, expires_at, has_account FROM casework.opening_of(\(credential.bytes), \(id.uuid))"
    }

    func decode(_ row: inout RowReader) throws -> Opening {
        Opening(
            id: id, residentID: ResidentID(try row.next(UUID.self)), publicCode: try row.next(), reason: try row.next(), caseReference: try row.next(),
            expiresAt: try row.next(), hasAccount: try row.next())
    }
}

/// Links the account of who stands at the counter to the open record.
struct ProveIdentityStatement: Query {
    let credential: CredentialHash
    let openingID: OpeningID
    let evidenceID: UUID
    let accountCode: PublicCode
    let evidence: EvidenceKind
    let language: Language

    var sql: SQL {
        """
        SELECT casework.prove_identity(
            \(credential.bytes), \(openingID.uuid), \(evidenceID), \(accountCode.description), \(evidence.rawValue), \(language.tag))
        """
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// Registers a form that is about to be printed; false where there is no such sharing.
struct PrintForm: Query {
    let credential: CredentialHash
    let reference: PublicCode
    let activity: ActivityID
    let language: Language

    var sql: SQL { "SELECT casework.print_form(\(credential.bytes), \(reference.description), \(activity.uuid), \(language.tag))" }
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// What a printed form is about, in which version and language its text stands on it.
struct PrintedForm: Sendable {
    let activityID: ActivityID
    let policyVersion: Int
    let language: String
}

struct FindPrintedForm: Query {
    let credential: CredentialHash
    let reference: PublicCode

    var sql: SQL { "SELECT activity_id, policy_version, language FROM casework.printed_form_of(\(credential.bytes), \(reference.description))" }

    func decode(_ row: inout RowReader) throws -> PrintedForm {
        PrintedForm(activityID: ActivityID(try row.next(UUID.self)), policyVersion: Int(try row.next(Int32.self)), language: try row.next())
    }
}

struct KeyPaperConsentStatement: Query {
    let credential: CredentialHash
    let openingID: OpeningID
    /// The committed entry that tells the resident of this form.
    let entryID: AccessEntryID
    let submission: PaperConsent

    var sql: SQL {
        """
        SELECT casework.key_paper_consent(
            \(credential.bytes), \(openingID.uuid), \(entryID.uuid), \(submission.id), \(submission.formReference.description),
            \(submission.activityID.uuid), \(submission.decision.rawValue), \(submission.attributes as [String]?), \(submission.helperName),
            \(submission.signatureMethod.rawValue), \(submission.witnessName as String?), \(submission.wasReadBack), \(submission.signedOn))
        """
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// A paper form that was keyed for the resident whose record is open.
struct PaperSubmission: Sendable {
    let id: UUID
    let formReference: String
    let activityID: ActivityID
    let decision: String
    let attributes: [String]
    let keyedBy: String
    let helperName: String
    let signatureMethod: String
    let witnessName: String?
    let signedOn: CalendarDay
    let keyedAt: Date
}

struct PaperSubmissions: Query {
    let credential: CredentialHash
    let openingID: OpeningID

    var sql: SQL {
        """
        SELECT id, form_reference, activity_id, decision, attributes, keyed_by, helper_name, signature_method, witness_name, signed_on, keyed_at
        FROM casework.paper_submissions_of(\(credential.bytes), \(openingID.uuid))
        """
    }

    func decode(_ row: inout RowReader) throws -> PaperSubmission {
        PaperSubmission(
            id: try row.next(), formReference: try row.next(), activityID: ActivityID(try row.next(UUID.self)),
            decision: try row.next(), attributes: try row.next(), keyedBy: try row.next(), helperName: try row.next(), signatureMethod: try row.next(), witnessName: try row.next(), signedOn: try row.next(), keyedAt: try row.next())
    }
}
