// The pages about orders that delay disclosure. None names whom an order is about.
import Foundation
import Web

/// `/delayed-disclosure`, for everybody.
struct DelayFiguresPage: PageModel {
    static let template = "casework/delay-figures"

    var figures: [FigureRow]
    var hasFigures: Bool
    var activities: [ActivityRow]
    var hasActivities: Bool

    static let fields: Fields<Self> = [
        "figures": .list(\.figures), "has_figures": .flag(\.hasFigures), "activities": .list(\.activities), "has_activities": .flag(\.hasActivities),
    ]

    struct FigureRow: ViewModel {
        var authority: String
        var setCount: String
        var inForceCount: String
        var readCount: String

        static let fields: Fields<Self> = [
            "authority": .text(\.authority), "set_count": .text(\.setCount), "in_force_count": .text(\.inForceCount), "read_count": .text(\.readCount),
        ]
    }

    struct ActivityRow: ViewModel {
        var organisation: String
        var purpose: String
        var law: String

        static let fields: Fields<Self> = ["organisation": .text(\.organisation), "purpose": .text(\.purpose), "law": .text(\.law)]
    }

    init(_ figures: [DelayFigures], _ activities: [DelayableActivity], _ context: WebContext) {
        self.figures = figures.map {
            FigureRow(
                authority: $0.authority, setCount: context.format.number(Int($0.setCount)), inForceCount: context.format.number(Int($0.inForceCount)),
                readCount: context.format.number(Int($0.readCount)))
        }
        hasFigures = !figures.isEmpty
        self.activities = activities.map {
            ActivityRow(organisation: $0.organisationName.text(context.language), purpose: $0.purposeTitle.text(context.language), law: context.lawName($0.law))
        }
        hasActivities = !activities.isEmpty
    }
}

/// One order in words.
struct DelayOrderView: ViewModel {
    var page: Link
    var authority: String
    var ground: String
    var about: String
    var setBy: String
    var review: String
    var last: String

    static let fields: Fields<Self> = [
        "page": .link(\.page), "authority": .text(\.authority), "ground": .text(\.ground), "about": .text(\.about), "set_by": .text(\.setBy),
        "review": .text(\.review), "last": .text(\.last),
    ]

    init(_ order: DelayOrder, _ context: some PageContext) {
        page = Link("/staff/delays/\(order.id)")
        authority = order.authority
        ground = order.ground
        about = "\(order.organisationName.text(context.language)): \(order.purposeTitle.text(context.language))"
        setBy = context.text("delay.set_by", ["name": order.setBy, "date": context.format.day(order.setAt)])
        review = context.format.day(order.reviewAt)
        last = context.format.day(order.lastAt)
    }
}

/// `/staff/delays`
struct DelayOrdersPage: PageModel {
    static let template = "casework/delays"

    var orders: [DelayOrderView]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["orders": .list(\.orders), "is_empty": .flag(\.isEmpty)]

    init(_ orders: [DelayOrder], _ context: StaffContext) {
        self.orders = orders.map { DelayOrderView($0, context) }
        isEmpty = orders.isEmpty
    }
}

/// `/staff/delays/new`
struct NewDelayPage: PageModel {
    static let template = "casework/delay-new"

    var errors: ErrorSummary?
    /// Some law lets telling be delayed; otherwise there is nothing to enter.
    var isPossible: Bool
    var nationalNumber: TextField
    var activity: ChoiceField
    var authority: TextField
    var ground: TextField
    var review: DateField
    var last: DateField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "is_possible": .flag(\.isPossible), "national_number": .model(\.nationalNumber), "activity": .model(\.activity),
        "authority": .model(\.authority), "ground": .model(\.ground), "review": .model(\.review), "last": .model(\.last),
    ]

    init(_ activities: [DelayableActivity], _ form: FormView, _ context: StaffContext) {
        errors = form.errors
        isPossible = !activities.isEmpty
        nationalNumber = form.text("national_number", label: "casework.search.by_national_number", hint: "delay.new.number_hint", inputMode: "numeric")
        activity = form.choices(
            "activity", label: "delay.new.activity",
            options: activities.map { ($0.key, "\($0.organisationName.text(context.language)): \($0.purposeTitle.text(context.language)) (\(context.lawName($0.law).isolated))") })
        authority = form.text("authority", label: "delay.authority", hint: "delay.new.authority_hint")
        ground = form.text("ground", label: "delay.ground", hint: "delay.new.ground_hint")
        review = form.date("review", label: "delay.review_at", hint: "delay.new.review_hint")
        last = form.date("last", label: "delay.last_at", hint: "delay.new.last_hint")
    }
}

/// `/staff/delays/{id}`
struct DelayReviewPage: PageModel {
    static let template = "casework/delay-review"

    var errors: ErrorSummary?
    var order: DelayOrderView
    /// Whoever set it cannot keep it.
    var mayKeep: Bool
    var action: Link
    var end: Link
    var review: DateField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "order": .model(\.order), "may_keep": .flag(\.mayKeep), "action": .link(\.action), "end": .link(\.end),
        "review": .model(\.review),
    ]

    init(_ order: DelayOrder, _ form: FormView, _ context: StaffContext) {
        errors = form.errors
        self.order = DelayOrderView(order, context)
        mayKeep = !order.isOwn
        action = self.order.page
        end = Link("/staff/delays/\(order.id)/end")
        review = form.date("review", label: "delay.review.next", hint: "delay.new.review_hint")
    }
}
