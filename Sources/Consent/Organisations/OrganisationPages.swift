// The page of one organisation, as what it shows.
import AccessLog
import Foundation
import Primitives
import Web

/// What one organisation may read, was given and may keep, with one button that stops everything that rests on consent.
struct OrganisationPage: PageModel {
    static let template = "consent/organisation"
    static let fields: Fields<Self> = [
        "name": .text(\.name), "action": .link { Link(Self.path(of: $0.id)) }, "ends": .texts(\.ends), "has_ends": .flag { !$0.ends.isEmpty },
        "goes_on": .list(\.goesOn), "has_rest": .flag { !$0.goesOn.isEmpty }, "received": .list(\.received), "is_nothing_given": .flag(\.isNothingGiven),
        "counted_since": .optionalText(\.countedSince), "log": .link { Link("/access-log?organisation=\($0.id)") },
    ]

    var id: String
    var name: String
    /// The titles of what is shared now.
    var ends: [String]
    /// What rests on a law.
    var goesOn: [PurposeCard]
    /// Each purpose that was ever shared, or that a law allows: what was given, and what may be kept.
    var received: [ReceivedView]
    var isNothingGiven: Bool
    /// That older reads are not counted, in a very long log.
    var countedSince: String?

    static func path(of organisation: String) -> String { "/consents/organisations/\(organisation)" }

    /// - Parameter sharings: those of one organisation, at least one.
    init(_ sharings: [Sharing], _ given: GivenData, context: ResidentContext) {
        let organisation = sharings[0].activity
        id = organisation.organisationID
        name = organisation.organisationName.text(context.language)
        ends = sharings.filter { $0.state?.permits == true }.map { $0.activity.title.text(context.language) }
        goesOn = sharings.filter { $0.state == nil }.map { PurposeCard($0, context: context) }
        received = sharings.compactMap { sharing in
            given.kinds[sharing.activity.purpose].map { ReceivedView(sharing.activity, $0, context: context) }
        }
        isNothingGiven = given.isEmpty
        countedSince = given.countedSince.map { context.text("consent.organisation.counted_since", ["date": context.format.day($0)]) }
    }
}

/// What was given for one purpose.
struct ReceivedView: ViewModel {
    static let fields: Fields<Self> = [
        "id": .text(\.id), "title": .text(\.title), "kinds": .list(\.kinds), "retention": .text(\.retention), "retention_law": .optionalText(\.retentionLaw),
    ]

    var id: String
    var title: String
    var kinds: [GivenKindView]
    /// How long it may be kept, or that this was never said.
    var retention: String
    var retentionLaw: String?

    init(_ activity: ProcessingActivity, _ kinds: [GivenData.Kind], context: some PageContext) {
        id = activity.id.description
        title = activity.title.text(context.language)
        self.kinds = kinds.map { GivenKindView($0, context: context) }
        retention = activity.retention?.text(context.language) ?? context.text("consent.organisation.retention_unknown")
        retentionLaw = activity.retentionLaw.map { context.text("consent.organisation.retention_law", ["law": context.lawName($0)]) }
    }
}

/// One kind of data that was given.
struct GivenKindView: ViewModel {
    static let fields: Fields<Self> = ["name": .text(\.name), "times": .text(\.times), "first": .text(\.first), "last": .text(\.last)]

    var name: String
    var times: String
    var first: String
    var last: String

    init(_ kind: GivenData.Kind, context: some PageContext) {
        name = context.attributeName(kind.attribute)
        times = context.text("consent.organisation.times", count: kind.times)
        first = context.format.dateTime(kind.firstAt)
        last = context.format.dateTime(kind.lastAt)
    }
}
