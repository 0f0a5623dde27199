// Every statement about the bank: text, binds and row together. Who asks follows from the credential, in the database.
import Foundation
import Ledger
import Postgres
public import Primitives
import Web

/// An account of the city at a bank.
public struct NewBankAccount: Sendable {
    /// An IBAN without spaces, or what the bank calls the account in its files: 4 to 34 capital letters and digits.
    public var identification: String
    /// Whom to make a transfer out to, at most 70 characters.
    public var holder: String
    public var currency: Currency
    /// Whether bills of its currency ask to be paid into it. One account a currency can.
    public var collects: Bool

    public init(identification: String, holder: String, currency: Currency, collects: Bool) {
        self.identification = identification
        self.holder = holder
        self.currency = currency
        self.collects = collects
    }
}

/// For the owner.
struct OpenBankAccount: Query {
    let account: NewBankAccount

    var sql: SQL {
        "SELECT payments.open_bank_account(\(account.identification), \(account.holder), \(account.currency.code), \(account.collects))"
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

/// For the owner.
struct TakeBankFile: Query {
    let document: BankDocument

    var sql: SQL { "SELECT payments.take_bank_file(\(document.sha256), \(document.json), NULL)" }

    func decode(_ row: inout RowReader) throws -> JSONText { try row.next() }
}

/// For a finance officer.
struct ImportBankFileAs: Query {
    let credential: CredentialHash
    let document: BankDocument

    var sql: SQL { "SELECT payments.import_bank_file(\(credential.bytes), \(document.sha256), \(document.json))" }

    func decode(_ row: inout RowReader) throws -> JSONText { try row.next() }
}

/// Part of a movement, as finance officers see it.
struct BankItem: Sendable {
    let id: UUID
    let account: String
    let direction: String
    let isReversal: Bool
    let amount: Money
    /// Neither allocated nor returned, nor proposed to be.
    let rest: Money
    let bookedOn: CalendarDay
    let bankReference: String?
    let creditorReference: String?
    let payerName: String?
    let payerAccount: String?
    let text: String?
    /// A return that waits for its decision.
    let proposal: BankReturn?
    /// The payout of the city that this may be the return of, by its end-to-end id.
    let awaitedPayout: String?
}

struct BankReturn: Sendable {
    let id: UUID
    let reason: String
    let amount: Money
    let isMine: Bool
}

/// What waits, oldest first; or one, by its id.
struct BankItems: Query {
    let credential: CredentialHash
    var item: UUID?
    let count: Int

    var sql: SQL {
        """
        SELECT id, account, direction, is_reversal, currency, amount, rest, booked_on, bank_reference, creditor_reference, payer_name, payer_account,
            remittance, return_id, return_reason, return_amount, returned_by_me, awaits
        FROM payments.bank_items_for(\(credential.bytes), \(item as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> BankItem {
        let (id, account, direction, isReversal) = (try row.next(UUID.self), try row.next(String.self), try row.next(String.self), try row.next(Bool.self))
        let currency = try Currency(column: row.next())
        let amount = Money(minorUnits: try row.next(), currency: currency)
        let rest = Money(minorUnits: try row.next(), currency: currency)
        let bookedOn = try row.next(CalendarDay.self)
        let bankReference = try row.next(String?.self)
        let creditorReference = try row.next(String?.self)
        let payerName = try row.next(String?.self)
        let payerAccount = try row.next(String?.self)
        let text = try row.next(String?.self)
        let (returnID, reason) = (try row.next(UUID?.self), try row.next(String?.self))
        let (returned, isMine) = (try row.next(Int64?.self), try row.next(Bool?.self))
        let proposal = returnID.map { BankReturn(id: $0, reason: reason ?? "", amount: Money(minorUnits: returned ?? 0, currency: currency), isMine: isMine ?? false) }
        return BankItem(
            id: id, account: account, direction: direction, isReversal: isReversal, amount: amount, rest: rest, bookedOn: bookedOn, bankReference: bankReference,
            creditorReference: creditorReference, payerName: payerName, payerAccount: payerAccount, text: text, proposal: proposal, awaitedPayout: try row.next())
    }
}

/// One thing that happened to a part.
struct BankItemStep: Sendable {
    let kind: String
    let amount: Money
    let reference: String?
    let reason: String?
    let staffName: String?
    let at: Date
}

struct BankItemHistory: Query {
    let credential: CredentialHash
    let item: UUID

    var sql: SQL {
        "SELECT kind, currency, amount, reference, reason, staff_name, at FROM payments.bank_item_history_for(\(credential.bytes), \(item))"
    }

    func decode(_ row: inout RowReader) throws -> BankItemStep {
        let kind = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return BankItemStep(
            kind: kind, amount: Money(minorUnits: try row.next(), currency: currency), reference: try row.next(), reason: try row.next(), staffName: try row.next(),
            at: try row.next())
    }
}

/// A statement or notification, as finance officers see it.
struct BankReportRow: Sendable {
    let id: UUID
    let account: String
    let kind: String
    let reportedID: String
    let importedAt: Date
    let importedBy: String?
    let opening: Money?
    let closing: Money?
    let entryCount: Int64
    let cameIn: Money
    let wentOut: Money
    let problems: [String]
    let decision: String?
    let decisionReason: String?
    let decidedBy: String?
    let decidedAt: Date?
}

struct BankReports: Query {
    let credential: CredentialHash
    var report: UUID?
    let count: Int

    var sql: SQL {
        """
        SELECT id, account, currency, kind, reported_id, imported_at, imported_by, opening_currency, opening, closing_currency, closing, entry_count, came_in,
            went_out, problems, decision, decision_reason, decided_by, decided_at
        FROM payments.bank_reports_for(\(credential.bytes), \(report as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> BankReportRow {
        let id = try row.next(UUID.self)
        let account = try row.next(String.self)
        let currency = try Currency(column: row.next())
        let (kind, reportedID) = (try row.next(String.self), try row.next(String.self))
        let importedAt = try row.next(Date.self)
        let importedBy = try row.next(String?.self)
        let opening = try Self.balance(&row)
        let closing = try Self.balance(&row)
        return BankReportRow(
            id: id, account: account, kind: kind, reportedID: reportedID, importedAt: importedAt, importedBy: importedBy, opening: opening, closing: closing,
            entryCount: try row.next(), cameIn: Money(minorUnits: try row.next(), currency: currency), wentOut: Money(minorUnits: try row.next(), currency: currency),
            problems: try row.next(), decision: try row.next(), decisionReason: try row.next(), decidedBy: try row.next(), decidedAt: try row.next())
    }

    private static func balance(_ row: inout RowReader) throws -> Money? {
        let currency = try row.next(String?.self)
        let amount = try row.next(Int64?.self)
        guard let currency, let amount else { return nil }
        return Money(minorUnits: amount, currency: try Currency(column: currency))
    }
}

/// `payments.decide_report`. May wait for the account, so it runs in a transaction; so do those below.
struct DecideReport: Query {
    let credential: CredentialHash
    let report: UUID
    let decision: BankReportDecision
    let reason: String

    var sql: SQL { "SELECT payments.decide_report(\(credential.bytes), \(report), \(decision.rawValue), \(reason))" }

    func decode(_ row: inout RowReader) throws -> JSONText { try row.next() }
}

enum BankReportDecision: String, Sendable, CaseIterable {
    case booked
    case discarded
}

/// `payments.assign_item`
struct AssignItem: Query {
    let credential: CredentialHash
    let item: UUID
    let reference: String
    let receiptCode: String

    var sql: SQL { "SELECT payments.assign_item(\(credential.bytes), \(item), \(reference), \(receiptCode))" }

    func decode(_ row: inout RowReader) throws -> JSONText { try row.next() }
}

/// `payments.propose_return`
struct ProposeReturn: Query {
    let credential: CredentialHash
    let item: UUID
    let id: UUID
    let reason: String

    var sql: SQL { "SELECT payments.propose_return(\(credential.bytes), \(item), \(id), \(reason))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `payments.decide_return`
struct DecideReturn: Query {
    let credential: CredentialHash
    let id: UUID
    let decision: BankReturnDecision

    var sql: SQL { "SELECT payments.decide_return(\(credential.bytes), \(id), \(decision.rawValue))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

enum BankReturnDecision: String, Sendable, CaseIterable {
    case approved
    case refused
}

/// `payouts.count_return`
struct CountReturn: Query {
    let credential: CredentialHash
    let item: UUID

    var sql: SQL { "SELECT payouts.count_return(\(credential.bytes), \(item))" }

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// What waits for whoever asks: `payments.bank_waiting_for`. Nil when nothing does.
struct BankWaiting: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT count, oldest FROM payments.bank_waiting_for(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> (count: Int, oldest: Date)? {
        let count = try row.next(Int64.self)
        return try row.next(Date?.self).map { (Int(count), $0) }
    }
}
