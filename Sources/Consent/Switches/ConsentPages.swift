// What the pages show: the dashboard of all purposes, and one purpose with its history. Everything is a formatted text here.
import Foundation
import Primitives
public import Web

/// Every organisation with its purposes and their switches.
struct ConsentDashboard: PageModel {
    static let template = "consent/dashboard"
    static let fields: Fields<Self> = ["organisations": .list(\.organisations), "is_empty": .flag { $0.organisations.isEmpty }]

    var organisations: [OrganisationCard]

    init(_ sharings: [Sharing], context: ResidentContext) {
        organisations = []
        // The statement gives them by organisation, so neighbours belong together.
        var position = sharings.startIndex
        while position < sharings.endIndex {
            let organisation = sharings[position].activity
            let end = sharings[position...].firstIndex { $0.activity.organisationID != organisation.organisationID } ?? sharings.endIndex
            organisations.append(
                OrganisationCard(
                    id: organisation.organisationID, name: organisation.organisationName.text(context.language),
                    purposes: sharings[position..<end].map { PurposeCard($0, context: context) }))
            position = end
        }
    }
}

/// One organisation's card.
struct OrganisationCard: ViewModel {
    var id: String
    var name: String
    var purposes: [PurposeCard]

    static let fields: Fields<Self> = [
        "id": .text(\.id), "name": .text(\.name), "purposes": .list(\.purposes), "page": .link { Link(OrganisationPage.path(of: $0.id)) },
    ]
}

/// One purpose: what it is for, what it reads, how it stands and the switch, if there is one.
struct PurposeCard: ViewModel {
    var id: String
    var title: String
    var explanation: String
    var attributes: [String]
    /// How it stands, in words.
    var standing: String
    var isShared: Bool
    /// The agreement was to an earlier text.
    var outdated: String?
    /// When it ends, or for how long it would last.
    var duration: String?
    var page: Link
    var form: SwitchForm?

    static let fields: Fields<Self> = [
        "id": .text(\.id), "title": .text(\.title), "explanation": .text(\.explanation), "attributes": .texts(\.attributes),
        "standing": .text(\.standing), "is_shared": .flag(\.isShared), "outdated": .optionalText(\.outdated), "duration": .optionalText(\.duration), "page": .link(\.page),
        "form": .optional(\.form), "has_switch": .flag { $0.form != nil },
    ]

    init(_ sharing: Sharing, context: some PageContext) {
        let activity = sharing.activity
        id = activity.id.description
        title = activity.title.text(context.language)
        explanation = activity.explanation.text(context.language)
        attributes = Self.read(under: sharing).map { context.attributeName($0) }
        standing = Self.standing(of: sharing, context: context)
        isShared = sharing.state?.permits ?? true
        outdated = sharing.isOutdated && sharing.state != nil ? context.text("consent.outdated") : nil
        duration = Self.duration(of: sharing, context: context)
        page = Link("/consents/\(activity.id)")
        form = sharing.state.map { SwitchForm(sharing, state: $0, title: title, context: context) }
    }

    /// What is read as it stands, or would be if the resident shared all of it.
    private static func read(under sharing: Sharing) -> [String] {
        sharing.state?.permits == true ? sharing.granted.filter(sharing.activity.attributes.contains) : sharing.activity.attributes
    }

    /// Before agreeing, for how long; afterwards until when; and how often it may be read. Nothing where there is no end and no limit.
    private static func duration(of sharing: Sharing, context: some PageContext) -> String? {
        guard let state = sharing.state else { return context.frequency(of: sharing.activity) }
        guard state.permits else { return context.terms(of: sharing.activity) }
        let end = sharing.held.validUntil.map { context.text("consent.ends", ["date": context.format.dateTime($0)]) }
        let lines = [end, context.frequency(of: sharing.activity)].compactMap(\.self)
        return lines.isEmpty ? nil : lines.joined(separator: " ")
    }

    private static func standing(of sharing: Sharing, context: some PageContext) -> String {
        let since = sharing.held.since.map { context.format.day($0) } ?? ""
        switch sharing.state {
        case nil:
            let basis = context.text("consent.basis.\(sharing.activity.legalBasis.rawValue)")
            return context.text("consent.standing.law", ["basis": basis, "law": sharing.activity.law.map(context.lawName) ?? ""])
        case .notGiven?: return context.text("consent.standing.not_given")
        case .requested?: return context.text("consent.standing.requested", ["date": since])
        case .deferred?: return context.text("consent.standing.deferred", ["date": since])
        case .refused?: return context.text("consent.standing.refused", ["date": since])
        case .agreed?: return context.text("consent.standing.agreed", ["date": since])
        // Without attributes it was a request that nobody answered.
        case .expired? where sharing.held.attributes.isEmpty: return context.text("consent.standing.not_given")
        case .expired?: return context.text("consent.standing.expired", ["date": since])
        case .withdrawn?: return context.text("consent.standing.withdrawn", ["date": since])
        case .invalidated?: return context.text("consent.standing.invalidated", ["date": since])
        case .given?, .renewed?:
            let withheld = sharing.activity.attributes.filter { !sharing.granted.contains($0) }
            guard !withheld.isEmpty else { return context.text("consent.standing.given", ["date": since]) }
            let names = context.format.list(withheld.map { context.attributeName($0) })
            return context.text("consent.standing.given_part", ["date": since, "attributes": names])
        }
    }
}

/// The switch as two plain forms: all of it with one button, and a part of it by ticking.
struct SwitchForm: ViewModel {
    var id: String
    var action: Link
    var title: String
    var isShared: Bool
    /// Whether all of it can be shared, which is not so where it is, and for a child that is not asked.
    var canShare: Bool
    var guardiansDecide: Bool
    var policyVersion: String
    var choices: [AttributeChoice]
    /// Whether there is anything to choose: one attribute is all or nothing.
    var hasParts: Bool
    /// Whether the tick boxes show without being asked for: when something about them was wrong.
    var isOpen = false
    /// Whether today's text can be agreed to in place of an earlier one.
    var canAgreeAnew: Bool
    /// Whether it can be prolonged as it is.
    var canRenew: Bool

    static let fields: Fields<Self> = [
        "id": .text(\.id), "action": .link(\.action), "title": .text(\.title), "is_shared": .flag(\.isShared), "can_share": .flag(\.canShare),
        "guardians_decide": .flag(\.guardiansDecide), "policy_version": .text(\.policyVersion), "choices": .list(\.choices), "has_parts": .flag(\.hasParts),
        "is_open": .flag(\.isOpen), "can_agree_anew": .flag(\.canAgreeAnew),
        "can_renew": .flag(\.canRenew),
    ]

    init(_ sharing: Sharing, state: ConsentState, title: String, context: some PageContext) {
        let activity = sharing.activity
        id = activity.id.description
        action = Link("/consents/\(activity.id)")
        self.title = title
        isShared = state.permits
        // What several agree to they agree to as it is; to change it, one of them stops it first.
        let isAlone = sharing.wayToAgree == .alone
        let mayChange = isAlone || (sharing.wayToAgree == .together && !isShared)
        canShare = mayChange && !isShared
        guardiansDecide = sharing.wayToAgree == .guardians && !isShared
        canAgreeAnew = sharing.isOutdated && isAlone
        canRenew = sharing.held.isRenewable(sharing.offer) && (isAlone || sharing.endedWithBirthday)
        policyVersion = String(activity.policyVersion)
        hasParts = activity.attributes.count > 1 && mayChange
        // Nothing is ticked beforehand but what the resident shares already.
        let granted = sharing.granted
        choices = activity.attributes.map { attribute in
            AttributeChoice(
                id: "\(activity.id)-\(attribute)", attribute: attribute, name: context.attributeName(attribute),
                isTicked: granted.contains(attribute))
        }
    }

    /// Shows the boxes as they were ticked, because something about them was wrong.
    mutating func comesBack(ticked: [String]) {
        isOpen = true
        for position in choices.indices { choices[position].isTicked = ticked.contains(choices[position].attribute) }
    }
}

/// One tick box.
struct AttributeChoice: ViewModel {
    var id: String
    var attribute: String
    var name: String
    var isTicked: Bool

    static let fields: Fields<Self> = [
        "id": .text(\.id), "attribute": .text(\.attribute), "name": .text(\.name), "is_ticked": .flag(\.isTicked),
    ]
}

/// One purpose with everything that happened to it.
struct ConsentPage: PageModel {
    static let template = "consent/purpose"
    static let fields: Fields<Self> = [
        "title": .text(\.title), "organisation": .text(\.organisation), "purpose": .model(\.purpose), "change": .optional(\.change),
        "errors": .optional(\.errors),
        "events": .list(\.events), "is_never_shared": .flag { $0.purpose.form != nil && $0.events.isEmpty },
        "is_lawful": .flag { $0.purpose.form == nil }, "receipt": .optionalLink(\.receipt),
    ]

    var title: String
    var organisation: String
    var purpose: PurposeCard
    var change: PolicyChange?
    var errors: ErrorSummary?
    var events: [EventLine]
    /// Where there is anything to give a receipt of.
    var receipt: Link?

    /// - Parameter form: what was posted and is wrong; nil when the page is just looked at.
    init(
        _ sharing: Sharing, events: [RecordedEvent], guardians: [Guardian], change: PolicyChange?, form: FormState?, context: ResidentContext
    ) {
        purpose = PurposeCard(sharing, context: context)
        title = purpose.title
        receipt = events.first.map { $0.state.isOpenRequest || $0.state == .agreed || ($0.state == .expired && $0.attributes.isEmpty) } ?? true ? nil : Link("/consents/\(sharing.activity.id)/receipt")
        organisation = sharing.activity.organisationName.text(context.language)
        self.change = change
        if let form {
            let placed = form.errors.map { [purpose] in Self.placed($0, on: purpose) }
            errors = context.formView(FormState(typed: [:], errors: placed)).errors
            purpose.form?.comesBack(ticked: form.typed["attribute"] ?? [])
        }
        self.events = events.map { [organisation] in EventLine($0, organisation: organisation, guardians: guardians, context: context) }
    }

    /// An error under the id of what it is about on this page: the first tick box, or the card with the switch.
    private static func placed(_ error: FieldError, on purpose: PurposeCard) -> FieldError {
        let box = error.field == "attribute" ? purpose.form?.choices.first?.id : nil
        return FieldError(field: box ?? "now", messageKey: error.messageKey, parameters: error.parameters)
    }
}

/// One event: when, what, by whom, and the text that was shown.
struct EventLine: ViewModel {
    var at: String
    var timestamp: String
    var what: String
    /// By oneself on the page or in an app, or by paper form.
    var capacity: String
    /// Until when it was to count.
    var ends: String?
    /// That the organisation was told, and what it answered.
    var told: String?
    var isOverdue: Bool
    var version: String
    /// In the language in which they were shown, whichever the page is in.
    var title: ShownText
    var explanation: ShownText
    var attributes: [String]

    static let fields: Fields<Self> = [
        "at": .text(\.at), "timestamp": .text(\.timestamp), "what": .text(\.what), "capacity": .text(\.capacity), "ends": .optionalText(\.ends),
        "told": .optionalText(\.told), "is_overdue": .flag(\.isOverdue), "version": .text(\.version),
        "title": .model(\.title), "explanation": .model(\.explanation), "attributes": .texts(\.attributes),
    ]

    init(_ event: RecordedEvent, organisation: String, guardians: [Guardian], context: some PageContext) {
        at = context.format.dateTime(event.at)
        timestamp = RFC3339.text(event.at)
        let names = context.format.list(event.attributes.map { context.attributeName($0) })
        // An expiry without attributes is that of a request which nobody answered.
        // An organisation withdraws nothing but its request.
        let key = switch event.state {
        case .expired where event.attributes.isEmpty: "lapsed"
        case .withdrawn where event.capacity == "organisation": "retracted"
        default: event.state.rawValue
        }
        what = context.text("consent.event.\(key)", ["attributes": names])
        ends = event.state == .expired ? nil : event.validUntil.map { context.text("consent.ended", ["date": context.format.dateTime($0)]) }
        capacity = Self.capacity(event, guardians, context)
        version = String(event.policy.version)
        title = ShownText(event.policy.title, event.language)
        explanation = ShownText(event.policy.explanation, event.language)
        attributes = event.policy.attributes.map { context.attributeName($0) }
        told = event.notice.map { Self.told($0, organisation, context) }
        isOverdue = event.notice?.state == "overdue"
    }

    private static func told(_ notice: NoticeToRecipient, _ organisation: String, _ context: some PageContext) -> String {
        // What it did is said in its own words: deleted, or kept because of a law.
        let key = notice.state == "acknowledged" ? notice.done ?? notice.state : notice.state
        return context.text("consent.told.\(key)", [
            "name": organisation, "date": context.format.day(notice.toldAt), "due": context.format.day(notice.dueAt),
            "answered": notice.answeredAt.map { context.format.day($0) } ?? "", "law": notice.law ?? "",
        ])
    }
}

extension EventLine {
    /// By whom, in words: a guardian by the name that the child knows them by.
    fileprivate static func capacity(_ event: RecordedEvent, _ guardians: [Guardian], _ context: some PageContext) -> String {
        guard let account = event.guardian else { return context.text("consent.method.\(event.method)", ["reference": event.formReference ?? ""]) }
        let name = guardians.first { $0.accountID == account }?.name
        return name.map { context.text("consent.by_guardian", ["name": $0.isolated]) } ?? context.text("consent.by_former_guardian")
    }
}

/// A text with the language that it is in.
struct ShownText: ViewModel {
    var text: String
    var language: String
    var direction: String

    static let fields: Fields<Self> = ["text": .text(\.text), "language": .text(\.language), "direction": .text(\.direction)]

    init(_ localised: LocalisedText, _ wanted: Language) {
        let shown = localised.language(for: wanted)
        self.init(localised.text(shown), in: shown)
    }

    init(_ text: String, in shown: Language) {
        self.text = text
        language = shown.tag
        direction = shown.direction
    }
}

/// How today's text differs from the one that was read.
struct PolicyChange: ViewModel {
    var added: String?
    var removed: String?
    var formerTitle: String?
    var formerExplanation: String?

    static let fields: Fields<Self> = [
        "added": .optionalText(\.added), "removed": .optionalText(\.removed), "former_title": .optionalText(\.formerTitle),
        "former_explanation": .optionalText(\.formerExplanation),
    ]

    /// - Parameter former: nil when the version that was named never existed.
    init(from former: PolicyText?, to activity: ProcessingActivity, context: some PageContext) {
        guard let former else { return }
        let (added, removed) = ConsentRules.difference(from: former.attributes, to: activity.attributes)
        let list = { (attributes: [String]) -> String? in
            attributes.isEmpty ? nil : context.format.list(attributes.map { context.attributeName($0) })
        }
        self.added = list(added)
        self.removed = list(removed)
        if former.title != activity.title || former.explanation != activity.explanation {
            formerTitle = former.title.text(context.language)
            formerExplanation = former.explanation.text(context.language)
        }
    }
}

extension PageContext {
    /// An attribute's name in the reader's language.
    func attributeName(_ id: String) -> String { text("attributes.\(id)") }
}

extension PageContext {
    /// How often an organisation may read it, where its policy says so.
    func frequency(of activity: ProcessingActivity) -> String? { activity.readsPerDayMax.map { text("consent.frequency", count: $0) } }

    /// For how long an agreement lasts and how often it may be read, for whoever has not agreed yet.
    public func terms(of activity: ProcessingActivity) -> String? {
        let lines = [activity.validMonths.map { text("consent.lasts", count: $0) }, frequency(of: activity)].compactMap(\.self)
        return lines.isEmpty ? nil : lines.joined(separator: " ")
    }
}
