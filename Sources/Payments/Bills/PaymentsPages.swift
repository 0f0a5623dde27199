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
    /// What is still to be paid, where a part was.
    var outstanding: String?

    static let fields: Fields<Self> = [
        "link": .link(\.link), "title": .text(\.title), "reference": .text(\.reference), "amount": .text(\.amount), "when": .text(\.when),
        "is_overdue": .flag(\.isOverdue), "is_paid": .flag(\.isPaid), "outstanding": .optionalText(\.outstanding),
    ]

    init(_ bill: Bill, zone: TimeZone, _ context: some PageContext) {
        let status = bill.status(in: zone)
        link = Link("/bills/\(bill.id)")
        title = bill.title.text(context.language)
        reference = bill.reference
        amount = bill.amount.formatted(locale: context.language.tag)
        isOverdue = status == .overdue
        isPaid = status == .paid
        if !bill.isPaid, bill.outstanding != bill.amount { outstanding = bill.outstanding.formatted(locale: context.language.tag) }
        let day = bill.isPaid ? bill.payment.map { context.format.day($0.paidAt) } : nil
        // Settled without a payment: the city forgoes all of it.
        let word = bill.isPaid && bill.payment == nil ? "settled" : status.rawValue
        when = context.text("payments.when.\(word)", ["day": day ?? context.format.date(bill.dueOn)])
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
        due = list.bills.filter { !$0.isPaid }.sorted { $0.dueOn < $1.dueOn }.map { BillSummary($0, zone: zone, context) }
        paid = list.bills.filter(\.isPaid).map { BillSummary($0, zone: zone, context) }
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
    /// What the city forgoes, and why.
    var forgone: [Line]
    var pay: Link?
    var ways: Link?
    var receipt: Link?
    var transfer: TransferDetails?
    /// The payment, once the bill is paid; the bill before.
    var dispute: Link

    struct Line: ViewModel {
        var description: String
        var amount: String
        static let fields: Fields<Self> = ["description": .text(\.description), "amount": .text(\.amount)]
    }

    static let fields: Fields<Self> = [
        "summary": .model(\.summary), "kind": .text(\.kind), "issued_on": .text(\.issuedOn), "lines": .list(\.lines), "forgone": .list(\.forgone), "has_forgone": .flag { !$0.forgone.isEmpty }, "pay": .optionalLink(\.pay),
        "ways": .optionalLink(\.ways),
        "receipt": .optionalLink(\.receipt), "dispute": .link(\.dispute), "transfer": .optional(\.transfer), "total": .text { $0.summary.amount }, "title": .text { $0.summary.title },
        "reference": .text { $0.summary.reference },
    ]

    init(
        _ bill: Bill, _ lines: [BillLine], forgone: [ForgoneOf.Row], _ account: CollectingAccount?, zone: TimeZone, _ context: some PageContext
    ) {
        summary = BillSummary(bill, zone: zone, context)
        kind = context.text("payments.kind.\(bill.kind.rawValue)")
        issuedOn = context.format.date(bill.issuedOn)
        self.lines = lines.map { line in
            let amount = Money(minorUnits: line.minorUnits, currency: bill.amount.currency)
            return Line(description: line.description.text(context.language), amount: amount.formatted(locale: context.language.tag))
        }
        self.forgone = forgone.map { Line(description: $0.reason, amount: $0.amount.formatted(locale: context.language.tag)) }
        pay = bill.isPaid ? nil : Link("/bills/\(bill.id)/pay")
        ways = bill.isPaid ? nil : Link("/bills/\(bill.id)/ways")
        receipt = bill.payment == nil ? nil : Link("/bills/\(bill.id)/receipt")
        transfer = bill.isPaid ? nil : account.map { TransferDetails(bill, $0, context) }
        dispute = bill.payment.flatMap { bill.isPaid ? Link("/disputes/new?about=payment&id=\($0.id)") : nil } ?? Link("/disputes/new?about=bill&id=\(bill.id)")
    }
}

/// What a bank needs for a transfer that finds its bill.
struct TransferDetails: ViewModel {
    var holder: String
    /// An IBAN in groups of four.
    var account: String
    var amount: String
    var reference: String
    /// The same for a bank's app to read, where there is a code for it.
    var code: QRCode?

    static let fields: Fields<Self> = [
        "holder": .text(\.holder), "account": .text(\.account), "amount": .text(\.amount), "reference": .text(\.reference), "code": .optional(\.code),
    ]

    init(_ bill: Bill, _ account: CollectingAccount, _ context: some PageContext) {
        holder = account.holder
        self.account = stride(from: 0, to: account.identification.count, by: 4)
            .map { account.identification.dropFirst($0).prefix(4) }.joined(separator: " ")
        amount = bill.outstanding.formatted(locale: context.language.tag)
        reference = bill.creditorReference.printed
        code = TransferCode(
            holder: account.holder, account: account.identification, amount: bill.outstanding, reference: bill.creditorReference)?.drawing()
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
        amount = write(bill.outstanding)
        // Paying from the wallet costs nothing.
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

/// `/bills/{id}/receipt`: every payment of a bill.
struct ReceiptPage: PageModel {
    static let template = "payments/receipt"

    var title: String
    var reference: String
    var receipts: [Receipt]
    /// What is still to be paid.
    var outstanding: String?
    var bill: Link

    static let fields: Fields<Self> = [
        "title": .text(\.title), "reference": .text(\.reference), "receipts": .list(\.receipts), "outstanding": .optionalText(\.outstanding),
        "bill": .link(\.bill),
    ]

    init(_ bill: Bill, _ payments: [Payment], _ context: some PageContext) {
        title = bill.title.text(context.language)
        reference = bill.reference
        receipts = payments.map { Receipt($0, context) }
        outstanding = bill.isPaid ? nil : bill.outstanding.formatted(locale: context.language.tag)
        self.bill = Link("/bills/\(bill.id)")
    }
}

/// One payment, as its receipt states it.
struct Receipt: ViewModel {
    var receiptCode: String
    var method: String
    var isFromWallet: Bool
    var paidAt: String
    var timestamp: String
    var gross: String
    var fee: String
    var net: String
    var dispute: Link

    static let fields: Fields<Self> = [
        "receipt_code": .text(\.receiptCode), "method": .text(\.method), "is_from_wallet": .flag(\.isFromWallet), "paid_at": .text(\.paidAt),
        "timestamp": .text(\.timestamp), "gross": .text(\.gross), "fee": .text(\.fee), "net": .text(\.net), "dispute": .link(\.dispute),
    ]

    init(_ payment: Payment, _ context: some PageContext) {
        method = context.text("payments.method.\(payment.method.rawValue)")
        isFromWallet = payment.method == .wallet
        receiptCode = payment.receiptCode
        paidAt = context.format.dateTime(payment.paidAt)
        timestamp = RFC3339.text(payment.paidAt)
        gross = payment.gross.formatted(locale: context.language.tag)
        fee = payment.fee.formatted(locale: context.language.tag)
        net = payment.net.formatted(locale: context.language.tag)
        dispute = Link("/disputes/new?about=payment&id=\(payment.id)")
    }
}

/// `/money`: the wallet, what is due, what was received, and every movement in one line of time.
struct MoneyPage: PageModel {
    static let template = "payments/money"

    var balances: [String]
    var due: [BillSummary]
    var received: [Received]
    var timeline: [TimelineCard]
    var movements: [Movement]

    static let fields: Fields<Self> = [
        "balances": .texts(\.balances), "has_wallet": .flag { !$0.balances.isEmpty }, "due": .list(\.due), "has_due": .flag { !$0.due.isEmpty },
        "received": .list(\.received), "has_received": .flag { !$0.received.isEmpty },
        "timeline": .list(\.timeline), "has_timeline": .flag { !$0.timeline.isEmpty }, "movements": .list(\.movements),
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
        wallets: [Wallet], entries: [WalletEntry], bills: [Bill], benefits: [ReceivedBenefit], timeline: [TimelinePayment], zone: TimeZone, _ context: some PageContext
    ) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        balances = wallets.map { write($0.balance) }
        due = bills.filter { !$0.isPaid }.sorted { $0.dueOn < $1.dueOn }.map { BillSummary($0, zone: zone, context) }
        received = benefits.map { Received($0, context) }
        self.timeline = timeline.map { TimelineCard($0, context) }
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
