// JSON of the slice, in and out.
import AccessLog
import Foundation
import Primitives
import Web

/// One sharing as residents' apps see it.
/// - Parameter language: of the texts; words for programs are the same in every language.
func consentItem(_ sharing: Sharing, language: Language) -> JSONValue {
    let activity = sharing.activity
    return [
        "id": .string(activity.id.description),
        "organisation": .string(activity.organisationID),
        "organisation_name": .string(activity.organisationName.text(language)),
        "purpose": .string(activity.purpose),
        "purpose_title": .string(activity.title.text(language)),
        "explanation": .string(activity.explanation.text(language)),
        "attributes": .array(activity.attributes.map { .string($0) }),
        "granted_attributes": .array(sharing.granted.map { .string($0) }),
        "legal_basis": .string(activity.legalBasis.rawValue),
        "law": activity.law.map { .string($0) } ?? nil,
        "retention": activity.retention.map { .string($0.text(language)) } ?? nil,
        "retention_law": activity.retentionLaw.map { .string($0) } ?? nil,
        "state": sharing.state.map { .string($0.rawValue) } ?? nil,
        "since": sharing.state == nil ? nil : sharing.held.since.map { .string(RFC3339.text($0)) } ?? nil,
        "valid_until": sharing.state?.permits == true ? sharing.held.validUntil.map { .string(RFC3339.text($0)) } ?? nil : nil,
        "valid_months": activity.validMonths.map { .integer(Int64($0)) } ?? nil,
        "reads_per_day_max": activity.readsPerDayMax.map { .integer(Int64($0)) } ?? nil,
        // What a PUT should name; and what the resident agreed to, which may be older.
        "policy_version": .integer(Int64(activity.policyVersion)),
        "granted_policy_version": sharing.state?.permits == true ? sharing.held.policyVersion.map { .integer(Int64($0)) } ?? nil : nil,
    ]
}

/// One sharing with everything that happened to it, newest first, for what residents take with them.
func exportedSharing(_ sharing: Sharing, _ events: [RecordedEvent], language: Language) -> JSONValue {
    guard case .object(let members) = consentItem(sharing, language: language) else { return nil }
    return .object(
        members + [
            JSONMember("events", .array(events.map { exportedEvent($0) })),
            JSONMember("receipt", .string("/api/v1/consents/\(sharing.activity.id)/receipt")),
        ])
}

/// An event, with the text in the language in which it was shown.
private func exportedEvent(_ event: RecordedEvent) -> JSONValue {
    [
        "state": .string(event.state.rawValue), "attributes": .array(event.attributes.map { .string($0) }), "at": .string(RFC3339.text(event.at)),
        "capacity": .string(event.capacity), "method": .string(event.method), "form_reference": event.formReference.map { .string($0) } ?? nil,
        "valid_until": event.validUntil.map { .string(RFC3339.text($0)) } ?? nil, "policy_version": .integer(Int64(event.policy.version)),
        "title": .string(event.policy.title.text(event.language)), "explanation": .string(event.policy.explanation.text(event.language)),
        "language": .string(event.policy.title.language(for: event.language).tag),
    ]
}

/// The body of a PUT, well formed but not yet compared with the purpose.
struct ConsentBody {
    let kind: ConsentDecision.Kind
    let attributes: [String]?
    let readVersion: Int?

    /// - Throws: one `Problem` that names every bad field.
    init(_ body: inout JSONReader) throws {
        let kind = body.choice("state", of: ConsentDecision.Kind.self)
        attributes = body.optionalStrings("attributes", countMax: attributesMax, charactersMax: attributeCharactersMax)
        readVersion = body.optionalInteger("policy_version", in: 1...Int64(Int32.max)).map(Int.init)
        if kind == .renewed, attributes != nil {
            body.reject("attributes", code: "not_with_renewed", detail: "A renewal prolongs what is shared. To share something else, send state given.")
        }
        if kind == .given, attributes?.isEmpty == true {
            body.reject("attributes", code: "empty", detail: "Name at least one attribute, or leave the field out for all of them.")
        }
        try body.finish()
        // `finish` throws when the choice was missing; the default is never used.
        self.kind = kind ?? .withdrawn
    }

    /// - Throws: `Problem` 422 when a withdrawal names only a part of what is shared: that is somebody who means to keep the rest, and is
    ///   told how rather than guessed at.
    func decision(for sharing: Sharing) throws -> ConsentDecision {
        if kind == .withdrawn, let attributes, !attributes.isEmpty, !sharing.granted.allSatisfy(attributes.contains) {
            throw Problem.withdrawalOfPart
        }
        return ConsentDecision(
            activity: sharing.activity.id, kind: kind, attributes: kind == .given ? attributes : nil, readVersion: readVersion)
    }
}

/// Reads the body of a PUT about everything of one organisation, which can only be stopped: sharing is agreed to purpose by purpose.
/// - Throws: one `Problem` that names every bad field.
func requireWithdrawal(_ body: inout JSONReader) throws {
    if let kind = body.choice("state", of: ConsentDecision.Kind.self), kind != .withdrawn {
        body.reject("state", code: "not_all", detail: "Only withdrawn can be said of all purposes together. Give consent to each with PUT /api/v1/consents/{id}.")
    }
    try body.finish()
}

/// What an organisation was given, a line for each purpose and kind of data. The purposes are those of `sharings`, in their order.
func givenItems(_ given: GivenData, _ sharings: [Sharing]) -> [JSONValue] {
    sharings.flatMap { sharing in
        (given.kinds[sharing.activity.purpose] ?? []).map { kind in
            [
                "purpose": .string(sharing.activity.purpose), "attribute": .string(kind.attribute), "times": .integer(Int64(kind.times)),
                "first_at": .string(RFC3339.text(kind.firstAt)), "last_at": .string(RFC3339.text(kind.lastAt)),
            ]
        }
    }
}

/// As many as a policy can have (migrations/0003).
let attributesMax = 50
/// As long as an attribute's id can be (migrations/0002).
let attributeCharactersMax = 40
