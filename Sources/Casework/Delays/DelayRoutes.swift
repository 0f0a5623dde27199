// Delayed disclosure: auditors enter orders, another auditor keeps them or anybody of them ends them, and everybody reads how many there are.
public import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Register
public import Web

/// URL table of orders that delay disclosure.
public struct DelayRoutes: Sendable {
    private let orders: DelayOrders
    private let lookup: LookupKey

    /// - Parameter zone: of the city, whose days count.
    public init(database: Database, lookup: LookupKey, zone: TimeZone) {
        orders = DelayOrders(database: database, zone: zone)
        self.lookup = lookup
    }

    public func add(to site: Site) {
        site.declare(pages: [DelayFiguresPage.self, DelayOrdersPage.self, NewDelayPage.self, DelayReviewPage.self])
        site.everyone.get("/delayed-disclosure", use: figures)
        site.addNavigation(.staff, path: "/staff/delays", textKey: "delay.navigation", roles: [.auditor])
        site.addStaffTasks(tasks)
        let auditor = site.staff([.auditor])
        auditor.get("/staff/delays", use: list)
        auditor.get("/staff/delays/new", use: showNew)
        auditor.post("/staff/delays/new", use: set)
        auditor.get("/staff/delays/{id}", use: show)
        auditor.post("/staff/delays/{id}", use: keep)
        auditor.post("/staff/delays/{id}/end", use: end)
    }

    /// Long enough before an order ends by itself for the authority to be asked.
    private static let reminderDays = 14.0

    @Sendable func figures(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(DelayFiguresPage(try await orders.figures(), try await orders.activities(), context), title: "delay.figures.title")
    }

    /// One task for all that end soon.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.auditor) else { return [] }
        let soon = Date.now.addingTimeInterval(Self.reminderDays * 86_400)
        let due = try await orders.inForce(for: staff.credential).count { $0.reviewAt < soon && !$0.isOwn }
        guard due > 0 else { return [] }
        return [HomeTask(title: context.text("delay.task.title"), detail: context.text("delay.task.detail", ["count": context.format.number(due)]), path: "/staff/delays")]
    }

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(DelayOrdersPage(try await orders.inForce(for: context.staff.credential), context), title: "delay.title")
    }

    @Sendable func showNew(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(NewDelayPage(try await orders.activities(), context.formView(), context), title: "delay.new.title")
    }

    @Sendable func set(_ request: Request, _ context: StaffContext) async throws -> Response {
        let activities = try await orders.activities()
        var form = NewDelayForm(context, activities, lookup)
        if let order = form.order {
            switch try await orders.set(order, by: context.staff.credential) {
            case .set:
                context.notice("delay.new.done")
                return context.redirect(to: "/staff/delays")
            case .datesInvalid: form.fields.reject("review", "delay.new.dates_invalid")
            case .subjectUnknown: form.fields.reject("national_number", "casework.search.subject_unknown")
            case .activityUnknown: form.fields.reject("activity", "delay.new.activity_unknown")
            case .notPermitted: throw Problem.forbidden
            }
        }
        return try context.page(NewDelayPage(activities, context.formView(form.fields.state), context), title: "delay.new.title", status: .unprocessableContent)
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let order = try await order(context) else { return noLonger(context) }
        return try context.page(DelayReviewPage(order, context.formView(), context), title: "delay.review.title")
    }

    @Sendable func keep(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let order = try await order(context) else { return noLonger(context) }
        var fields = FormReader(context.form)
        let review = fields.date("review")
        if fields.isValid, let review {
            switch try await orders.review(order.id, until: review, by: context.staff.credential) {
            case .kept, .ended:
                context.notice("delay.review.kept")
                return context.redirect(to: "/staff/delays")
            case .datesInvalid: fields.reject("review", "delay.review.date_invalid")
            case .unknown, .alreadyEnded: return noLonger(context)
            case .own, .notPermitted: throw Problem.forbidden
            }
        }
        return try context.page(DelayReviewPage(order, context.formView(fields.state), context), title: "delay.review.title", status: .unprocessableContent)
    }

    @Sendable func end(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let order = try await order(context), try await orders.review(order.id, until: nil, by: context.staff.credential) == .ended else {
            return noLonger(context)
        }
        context.notice("delay.review.ended")
        return context.redirect(to: "/staff/delays")
    }

    private func order(_ context: StaffContext) async throws -> DelayOrder? {
        let id: DelayOrderID = try context.parameter("id")
        return try await orders.inForce(for: context.staff.credential).first { $0.id == id }
    }

    /// It has ended, or there never was one.
    private func noLonger(_ context: StaffContext) -> Response {
        context.notice("delay.no_longer")
        return context.redirect(to: "/staff/delays")
    }
}

/// The form of `/staff/delays/new`.
private struct NewDelayForm {
    var fields: FormReader
    let order: NewDelayOrder?

    init(_ context: StaffContext, _ activities: [DelayableActivity], _ lookup: LookupKey) {
        var fields = FormReader(context.form)
        let number = fields.nationalNumber(lookup)
        let key = fields.choice("activity", from: activities.map(\.key))
        let authority = fields.line("authority", charactersMax: DelayOrders.authorityCharactersMax)
        let ground = fields.line("ground", charactersMax: DelayOrders.groundCharactersMax)
        let (review, last) = (fields.date("review"), fields.date("last"))
        if fields.isValid, let number, let activity = activities.first(where: { $0.key == key }), let review, let last {
            order = NewDelayOrder(nationalNumber: number, activity: activity, authority: authority, ground: ground, review: review, last: last)
        } else {
            order = nil
        }
        self.fields = fields
    }
}

extension FormReader {
    /// What everybody reads later, on one line.
    fileprivate mutating func line(_ name: String, charactersMax: Int) -> String {
        let text = text(name, charactersMax: charactersMax)
        if !text.isEmpty, !text.isOneVisibleLine || text.count < 3 { reject(name, "delay.new.line_malformed") }
        return text
    }
}
