// Where auditors find unusual accesses, look into the entries behind one, and close it with a finding.
import Foundation
import HTTPTypes
import Hummingbird
import Postgres
public import Web

/// URL table of the tasks.
public struct AnomalyRoutes: Sendable {
    private let anomalies: Anomalies

    public init(anomalies: Anomalies) {
        self.anomalies = anomalies
    }

    public func add(to site: Site) {
        site.declare(pages: [AnomaliesPage.self, AnomalyPage.self])
        site.addNavigation(.staff, path: "/staff/anomalies", textKey: "anomalies.navigation", roles: [.auditor])
        site.addStaffTasks(tasks)
        let auditor = site.staff([.auditor])
        auditor.get("/staff/anomalies", use: list)
        auditor.get("/staff/anomalies/{reference}", use: show)
        auditor.post("/staff/anomalies/{reference}", use: close)
    }

    /// One task for all that wait.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.auditor) else { return [] }
        let waiting = try await anomalies.waiting(for: staff.credential)
        guard !waiting.isEmpty else { return [] }
        return [
            HomeTask(
                title: context.text("anomalies.task.title"),
                detail: context.text("anomalies.task.detail", ["count": context.format.number(waiting.count)]), path: "/staff/anomalies")
        ]
    }

    @Sendable func list(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(AnomaliesPage(try await anomalies.waiting(for: context.staff.credential), context), title: "anomalies.title")
    }

    @Sendable func show(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let anomaly = try await anomaly(context) else { return noLonger(context) }
        return try await page(anomaly, .blank, context)
    }

    @Sendable func close(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let anomaly = try await anomaly(context) else { return noLonger(context) }
        var fields = FormReader(context.form)
        let finding = fields.choice("finding", of: AnomalyFinding.self)
        let note = fields.longText("note", charactersMax: Anomalies.noteCharactersMax)
        guard fields.isValid, let finding else { return try await page(anomaly, fields.state, context, status: .unprocessableContent) }
        switch try await anomalies.close(anomaly.reference, finding, note: note, session: context.staff.credential) {
        case .closed: context.notice("anomalies.closed")
        case .alreadyClosed: return noLonger(context)
        // Whoever waited an hour looks again, and finds what they typed.
        case .notAllowed: return try await page(anomaly, fields.state, context, status: .unprocessableContent)
        case .ownAction: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/anomalies")
    }
}

extension AnomalyRoutes {
    private func anomaly(_ context: StaffContext) async throws -> Anomaly? {
        try await anomalies.one(try context.parameter("reference"), for: context.staff.credential)
    }

    private func page(_ anomaly: Anomaly, _ state: FormState, _ context: StaffContext, status: HTTPResponse.Status = .ok) async throws -> Response {
        let entries = try await anomalies.entries(behind: anomaly, for: context.staff.credential)
        return try context.page(AnomalyPage(anomaly, entries, context.formView(state), context), title: "anomalies.one.title", status: status)
    }

    /// Somebody else was faster, or there never was such a task.
    private func noLonger(_ context: StaffContext) -> Response {
        context.notice("anomalies.no_longer")
        return context.redirect(to: "/staff/anomalies")
    }
}

// MARK: Pages

/// `/staff/anomalies`.
struct AnomaliesPage: PageModel {
    static let template = "access-log/anomalies"

    var anomalies: [AnomalyView]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["anomalies": .list(\.anomalies), "is_empty": .flag(\.isEmpty)]

    init(_ waiting: [Anomaly], _ context: StaffContext) {
        anomalies = waiting.map { AnomalyView($0, context) }
        isEmpty = waiting.isEmpty
    }
}

/// One task in words.
struct AnomalyView: ViewModel {
    var reference: String
    var page: Link
    var rule: String
    var who: String
    var day: String
    var extent: String

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "page": .link(\.page), "rule": .text(\.rule), "who": .text(\.who), "day": .text(\.day), "extent": .text(\.extent),
    ]

    init(_ anomaly: Anomaly, _ context: some PageContext) {
        reference = anomaly.reference
        page = Link("/staff/anomalies/\(anomaly.reference)")
        rule = context.text("anomalies.rule.\(anomaly.rule)")
        who = anomaly.staff.map { "\($0.name) (\($0.username))" } ?? anomaly.organisationName?.text(context.language) ?? ""
        day = context.format.date(anomaly.day)
        extent = anomaly.volume.map {
            context.text("anomalies.volume", ["count": context.format.number($0.count), "usual": context.format.number($0.usual)])
        } ?? context.text("anomalies.entries", ["count": context.format.number(anomaly.entryCount)])
    }
}

/// `/staff/anomalies/{reference}`.
struct AnomalyPage: PageModel {
    static let template = "access-log/anomaly"

    var errors: ErrorSummary?
    var anomaly: AnomalyView
    var entries: [EntryView]
    var hasEntries: Bool
    var action: Link
    var finding: ChoiceField
    var note: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "anomaly": .model(\.anomaly), "entries": .list(\.entries), "has_entries": .flag(\.hasEntries),
        "action": .link(\.action),
        "finding": .model(\.finding), "note": .model(\.note),
    ]

    init(_ anomaly: Anomaly, _ entries: [AccessEntry], _ form: FormView, _ context: StaffContext) {
        self.anomaly = AnomalyView(anomaly, context)
        self.entries = entries.map { EntryView($0, context: context) }
        hasEntries = !entries.isEmpty
        action = self.anomaly.page
        finding = form.choices(
            "finding", label: "anomalies.one.finding",
            options: AnomalyFinding.allCases.map { ($0.rawValue, context.text("anomalies.finding.\($0.rawValue)")) })
        note = form.area("note", label: "anomalies.one.note", hint: "anomalies.one.note_hint")
        errors = form.errors
    }
}
