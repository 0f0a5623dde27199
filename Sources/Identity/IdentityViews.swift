// The pages of the slice, as what they show.
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

/// `/register`.
struct RegisterPage: PageModel {
    static let template = "identity/register"

    var errors: ErrorSummary?
    var username: TextField
    var email: TextField
    var phone: TextField
    var password: TextField
    var sharedComputer: TickField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "username": .model(\.username), "email": .model(\.email), "phone": .model(\.phone),
        "password": .model(\.password), "shared_computer": .model(\.sharedComputer),
    ]

    init(_ form: FormView) {
        errors = form.errors
        username = form.text("username", label: "identity.username", hint: "identity.register.username_hint", autocomplete: "username")
        email = form.text("email", label: "identity.email", hint: "identity.register.optional", type: "email", autocomplete: "email")
        phone = form.text("phone", label: "identity.phone", hint: "identity.register.phone_hint", type: "tel", autocomplete: "tel")
        password = form.password("password", label: "identity.password", hint: "identity.register.password_hint", autocomplete: "new-password")
        sharedComputer = form.tick("shared_computer", label: "identity.shared_computer")
    }
}

/// `/sign-in`: one form for residents and staff.
struct SignInPage: PageModel {
    static let template = "identity/sign-in"

    var errors: ErrorSummary?
    var username: TextField
    var password: TextField
    var sharedComputer: TickField
    var next: String?

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "username": .model(\.username), "password": .model(\.password), "shared_computer": .model(\.sharedComputer),
        "next": .optionalText(\.next),
    ]

    init(_ form: FormView, next: String?) {
        errors = form.errors
        username = form.text("username", label: "identity.sign_in.name", autocomplete: "username")
        password = form.password("password", label: "identity.password")
        sharedComputer = form.tick("shared_computer", label: "identity.shared_computer")
        self.next = next
    }
}
