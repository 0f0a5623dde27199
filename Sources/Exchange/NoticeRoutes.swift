// Where organisations read what they may not read any more and say what they did with it, and where auditors see who has not.
import Foundation
import Hummingbird
public import Postgres
import Primitives
public import TransparencyLog
public import Web

public struct NoticeRoutes: Sendable {
    private let database: Database
    private let signer: Ed25519NoteSigner

    /// - Parameter signer: the city's key. What it signs here begins with a label of its own.
    public init(database: Database, signer: Ed25519NoteSigner) {
        self.database = database
        self.signer = signer
    }

    /// URL table of notices.
    public func add(to site: Site) {
        site.declare(pages: [RecipientsPage.self])
        site.bearerAPI.get("/api/v1/exchange/notices", use: list)
        site.bearerAPI.put("/api/v1/exchange/notices/{id}/acknowledgement", use: acknowledge)
        site.addNavigation(.staff, path: "/staff/recipients", textKey: "exchange.recipients.navigation", roles: [.auditor])
        site.addStaffTasks(tasks)
        site.staff([.auditor]).get("/staff/recipients", use: showRecipients)
    }

    /// Notices in one answer: some 60 kB, and 4 ms of signing.
    static let noticesPerAnswer = 100

    // MARK: Organisations

    @Sendable func list(_ request: Request, _ context: BearerContext) async throws -> Response {
        let after = try NoticeCursor(try context.query(request).value("after")).number
        let query = NoticesOf(credential: context.credential, after: after, countMax: Self.noticesPerAnswer + 1)
        let found = try await notices(query)
        let shown = found.prefix(Self.noticesPerAnswer)
        return .list(
            try shown.map { try $0.item(signedBy: signer) }, next: found.count > shown.count ? shown.last.map { String($0.number) } : nil)
    }

    @Sendable func acknowledge(_ request: Request, _ context: BearerContext) async throws -> Response {
        let id: NoticeID = try context.parameter("id")
        let body = try AcknowledgementBody(await context.json(request, bytesMax: AcknowledgementBody.bytesMax))
        let outcome = try await database.exclusive { try await $0.one(Acknowledge(credential: context.credential, notice: id, body: body)) }
        if let problem = outcome.problem { throw problem }
        guard let notice = try await notices(NoticesOf(credential: context.credential, notice: id)).first else { throw Problem.notFound }
        return .json(try notice.item(signedBy: signer))
    }

    /// - Throws: `Problem` for a token that does not stand or may not read.
    private func notices(_ query: NoticesOf) async throws -> [Notice] {
        let rows = try await database.exclusive { try await $0.query(query) }
        guard !rows.isEmpty else { throw BearerContext.invalidToken }
        return try rows.compactMap { row -> Notice? in
            switch row {
            case .scopeMissing: throw Problem.insufficientScope("exchange.read")
            case .none: nil
            case .found(let notice): notice
            }
        }
    }

    // MARK: Auditors

    /// One task for all organisations that are overdue.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.auditor) else { return [] }
        let overdue = try await database.query(Recipients(credential: staff.credential)).filter { $0.overdueCount > 0 }
        guard let first = overdue.first else { return [] }
        let detail = context.text("exchange.recipients.task_detail", count: overdue.count, ["date": context.format.day(first.firstDueAt)])
        return [HomeTask(title: context.text("exchange.recipients.task"), detail: detail, path: "/staff/recipients")]
    }

    @Sendable func showRecipients(_ request: Request, _ context: StaffContext) async throws -> Response {
        let recipients = try await database.query(Recipients(credential: context.staff.credential))
        return try context.page(RecipientsPage(recipients, context), title: "exchange.recipients.title")
    }
}

/// `after` of a list of notices: a number that was seen; nothing to begin with the first.
private struct NoticeCursor {
    let number: Int64

    /// - Throws: `Problem` 400.
    init(_ text: String?) throws {
        guard let text else {
            number = 0
            return
        }
        guard let parsed = Int64(text), parsed >= 0, String(parsed) == text else {
            throw Problem(
                "malformed-cursor", status: .badRequest, title: "Malformed cursor",
                detail: "Send the number of the last notice that you have, or leave after out to begin with the first.",
                errors: [FieldProblem(field: "after", code: "malformed", detail: "This is no number of a notice.")])
        }
        number = parsed
    }
}

extension AcknowledgeOutcome {
    /// What the organisation is told; nil when it is done.
    fileprivate var problem: Problem? {
        switch self {
        case .recorded, .unchanged: nil
        case .stands:
            Problem(
                "acknowledgement-stands", status: .conflict, title: "Acknowledgement stands",
                detail: "Something else was said about this notice before, and that stands. Write to the city if it was wrong.")
        case .noticeUnknown: .notFound
        case .scopeMissing: .insufficientScope("exchange.read")
        case .credentialInvalid: BearerContext.invalidToken
        }
    }
}

/// `/staff/recipients`.
struct RecipientsPage: PageModel {
    static let template = "exchange/recipients"
    static let fields: Fields<Self> = ["recipients": .list(\.recipients), "is_empty": .flag { $0.recipients.isEmpty }]

    var recipients: [RecipientView]

    init(_ recipients: [Recipient], _ context: StaffContext) {
        self.recipients = recipients.map { RecipientView($0, context) }
    }
}

/// One organisation that has not answered everything.
struct RecipientView: ViewModel {
    var name: String
    /// How many are overdue; nil where none is.
    var overdue: String?
    /// How many still have time.
    var open: String?
    var firstDue: String
    /// That its webhook does not take them.
    var unposted: String?

    static let fields: Fields<Self> = [
        "name": .text(\.name), "overdue": .optionalText(\.overdue), "open": .optionalText(\.open), "first_due": .text(\.firstDue),
        "unposted": .optionalText(\.unposted),
    ]

    init(_ recipient: Recipient, _ context: some PageContext) {
        name = recipient.name.text(context.language)
        overdue = recipient.overdueCount > 0 ? context.text("exchange.recipients.overdue", count: recipient.overdueCount) : nil
        open = recipient.openCount > 0 ? context.text("exchange.recipients.open", count: recipient.openCount) : nil
        firstDue = context.format.day(recipient.firstDueAt)
        unposted = recipient.unpostedCount == 0 ? nil
            : context.text("exchange.recipients.unposted", count: recipient.unpostedCount, ["outcome": recipient.outcome ?? "–"])
    }
}
