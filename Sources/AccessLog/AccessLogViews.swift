// Access entries in words: sentences for the page, fields for the app.
import Foundation
import Primitives
import Web

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

    enum CodingKeys: String, CodingKey {
        case id, at, organisation, role, operation, purpose, attributes, outcome, refusal, helper, count
        case organisationName = "organisation_name"
        case purposeTitle = "purpose_title"
        case formEntered = "form_entered"
        case legalGround = "legal_ground"
        case caseReference = "case_reference"
        case leafIndex = "leaf_index"
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
    }
}

/// The page `access-log`.
struct AccessLogPage: PageModel {
    static let template = "access-log/entries"

    var entries: [EntryView]
    var isEmpty: Bool
    var older: Link?
    var ownIsShown: Bool

    static let fields: Fields<Self> = [
        "entries": .list(\.entries), "is_empty": .flag(\.isEmpty), "older": .optionalLink(\.older), "own_is_shown": .flag(\.ownIsShown),
    ]

    init(_ page: EntryPage, withOwn: Bool, context: ResidentContext) {
        entries = page.entries.map { EntryView($0, context: context) }
        isEmpty = entries.isEmpty
        ownIsShown = withOwn
        older = page.next.map { Link("/access-log?before=\($0)" + (withOwn ? "&own=shown" : "")) }
    }
}

/// One entry: a heading that says who did what, and the particulars.
struct EntryView: ViewModel {
    var headline: String
    var at: String
    var timestamp: String
    var role: String
    var purpose: String
    var ground: String
    var attributes: String?
    var caseReference: String?
    var helper: String?
    /// What an organisation gets as `access_entry`, to be quoted when asking about it.
    var number: String
    var isRefused: Bool

    static let fields: Fields<Self> = [
        "headline": .text(\.headline), "at": .text(\.at), "timestamp": .text(\.timestamp), "role": .text(\.role), "purpose": .text(\.purpose),
        "ground": .text(\.ground), "attributes": .optionalText(\.attributes), "case_reference": .optionalText(\.caseReference),
        "helper": .optionalText(\.helper), "number": .text(\.number), "is_refused": .flag(\.isRefused),
    ]

    init(_ entry: AccessEntry, context: some PageContext) {
        let who = entry.organisationName?.text(context.language) ?? context.text("access_log.you")
        let isRefused = entry.outcome == "refused"
        headline = context.text(
            "access_log.did.\(entry.operation).\(isRefused ? "refused" : entry.formEntered == false ? "unchanged" : "permitted")",
            ["who": who, "count": entry.count.map(context.format.number) ?? ""])
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
    }

    /// Staff give a reason and residents a kind of view. Anything else is a name that the city does not know, and is said to be one.
    private static func reason(_ entry: AccessEntry, _ context: some PageContext) -> String {
        switch entry.operation {
        case "view", "search", "paper_entry":
            if staffReasons.contains(entry.purpose) { return context.text("access_log.reason.\(entry.purpose)") }
        case "own_view": return context.text("access_log.own.\(entry.purpose)")
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

    /// A name that somebody else chose, for the middle of a sentence: only what can be seen, and set apart (Unicode's isolates), so that it
    /// neither turns the words around it in a text from right to left nor is turned by them.
    private static func asTyped(_ name: String) -> String {
        let visible = name.unicodeScalars.filter { !$0.properties.isDefaultIgnorableCodePoint && !invisible.contains($0.properties.generalCategory) }
        return "\u{2068}\(String(String.UnicodeScalarView(visible)).prefix(typedCharactersMax))\u{2069}"
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
        default: return context.text("access_log.ground.law", ["law": entry.law ?? ""])
        }
    }
}

/// The reasons of `access_log.staff_reason`, which have a text each.
let staffReasons: Set<String> = ["identity_proofing", "application", "correction", "complaint", "assistance"]

/// The kinds of data of `register.attribute`, which have a text each.
let knownAttributes: Set<String> = [
    "given_names", "family_name", "date_of_birth", "national_number", "street", "postcode", "locality", "phone", "email", "preferred_language",
    "username", "contact_email", "contact_phone", "is_over_18", "lives_in_city",
]
