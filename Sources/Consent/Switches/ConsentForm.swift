// The posted switch: from form fields to a decision.
import Primitives
import Web

/// What a posted switch comes to.
enum ConsentForm {
    /// The fields are wrong; the reader holds the errors.
    case invalid
    /// Another version of the text was on the page than stands today.
    case outdated(readVersion: Int)
    case decision(ConsentDecision)

    /// Reads `state`, `policy_version`, and `part` with `attribute` for sharing by ticking.
    static func read(_ fields: inout FormReader, for activity: ProcessingActivity) -> ConsentForm {
        guard let kind = fields.choice("state", of: ConsentDecision.Kind.self) else { return .invalid }
        // Stopping needs nothing else: an old page must be able to stop as well as a new one.
        if kind == .withdrawn { return .decision(ConsentDecision(activity: activity.id, kind: .withdrawn)) }
        guard let version = fields.integer("policy_version", in: 1...Int(Int32.max)) else { return .invalid }
        guard version == activity.policyVersion else { return .outdated(readVersion: version) }
        if kind == .renewed { return .decision(ConsentDecision(activity: activity.id, kind: .renewed, readVersion: version)) }
        var attributes: [String]?
        if fields.flag("part") {
            let ticked = fields.list("attribute", from: activity.attributes)
            if ticked.isEmpty, fields.isValid { fields.reject("attribute", "consent.error.nothing_ticked") }
            attributes = ticked
        }
        guard fields.isValid else { return .invalid }
        return .decision(ConsentDecision(activity: activity.id, kind: .given, attributes: attributes, readVersion: version))
    }
}

extension ConsentDecision.Kind {
    /// The key of what the next page says.
    var notice: String {
        switch self {
        case .given: "consent.notice.shared"
        case .renewed: "consent.notice.renewed"
        case .withdrawn: "consent.notice.stopped"
        }
    }
}
