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
        site.resident.get("/messages", use: show)
        site.residentAPI.get("/api/v1/messages", use: list)
    }

    /// The newest messages that are shown: what somebody reads at one sitting. Older ones stay in the JSON list.
    static let messagesPerPage = 50

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let messages = try await Messages.newest(Self.messagesPerPage, of: context.resident.credential, on: database)
        return try context.page(MessagesPage(messages, context), title: "messages.title")
    }

    @Sendable func list(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "messages")
        let messages = try await Messages.newest(Self.messagesPerPage, of: context.resident.credential, on: database)
        return try .json(CursorList(items: messages.map { MessageBody($0, context) }, nextCursor: nil))
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

    static let fields: Fields<Self> = ["messages": .list(\.messages), "is_empty": .flag(\.isEmpty)]

    init(_ messages: [ReceivedMessage], _ context: some PageContext) {
        self.messages = messages.map { MessageView($0, context) }
        isEmpty = messages.isEmpty
    }
}

/// One message in words.
public struct MessageView: ViewModel {
    var text: String
    var at: String
    var timestamp: String

    public static let fields: Fields<Self> = ["text": .text(\.text), "at": .text(\.at), "timestamp": .text(\.timestamp)]

    public init(_ message: ReceivedMessage, _ context: some PageContext) {
        text = message.text(context)
        at = context.format.dateTime(message.sentAt)
        timestamp = RFC3339.text(message.sentAt)
    }
}
