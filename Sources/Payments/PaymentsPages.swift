// The pages of payments, as what they show.
import Benefits
import Foundation
import Ledger
import Postgres
import Primitives
import Web

/// A bill in a list.
struct BillSummary: ViewModel {
    var link: Link
    var title: String
    var reference: String
    var amount: String
    /// "Pay by 3 May", "Was due on 3 May", "Paid on 2 May".
    var when: String
    var isOverdue: Bool
    var isPaid: Bool

    static let fields: Fields<Self> = [
        "link": .link(\.link), "title": .text(\.title), "reference": .text(\.reference), "amount": .text(\.amount), "when": .text(\.when),
        "is_overdue": .flag(\.isOverdue), "is_paid": .flag(\.isPaid),
    ]

    init(_ bill: Bill, zone: TimeZone, _ context: some PageContext) {
        let status = bill.status(in: zone)
        link = Link("/bills/\(bill.id)")
        title = bill.title.text(context.language)
        reference = bill.reference
        amount = bill.amount.formatted(locale: context.language.tag)
        isOverdue = status == .overdue
        isPaid = status == .paid
        let day = bill.payment.map { context.format.day($0.paidAt) } ?? context.format.date(bill.dueOn)
        when = context.text("payments.when.\(status.rawValue)", ["day": day])
    }
}

/// `/bills`
struct BillsPage: PageModel {
    static let template = "payments/bills"

    var due: [BillSummary]
    var paid: [BillSummary]
    var older: Link?
    var isEmpty: Bool

    static let fields: Fields<Self> = [
        "due": .list(\.due), "paid": .list(\.paid), "has_due": .flag { !$0.due.isEmpty }, "has_paid": .flag { !$0.paid.isEmpty },
        "older": .optionalLink(\.older), "is_empty": .flag(\.isEmpty),
    ]

    init(_ list: BillList, zone: TimeZone, _ context: some PageContext) {
        due = list.bills.filter { $0.payment == nil }.sorted { $0.dueOn < $1.dueOn }.map { BillSummary($0, zone: zone, context) }
        paid = list.bills.filter { $0.payment != nil }.map { BillSummary($0, zone: zone, context) }
        older = list.next.map { Link("/bills?before=\($0)") }
        isEmpty = list.bills.isEmpty
    }
}

/// `/bills/{id}`
struct BillPage: PageModel {
    static let template = "payments/bill"

    var summary: BillSummary
    var kind: String
    var issuedOn: String
    var lines: [Line]
    var pay: Link?
    var receipt: Link?
    /// The payment, or else the bill.
    var dispute: Link

    struct Line: ViewModel {
        var description: String
        var amount: String
        static let fields: Fields<Self> = ["description": .text(\.description), "amount": .text(\.amount)]
    }

    static let fields: Fields<Self> = [
        "summary": .model(\.summary), "kind": .text(\.kind), "issued_on": .text(\.issuedOn), "lines": .list(\.lines), "pay": .optionalLink(\.pay),
        "receipt": .optionalLink(\.receipt), "dispute": .link(\.dispute), "total": .text { $0.summary.amount }, "title": .text { $0.summary.title },
        "reference": .text { $0.summary.reference },
    ]

    init(_ bill: Bill, _ lines: [BillLine], zone: TimeZone, _ context: some PageContext) {
        summary = BillSummary(bill, zone: zone, context)
        kind = context.text("payments.kind.\(bill.kind.rawValue)")
        issuedOn = context.format.date(bill.issuedOn)
        self.lines = lines.map { line in
            let amount = Money(minorUnits: line.minorUnits, currency: bill.amount.currency)
            return Line(description: line.description.text(context.language), amount: amount.formatted(locale: context.language.tag))
        }
        pay = bill.payment == nil ? Link("/bills/\(bill.id)/pay") : nil
        receipt = bill.payment == nil ? nil : Link("/bills/\(bill.id)/receipt")
        dispute = bill.payment.map { Link("/disputes/new?about=payment&id=\($0.id)") } ?? Link("/disputes/new?about=bill&id=\(bill.id)")
    }
}

/// `/bills/{id}/pay`: what will happen, with the fee even when it is zero, before anything happens.
struct PayPage: PageModel {
    static let template = "payments/pay"

    var title: String
    var reference: String
    var amount: String
    var fee: String
    var balance: String
    /// The balance afterwards; nil when there is not enough.
    var left: String?
    /// What is missing; nil when there is enough.
    var missing: String?
    var address: Link
    var bill: Link

    static let fields: Fields<Self> = [
        "title": .text(\.title), "reference": .text(\.reference), "amount": .text(\.amount), "fee": .text(\.fee), "balance": .text(\.balance),
        "left": .optionalText(\.left), "missing": .optionalText(\.missing), "is_enough": .flag { $0.left != nil },
        "is_short": .flag { $0.missing != nil }, "address": .link(\.address), "bill": .link(\.bill),
    ]

    init(_ bill: Bill, balance: Money?, cover: Cover, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        title = bill.title.text(context.language)
        reference = bill.reference
        amount = write(bill.amount)
        fee = write(.zero(bill.amount.currency))
        self.balance = write(balance ?? .zero(bill.amount.currency))
        switch cover {
        case .enough(let left): self.left = write(left)
        case .short(let missing): self.missing = write(missing)
        }
        address = Link("/bills/\(bill.id)/pay")
        self.bill = Link("/bills/\(bill.id)")
    }
}

/// `/bills/{id}/receipt`
struct ReceiptPage: PageModel {
    static let template = "payments/receipt"

    var title: String
    var reference: String
    var receiptCode: String
    var paidAt: String
    var timestamp: String
    var gross: String
    var fee: String
    var net: String
    var bill: Link
    var dispute: Link

    static let fields: Fields<Self> = [
        "title": .text(\.title), "reference": .text(\.reference), "receipt_code": .text(\.receiptCode), "paid_at": .text(\.paidAt),
        "timestamp": .text(\.timestamp), "gross": .text(\.gross), "fee": .text(\.fee), "net": .text(\.net), "bill": .link(\.bill), "dispute": .link(\.dispute),
    ]

    init(_ bill: Bill, _ payment: Payment, _ context: some PageContext) {
        title = bill.title.text(context.language)
        reference = bill.reference
        receiptCode = payment.receiptCode
        paidAt = context.format.dateTime(payment.paidAt)
        timestamp = RFC3339.text(payment.paidAt)
        gross = payment.gross.formatted(locale: context.language.tag)
        fee = payment.fee.formatted(locale: context.language.tag)
        net = payment.net.formatted(locale: context.language.tag)
        self.bill = Link("/bills/\(bill.id)")
        dispute = Link("/disputes/new?about=payment&id=\(payment.id)")
    }
}

/// `/money`: the wallet, what is due, what was received, and every movement in one line of time.
struct MoneyPage: PageModel {
    static let template = "payments/money"

    var balances: [String]
    var due: [BillSummary]
    var received: [Received]
    var movements: [Movement]

    static let fields: Fields<Self> = [
        "balances": .texts(\.balances), "has_wallet": .flag { !$0.balances.isEmpty }, "due": .list(\.due), "has_due": .flag { !$0.due.isEmpty },
        "received": .list(\.received), "has_received": .flag { !$0.received.isEmpty }, "movements": .list(\.movements),
        "has_movements": .flag { !$0.movements.isEmpty },
    ]

    struct Received: ViewModel {
        var programme: String
        var amount: String
        var reason: String
        var law: String
        var caseReference: String
        var at: String
        var timestamp: String
        var dispute: Link

        static let fields: Fields<Self> = [
            "programme": .text(\.programme), "amount": .text(\.amount), "reason": .text(\.reason), "law": .text(\.law),
            "case_reference": .text(\.caseReference), "at": .text(\.at), "timestamp": .text(\.timestamp), "dispute": .link(\.dispute),
        ]

        init(_ benefit: ReceivedBenefit, _ context: some PageContext) {
            programme = benefit.programme.text(context.language)
            amount = benefit.amount.formatted(locale: context.language.tag)
            reason = benefit.reason
            law = benefit.law
            caseReference = benefit.caseReference
            at = context.format.dateTime(benefit.paidAt)
            timestamp = RFC3339.text(benefit.paidAt)
            dispute = Link("/disputes/new?about=benefit&id=\(benefit.id)")
        }
    }

    struct Movement: ViewModel {
        /// What it was, in words.
        var title: String
        var amount: String
        var balanceAfter: String
        var at: String
        var timestamp: String
        /// The receipt, for a bill that was paid.
        var receipt: Link?

        static let fields: Fields<Self> = [
            "title": .text(\.title), "amount": .text(\.amount), "balance_after": .text(\.balanceAfter), "at": .text(\.at),
            "timestamp": .text(\.timestamp), "receipt": .optionalLink(\.receipt),
        ]
    }

    init(
        wallets: [Wallet], entries: [WalletEntry], bills: [Bill], benefits: [ReceivedBenefit], zone: TimeZone, _ context: some PageContext
    ) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        balances = wallets.map { write($0.balance) }
        due = bills.filter { $0.payment == nil }.sorted { $0.dueOn < $1.dueOn }.map { BillSummary($0, zone: zone, context) }
        received = benefits.map { Received($0, context) }
        let billOf = Dictionary(bills.compactMap { bill in bill.payment.map { ($0.transferID, bill) } }, uniquingKeysWith: { first, _ in first })
        let benefitOf = Dictionary(benefits.map { ($0.transferID, $0) }, uniquingKeysWith: { first, _ in first })
        movements = entries.sorted { $0.at > $1.at }.map { entry in
            let bill = billOf[entry.transferID]
            let words: String
            if let bill {
                words = context.text("payments.money.paid", ["title": bill.title.text(context.language)])
            } else if let benefit = benefitOf[entry.transferID] {
                words = context.text("payments.money.benefit", ["programme": benefit.programme.text(context.language)])
            } else {
                words = context.text(
                    entry.amount.isNegative ? "payments.money.sent" : "payments.money.came_in", ["reference": entry.reference])
            }
            return Movement(
                title: words, amount: write(entry.amount), balanceAfter: write(entry.balanceAfter), at: context.format.dateTime(entry.at),
                timestamp: RFC3339.text(entry.at), receipt: bill.map { Link("/bills/\($0.id)/receipt") })
        }
    }
}
