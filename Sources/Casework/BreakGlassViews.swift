// Emergencies and protected records, as JSON and as pages.
import AccessLog
import Foundation
import Primitives
import Web

/// `GET /api/v1/access-entries/{id}/emergency`.
struct EmergencyBody: Encodable, Sendable {
    let reference: String
    let reason: String
    let brokenAt: Date
    let reviewDueAt: Date
    let finding: String?
    let review: String?
    let reviewedAt: Date?

    enum CodingKeys: String, CodingKey {
        case reference, reason, brokenAt, reviewDueAt, finding, review, reviewedAt
    }

    init(_ own: OwnGlass) {
        reference = own.glass.reference
        reason = own.glass.reason
        brokenAt = own.glass.brokenAt
        reviewDueAt = own.glass.reviewDueAt
        finding = own.review?.finding.rawValue
        review = own.review?.words
        reviewedAt = own.review?.at
    }

    /// Every member is always there, null where there is nothing to say.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(reference, forKey: .reference)
        try container.encode(reason, forKey: .reason)
        try container.encode(brokenAt, forKey: .brokenAt)
        try container.encode(reviewDueAt, forKey: .reviewDueAt)
        try container.encode(finding, forKey: .finding)
        try container.encode(review, forKey: .review)
        try container.encode(reviewedAt, forKey: .reviewedAt)
    }
}

/// What a caseworker is asked before a protected record opens: the form of the search, and why it cannot wait.
struct BreakGlassPage: PageModel {
    static let template = "casework/break-glass"

    var errors: ErrorSummary?
    /// What was searched for, carried along.
    var carried: [CarriedField]
    /// The form sent twice is one opening.
    var opening: String
    var emergency: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "carried": .list(\.carried), "opening": .text(\.opening), "emergency": .model(\.emergency),
    ]

    init(_ carried: [(name: String, value: String)], _ form: FormView) {
        self.carried = carried.map { CarriedField(name: $0.name, value: $0.value) }
        opening = OpeningID.new().description
        emergency = form.area("emergency", label: "glass.break.words", hint: "glass.break.words_hint")
        errors = form.errors
    }
}

/// A field that a form has from the one before it.
struct CarriedField: ViewModel {
    var name: String
    var value: String

    static let fields: Fields<Self> = ["name": .text(\.name), "value": .text(\.value)]
}

/// `/staff/emergencies`.
struct GlassQueuePage: PageModel {
    static let template = "casework/emergencies"

    var emergencies: [WaitingGlassView]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["emergencies": .list(\.emergencies), "is_empty": .flag(\.isEmpty)]

    init(_ waiting: [WaitingGlass], _ context: StaffContext) {
        emergencies = waiting.map { WaitingGlassView($0, context) }
        isEmpty = waiting.isEmpty
    }
}

struct WaitingGlassView: ViewModel {
    var reference: String
    var page: Link
    var brokenAt: String
    var due: String
    var isOverdue: Bool

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "page": .link(\.page), "broken_at": .text(\.brokenAt), "due": .text(\.due), "is_overdue": .flag(\.isOverdue),
    ]

    init(_ glass: WaitingGlass, _ context: some PageContext) {
        reference = glass.reference
        page = Link("/staff/emergencies/\(glass.reference)")
        brokenAt = context.format.dateTime(glass.brokenAt)
        due = context.format.dateTime(glass.reviewDueAt)
        isOverdue = glass.isOverdue
    }
}

/// `/staff/emergencies/{reference}`.
struct GlassReviewPage: PageModel {
    static let template = "casework/emergency-review"

    var errors: ErrorSummary?
    var reference: String
    var brokenAt: String
    var due: String
    var reason: String
    var who: String
    var entries: [EntryView]
    var action: Link
    var finding: ChoiceField
    var words: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "reference": .text(\.reference), "broken_at": .text(\.brokenAt), "due": .text(\.due), "reason": .text(\.reason),
        "who": .text(\.who), "entries": .list(\.entries), "action": .link(\.action), "finding": .model(\.finding), "words": .model(\.words),
    ]

    init(_ atHand: GlassAtHand, _ form: FormView, _ context: StaffContext) {
        reference = atHand.glass.reference
        brokenAt = context.format.dateTime(atHand.glass.brokenAt)
        due = context.format.dateTime(atHand.glass.reviewDueAt)
        reason = atHand.glass.reason
        who = "\(atHand.staffName) (\(atHand.staffUsername))"
        entries = atHand.entries.map { EntryView($0, context: context) }
        action = Link("/staff/emergencies/\(atHand.glass.reference)")
        finding = form.choices(
            "finding", label: "glass.review.finding",
            options: GlassFinding.allCases.map { ($0.rawValue, context.text("glass.finding.\($0.rawValue)")) })
        words = form.area("words", label: "glass.review.words", hint: "glass.review.words_hint")
        errors = form.errors
    }
}

/// `/access-log/{entry}/emergency`.
struct OwnGlassPage: PageModel {
    static let template = "casework/emergency"

    var entry: EntryView
    var back: Link
    var reference: String
    var brokenAt: String
    var reason: String
    var due: String?
    var review: GlassReviewView?

    static let fields: Fields<Self> = [
        "entry": .model(\.entry), "back": .link(\.back), "reference": .text(\.reference), "broken_at": .text(\.brokenAt), "reason": .text(\.reason),
        "due": .optionalText(\.due), "review": .optional(\.review),
    ]

    init(_ own: OwnGlass, _ entry: AccessEntry, _ context: ResidentContext) {
        self.entry = EntryView(entry, context: context)
        back = Link("/access-log/\(entry.id)")
        reference = own.glass.reference
        brokenAt = context.format.dateTime(own.glass.brokenAt)
        reason = own.glass.reason
        review = own.review.map { GlassReviewView($0, context) }
        due = review == nil ? context.text("glass.own.due", ["date": context.format.dateTime(own.glass.reviewDueAt)]) : nil
    }
}

struct GlassReviewView: ViewModel {
    var finding: String
    var words: String
    var at: String

    static let fields: Fields<Self> = ["finding": .text(\.finding), "words": .text(\.words), "at": .text(\.at)]

    init(_ review: OwnGlass.Review, _ context: some PageContext) {
        finding = context.text("glass.finding.\(review.finding.rawValue)")
        words = review.words
        at = context.format.dateTime(review.at)
    }
}

/// `/staff/protection`.
struct ProtectionPage: PageModel {
    static let template = "casework/protection"

    var errors: ErrorSummary?
    var publicCode: TextField
    var caseReference: TextField
    var change: ChoiceField
    var words: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "public_code": .model(\.publicCode), "case_reference": .model(\.caseReference), "change": .model(\.change),
        "words": .model(\.words),
    ]

    init(_ form: FormView, _ context: StaffContext) {
        publicCode = form.text("public_code", label: "casework.search.by_public_code")
        caseReference = form.text("case_reference", label: "casework.search.case_reference")
        change = form.choices(
            "change", label: "glass.protection.change",
            options: ProtectionChange.allCases.map { ($0.rawValue, context.text("glass.protection.\($0.rawValue)")) })
        words = form.area("words", label: "glass.protection.words", hint: "glass.protection.words_hint")
        errors = form.errors
    }
}
