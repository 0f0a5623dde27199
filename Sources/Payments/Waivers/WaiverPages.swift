// The page of bills for staff, as what it shows.
import Foundation
import Postgres
import Primitives
import Web

/// `/staff/bills`
struct StaffBillPage: PageModel {
    static let template = "payments/staff-bill"

    var errors: ErrorSummary?
    var reference: TextField
    /// Nothing has the reference that was typed.
    var isUnknown: Bool
    var bill: [Fact]
    var waivers: [Row]
    var propose: ProposeForm?

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "reference": .model(\.reference), "is_unknown": .flag(\.isUnknown), "bill": .list(\.bill), "has_bill": .flag { !$0.bill.isEmpty },
        "waivers": .list(\.waivers), "has_waivers": .flag { !$0.waivers.isEmpty }, "propose": .optional(\.propose),
    ]

    struct Fact: ViewModel {
        var name: String
        var value: String
        static let fields: Fields<Self> = ["name": .text(\.name), "value": .text(\.value)]
    }

    struct Row: ViewModel {
        var bill: Link
        var reference: String
        var amount: String
        var reason: String
        /// "Proposed by … on …"
        var proposed: String
        /// "Approved by … on …"; nil while it waits.
        var decided: String?
        /// Nil where the viewer does not decide.
        var decide: DecideForm?

        static let fields: Fields<Self> = [
            "bill": .link(\.bill), "reference": .text(\.reference), "amount": .text(\.amount), "reason": .text(\.reason), "proposed": .text(\.proposed),
            "decided": .optionalText(\.decided), "waits": .flag { $0.decided == nil }, "decide": .optional(\.decide),
        ]
    }

    struct DecideForm: ViewModel {
        var address: Link
        /// The reference, for the page that comes back with what was refused.
        var bill: String
        static let fields: Fields<Self> = ["address": .link(\.address), "bill": .text(\.bill)]
    }

    struct ProposeForm: ViewModel {
        var id: String
        var bill: String
        var amount: TextField
        var reason: TextField
        static let fields: Fields<Self> = ["id": .text(\.id), "bill": .text(\.bill), "amount": .model(\.amount), "reason": .model(\.reason)]
    }

    init(
        _ found: BillForStaff?, _ waivers: [Waiver], isUnknown: Bool, roles: Set<StaffRole>, _ form: FormView, _ context: some PageContext
    ) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        reference = form.text("reference", label: "waiver.reference", hint: "waiver.reference_hint")
        self.isUnknown = isUnknown
        let values: [(String, String)] = found.map { bill in
            [
                ("title", bill.title.text(context.language)), ("kind", context.text("payments.kind.\(bill.kind)")), ("reference", bill.reference),
                ("amount", write(bill.amount)), ("outstanding", write(bill.outstanding)), ("issued_on", context.format.date(bill.issuedOn)),
                ("due_on", context.format.date(bill.dueOn)),
            ]
        } ?? []
        bill = values.map { Fact(name: context.text("waiver.fact.\($0)"), value: $1) }
        self.waivers = isUnknown ? [] : waivers.map { waiver in
            let mayDecide = waiver.decision == nil && !waiver.isMine && !roles.isDisjoint(with: WaiverRoutes.mayDecide)
            return Row(
                bill: Link("/staff/bills?reference=\(waiver.billReference)"), reference: waiver.billReference, amount: write(waiver.amount), reason: waiver.reason,
                proposed: context.text("waiver.by.proposed", ["name": waiver.proposedBy, "date": context.format.dateTime(waiver.proposedAt)]),
                decided: waiver.decision.map { decision in
                    context.text(
                        "waiver.by.\(decision)", ["name": waiver.decidedBy ?? "", "date": waiver.decidedAt.map { context.format.dateTime($0) } ?? ""])
                },
                decide: mayDecide ? DecideForm(address: Link("/staff/bills/waivers/\(waiver.id)"), bill: waiver.billReference) : nil)
        }
        if let found, found.outstanding.isPositive, roles.contains(.financeOfficer), !waivers.contains(where: { $0.decision == nil }) {
            propose = ProposeForm(
                id: WaiverID.new().description, bill: found.reference, amount: form.text("amount", label: "waiver.amount", hint: "waiver.amount_hint", inputMode: "decimal"),
                reason: form.area("reason", label: "waiver.reason", hint: "waiver.reason_hint"))
        }
        errors = form.errors
    }
}
