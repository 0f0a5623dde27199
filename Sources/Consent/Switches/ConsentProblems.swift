// What can be refused about a switch, as both faces say it.
import HTTPTypes
import Web

extension DecisionOutcome {
    /// What an app is told; nil when it is done.
    func problem(_ decision: ConsentDecision, on activity: ProcessingActivity) -> Problem? {
        switch self {
        case .recorded, .unchanged: nil
        case .policyChanged: .policyChanged(current: decision.readVersion == activity.policyVersion ? nil : activity.policyVersion)
        case .attributesUnknown: .attributesNotOffered(decision.attributes ?? [], offered: activity.attributes)
        case .notRenewable: .notRenewable
        case .notConsent: .noSwitch(law: activity.law)
        case .activityUnknown: .notFound
        case .credentialInvalid: .tokenEnded
        case .guardiansDecide: .guardiansDecide
        case .inForce: .stopFirst
        case .childUnknown: .notFound
        case .childDecides: .childDecides
        }
    }
}

extension Problem {
    /// The text that was read is not today's.
    static func policyChanged(current: Int?) -> Problem {
        Problem(
            "policy-changed", status: .conflict, title: "Policy changed",
            detail: "The text has a newer version than the one named. Read it with GET /api/v1/consents, show it, and send its policy_version.",
            members: current.map { [("policy_version", .integer(Int64($0)))] } ?? [])
    }

    /// The law decides here.
    static func noSwitch(law: String?) -> Problem {
        Problem(
            "no-switch", status: .conflict, title: "No switch",
            detail: "This sharing does not rest on consent, so it cannot be given or withdrawn."
                + (law.map { " The law that allows it: \($0)." } ?? ""),
            pageKey: "consent.problem.no_switch")
    }

    /// Somebody of that age does not decide alone, or this guardian does not decide at all.
    static let guardiansDecide = Problem(
        "guardians-decide", status: .conflict, title: "Guardians decide",
        detail: "The guardians of this resident decide together, and the resident with them from a certain age on. Everybody can stop.",
        pageKey: "consent.problem.guardians_decide")

    /// A guardian's word does not count any more.
    static let childDecides = Problem(
        "child-decides", status: .conflict, title: "The child decides", detail: "The child is old enough to decide alone.", pageKey: "consent.problem.child_decides")

    /// A family changes what is shared by stopping it and agreeing anew.
    static let stopFirst = Problem(
        "stop-first", status: .conflict, title: "Stop first",
        detail: "This is shared already. Send state withdrawn first; then everybody who must agree agrees to the new choice.", pageKey: "consent.problem.stop_first")

    /// There is no agreement that could be prolonged.
    static let notRenewable = Problem(
        "not-renewable", status: .conflict, title: "Not renewable",
        detail: "Only a consent that is given or has expired can be renewed. Send state given to share.", pageKey: "consent.problem.not_renewable")

    /// Attributes that this purpose does not offer, named by their place in the list.
    static func attributesNotOffered(_ asked: [String], offered: [String]) -> Problem {
        Problem(
            "attributes-not-offered", status: .unprocessableContent, title: "Attributes not offered",
            detail: "This purpose offers " + offered.joined(separator: ", ") + ". Send some of these, or none for all of them.",
            errors: asked.enumerated().filter { !offered.contains($1) }.map { position, attribute in
                FieldProblem(field: "attributes[\(position)]", code: "unknown_attribute", detail: "This purpose does not offer \(attribute).")
            })
    }

    /// The token was revoked or expired between two statements of one request.
    static let tokenEnded = Problem(
        "unauthorised", status: .unauthorized, title: "Access token needed",
        detail: "The access token ended during this request. Obtain a new one and send the request again.",
        headers: [.wwwAuthenticate: "Bearer realm=\"stoa\", error=\"invalid_token\""])
}

extension Problem {
    /// A withdrawal that names only some of what is shared.
    static let withdrawalOfPart = Problem(
        "withdrawal-of-part", status: .unprocessableContent, title: "Withdrawal of a part",
        detail: "A withdrawal ends everything. To keep sharing some attributes, send state given with those that remain.",
        errors: [FieldProblem(field: "attributes", code: "not_all", detail: "Leave it out, or send state given with what remains.")])
}
