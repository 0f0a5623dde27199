// Every statement of payments: text, binds and row together. Whose bills they are follows from the credential, in the database.
import Foundation
import Ledger
import Postgres
import Primitives
import Web

/// A bill as its resident sees it.
struct Bill: Sendable {
    let id: BillID
    let kind: BillKind
    let reference: String
    /// What a bank transfer carries (ISO 11649).
    let creditorReference: CreditorReference
    let title: LocalisedText
    let amount: Money
    /// What is still to be paid.
    let outstanding: Money
    let issuedOn: CalendarDay
    let dueOn: CalendarDay
    let createdAt: Date
    /// The newest.
    let payment: Payment?
    /// When the database was asked: what "today" means for this answer.
    let askedAt: Date
}

/// How a payment came.
enum PaymentMethod: String, Sendable, CaseIterable {
    case wallet
    case bankTransfer = "bank_transfer"
    case cash
    case card
    case mobileMoney = "mobile_money"
}

/// What was paid for a bill.
struct Payment: Sendable {
    let id: PaymentID
    let method: PaymentMethod
    let gross: Money
    let fee: Money
    let net: Money
    let receiptCode: String
    let transferID: TransferID
    let paidAt: Date
}

private let billColumns: SQL = """
    id, kind, reference, creditor_reference, title, currency, amount, outstanding, issued_on, due_on, created_at, payment_id, method, gross, fee, net,
    receipt_code, transfer_id, paid_at, asked_at
    """

/// Newest first.
struct BillsOf: Query {
    let credential: CredentialHash
    let before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT \(billColumns)
        FROM payments.bills_of(\(credential.bytes), \(before?.at as Date?), \(before?.id as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Bill { try Bill(&row) }
}

struct BillOf: Query {
    let credential: CredentialHash
    let bill: BillID

    var sql: SQL { "SELECT \(billColumns) FROM payments.bill_of(\(credential.bytes), \(bill))" }

    func decode(_ row: inout RowReader) throws -> Bill { try Bill(&row) }
}

extension Bill {
    init(_ row: inout RowReader) throws {
        id = BillID(try row.next(UUID.self))
        guard let kind = BillKind(rawValue: try row.next()) else {
            throw DatabaseError.decoding(column: "kind", reason: "is a kind of bill that this version does not know")
        }
        self.kind = kind
        reference = try row.next()
        guard let creditorReference = CreditorReference(try row.next(String.self)) else {
            throw DatabaseError.decoding(column: "creditor_reference", reason: "is no reference of ISO 11649")
        }
        self.creditorReference = creditorReference
        title = try LocalisedText(row.next())
        let currency = try Currency(column: row.next())
        amount = Money(minorUnits: try row.next(), currency: currency)
        outstanding = Money(minorUnits: try row.next(), currency: currency)
        issuedOn = try row.next()
        dueOn = try row.next()
        createdAt = try row.next()
        payment = try Payment(&row, in: currency)
        askedAt = try row.next()
    }
}

extension Payment {
    /// Nil when the bill has none: then all its columns are NULL.
    fileprivate init?(_ row: inout RowReader, in currency: Currency) throws {
        guard let id = try row.next(UUID?.self) else {
            row.skip(7)
            return nil
        }
        try self.init(PaymentID(id), &row, in: currency)
    }

    fileprivate init(_ id: PaymentID, _ row: inout RowReader, in currency: Currency) throws {
        self.id = id
        guard let method = PaymentMethod(rawValue: try row.next()) else {
            throw DatabaseError.decoding(column: "method", reason: "is a way of paying that this version does not know")
        }
        self.method = method
        gross = Money(minorUnits: try row.next(), currency: currency)
        fee = Money(minorUnits: try row.next(), currency: currency)
        net = Money(minorUnits: try row.next(), currency: currency)
        receiptCode = try row.next()
        transferID = TransferID(try row.next(UUID.self))
        paidAt = try row.next()
    }
}

/// What was paid for a bill, oldest first.
struct PaymentsOf: Query {
    let credential: CredentialHash
    let bill: BillID

    var sql: SQL {
        """
        SELECT id, currency, method, gross, fee, net, receipt_code, transfer_id, paid_at FROM payments.payments_of(\(credential.bytes), \(bill))
        ORDER BY paid_at, id
        """
    }

    func decode(_ row: inout RowReader) throws -> Payment {
        let id = PaymentID(try row.next(UUID.self))
        let currency = try Currency(column: row.next())
        return try Payment(id, &row, in: currency)
    }
}

/// Where bills of a currency can be paid by bank transfer: `payments.collecting_account`.
struct CollectingAccount: Sendable {
    let identification: String
    let holder: String
}

struct CollectingAccountFor: Query {
    let currency: Currency

    var sql: SQL { "SELECT identification, holder FROM payments.collecting_account(\(currency.code))" }

    func decode(_ row: inout RowReader) throws -> CollectingAccount {
        CollectingAccount(identification: try row.next(), holder: try row.next())
    }
}

struct BillLine: Sendable {
    let description: LocalisedText
    let minorUnits: Int64
}

struct BillLinesOf: Query {
    let credential: CredentialHash
    let bill: BillID

    var sql: SQL { "SELECT description, amount FROM payments.bill_lines_of(\(credential.bytes), \(bill)) ORDER BY position" }

    func decode(_ row: inout RowReader) throws -> BillLine {
        BillLine(description: try LocalisedText(row.next()), minorUnits: try row.next())
    }
}

/// Pays in full from the wallet: `payments.pay`. May wait for the account, so it runs in a transaction.
struct Pay: Query {
    let credential: CredentialHash
    let bill: BillID
    let payment: PaymentID
    let receiptCode: String
    let key: IdempotencyKey?

    struct Row: Sendable {
        let outcome: String
        let isNew: Bool
        let resident: ResidentID?
    }

    var sql: SQL {
        """
        SELECT outcome, is_new, resident
        FROM payments.pay(\(credential.bytes), \(bill), \(payment), \(receiptCode), \(key?.text as String?), \(key?.requestHash as [UInt8]?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(outcome: try row.next(), isNew: try row.next(), resident: try row.next(UUID?.self).map { ResidentID($0) })
    }
}

/// `payments.issue_bill`: for the owner; `stoa_app` may not.
struct IssueBill: Query {
    let bill: NewBill

    var sql: SQL {
        """
        SELECT payments.issue_bill(
            \(bill.id), \(bill.residentID), \(bill.kind.rawValue), \(bill.reference), \(bill.title.json),
            \(bill.lines.first?.amount.currency.code as String?),
            \(bill.issuedOn), \(bill.dueOn), \(bill.paysInto), \(bill.lines.map(\.description.json)), \(bill.lines.map(\.amount.minorUnits)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}
