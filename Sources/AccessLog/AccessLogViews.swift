// Access entries in words: sentences for the page, fields for the app.
import Foundation
import Primitives
public import Web

/// An entry in JSON (`GET /api/v1/access-entries`).
struct AccessEntryBody: Encodable, Sendable {
    let id: String
    let at: String
    let organisation: String?
    let organisationName: String?
    let role: String
    let operation: String
    let purpose: String
    let purposeTitle: String?
    let attributes: [String]
    let legalGround: String?
    let caseReference: String?
    let outcome: String
    let refusal: String?
    let formEntered: Bool?
    let helper: String?
    let leafIndex: Int64?
    let count: Int?
    /// Whether a protected record was opened in an emergency.
    let emergency: Bool
    /// What the review of it found: `justified` or `not_justified`.
    let finding: String?
    /// Who acted, where that is told.
    let name: String?
    /// Whose order delayed that this was told, its decision, and until when.
    let delayedBy: String?
    let delayGround: String?
    let delayedUntil: String?

    enum CodingKeys: String, CodingKey {
        case id, at, organisation, role, operation, purpose, attributes, outcome, refusal, helper, count, emergency, finding, name
        case organisationName = "organisation_name"
        case purposeTitle = "purpose_title"
        case formEntered = "form_entered"
        case legalGround = "legal_ground"
        case caseReference = "case_reference"
        case leafIndex = "leaf_index"
        case delayedBy = "delayed_by"
        case delayGround = "delay_ground"
        case delayedUntil = "delayed_until"
    }

    init(_ entry: AccessEntry, language: Language) {
        id = entry.id.description
        at = RFC3339.text(entry.at)
        organisation = entry.organisationID
        organisationName = entry.organisationName?.text(language)
        role = entry.actorRole
        operation = entry.operation
        purpose = entry.purpose
        purposeTitle = entry.purposeTitle?.text(language)
        attributes = entry.attributes
        legalGround = entry.law ?? entry.legalBasis
        caseReference = entry.caseReference
        outcome = entry.outcome
        refusal = entry.refusal
        formEntered = entry.formEntered
        helper = entry.helperName
        leafIndex = entry.leafIndex
        count = entry.count
        emergency = entry.emergency != nil
        finding = entry.emergency?.finding
        name = entry.releasedName?.description
        delayedBy = entry.delay?.authority
        delayGround = entry.delay?.ground
        delayedUntil = entry.delay.map { RFC3339.text($0.endedAt) }
    }

    /// Every member is always there, null where there is nothing to say: programs need not ask whether a key exists.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(id, forKey: .id)
        try container.encode(at, forKey: .at)
        try container.encode(organisation, forKey: .organisation)
        try container.encode(organisationName, forKey: .organisationName)
        try container.encode(role, forKey: .role)
        try container.encode(operation, forKey: .operation)
        try container.encode(purpose, forKey: .purpose)
        try container.encode(purposeTitle, forKey: .purposeTitle)
        try container.encode(attributes, forKey: .attributes)
        try container.encode(legalGround, forKey: .legalGround)
        try container.encode(caseReference, forKey: .caseReference)
        try container.encode(outcome, forKey: .outcome)
        try container.encode(refusal, forKey: .refusal)
        try container.encode(formEntered, forKey: .formEntered)
        try container.encode(helper, forKey: .helper)
        try container.encode(leafIndex, forKey: .leafIndex)
        try container.encode(count, forKey: .count)
        try container.encode(emergency, forKey: .emergency)
        try container.encode(finding, forKey: .finding)
        try container.encode(name, forKey: .name)
        try container.encode(delayedBy, forKey: .delayedBy)
        try container.encode(delayGround, forKey: .delayGround)
        try container.encode(delayedUntil, forKey: .delayedUntil)
    }
}

/// The page `access-log`.
struct AccessLogPage: PageModel {
    static let template = "access-log/entries"

    var entries: [EntryView]
    var isEmpty: Bool
    var isFiltered: Bool
    var older: Link?
    var ownIsShown: Bool
    var helpIsHidden: Bool
    var refusedOnly: Bool
    var organisations: [OrganisationChoice]

    static let fields: Fields<Self> = [
        "entries": .list(\.entries), "is_empty": .flag(\.isEmpty), "is_filtered": .flag(\.isFiltered), "older": .optionalLink(\.older),
        "own_is_shown": .flag(\.ownIsShown), "help_is_hidden": .flag(\.helpIsHidden), "refused_only": .flag(\.refusedOnly), "organisations": .list(\.organisations),
    ]

    init(_ page: EntryPage, _ filter: EntryFilter, _ organisations: [LoggedOrganisation], _ context: ResidentContext) {
        entries = page.entries.map { EntryView($0, context: context) }
        isEmpty = entries.isEmpty
        isFiltered = filter != EntryFilter()
        ownIsShown = filter.withOwn
        helpIsHidden = !filter.withHelp
        refusedOnly = filter.onlyRefused
        self.organisations = organisations.map {
            OrganisationChoice(id: $0.id, name: $0.name.text(context.language), isChosen: $0.id == filter.organisation)
        }
        older = page.next.map { Link("/access-log?before=\($0)" + (filter.query.isEmpty ? "" : "&" + filter.query)) }
    }
}

/// An organisation in the list to choose from.
struct OrganisationChoice: ViewModel {
    var id: String
    var name: String
    var isChosen: Bool

    static let fields: Fields<Self> = ["id": .text(\.id), "name": .text(\.name), "is_chosen": .flag(\.isChosen)]
}

/// The page of one entry: what happened, why it could, and what to do about it.
struct EntryPageModel: PageModel {
    static let template = "access-log/entry"

    var entry: EntryView
    var isRefused: Bool
    var explanation: String
    /// The switch of this sharing, or the law in its place.
    var sharing: Link?
    /// Nil for own views, which nobody else has to answer for.
    var question: QuestionBox?
    /// Nil where no protected record was opened.
    var emergency: EmergencyBox?
    var position: String?
    /// Who delayed that this was told, and until when; nil for what was told at once.
    var delay: String?

    static let fields: Fields<Self> = [
        "delay": .optionalText(\.delay), "entry": .model(\.entry), "is_refused": .flag(\.isRefused), "explanation": .text(\.explanation), "sharing": .optionalLink(\.sharing),
        "question": .optional(\.question), "emergency": .optional(\.emergency), "position": .optionalText(\.position),
    ]

    init(_ entry: AccessEntry, _ context: ResidentContext) {
        self.entry = EntryView(entry, context: context)
        explanation = Self.explanation(entry, self.entry, context)
        sharing = entry.activityID.map { Link("/consents/\($0.uuidString.lowercased())") }
        question = entry.isOwnView ? nil : QuestionBox(entry, context)
        emergency = entry.emergency.map { EmergencyBox(entry, $0, context) }
        isRefused = entry.refusal != nil
        delay = entry.delay.map {
            context.text(
                "access_log.entry.delayed", ["authority": $0.authority, "ground": $0.ground, "date": context.format.day($0.endedAt)])
        }
        position = entry.leafIndex.map { context.text("access_log.entry.position", ["number": context.format.number(Int($0))]) }
    }

    /// "Why?" in a sentence: the exact consent, law or refusal.
    private static func explanation(_ entry: AccessEntry, _ view: EntryView, _ context: ResidentContext) -> String {
        let words = ["who": view.who, "purpose": view.purpose, "law": entry.law.map(context.lawName) ?? "", "date": entry.consentAt.map { context.format.dateTime($0) } ?? ""]
        if let refusal = entry.refusal {
            return context.text("access_log.entry.because_refused", ["refusal": context.text("access_log.refusal.\(refusal)")])
        }
        switch entry.legalBasis {
        case "consent": return context.text("access_log.entry.because_consent", words)
        case "own_data": return context.text("access_log.ground.own_data")
        case _ where entry.isHelp: return context.text("access_log.entry.because_mandate", ["reference": entry.caseReference ?? ""])
        case _ where entry.isGuardianView: return context.text("access_log.entry.because_guardian", words)
        default: return context.text(entry.activityID == nil ? "access_log.entry.because_staff" : "access_log.entry.because_law", words)
        }
    }
}

/// The way to ask about an entry, or to what was asked.
struct QuestionBox: ViewModel {
    var state: String
    var page: Link
    var action: String

    static let fields: Fields<Self> = ["state": .text(\.state), "page": .link(\.page), "action": .text(\.action)]

    init(_ entry: AccessEntry, _ context: some PageContext) {
        page = Link("/access-log/\(entry.id)/question")
        if let question = entry.question {
            state = question.answeredAt.map { context.text("access_log.entry.answered", ["date": context.format.day($0)]) }
                ?? context.text("access_log.entry.asked", ["date": context.format.day(question.askedAt), "due": context.format.day(question.dueAt)])
            action = context.text("access_log.entry.see_question")
        } else {
            state = context.text("access_log.entry.may_ask")
            action = context.text("access_log.entry.ask")
        }
    }
}

/// That a protected record was opened in an emergency, and the way to why.
struct EmergencyBox: ViewModel {
    var state: String
    /// Nil where nobody wrote a reason.
    var page: Link?

    static let fields: Fields<Self> = ["state": .text(\.state), "page": .optionalLink(\.page)]

    init(_ entry: AccessEntry, _ emergency: EmergencyState, _ context: some PageContext) {
        if let finding = emergency.finding, let reviewedAt = emergency.reviewedAt {
            state = context.text("access_log.emergency.\(finding)", ["date": context.format.day(reviewedAt)])
        } else if let dueAt = emergency.reviewDueAt {
            state = context.text("access_log.emergency.waits", ["date": context.format.dateTime(dueAt)])
        } else {
            state = context.text("access_log.emergency.nothing_opened")
        }
        page = emergency.reviewDueAt.map { _ in Link("/access-log/\(entry.id)/emergency") }
    }
}

/// One entry: a heading that says who did what, and the particulars.
public struct EntryView: ViewModel {
    var headline: String
    var page: Link
    /// Organisation, or the resident.
    var who: String
    var at: String
    var timestamp: String
    var role: String
    public var purpose: String
    var ground: String
    public var attributes: String?
    var caseReference: String?
    var helper: String?
    /// What an organisation gets as `access_entry`, to be quoted when asking about it.
    var number: String
    var isRefused: Bool
    var isEmergency: Bool
    /// A review found that the emergency was none.
    var isNotJustified: Bool
    /// Who acted, where an auditor decided to tell the name.
    var name: String?

    public static let fields: Fields<Self> = [
        "headline": .text(\.headline), "page": .link(\.page), "at": .text(\.at), "timestamp": .text(\.timestamp), "role": .text(\.role), "purpose": .text(\.purpose),
        "ground": .text(\.ground), "attributes": .optionalText(\.attributes), "case_reference": .optionalText(\.caseReference),
        "helper": .optionalText(\.helper), "number": .text(\.number), "is_refused": .flag(\.isRefused),
        "is_emergency": .flag(\.isEmergency), "is_not_justified": .flag(\.isNotJustified), "name": .optionalText(\.name),
    ]

    public init(_ entry: AccessEntry, context: some PageContext) {
        who = entry.organisationName?.text(context.language) ?? context.text(entry.isGuardianView ? "access_log.guardian" : entry.isHelp ? "access_log.helper_of_yours" : "access_log.you")
        let isRefused = entry.outcome == "refused"
        headline = context.text(
            "access_log.did.\(entry.operation).\(isRefused ? "refused" : entry.formEntered == false ? "unchanged" : "permitted")",
            ["who": who, "count": entry.count.map(context.format.number) ?? ""])
        page = Link("/access-log/\(entry.id)")
        at = context.format.dateTime(entry.at)
        timestamp = RFC3339.text(entry.at)
        role = context.text("access_log.role.\(entry.actorRole)")
        purpose = entry.purposeTitle?.text(context.language) ?? Self.reason(entry, context)
        ground = Self.ground(entry, context)
        attributes = Self.attributes(entry, context)
        caseReference = entry.caseReference
        helper = entry.helperName
        number = entry.id.description
        self.isRefused = isRefused
        isEmergency = entry.emergency != nil
        isNotJustified = entry.emergency?.finding == "not_justified"
        name = entry.releasedName?.description
    }

    /// Staff give a reason and residents a kind of view. Anything else is a name that the city does not know, and is said to be one.
    private static func reason(_ entry: AccessEntry, _ context: some PageContext) -> String {
        switch entry.operation {
        case "view", "search", "paper_entry", "break_glass", "log_view":
            if staffReasons.contains(entry.purpose) { return context.text("access_log.reason.\(entry.purpose)") }
        case "usage", "guardian_view", "payout", "seal": return context.text("access_log.reason.\(entry.purpose)")
        case "own_view": return context.text("access_log.own.\(entry.purpose)")
        case "mandate_view", "mandate_act": return context.text("access_log.mandate.\(entry.purpose)")
        default: break
        }
        return context.text("access_log.unknown_purpose", ["name": asTyped(entry.purpose)])
    }

    /// The kinds of data in the resident's words, and after them those that there are not, as they were asked for.
    private static func attributes(_ entry: AccessEntry, _ context: some PageContext) -> String? {
        let known = entry.attributes.filter(knownAttributes.contains).map { context.text("attributes.\($0)") }
        let unknown = entry.attributes.filter { !knownAttributes.contains($0) }.map(asTyped)
        let strangers = unknown.isEmpty ? [] : [context.text("access_log.unknown_attributes", ["names": unknown.joined(separator: ", ")])]
        let all = known + strangers
        return all.isEmpty ? nil : context.format.list(all)
    }

    /// As long as a purpose can be, which is the longer of the two kinds of names.
    private static let typedCharactersMax = 63

    /// A name that somebody else chose, for the middle of a sentence: only what can be seen, and set apart.
    private static func asTyped(_ name: String) -> String {
        let visible = name.unicodeScalars.filter { !$0.properties.isDefaultIgnorableCodePoint && !invisible.contains($0.properties.generalCategory) }
        return String(String(String.UnicodeScalarView(visible)).prefix(typedCharactersMax)).isolated
    }

    private static let invisible: Set<Unicode.GeneralCategory> = [
        .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
    ]

    private static func ground(_ entry: AccessEntry, _ context: some PageContext) -> String {
        if let refusal = entry.refusal { return context.text("access_log.refusal.\(refusal)") }
        switch entry.legalBasis {
        case "consent":
            return context.text("access_log.ground.consent", ["date": entry.consentAt.map { context.format.dateTime($0) } ?? ""])
        case "own_data": return context.text("access_log.ground.own_data")
        case "mandate": return context.text("access_log.ground.mandate", ["reference": entry.caseReference ?? ""])
        default: return context.text("access_log.ground.law", ["law": entry.law.map(context.lawName) ?? ""])
        }
    }
}

/// The reasons of `access_log.staff_reason`, which have a text each.
let staffReasons: Set<String> = [
    "identity_proofing", "application", "correction", "complaint", "assistance", "letter", "question", "break_glass_review", "anomaly", "protection",
]

/// The kinds of data of `register.attribute`, and what payouts hold (migrations/0035), which have a text each.
let knownAttributes: Set<String> = [
    "given_names", "family_name", "date_of_birth", "national_number", "street", "postcode", "locality", "phone", "email", "preferred_language",
    "username", "contact_email", "contact_phone", "is_over_18", "lives_in_city", "bank_account",
]
