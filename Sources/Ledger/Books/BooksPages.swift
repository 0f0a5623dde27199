// The pages of the books, as what they show.
import Foundation
import Postgres
import Primitives
import Web

/// `/staff/ledger`
struct TrialBalancePage: PageModel {
    static let template = "ledger/trial-balance"

    var errors: ErrorSummary?
    var moment: String
    var currencies: [Sheet]
    var until: DateField
    var periods: [Period]
    var lastDay: DateField
    var note: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "moment": .text(\.moment), "currencies": .list(\.currencies), "is_empty": .flag { $0.currencies.isEmpty },
        "until": .model(\.until), "periods": .list(\.periods), "has_periods": .flag { !$0.periods.isEmpty }, "last_day": .model(\.lastDay),
        "note": .model(\.note),
    ]

    /// The trial balance of a currency.
    struct Sheet: ViewModel {
        var code: String
        var lines: [Line]
        var debit: String
        var credit: String
        var isBalanced: Bool

        static let fields: Fields<Self> = [
            "code": .text(\.code), "lines": .list(\.lines), "debit": .text(\.debit), "credit": .text(\.credit), "is_balanced": .flag(\.isBalanced),
        ]
    }

    struct Line: ViewModel {
        var kind: String
        var organisation: String?
        var count: String
        var debit: String?
        var credit: String?
        /// To the statement of the one account, or to the list of several; nil for wallets.
        var link: Link?

        static let fields: Fields<Self> = [
            "kind": .text(\.kind), "organisation": .optionalText(\.organisation), "count": .text(\.count), "debit": .optionalText(\.debit),
            "credit": .optionalText(\.credit), "link": .optionalLink(\.link), "has_link": .flag { $0.link != nil },
        ]
    }

    struct Period: ViewModel {
        var until: String
        var closedAt: String
        var closedBy: String
        var note: String

        static let fields: Fields<Self> = [
            "until": .text(\.until), "closed_at": .text(\.closedAt), "closed_by": .text(\.closedBy), "note": .text(\.note),
        ]
    }

    init(
        _ lines: [TrialBalanceLine], at moment: Date, _ periods: [ClosedPeriod], asked: FormView, closing: FormView, _ context: some PageContext
    ) {
        errors = closing.errors ?? asked.errors
        self.moment = context.format.dateTime(moment)
        currencies = Dictionary(grouping: lines, by: \.currency).sorted { $0.key.code < $1.key.code }.map { Sheet($0.key, $0.value, context) }
        until = asked.date("until", label: "ledger.trial_balance.until", hint: "ledger.trial_balance.until_hint")
        self.periods = periods.map {
            Period(
                until: context.format.dateTime($0.until), closedAt: context.format.dateTime($0.closedAt), closedBy: $0.closedBy, note: $0.note)
        }
        lastDay = closing.date("last_day", label: "ledger.closing.last_day", hint: "ledger.closing.last_day_hint")
        note = closing.text("note", label: "ledger.closing.note", hint: "ledger.closing.note_hint")
    }
}

extension TrialBalancePage.Sheet {
    init(_ currency: Currency, _ found: [TrialBalanceLine], _ context: some PageContext) {
        let locale = context.language.tag
        let debits = found.reduce(Int128(0)) { $0 + Int128($1.debit.minorUnits) }
        let credits = found.reduce(Int128(0)) { $0 + Int128($1.credit.minorUnits) }
        // Sums of many accounts may pass what one account may hold; 64 bits they do not pass before the city has 1,000 full accounts.
        func formatted(_ sum: Int128) -> String { Money(minorUnits: Int64(clamping: sum), currency: currency).formatted(locale: locale) }
        code = currency.code
        lines = found.map { TrialBalancePage.Line($0, context) }
        debit = formatted(debits)
        credit = formatted(credits)
        isBalanced = debits == credits
    }
}

extension TrialBalancePage.Line {
    init(_ line: TrialBalanceLine, _ context: some PageContext) {
        let locale = context.language.tag
        kind = context.text("ledger.kind.\(line.kind)")
        organisation = line.organisationID
        count = context.text("ledger.trial_balance.accounts", count: line.accountCount)
        debit = line.debit.isPositive ? line.debit.formatted(locale: locale) : nil
        credit = line.credit.isPositive ? line.credit.formatted(locale: locale) : nil
        link = line.account.map { Link("/staff/ledger/accounts/\($0)") }
        if link == nil, let organisation = line.organisationID {
            link = Link("/staff/ledger/accounts?kind=\(line.kind)&currency=\(line.currency.code)&organisation=\(organisation)")
        }
    }
}

/// `/staff/ledger/accounts`
struct AccountsPage: PageModel {
    static let template = "ledger/accounts"

    var kind: String
    var organisation: String
    var items: [Item]
    var next: Link?

    static let fields: Fields<Self> = [
        "kind": .text(\.kind), "organisation": .text(\.organisation), "items": .list(\.items), "next": .optionalLink(\.next),
    ]

    struct Item: ViewModel {
        var id: String
        var link: Link
        var posted: String
        var held: String
        var isClosed: Bool

        static let fields: Fields<Self> = [
            "id": .text(\.id), "link": .link(\.link), "posted": .text(\.posted), "held": .text(\.held), "is_closed": .flag(\.isClosed),
        ]
    }

    init(_ found: [ListedAccount], kind: String, currency: Currency, organisation: String, _ context: some PageContext) {
        let shown = found.prefix(BooksRoutes.linesPerPage)
        self.kind = context.text("ledger.kind.\(kind)")
        self.organisation = organisation
        items = shown.map {
            Item(
                id: $0.id.description, link: Link("/staff/ledger/accounts/\($0.id)"), posted: $0.posted.formatted(locale: context.language.tag),
                held: $0.held.formatted(locale: context.language.tag), isClosed: $0.closedAt != nil)
        }
        if found.count > shown.count, let last = shown.last {
            next = Link("/staff/ledger/accounts?kind=\(kind)&currency=\(currency.code)&organisation=\(organisation)&after=\(last.id)")
        }
    }
}

/// `/staff/ledger/accounts/{id}`
struct StatementPageModel: PageModel {
    static let template = "ledger/statement"

    var errors: ErrorSummary?
    var id: String
    var action: Link
    var kind: String
    var organisation: String
    var isClosed: Bool
    var period: String
    var opening: String
    var closing: String
    var items: [Item]
    var next: Link?
    var from: DateField
    var to: DateField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "id": .text(\.id), "action": .link(\.action), "kind": .text(\.kind), "organisation": .text(\.organisation),
        "is_closed": .flag(\.isClosed), "period": .text(\.period), "opening": .text(\.opening), "closing": .text(\.closing),
        "items": .list(\.items), "has_items": .flag { !$0.items.isEmpty }, "next": .optionalLink(\.next), "from": .model(\.from), "to": .model(\.to),
    ]

    struct Item: ViewModel {
        var at: String
        var reference: String
        var kind: String
        var debit: String?
        var credit: String?
        /// Where it was posted at another moment than it counts from.
        var recordedAt: String?
        var other: Link?

        static let fields: Fields<Self> = [
            "at": .text(\.at), "reference": .text(\.reference), "kind": .text(\.kind), "debit": .optionalText(\.debit),
            "credit": .optionalText(\.credit), "recorded_at": .optionalText(\.recordedAt), "other": .optionalLink(\.other),
            "is_wallet": .flag { $0.other == nil },
        ]
    }

    init(
        _ account: BookedAccount, _ id: LedgerAccountID, _ entries: [StatementEntry], from start: Date, to end: Date,
        days: (first: CalendarDay?, last: CalendarDay?), _ form: FormView, _ context: some PageContext
    ) {
        let locale = context.language.tag
        let shown = entries.prefix(BooksRoutes.linesPerPage)
        errors = form.errors
        self.id = id.description
        action = Link("/staff/ledger/accounts/\(id)")
        kind = context.text("ledger.kind.\(account.kind)")
        organisation = account.organisationID
        isClosed = account.closedAt != nil
        period = context.text("ledger.statement.period", ["from": context.format.dateTime(start), "to": context.format.dateTime(end)])
        opening = account.opening.formatted(locale: locale)
        closing = account.closing.formatted(locale: locale)
        items = shown.map { entry in
            let amount = Money(minorUnits: entry.amount, currency: account.opening.currency).formatted(locale: locale)
            return Item(
                at: context.format.dateTime(entry.effectiveAt), reference: entry.reference, kind: context.text("ledger.transfer.\(entry.kind.rawValue)"),
                debit: entry.side == "debit" ? amount : nil, credit: entry.side == "credit" ? amount : nil,
                recordedAt: entry.effectiveAt == entry.recordedAt ? nil : context.format.dateTime(entry.recordedAt),
                other: entry.otherAccount.map { Link("/staff/ledger/accounts/\($0)") })
        }
        if entries.count > shown.count, let last = shown.last {
            let asked = [("from", days.first), ("to", days.last)].compactMap { name, day in
                day.map { "\(name)-day=\($0.day)&\(name)-month=\($0.month)&\(name)-year=\($0.year)" }
            }
            next = Link("/staff/ledger/accounts/\(id)?" + (asked + ["after=\(last.place.cursor)"]).joined(separator: "&"))
        }
        from = form.date("from", label: "ledger.statement.from")
        to = form.date("to", label: "ledger.statement.to")
    }
}
