// The pages of the slice, as what they show.
import Foundation
import Postgres
import Primitives
public import Web

/// `/details`.
struct DetailsPage: PageModel {
    static let template = "register/details"

    var publicCode: String
    var assurance: String
    var details: [DetailView]
    var isEmpty: Bool
    var corrections: [OwnCorrectionView]

    static let fields: Fields<Self> = [
        "public_code": .text(\.publicCode), "assurance": .text(\.assurance), "details": .list(\.details), "is_empty": .flag(\.isEmpty),
        "corrections": .list(\.corrections), "has_corrections": .flag { !$0.corrections.isEmpty },
    ]

    init(_ record: OpenedRecord, _ requests: [OwnCorrection], _ context: ResidentContext) {
        publicCode = record.publicCode
        assurance = context.text("register.assurance.level_\(min(record.identityAssurance, 2))")
        details = record.attributes.map { DetailView($0, context) }
        isEmpty = details.isEmpty
        corrections = requests.map { OwnCorrectionView($0, context) }
    }
}

/// A request for correction as its resident sees it: what they wrote, and what became of it.
struct OwnCorrectionView: ViewModel {
    var reference: String
    var name: String
    var at: String
    var statement: String
    var standing: String
    var answer: String?

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "name": .text(\.name), "at": .text(\.at), "statement": .text(\.statement),
        "standing": .text(\.standing), "answer": .optionalText(\.answer),
    ]

    init(_ correction: OwnCorrection, _ context: some PageContext) {
        reference = correction.request.reference
        name = context.text("attributes.\(correction.request.attribute.rawValue)")
        at = context.format.day(correction.request.requestedAt)
        statement = correction.request.statement
        standing = correction.answer.map { answer in
            context.text("register.correction.\(answer.decision.rawValue)", ["date": context.format.day(answer.at)])
        } ?? context.text("register.correction.waits")
        answer = correction.answer?.words
    }
}

/// One thing that the city holds.
struct DetailView: ViewModel {
    var name: String
    var value: String
    var source: String
    var correction: Link

    static let fields: Fields<Self> = [
        "name": .text(\.name), "value": .text(\.value), "source": .text(\.source), "correction": .link(\.correction),
    ]

    init(_ detail: OpenedAttribute, _ context: some PageContext) {
        name = context.text("attributes.\(detail.attribute.rawValue)")
        value = detail.shown(context)
        source = context.text("register.source.\(detail.source)", ["date": context.format.day(detail.recordedAt)])
        correction = Link("/details/corrections/\(detail.attribute.rawValue)")
    }
}

extension OpenedAttribute {
    /// The value for people: dates and languages in words, everything else as it is held.
    public func shown(_ context: some PageContext) -> String {
        switch attribute {
        case .dateOfBirth: CalendarDay(value).map(context.format.date) ?? value
        case .preferredLanguage: Locale(identifier: context.language.tag).localizedString(forLanguageCode: value) ?? value
        default: value
        }
    }
}

/// `/details/corrections/{attribute}`.
struct CorrectionPage: PageModel {
    static let template = "register/correction"

    var errors: ErrorSummary?
    var name: String
    var action: Link
    var request: String
    var statement: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "name": .text(\.name), "action": .link(\.action), "request": .text(\.request),
        "statement": .model(\.statement),
    ]

    init(_ attribute: Attribute, _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        name = context.text("attributes.\(attribute.rawValue)")
        action = Link("/details/corrections/\(attribute.rawValue)")
        request = CorrectionRequestID.new().description
        statement = form.area("statement", label: "register.correction.statement", hint: "register.correction.hint")
    }
}

extension OpenedAttribute {
    /// For programs, in what residents take with them.
    var exported: JSONValue {
        [
            "attribute": .string(attribute.rawValue), "value": .string(value), "source": .string(source), "recorded_at": .string(RFC3339.text(recordedAt)),
        ]
    }
}

extension OwnCorrection {
    var exported: JSONValue {
        [
            "reference": .string(request.reference), "attribute": .string(request.attribute.rawValue), "statement": .string(request.statement),
            "requested_at": .string(RFC3339.text(request.requestedAt)), "decision": answer.map { .string($0.decision.rawValue) } ?? nil,
            "answer": answer?.words.map { .string($0) } ?? nil, "answered_at": answer.map { .string(RFC3339.text($0.at)) } ?? nil,
        ]
    }
}
