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

    static let fields: Fields<Self> = [
        "public_code": .text(\.publicCode), "assurance": .text(\.assurance), "details": .list(\.details), "is_empty": .flag(\.isEmpty),
    ]

    init(_ record: OpenedRecord, _ context: ResidentContext) {
        publicCode = record.publicCode
        assurance = context.text("register.assurance.level_\(min(record.identityAssurance, 2))")
        details = record.attributes.map { DetailView($0, context) }
        isEmpty = details.isEmpty
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
    /// The value for people: dates in words, everything else as it is held.
    public func shown(_ context: some PageContext) -> String {
        guard attribute == .dateOfBirth, let day = CalendarDay(value) else { return value }
        return context.format.date(day)
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
