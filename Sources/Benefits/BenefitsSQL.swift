// Every statement of benefits: text, binds and row together. Who acts follows from the credential, in the database.
import AccessLog
import Foundation
import Ledger
import Postgres
import Primitives
import Web

struct Programme: Sendable {
    let id: String
    let name: LocalisedText
    let paymentMax: Money
}

/// The programmes that pay today.
struct OpenProgrammes: Query {
    var sql: SQL { "SELECT id, name, currency, payment_max FROM benefits.programme WHERE closed_at IS NULL ORDER BY id" }

    func decode(_ row: inout RowReader) throws -> Programme {
        let id = try row.next(String.self)
        let name = try LocalisedText(row.next())
        let currency = try Currency(column: row.next())
        return Programme(id: id, name: name, paymentMax: Money(minorUnits: try row.next(), currency: currency))
    }
}

/// A payment as staff see it.
struct Disbursement: Sendable {
    let id: DisbursementID
    let programme: LocalisedText
    let law: String
    /// The code that the preparer typed; nil in lists.
    let publicCode: String?
    let caseReference: String
    let amount: Money
    let reason: String
    let preparedBy: String
    let preparedByViewer: Bool
    let preparedAt: Date
    let state: DisbursementState
    let decidedBy: String?
    let decidedAt: Date?
    let refusalReason: String?
}

/// The payments that wait for this approver, those left out that they prepared themselves: `benefits.waiting_for`. Nil when none waits.
struct WaitingForApproval: Query {
    let credential: CredentialHash

    struct Waiting: Sendable {
        let count: Int
        let oldest: Date
    }

    var sql: SQL { "SELECT count, oldest FROM benefits.waiting_for(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> Waiting? {
        let count = try row.next(Int.self)
        return try row.next(Date?.self).map { Waiting(count: count, oldest: $0) }
    }
}

/// Newest first; one, where its id is given. No row for staff without a role for it.
struct Disbursements: Query {
    let credential: CredentialHash
    var id: DisbursementID?
    var before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT id, programme_name, law, public_code, case_reference, currency, amount, reason, prepared_by_name, prepared_by_me, prepared_at,
               decision, decided_by_name, decided_at, refusal_reason
        FROM benefits.disbursements_for(\(credential.bytes), \(id as DisbursementID?), \(before?.at as Date?), \(before?.id as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Disbursement {
        let id = DisbursementID(try row.next(UUID.self))
        let programme = try LocalisedText(row.next())
        let law = try row.next(String.self)
        let publicCode = try row.next(String?.self)
        let caseReference = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return Disbursement(
            id: id, programme: programme, law: law, publicCode: publicCode, caseReference: caseReference,
            amount: Money(minorUnits: try row.next(), currency: currency), reason: try row.next(), preparedBy: try row.next(),
            preparedByViewer: try row.next(), preparedAt: try row.next(),
            state: DisbursementState(rawValue: try row.next(String?.self) ?? "prepared") ?? .prepared, decidedBy: try row.next(),
            decidedAt: try row.next(), refusalReason: try row.next())
    }
}

/// `benefits.prepare`: for the resident whom the committed access entry names.
struct Prepare: Query {
    let credential: CredentialHash
    let id: DisbursementID
    let entry: AccessEntryID
    let programme: String
    let amount: Money
    let reason: String

    var sql: SQL {
        "SELECT benefits.prepare(\(credential.bytes), \(id), \(entry), \(programme), \(amount.minorUnits), \(reason))"
    }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `benefits.approve`. May wait for the treasury's account, so it runs in a transaction.
struct Approve: Query {
    let credential: CredentialHash
    let id: DisbursementID
    let transfer: TransferID

    struct Row: Sendable {
        let outcome: String
        /// Who was paid what, when it was approved now.
        let paid: Paid?
    }

    struct Paid: Sendable {
        let resident: ResidentID
        let amount: Money
        let caseReference: String
        /// Of the resident's account; English where there is none.
        let language: Language
    }

    var sql: SQL {
        "SELECT outcome, resident, amount, currency, case_reference, language FROM benefits.approve(\(credential.bytes), \(id), \(transfer))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let outcome = try row.next(String.self)
        let resident = try row.next(UUID?.self)
        let amount = try row.next(Int64?.self)
        let currency = try row.next(String?.self)
        let caseReference = try row.next(String?.self)
        let language = try row.next(String?.self).flatMap { Language(rawValue: $0) } ?? .english
        guard let resident, let amount, let currency, let caseReference else { return Row(outcome: outcome, paid: nil) }
        return Row(
            outcome: outcome,
            paid: Paid(
                resident: ResidentID(resident), amount: Money(minorUnits: amount, currency: try Currency(column: currency)),
                caseReference: caseReference, language: language))
    }
}

/// `benefits.refuse`.
struct Refuse: Query {
    let credential: CredentialHash
    let id: DisbursementID
    let reason: String

    var sql: SQL { "SELECT benefits.refuse(\(credential.bytes), \(id), \(reason))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `benefits.received_by`.
struct ReceivedBy: Query {
    let credential: CredentialHash
    let before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT disbursement_id, transfer_id, programme_name, law, currency, amount, reason, case_reference, paid_at
        FROM benefits.received_by(\(credential.bytes), \(before?.at as Date?), \(before?.id as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> ReceivedBenefit {
        let id = DisbursementID(try row.next(UUID.self))
        let transferID = TransferID(try row.next(UUID.self))
        let programme = try LocalisedText(row.next())
        let law = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return ReceivedBenefit(
            id: id, transferID: transferID, programme: programme, law: law, amount: Money(minorUnits: try row.next(), currency: currency),
            reason: try row.next(), caseReference: try row.next(), paidAt: try row.next())
    }
}
