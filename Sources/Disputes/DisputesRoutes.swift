// Where residents say that something is wrong with a bill, a payment or a benefit, and where everybody reads how such disputes end. Staff's part
// is in DisputeStaffRoutes.swift.
import Foundation
import HTTPTypes
import Hummingbird
import Postgres
import Primitives
public import Web

/// URL table of the residents' and the public part.
public struct DisputesRoutes: Sendable {
    private let disputes: Disputes

    public init(disputes: Disputes) {
        self.disputes = disputes
    }

    public func add(to site: Site) {
        site.declare(pages: [DisputesPage.self, NewDisputePage.self, OwnDisputePage.self, FiguresPage.self])
        site.addOwnData(OwnDataPart(name: "disputes", textKey: "disputes.own_data", scope: Disputes.scope, read: readOwn))
        site.resident.get("/disputes", use: list)
        site.resident.get("/disputes/new", use: form)
        site.resident.post("/disputes", use: open)
        site.everyone.get("/disputes/figures", use: figures)
        site.resident.get("/disputes/{id}", use: show)
        site.resident.post("/disputes/{id}", use: write)
        site.residentAPI.get("/api/v1/disputes", use: listDisputes)
        site.residentAPI.get("/api/v1/disputes/{id}", use: getDispute)
        site.residentAPI.put("/api/v1/disputes/{id}", use: putDispute)
        site.residentAPI.put("/api/v1/disputes/{id}/messages/{message}", use: putMessage)
    }

    /// Disputes on one page or in one answer: more than most people have in a life.
    static let disputesPerPage = 50

    // MARK: Pages

    @Sendable func list(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let page = try await page(of: context.resident.credential, before: try context.query(request).value("before"), named: "before")
        return try context.page(DisputesPage(page.disputes, next: page.next, context), title: "disputes.title")
    }

    @Sendable func form(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let query = try context.query(request)
        return try await form(context, about: try query.value("about"), id: try query.value("id"), dispute: .new(), .blank)
    }

    @Sendable func open(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let kind = try context.form.value("about"), about = try context.form.value("id")
        var fields = FormReader(context.form)
        let id = fields.optionalText("dispute", charactersMax: 36).flatMap { DisputeID($0) } ?? .new()
        let category = fields.optionalText("category", charactersMax: 40)
        if category == nil { fields.reject("category", "web.field.choose") }
        let words = fields.longText("words", charactersMax: Disputes.wordsCharactersMax)
        guard fields.isValid, let category, let thing = try thing(kind, about) else {
            return try await form(context, about: kind, id: about, dispute: id, fields.state, status: .unprocessableContent)
        }
        let new = NewDispute(id: id, kind: thing.kind, aboutID: thing.id, category: category, words: words)
        let opened = try await disputes.open(new, by: context.resident.credential)
        switch opened.outcome {
        case .opened: context.notice("disputes.opened")
        case .alreadyOpen: context.notice("disputes.already_open")
        case .categoryUnknown: fields.reject("category", "web.field.choose")
        case .tooMany: fields.reject("words", "disputes.too_many")
        case .thingUnknown, .credentialInvalid: throw Problem.notFound
        }
        guard fields.isValid, let dispute = opened.dispute else {
            return try await form(context, about: kind, id: about, dispute: id, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/disputes/\(dispute)")
    }

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await show(context, .blank)
    }

    @Sendable func write(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let id: DisputeID = try context.parameter("id")
        var fields = FormReader(context.form)
        let message = fields.optionalText("message", charactersMax: 36).flatMap { DisputeMessageID($0) } ?? .new()
        let words = fields.longText("words", charactersMax: Disputes.wordsCharactersMax)
        guard fields.isValid else { return try await show(context, fields.state, status: .unprocessableContent) }
        switch try await disputes.write(words, as: message, in: id, by: context.resident.credential) {
        case .written: context.notice("disputes.written")
        case .closed: context.notice("disputes.is_closed")
        case .tooMany:
            fields.reject("words", "disputes.too_many_messages")
            return try await show(context, fields.state, status: .unprocessableContent)
        case .disputeUnknown, .notAllowed: throw Problem.notFound
        }
        return context.redirect(to: "/disputes/\(id)")
    }

    @Sendable func figures(_ request: Request, _ context: WebContext) async throws -> Response {
        try context.page(FiguresPage(try await disputes.database.query(PublicFigures()), context), title: "disputes.figures.title")
    }

    // MARK: JSON

    @Sendable func listDisputes(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: Disputes.scope)
        let page = try await page(of: context.resident.credential, before: try context.query(request).value("cursor"), named: "cursor")
        return try .json(CursorList(items: page.disputes.map { DisputeBody($0) }, nextCursor: page.next?.description))
    }

    @Sendable func getDispute(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: Disputes.scope)
        return try .json(try await body(try context.parameter("id"), context))
    }

    @Sendable func putDispute(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: Disputes.scope)
        let id: DisputeID = try context.parameter("id")
        var body = try await context.json(request)
        let kind = body.choice("about", of: DisputedKind.self)
        let about = body.uuid("about_id")
        let category = body.string("category", charactersMax: 40)
        let words = body.visibleText("words", charactersMax: Disputes.wordsCharactersMax)
        try body.finish()
        guard let kind else { throw Problem.notFound }
        let isNew = try await disputes.own(id, of: context.resident.credential) == nil
        let new = NewDispute(id: id, kind: kind, aboutID: about, category: category, words: words)
        switch try await disputes.open(new, by: context.resident.credential).outcome {
        case .opened: return try .json(try await self.body(id, context), status: isNew ? .created : .ok)
        case .alreadyOpen: throw Problem.disputeOpen
        case .tooMany: throw Problem.tooManyDisputes
        case .categoryUnknown: throw Problem.categoryUnknown
        case .thingUnknown, .credentialInvalid: throw Problem.notFound
        }
    }

    @Sendable func putMessage(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: Disputes.scope)
        let id: DisputeID = try context.parameter("id")
        var body = try await context.json(request)
        let words = body.visibleText("words", charactersMax: Disputes.wordsCharactersMax)
        try body.finish()
        switch try await disputes.write(words, as: try context.parameter("message"), in: id, by: context.resident.credential) {
        case .written: return try .json(try await self.body(id, context))
        case .closed: throw Problem.disputeClosed
        case .tooMany: throw Problem.tooManyWords
        case .disputeUnknown, .notAllowed: throw Problem.notFound
        }
    }
}

extension DisputesRoutes {
    /// The form about what the address names; 404 for what is not the resident's.
    private func form(
        _ context: ResidentContext, about kind: String?, id: String?, dispute: DisputeID, _ state: FormState, status: HTTPResponse.Status = .ok
    ) async throws -> Response {
        guard let named = try thing(kind, id),
            let thing = try await disputes.database.optional(OwnThing(credential: context.resident.credential, kind: named.kind, id: named.id))
        else { throw Problem.notFound }
        let categories = try await disputes.database.query(DisputeCategories(kind: thing.kind))
        return try context.page(
            NewDisputePage(thing, categories, id: dispute, context.formView(state), context), title: "disputes.new.title", status: status)
    }

    private func thing(_ kind: String?, _ id: String?) throws -> (kind: DisputedKind, id: UUID)? {
        guard let kind = kind.flatMap(DisputedKind.init), let id = id.flatMap({ UUID(uuidString: $0) }) else { return nil }
        return (kind, id)
    }

    private func show(_ context: ResidentContext, _ state: FormState, status: HTTPResponse.Status = .ok) async throws -> Response {
        guard let own = try await disputes.own(try context.parameter("id"), of: context.resident.credential) else { throw Problem.notFound }
        return try context.page(OwnDisputePage(own.dispute, own.words, context.formView(state), context), title: "disputes.one.title", status: status)
    }

    private func body(_ id: DisputeID, _ context: ResidentAPIContext) async throws -> DisputeBody {
        guard let own = try await disputes.own(id, of: context.resident.credential) else { throw Problem.notFound }
        return DisputeBody(own.dispute, words: own.words)
    }

    private func page(
        of credential: CredentialHash, before: String?, named parameter: String
    ) async throws -> (disputes: [Dispute], next: MomentCursor?) {
        let cursor = try MomentCursor(parameter: before, named: parameter)
        // One more than is shown tells whether there is another page.
        let found = try await disputes.database.query(OwnDisputes(credential: credential, before: cursor, count: Self.disputesPerPage + 1))
        let shown = Array(found.prefix(Self.disputesPerPage))
        return (shown, found.count > shown.count ? shown.last.map { MomentCursor(at: $0.openedAt, id: $0.id.uuid) } : nil)
    }

    @Sendable private func readOwn(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let page = try await page(of: reader.credential, before: cursor, named: "cursor")
        var items: [JSONValue] = []
        for dispute in page.disputes {
            let words = try await disputes.own(dispute.id, of: reader.credential)?.words
            items.append(try JSONValue(encoding: DisputeBody(dispute, words: words)))
        }
        return OwnDataPage(items, next: page.next?.description)
    }
}

extension JSONReader {
    /// A text that people read: not empty, and without characters that control or turn it.
    fileprivate mutating func visibleText(_ name: String, charactersMax: Int) -> String {
        let text = string(name, charactersMax: charactersMax)
        if !text.isEmpty, !text.isVisibleText {
            reject(name, code: "malformed", detail: "Send visible text, without characters that control or turn it.")
        }
        return text
    }
}

extension Problem {
    static let disputeOpen = Problem(
        "dispute-open", status: .conflict, title: "Dispute open",
        detail: "There is an open dispute about this, or another one has this id. Find it with GET /api/v1/disputes and add a message to it.")
    static let disputeClosed = Problem(
        "dispute-closed", status: .conflict, title: "Dispute closed",
        detail: "This dispute is decided. If you do not agree, open a new one with another id.")
    static let tooManyDisputes = Problem(
        "too-many-disputes", status: .conflict, title: "Too many disputes",
        detail: "Twenty of your disputes are open. Add to one of them, or wait until some are decided.")
    static let tooManyWords = Problem(
        "too-many-messages", status: .conflict, title: "Too many messages",
        detail: "There are fifty messages in this dispute. Wait for the decision, or come to a counter.")
    static let categoryUnknown = Problem(
        "dispute-category-unknown", status: .unprocessableContent, title: "Category unknown",
        detail: "This category does not fit what the dispute is about. The categories are in /api/openapi.yaml.")
}
