// What guardians and children see of each other. In words of their own: a guardian acts for a child and is never shown as the child.
import Foundation
import Primitives
import Web

/// `/children`: the children in one's care, and one's own guardians.
struct ChildrenPage: PageModel {
    static let template = "consent/children"
    static let fields: Fields<Self> = [
        "children": .list(\.children), "has_children": .flag { !$0.children.isEmpty }, "guardians": .texts(\.guardians),
        "has_guardians": .flag { !$0.guardians.isEmpty },
    ]

    var children: [ChildLink]
    /// Each in a sentence.
    var guardians: [String]

    init(_ children: [Child], _ guardians: [Guardian], context: ResidentContext) {
        self.children = children.map { ChildLink($0, current: nil, context: context) }
        self.guardians = guardians.map { guardian in
            let key = guardian.until != nil ? "ended" : guardian.mustAgree ? "must_agree" : "may_stop"
            return context.text(
                "consent.child.guardian.\(key)",
                ["name": guardian.name.isolated, "date": context.format.day(guardian.until ?? guardian.since)])
        }
    }
}

/// A child to choose.
struct ChildLink: ViewModel {
    static let fields: Fields<Self> = [
        "name": .text(\.name), "page": .link(\.page), "is_current": .flag(\.isCurrent), "part": .text(\.part), "code": .text(\.code),
    ]

    var name: String
    var code: String
    var page: Link
    var isCurrent: Bool
    /// Who decides, in a sentence.
    var part: String

    init(_ child: Child, current: Child?, context: some PageContext) {
        name = child.name
        code = child.publicCode
        page = Link(ChildPage.path(of: child))
        isCurrent = child.id == current?.id
        part = ChildPage.part(in: child, context: context)
    }
}

/// `/children/{code}`: how everything of one child stands, with what this guardian can do about it.
struct ChildPage: PageModel {
    static let template = "consent/child"
    static let fields: Fields<Self> = [
        "name": .text(\.name), "part": .text(\.part), "everybody": .list(\.everybody), "purposes": .list(\.purposes),
    ]

    var name: String
    var part: String
    /// The switch "for whom?".
    var everybody: [ChildLink]
    var purposes: [ChildPurpose]

    static func path(of child: Child) -> String { "/children/\(child.publicCode)" }

    init(_ child: Child, others: [Child], _ sharings: [ChildSharing], context: ResidentContext) {
        name = child.name.isolated
        part = Self.part(in: child, context: context)
        everybody = others.map { ChildLink($0, current: child, context: context) }
        purposes = sharings.map { ChildPurpose($0, of: child, context: context) }
    }

    /// Who decides for the child, in a sentence.
    static func part(in child: Child, context: some PageContext) -> String {
        let key = child.decidesAlone ? "decides_alone" : !child.mustAgree ? "may_stop" : child.isAsked ? "together" : "guardians"
        return context.text("consent.child.part.\(key)", ["name": child.name.isolated])
    }
}

/// One purpose for one child.
struct ChildPurpose: ViewModel {
    static let fields: Fields<Self> = [
        "id": .text(\.id), "organisation": .text(\.organisation), "title": .text(\.title), "explanation": .text(\.explanation),
        "attributes": .texts(\.attributes), "standing": .text(\.standing), "action": .link(\.action), "policy_version": .text(\.policyVersion),
        "can_agree": .flag(\.canAgree), "proposed": .texts(\.proposed), "can_stop": .flag(\.canStop), "ends": .optionalText(\.ends),
    ]

    var id: String
    var organisation: String
    var title: String
    var explanation: String
    var attributes: [String]
    var standing: String
    var action: Link
    var policyVersion: String
    var canAgree: Bool
    var canStop: Bool
    /// What others agreed to already, by id: agreeing with them is agreeing to the same. Empty: to all that is asked for.
    var proposed: [String]
    var ends: String?

    init(_ item: ChildSharing, of child: Child, context: ResidentContext) {
        let (sharing, activity) = (item.sharing, item.sharing.activity)
        id = activity.id.description
        organisation = activity.organisationName.text(context.language)
        title = activity.title.text(context.language)
        explanation = activity.explanation.text(context.language)
        let isNarrowed = sharing.state?.permits == true || sharing.state == .agreed
        attributes = activity.attributes.filter { !isNarrowed || sharing.held.attributes.contains($0) }.map { context.attributeName($0) }
        action = Link("\(ChildPage.path(of: child))/consents/\(activity.id)")
        policyVersion = String(activity.policyVersion)
        proposed = sharing.state == .agreed ? sharing.held.attributes : []
        let isHandled = sharing.state?.permits == true || item.hasAgreed
        canAgree = sharing.state != nil && child.mustAgree && !child.decidesAlone && !isHandled
        canStop = !child.decidesAlone && (sharing.state?.permits == true || sharing.state == .agreed)
        ends = sharing.state?.permits == true ? sharing.held.validUntil.map { context.text("consent.ends", ["date": context.format.dateTime($0)]) } : nil
        standing = Self.standing(item, context: context)
    }

    private static func standing(_ item: ChildSharing, context: some PageContext) -> String {
        let sharing = item.sharing
        let since = sharing.held.since.map { context.format.day($0) } ?? ""
        switch sharing.state {
        case nil:
            let basis = context.text("consent.basis.\(sharing.activity.legalBasis.rawValue)")
            return context.text("consent.child.standing.law", ["basis": basis, "law": sharing.activity.law.map(context.lawName) ?? ""])
        case .agreed?: return context.text(item.hasAgreed ? "consent.child.standing.waits_for_others" : "consent.child.standing.waits_for_you", ["date": since])
        case .given?, .renewed?: return context.text("consent.child.standing.given", ["date": since])
        case .expired? where !sharing.held.attributes.isEmpty: return context.text("consent.child.standing.expired", ["date": since])
        case .requested?, .deferred?: return context.text("consent.child.standing.requested")
        case .withdrawn?: return context.text("consent.child.standing.withdrawn", ["date": since])
        case .notGiven?, .expired?, .refused?, .invalidated?: return context.text("consent.standing.not_given")
        }
    }
}
