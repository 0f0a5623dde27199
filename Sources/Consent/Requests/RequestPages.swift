// What residents see of requests: the list, one request on one screen, and the page to choose a part. Agreeing and refusing look alike and
// take one press each; nothing is ticked beforehand.
import Foundation
import Web

/// `/consent-requests`: what waits for an answer.
struct RequestListPage: PageModel {
    static let template = "consent/requests"
    static let fields: Fields<Self> = [
        "requests": .list(\.requests), "is_empty": .flag { $0.requests.isEmpty }, "has_requests": .flag { !$0.requests.isEmpty },
    ]

    var requests: [Line]

    struct Line: ViewModel {
        var title: String
        var detail: String
        var page: Link

        static let fields: Fields<Self> = ["title": .text(\.title), "detail": .text(\.detail), "page": .link(\.page)]
    }

    init(_ requests: [ConsentRequest], context: some PageContext) {
        self.requests = requests.map { request in
            Line(
                title: request.title(context), detail: context.text("consent.request.until", ["date": context.format.dateTime(request.expiresAt)]),
                page: Link(request.path))
        }
    }
}

/// `/consent-requests/{id}`: who asks, why, for which data, and the answers.
struct RequestPage: PageModel {
    static let template = "consent/request"
    static let fields: Fields<Self> = [
        "organisation": .text(\.organisation), "title": .text(\.title), "explanation": .text(\.explanation), "attributes": .texts(\.attributes),
        "message": .optional(\.message), "duration": .optionalText(\.duration), "closed": .optionalText(\.closed),
        "changed": .flag(\.isChanged), "deferred": .optionalText(\.deferred), "form": .optional(\.form), "sharing": .link(\.sharing),
    ]

    var organisation: String
    var title: String
    var explanation: String
    var attributes: [String]
    var message: ShownText?
    /// For how long an agreement would last.
    var duration: String?
    /// What became of it; nil while it waits.
    var closed: String?
    var deferred: String?
    /// The text changed while it was read.
    var isChanged: Bool
    /// Nil when there is nothing to answer any more.
    var form: Form?
    var sharing: Link

    struct Form: ViewModel {
        var action: Link
        var policyVersion: String
        var part: Link
        var hasParts: Bool
        var until: String

        static let fields: Fields<Self> = [
            "until": .text(\.until), "action": .link(\.action), "policy_version": .text(\.policyVersion), "part": .link(\.part), "has_parts": .flag(\.hasParts),
        ]
    }

    init(_ request: ConsentRequest, isChanged: Bool, context: some PageContext) {
        let activity = request.activity
        organisation = activity.organisationName.text(context.language)
        title = activity.title.text(context.language)
        explanation = activity.explanation.text(context.language)
        attributes = request.offered.map { context.attributeName($0) }
        message = request.message.map { ShownText($0, in: request.messageLanguage ?? .english) }
        duration = context.terms(of: activity)
        let when = ["date": context.format.dateTime(request.stateAt)]
        let isOpen = request.state.isOpenRequest && !request.offered.isEmpty
        closed = isOpen ? nil : context.text("consent.request.closed.\(request.state.isOpenRequest ? "void" : request.state.rawValue)", when)
        deferred = isOpen && request.state == .deferred ? context.text("consent.request.deferred", when) : nil
        self.isChanged = isChanged && isOpen
        form = isOpen
            ? Form(
                action: Link(request.path), policyVersion: String(activity.policyVersion), part: Link(request.path + "/part"),
                hasParts: request.offered.count > 1,
                until: context.text("consent.request.until", ["date": context.format.dateTime(request.expiresAt)])) : nil
        sharing = Link("/consents/\(activity.id)")
    }
}

/// `/consent-requests/{id}/part`: the same with a box for each kind of data, none of them ticked.
struct RequestPartPage: PageModel {
    static let template = "consent/request-part"
    static let fields: Fields<Self> = [
        "organisation": .text(\.organisation), "title": .text(\.title), "action": .link(\.action), "policy_version": .text(\.policyVersion),
        "choices": .list(\.choices), "errors": .optional(\.errors),
    ]

    var organisation: String
    var title: String
    var action: Link
    var policyVersion: String
    var choices: [AttributeChoice]
    var errors: ErrorSummary?

    /// - Parameter form: what was posted and is wrong; nil when the page is just looked at.
    init(_ request: ConsentRequest, form: FormState?, context: ResidentContext) {
        organisation = request.activity.organisationName.text(context.language)
        title = request.activity.title.text(context.language)
        action = Link(request.path)
        policyVersion = String(request.activity.policyVersion)
        let ticked = form?.typed["attribute"] ?? []
        choices = request.offered.map { attribute in
            AttributeChoice(id: "a-\(attribute)", attribute: attribute, name: context.attributeName(attribute), isTicked: ticked.contains(attribute))
        }
        if let form {
            let first = choices.first?.id ?? "choices"
            errors = context.formView(
                FormState(typed: [:], errors: form.errors.map { FieldError(field: first, messageKey: $0.messageKey, parameters: $0.parameters) })
            ).errors
        }
    }
}

extension ConsentRequest {
    var path: String { "/consent-requests/\(id)" }

    func title(_ context: some PageContext) -> String {
        context.text(
            "consent.request.task",
            ["name": activity.organisationName.text(context.language), "purpose": activity.title.text(context.language)])
    }

    /// Whether the home page shows it: at once, and again some days after "ask me later".
    var isDue: Bool {
        state == .requested || (state == .deferred && stateAt.addingTimeInterval(ConsentRules.deferral) <= askedAt)
    }
}
