// The daily close for finance officers; approvers and auditors look.
import Foundation
import HTTPTypes
import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of the daily close.
public struct DailyCloseRoutes: Sendable {
    private let database: Database

    public init(database: Database) {
        self.database = database
    }

    static let mayLook: Set<StaffRole> = [.financeOfficer, .approver, .auditor]
    private static let explanationCharacters = 3...1_000
    /// Closed days on the page: a month of them.
    private static let daysOnPage = 31

    public func add(to site: Site) {
        site.declare(pages: [DailyClosePage.self])
        site.addNavigation(.staff, path: "/staff/daily-close", textKey: "closing.navigation", roles: Self.mayLook)
        site.staff(Self.mayLook).get("/staff/daily-close", use: show)
        site.staff([.financeOfficer]).post("/staff/daily-close", use: close)
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await page(context)
    }

    @Sendable func close(_ request: Request, _ context: StaffContext) async throws -> Response {
        var fields = FormReader(context.form)
        let id = fields.optionalText("id", charactersMax: 36).flatMap { UUID(uuidString: $0) } ?? UUID()
        let explanation = fields.optionalLongText("explanation", charactersMax: Self.explanationCharacters.upperBound)
        if let explanation, explanation.unicodeScalars.count < Self.explanationCharacters.lowerBound { fields.reject("explanation", "closing.explanation_missing") }
        if fields.isValid {
            let statement = CloseDay(credential: context.staff.credential, id: id, explanation: explanation)
            switch try await database.transaction({ try await $0.one(statement) }) {
            case "closed", "exists":
                context.notice("closing.done")
                return context.redirect(to: "/staff/daily-close")
            case "explanation_missing": fields.reject("explanation", "closing.explanation_missing")
            default: throw Problem.forbidden
            }
        }
        return try await page(context, fields.state, status: .unprocessableContent)
    }

    private func page(_ context: StaffContext, _ state: FormState = .blank, status: HTTPResponse.Status = .ok) async throws -> Response {
        let credential = context.staff.credential
        // It reads much: not on the connection that others share.
        guard let figures = try await database.exclusive({ try await $0.one(DayFigures(credential: credential)) }) else { throw Problem.forbidden }
        let days = try await database.query(ClosedDays(credential: credential, count: Self.daysOnPage))
        let page = DailyClosePage(figures, days, mayClose: context.staff.roles.contains(.financeOfficer), context.formView(state), context)
        return try context.page(page, title: "closing.title", status: status)
    }
}

/// `/staff/daily-close`
struct DailyClosePage: PageModel {
    static let template = "payments/daily-close"

    var figures: [Figure]
    var days: [Day]
    var errors: ErrorSummary?
    var form: CloseForm?

    static let fields: Fields<Self> = [
        "figures": .list(\.figures), "is_empty": .flag { $0.figures.isEmpty }, "days": .list(\.days), "has_days": .flag { !$0.days.isEmpty }, "errors": .optional(\.errors),
        "form": .optional(\.form),
    ]

    struct Figure: ViewModel {
        var title: String
        var lines: [Line]
        var expected: String
        var found: String
        var difference: String?

        static let fields: Fields<Self> = [
            "title": .text(\.title), "lines": .list(\.lines), "expected": .text(\.expected), "found": .text(\.found), "difference": .optionalText(\.difference),
            "agrees": .flag { $0.difference == nil },
        ]
    }

    struct Line: ViewModel {
        var text: String
        var amount: String
        static let fields: Fields<Self> = ["text": .text(\.text), "amount": .text(\.amount)]
    }

    struct Day: ViewModel {
        var text: String
        var explanation: String?
        static let fields: Fields<Self> = ["text": .text(\.text), "explanation": .optionalText(\.explanation)]
    }

    struct CloseForm: ViewModel {
        var id: String
        var explanation: TextField
        static let fields: Fields<Self> = ["id": .text(\.id), "explanation": .model(\.explanation)]
    }

    init(_ found: [DayFigure], _ closed: [ClosedDay], mayClose: Bool, _ form: FormView, _ context: some PageContext) {
        let write = { (amount: Money) in amount.formatted(locale: context.language.tag) }
        figures = found.map { figure in
            Figure(
                title: context.text("closing.kind.\(figure.kind)", ["name": figure.name.isolated]),
                lines: figure.lines.map { line in
                    Line(
                        text: context.text("closing.line.\(line.word)", ["date": line.day.map { context.format.date($0) } ?? context.text("closing.no_statement")]),
                        amount: write(line.amount))
                },
                expected: write(figure.expected), found: write(figure.found), difference: figure.difference.minorUnits == 0 ? nil : write(figure.difference))
        }
        days = closed.map { day in
            Day(
                text: context.text(
                    day.differences == 0 ? "closing.day_agreed" : "closing.day_differed", ["name": day.closedBy.isolated, "date": context.format.dateTime(day.closedAt)]),
                explanation: day.explanation)
        }
        errors = form.errors
        if mayClose {
            self.form = CloseForm(
                id: UUID().uuidString.lowercased(), explanation: form.area("explanation", label: "closing.explanation", hint: "closing.explanation_hint"))
        }
    }
}
