// Every statement of payouts: text, binds and row together. Who acts follows from the credential, in the database (migrations/0035).
import AccessLog
import Foundation
import Ledger
import Postgres
import Primitives
import Web

// MARK: Residents

/// `payouts.give_account`.
struct GiveAccount: Query {
    let credential: CredentialHash
    let id: PayoutAccountID
    let sealed: [UInt8]

    var sql: SQL { "SELECT outcome, usable_from FROM payouts.give_account(\(credential.bytes), \(id), \(sealed))" }

    func decode(_ row: inout RowReader) throws -> (outcome: String, usableFrom: Date?) { (try row.next(), try row.next()) }
}

/// `payouts.end_account`.
struct EndAccount: Query {
    let credential: CredentialHash
    let id: PayoutAccountID

    var sql: SQL { "SELECT payouts.end_account(\(credential.bytes), \(id))" }

    func decode(_ row: inout RowReader) throws -> Bool? { try row.next() }
}

/// The resident's accounts as they lie sealed: `payouts.accounts_of`.
struct AccountsOf: Query {
    struct Row: Sendable {
        let id: PayoutAccountID
        let sealed: [UInt8]
        let givenAt: Date
        let usableFrom: Date
        let isWaiting: Bool
        let isUsed: Bool
        let key: SealingKey
    }

    let credential: CredentialHash

    var sql: SQL {
        "SELECT id, sealed_account, given_at, usable_from, is_waiting, is_used, holder_id, key_id, wrapped_key FROM payouts.accounts_of(\(credential.bytes))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            id: PayoutAccountID(try row.next(UUID.self)), sealed: try row.next(), givenAt: try row.next(), usableFrom: try row.next(), isWaiting: try row.next(),
            isUsed: try row.next(),
            key: try SealingKey(&row))
    }
}

/// `payouts.take_out`. May wait for an account of the ledger.
struct TakeOut: Query {
    let credential: CredentialHash
    let id: PayoutID
    let amount: Money

    var sql: SQL { "SELECT payouts.take_out(\(credential.bytes), \(id), \(amount.currency.code), \(amount.minorUnits))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `payouts.issue_again`.
struct IssueAgain: Query {
    let credential: CredentialHash
    let id: PayoutID
    let payout: PayoutID

    var sql: SQL { "SELECT payouts.issue_again(\(credential.bytes), \(id), \(payout))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// A resident's own payout.
struct OwnPayout: Sendable {
    let id: PayoutID
    let kind: String
    let amount: Money
    /// What stands on the account statement.
    let endToEndID: String
    let createdAt: Date
    let state: PayoutState
    let since: Date
    let reason: String?
    let mayIssueAgain: Bool
}

/// `payouts.payouts_of`.
struct PayoutsOf: Query {
    let credential: CredentialHash
    /// Only this one.
    var id: PayoutID?
    let before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT id, kind, currency, amount, end_to_end_id, created_at, state, since, reason, may_issue_again
        FROM payouts.payouts_of(\(credential.bytes), \(id as PayoutID?), \(before?.at as Date?), \(before?.id as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> OwnPayout {
        let id = PayoutID(try row.next(UUID.self))
        let kind = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return OwnPayout(
            id: id, kind: kind, amount: Money(minorUnits: try row.next(), currency: currency), endToEndID: try row.next(), createdAt: try row.next(),
            state: try PayoutState(column: row.next()), since: try row.next(), reason: try row.next(), mayIssueAgain: try row.next())
    }
}

extension PayoutState {
    /// - Throws: for a word that this version does not know.
    init(column: String) throws {
        guard let state = PayoutState(rawValue: column) else { throw DatabaseError.decoding(column: "state", reason: "is no state of a payout") }
        self = state
    }
}

// MARK: Finance officers

extension Database {
    /// One statement about a whole batch, in a transaction of its own. Of 100,000 payments it takes some six seconds on a quiet machine, near the ten that
    /// statements have; a minute lies within what a request has.
    func aboutBatch<Q: Query>(_ query: Q) async throws -> Q.Row {
        try await transaction { transaction in
            try await transaction.execute("SET LOCAL statement_timeout = '60s'")
            return try await transaction.one(query)
        }
    }
}

/// What a batch would hold if it were prepared now.
struct PayoutPlan: Sendable {
    let total: Money
    let readyCount: Int
    let coolingCount: Int
    let missingCount: Int
    let likelyDuplicates: Int
}

/// `payouts.plan`: one a currency in which something waits.
struct Plans: Query {
    let credential: CredentialHash

    var sql: SQL {
        "SELECT currency, ready_count, ready_sum, cooling_count, missing_count, likely_duplicates FROM payouts.plan(\(credential.bytes))"
    }

    func decode(_ row: inout RowReader) throws -> PayoutPlan {
        let currency = try Currency(column: row.next())
        let readyCount = try row.next(Int.self)
        return PayoutPlan(
            total: Money(minorUnits: try row.next(), currency: currency), readyCount: readyCount, coolingCount: try row.next(), missingCount: try row.next(),
            likelyDuplicates: try row.next())
    }
}

/// `payouts.prepare`.
struct PrepareBatch: Query {
    let credential: CredentialHash
    let id: PayoutBatchID
    let currency: Currency
    let executeOn: CalendarDay

    var sql: SQL { "SELECT outcome FROM payouts.prepare(\(credential.bytes), \(id), \(currency.code), \(executeOn))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `payouts.approve`.
struct ApproveBatch: Query {
    let credential: CredentialHash
    let id: PayoutBatchID

    var sql: SQL { "SELECT payouts.approve(\(credential.bytes), \(id))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `payouts.refuse`.
struct RefuseBatch: Query {
    let credential: CredentialHash
    let id: PayoutBatchID
    let reason: String

    var sql: SQL { "SELECT payouts.refuse(\(credential.bytes), \(id), \(reason))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// A batch as staff see it.
struct PayoutBatch: Sendable {
    enum Decision: String, Sendable {
        case approved
        case refused
    }

    let id: PayoutBatchID
    let reference: String
    let count: Int
    let controlSum: Money
    let executeOn: CalendarDay
    let preparedBy: String
    let preparedByViewer: Bool
    let preparedAt: Date
    let decision: Decision?
    let decidedBy: String?
    let decidedAt: Date?
    let refusalReason: String?
    let sha256: [UInt8]?
    let bytes: Int?
    let settled: Int
    let rejected: Int
    let returned: Int
}

/// `payouts.batches_for`, newest first; one, where its id is given. No row for staff without a role for it.
struct Batches: Query {
    let credential: CredentialHash
    var id: PayoutBatchID?
    var before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT id, reference, currency, count, control_sum, execute_on, prepared_by_name, prepared_by_me, prepared_at, decision, decided_by_name, decided_at,
               refusal_reason, sha256, bytes, settled, rejected, returned
        FROM payouts.batches_for(\(credential.bytes), \(id as PayoutBatchID?), \(before?.at as Date?), \(before?.id as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> PayoutBatch {
        let id = PayoutBatchID(try row.next(UUID.self))
        let reference = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return PayoutBatch(
            id: id, reference: reference, count: try row.next(), controlSum: Money(minorUnits: try row.next(), currency: currency), executeOn: try row.next(),
            preparedBy: try row.next(), preparedByViewer: try row.next(), preparedAt: try row.next(),
            decision: try row.next(String?.self).flatMap { PayoutBatch.Decision(rawValue: $0) }, decidedBy: try row.next(), decidedAt: try row.next(),
            refusalReason: try row.next(), sha256: try row.next(), bytes: try row.next(), settled: try row.next(Int?.self) ?? 0,
            rejected: try row.next(Int?.self) ?? 0, returned: try row.next(Int?.self) ?? 0)
    }
}

/// The batches that wait for this officer's decision: `payouts.waiting_for`. Nil when none waits.
struct WaitingBatches: Query {
    let credential: CredentialHash

    struct Waiting: Sendable {
        let count: Int
        let oldest: Date
    }

    var sql: SQL { "SELECT count, oldest FROM payouts.waiting_for(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> Waiting? {
        let count = try row.next(Int.self)
        return try row.next(Date?.self).map { Waiting(count: count, oldest: $0) }
    }
}

// MARK: The file

/// What stands in the head of a batch's file.
struct PaymentFileHead: Sendable {
    let batchID: PayoutBatchID
    let reference: String
    let count: Int
    let controlSum: Money
    let executeOn: CalendarDay
    /// ISODateTime in UTC: the moment of the approval, so that the file written again is the same.
    let createdAt: String
    let debtorName: SEPAText
    let debtorIBAN: IBAN
    let debtorBIC: String?
    let debtorTown: SEPAText
    let debtorCountry: String
    /// Of the file as it was finished before; nil where it never was.
    let sha256: [UInt8]?
}

/// `payouts.files_to_write`: the approved batch of a reference, or those without a finished file.
struct FilesToWrite: Query {
    let reference: String?

    var sql: SQL {
        """
        SELECT id, batch_reference, currency, count, control_sum, execute_on, created_at, debtor_name, debtor_iban, debtor_bic, debtor_town, debtor_country, sha256
        FROM payouts.files_to_write(\(reference as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> PaymentFileHead {
        let id = PayoutBatchID(try row.next(UUID.self))
        let reference = try row.next(String.self)
        let currency = try Currency(column: row.next())
        let count = try row.next(Int.self)
        let sum = Money(minorUnits: try row.next(), currency: currency)
        let executeOn = try row.next(CalendarDay.self)
        let createdAt = try row.next(String.self)
        guard let name = SEPAText(try row.next(), charactersMax: BankAccount.holderCharactersMax), let iban = IBAN(try row.next()) else {
            throw DatabaseError.decoding(column: "debtor_iban", reason: "is no account of the payment area")
        }
        let bic = try row.next(String?.self)
        guard let town = SEPAText(try row.next(), charactersMax: BankAccount.townCharactersMax) else {
            throw DatabaseError.decoding(column: "debtor_town", reason: "is no town in plain characters")
        }
        return PaymentFileHead(
            batchID: id, reference: reference, count: count, controlSum: sum, executeOn: executeOn, createdAt: createdAt, debtorName: name, debtorIBAN: iban,
            debtorBIC: bic, debtorTown: town, debtorCountry: try row.next(), sha256: try row.next())
    }
}

/// `payouts.log_reading`: an access entry for each person among the payments after a position.
struct LogReading: Query {
    /// Of the finance officer who downloads; nil: the approver, for whom the file is written.
    let credential: CredentialHash?
    let batch: PayoutBatchID
    let after: Int
    let entries: [AccessEntryID]

    var sql: SQL { "SELECT payouts.log_reading(\(credential?.bytes as [UInt8]?), \(batch), \(Int32(clamping: after)), \(entries.map(\.uuid)))" }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// One payment of a batch, its account still sealed.
struct SealedPayment: Sendable {
    let position: Int
    let endToEndID: String
    let minorUnits: Int64
    let destination: PayoutAccountID
    let key: SealingKey
    let sealedAccount: [UInt8]
}

/// `payouts.payments_under`: what the committed entries permit.
struct PaymentsUnder: Query {
    let batch: PayoutBatchID
    let after: Int
    let entries: [AccessEntryID]

    var sql: SQL {
        """
        SELECT position, end_to_end_id, amount, destination_id, holder_id, key_id, wrapped_key, sealed_account
        FROM payouts.payments_under(\(batch), \(Int32(clamping: after)), \(entries.map(\.uuid)))
        """
    }

    func decode(_ row: inout RowReader) throws -> SealedPayment {
        SealedPayment(
            position: try row.next(), endToEndID: try row.next(), minorUnits: try row.next(), destination: PayoutAccountID(try row.next(UUID.self)),
            key: try SealingKey(&row),
            sealedAccount: try row.next())
    }
}

/// `payouts.note_file`.
struct NoteFile: Query {
    let batch: PayoutBatchID
    let sha256: [UInt8]
    let bytes: Int

    var sql: SQL { "SELECT payouts.note_file(\(batch), \(sha256), \(bytes))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

// MARK: Reports

/// What came of a report.
struct ReportOutcome: Sendable {
    let word: String
    /// The payment that it failed at.
    let detail: String?
    let settled: Int
    let rejected: Int
    let returned: Int
}

/// `payouts.take_report` for a finance officer, `payouts.apply_report` for the owner on the city's machine.
struct TakeReport: Query {
    let credential: CredentialHash?
    let report: StatusReport
    let sha256: [UInt8]

    var sql: SQL {
        let named = report.payments
        let about: SQL = """
            \(UUID()), \(sha256), \(report.messageID), \(report.batchReference), \(report.count.map { Int32(clamping: $0) } as Int32?),
            \(report.controlSum as Int64?), \(report.group?.state.rawValue as String?), \(report.group?.reason as String?), \(named.map(\.endToEndID)),
            \(named.map(\.outcome.state.rawValue)), \(named.map { $0.outcome.reason ?? "" }), \(named.map { $0.minorUnits ?? 0 })
            """
        guard let credential else {
            return "SELECT outcome, detail, settled, rejected, returned FROM payouts.apply_report(NULL, \(about))"
        }
        return "SELECT outcome, detail, settled, rejected, returned FROM payouts.take_report(\(credential.bytes), \(about))"
    }

    func decode(_ row: inout RowReader) throws -> ReportOutcome {
        ReportOutcome(
            word: try row.next(), detail: try row.next(), settled: try row.next(Int?.self) ?? 0, rejected: try row.next(Int?.self) ?? 0,
            returned: try row.next(Int?.self) ?? 0)
    }
}
