// The home page, as what it shows.
import Foundation
import Messages
import Web

/// `/` for somebody who is not signed in.
struct VisitorHomePage: PageModel {
    static let template = "identity/home-visitor"
    static let fields: Fields<Self> = [:]
}

/// `/` for a resident: tasks, messages, and the four parts.
struct ResidentHomePage: PageModel {
    static let template = "identity/home"

    var publicCode: String
    var isProven: Bool
    var tasks: [HomeTaskView]
    var messages: [MessageView]
    var hasMessages: Bool

    static let fields: Fields<Self> = [
        "public_code": .text(\.publicCode), "is_proven": .flag(\.isProven), "tasks": .list(\.tasks),
        "has_tasks": .flag { !$0.isProven || !$0.tasks.isEmpty }, "messages": .list(\.messages), "has_messages": .flag(\.hasMessages),
    ]

    init(_ resident: ResidentCaller, _ tasks: [HomeTask], _ messages: [ReceivedMessage], _ context: WebContext) {
        publicCode = resident.publicCode
        isProven = resident.identityAssurance > 0
        self.tasks = tasks.map(HomeTaskView.init)
        self.messages = messages.map { MessageView($0, context) }
        hasMessages = !messages.isEmpty
    }
}
