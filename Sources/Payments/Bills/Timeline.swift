// What became of each payment of a resident: the steps that it took, when and why, and what comes next. From `payments.timeline_of` (0046_overviews.sql) to
// the cards of `/money`.
import Foundation
import Ledger
import Postgres
import Primitives
import Web

/// One payment and its steps.
struct TimelinePayment: Sendable {
    struct Step: Sendable {
        /// `decided`, `held`, `sent`, `settled`, `failed`, `expired` or `returned`.
        let word: String
        let at: Date
        /// Why: a sentence of staff, or a code of the bank (ISO 20022).
        let reason: String?
    }

    /// `bill`, `benefit` or `payout`.
    let kind: String
    /// How it came or went: a method of ``PaymentMethod``, or what a payout is for.
    let way: String
    let name: LocalisedText?
    let reference: String
    let bill: BillID?
    let amount: Money
    /// Oldest first; never empty.
    let steps: [Step]
}

/// `payments.timeline_of`, newest first.
struct TimelineOf: Query {
    let credential: CredentialHash
    let count: Int

    var sql: SQL {
        """
        SELECT t.kind, t.way, t.name, t.reference, t.bill_id, t.currency, t.amount,
            ARRAY(SELECT s.value ->> 'step' FROM jsonb_array_elements(t.steps) WITH ORDINALITY AS s (value, number) ORDER BY s.number),
            ARRAY(SELECT (s.value ->> 'at')::timestamptz FROM jsonb_array_elements(t.steps) WITH ORDINALITY AS s (value, number) ORDER BY s.number),
            ARRAY(SELECT coalesce(s.value ->> 'reason', '') FROM jsonb_array_elements(t.steps) WITH ORDINALITY AS s (value, number) ORDER BY s.number)
        FROM payments.timeline_of(\(credential.bytes), \(Int32(clamping: count))) AS t ORDER BY t.at DESC, t.id
        """
    }

    func decode(_ row: inout RowReader) throws -> TimelinePayment {
        let (kind, way) = (try row.next(String.self), try row.next(String.self))
        let name = try row.next(JSONText?.self).map { try LocalisedText($0) }
        let reference = try row.next(String.self)
        let bill = try row.next(UUID?.self).map { BillID($0) }
        let currency = try Currency(column: row.next())
        let amount = Money(minorUnits: try row.next(), currency: currency)
        let (words, moments, reasons) = (try row.next([String].self), try row.next([Date].self), try row.next([String].self))
        return TimelinePayment(
            kind: kind, way: way, name: name, reference: reference, bill: bill, amount: amount,
            steps: zip(zip(words, moments), reasons).map { TimelinePayment.Step(word: $0.0, at: $0.1, reason: $1.isEmpty ? nil : $1) })
    }
}

/// A payment on `/money`.
struct TimelineCard: ViewModel {
    var title: String
    var amount: String
    var state: String
    var isGood: Bool
    var isBad: Bool
    /// What the resident has to do, or that there is nothing to do.
    var next: String
    var link: Link
    var steps: [Step]

    static let fields: Fields<Self> = [
        "title": .text(\.title), "amount": .text(\.amount), "state": .text(\.state), "is_good": .flag(\.isGood), "is_bad": .flag(\.isBad), "next": .text(\.next),
        "link": .link(\.link), "steps": .list(\.steps),
    ]

    struct Step: ViewModel {
        var text: String
        var reason: String?
        var at: String
        var timestamp: String

        static let fields: Fields<Self> = [
            "text": .text(\.text), "reason": .optionalText(\.reason), "at": .text(\.at), "timestamp": .text(\.timestamp),
        ]
    }

    init(_ payment: TimelinePayment, _ context: some PageContext) {
        let last = payment.steps.last?.word ?? "held"
        title = context.text(
            "payments.timeline.title.\(payment.kind)", ["name": payment.name?.text(context.language).isolated ?? "", "reference": payment.reference.isolated])
        amount = payment.amount.formatted(locale: context.language.tag)
        state = context.text("payments.timeline.step.\(last)")
        isGood = last == "settled"
        isBad = ["failed", "expired", "returned"].contains(last)
        next = context.text("payments.timeline.next.\(payment.kind)_\(last)")
        switch payment.kind {
        case "bill": link = Link(payment.bill.map { "/bills/\($0)" } ?? "/bills")
        case "benefit": link = "#received"
        default: link = "/money-out"
        }
        steps = payment.steps.map { step in
            Step(
                text: context.text("payments.timeline.step.\(step.word)"),
                // A payout's reason is a code of the bank, which its own page puts in words.
                reason: payment.kind == "payout" ? step.reason.map { context.text("payments.timeline.bank_reason", ["code": $0.isolated]) } : step.reason,
                at: context.format.dateTime(step.at), timestamp: RFC3339.text(step.at))
        }
    }
}
