// The JSON bodies of payments. Amounts are whole minor units beside their currency; nothing is rounded on the way.
import Foundation
import Postgres
import Primitives
import Web

struct BillBody: Encodable, Sendable {
    let id: String
    let reference: String
    /// ISO 11649, for a bank transfer.
    let creditorReference: String
    let kind: String
    let title: String
    /// `open`, `overdue` or `paid`.
    let status: String
    let currency: String
    let amount: Int64
    /// What is still to be paid.
    let outstanding: Int64
    let issuedOn: String
    let dueOn: String
    /// Left out in lists.
    let lines: [Line]?
    /// The newest payment; left out until there is one.
    let payment: PaymentBody?

    struct Line: Encodable, Sendable {
        let description: String
        let amount: Int64
    }

    init(_ bill: Bill, lines: [BillLine]?, zone: TimeZone, _ language: Language) {
        id = bill.id.description
        reference = bill.reference
        creditorReference = bill.creditorReference.description
        kind = bill.kind.rawValue
        title = bill.title.text(language)
        status = bill.status(in: zone).rawValue
        currency = bill.amount.currency.code
        amount = bill.amount.minorUnits
        outstanding = bill.outstanding.minorUnits
        issuedOn = bill.issuedOn.description
        dueOn = bill.dueOn.description
        self.lines = lines?.map { Line(description: $0.description.text(language), amount: $0.minorUnits) }
        payment = bill.payment.map { PaymentBody($0, of: bill) }
    }
}

struct PaymentBody: Encodable, Sendable {
    let id: String
    let bill: String
    let receipt: String
    let method: String
    let currency: String
    let gross: Int64
    let fee: Int64
    let net: Int64
    let paidAt: String

    init(_ payment: Payment, of bill: Bill) {
        id = payment.id.description
        self.bill = bill.id.description
        receipt = payment.receiptCode
        method = payment.method.rawValue
        currency = payment.gross.currency.code
        gross = payment.gross.minorUnits
        fee = payment.fee.minorUnits
        net = payment.net.minorUnits
        paidAt = RFC3339.text(payment.paidAt)
    }
}

extension Bill {
    /// Whether nothing is left to pay.
    var isPaid: Bool { !outstanding.isPositive }

    func status(in zone: TimeZone) -> BillStatus {
        // A moment outside the calendar cannot come from the database; the due day itself is never overdue.
        PaymentsRules.status(isPaid: isPaid, dueOn: dueOn, today: PaymentsRules.day(of: askedAt, in: zone) ?? dueOn)
    }
}

/// One page of bills and where the next begins.
struct BillList: Sendable {
    let bills: [Bill]
    let next: MomentCursor?
}
