// The resident's messages, as a page and as JSON.
import Foundation
import Hummingbird
public import Postgres
import Primitives
public import Web

/// URL table of the slice.
public struct MessagesRoutes: Sendable {
    private let database: Database

    public init(database: Database) {
        self.database = database
    }

    public func add(to site: Site) {
        site.declare(pages: [MessagesPage.self])
        site.addNavigation(.resident, path: "/messages", textKey: "messages.navigation")
        site.addOwnData(OwnDataPart(name: "messages", textKey: "messages.own_data", scope: "messages", read: readOwn))
        site.resident(helpersIn: "messages").get("/messages", use: show)
        site.residentAPI.get("/api/v1/messages", use: list)
    }

    /// Messages on one page: what somebody reads at one sitting.
    static let messagesPerPage = 50

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let page = try await page(of: context.resident.credential, before: try context.query(request).value("before"), named: "before")
        return try context.page(MessagesPage(page.messages, next: page.next, context), title: "messages.title")
    }

    @Sendable func list(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "messages")
        let page = try await page(of: context.resident.credential, before: try context.query(request).value("cursor"), named: "cursor")
        return try .json(CursorList(items: page.messages.map { MessageBody($0, context) }, nextCursor: page.next?.description))
    }

    @Sendable private func readOwn(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let page = try await page(of: reader.credential, before: cursor, named: "cursor")
        return OwnDataPage(try page.messages.map { try JSONValue(encoding: MessageBody($0, reader.context)) }, next: page.next?.description)
    }

    private func page(
        of credential: CredentialHash, before: String?, named parameter: String
    ) async throws -> (messages: [ReceivedMessage], next: MomentCursor?) {
        let cursor = try MomentCursor(parameter: before, named: parameter)
        // One more than is shown tells whether there is another page.
        var messages = try await database.query(MessagesOf(credential: credential, before: cursor, pageSize: Self.messagesPerPage + 1))
        let hasMore = messages.count > Self.messagesPerPage
        if hasMore { messages.removeLast() }
        return (messages, hasMore ? messages.last.map { MomentCursor(at: $0.sentAt, id: $0.id.uuid) } : nil)
    }
}

/// A message in JSON.
struct MessageBody: Encodable, Sendable {
    let id: String
    let kind: String
    let text: String
    let at: String

    init(_ message: ReceivedMessage, _ context: some PageContext) {
        id = message.id.description
        kind = message.kind
        text = message.text(context)
        at = RFC3339.text(message.sentAt)
    }
}

/// The page `messages`.
struct MessagesPage: PageModel {
    static let template = "messages/list"

    var messages: [MessageView]
    var isEmpty: Bool
    var older: Link?

    static let fields: Fields<Self> = ["messages": .list(\.messages), "is_empty": .flag(\.isEmpty), "older": .optionalLink(\.older)]

    init(_ messages: [ReceivedMessage], next: MomentCursor?, _ context: some PageContext) {
        self.messages = messages.map { MessageView($0, context) }
        isEmpty = messages.isEmpty
        older = next.map { Link("/messages?before=\($0)") }
    }
}

/// One message in words.
public struct MessageView: ViewModel {
    var text: String
    var at: String
    var timestamp: String
    /// Where there is something to look at.
    var about: MessageLink?

    public static let fields: Fields<Self> = [
        "text": .text(\.text), "at": .text(\.at), "timestamp": .text(\.timestamp), "about": .optional(\.about),
    ]

    public init(_ message: ReceivedMessage, _ context: some PageContext) {
        text = message.text(context)
        at = context.format.dateTime(message.sentAt)
        timestamp = RFC3339.text(message.sentAt)
        about = MessageKind(rawValue: message.kind)?.page.map { MessageLink(page: Link($0.path), name: context.text($0.textKey)) }
    }
}

/// The page that a message is about.
struct MessageLink: ViewModel {
    var page: Link
    var name: String

    static let fields: Fields<Self> = ["page": .link(\.page), "name": .text(\.name)]
}
