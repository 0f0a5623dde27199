// JSON of requests, in and out, and what is refused about them.
import Foundation
import HTTPTypes
import Primitives
import Web

/// The body of a request by an organisation: whom it asks, for what, and what it writes.
struct AskBody: Sendable {
    let subject: UUID
    let purpose: String
    let attributes: [String]
    let message: (text: String, language: Language)?

    /// Enough for fifty attributes and a message, four times over.
    static let bytesMax = 8 * 1024
    /// As long as a purpose can be (migrations/0003).
    private static let purposeCharactersMax = 63
    /// What fits beside the purpose on a telephone's screen; the purpose itself explains the rest (migrations/0020).
    private static let messageCharactersMax = 300

    /// - Throws: one `Problem` that names every bad field.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        subject = body.uuid("subject")
        purpose = body.string("purpose", charactersMax: Self.purposeCharactersMax)
        attributes = body.strings("attributes", countMax: attributesMax, charactersMax: attributeCharactersMax)
        if attributes.isEmpty, !body.errors.contains(where: { $0.field.hasPrefix("attributes") }) {
            body.reject("attributes", code: "empty", detail: "Name at least one attribute.")
        }
        var message: (text: String, language: Language)?
        if body.value("message") != nil {
            let text = body.string("message", charactersMax: Self.messageCharactersMax)
            if !text.isEmpty, !text.isOneVisibleLine {
                body.reject("message", code: "malformed", detail: "Send one line of visible text: the resident reads it.")
            }
            message = body.choice("message_language", of: Language.self).map { (text, $0) }
        } else if body.value("message_language") != nil {
            body.reject("message_language", code: "without_message", detail: "It is the language of the message; send both or neither.")
        }
        try body.finish()
        self.message = message
    }
}

/// The body of an answer by a resident's app.
struct AnswerBody: Sendable {
    let answer: RequestAnswer

    /// - Throws: one `Problem` that names every bad field.
    init(_ body: inout JSONReader, to request: ConsentRequestID) throws {
        let decision = body.choice("decision", of: RequestAnswer.Decision.self)
        let attributes = body.optionalStrings("attributes", countMax: attributesMax, charactersMax: attributeCharactersMax)
        let version = body.optionalInteger("policy_version", in: 1...Int64(Int32.max)).map(Int.init)
        if let attributes {
            if decision != .given {
                body.reject("attributes", code: "not_with_decision", detail: "Only who agrees names attributes.")
            } else if attributes.isEmpty {
                body.reject("attributes", code: "empty", detail: "Name at least one attribute, or leave the field out for all that is asked.")
            }
        }
        try body.finish()
        // `finish` throws when the choice was missing; the default is never used.
        answer = RequestAnswer(request: request, decision: decision ?? .refused, attributes: attributes, readVersion: version)
    }
}

/// A request as its resident's app sees it.
func requestItem(_ request: ConsentRequest, language: Language) -> JSONValue {
    let activity = request.activity
    return [
        "id": .string(request.id.description),
        "consent": .string(activity.id.description),
        "organisation": .string(activity.organisationID),
        "organisation_name": .string(activity.organisationName.text(language)),
        "purpose": .string(activity.purpose),
        "purpose_title": .string(activity.title.text(language)),
        "explanation": .string(activity.explanation.text(language)),
        "attributes": .array(request.offered.map { .string($0) }),
        "granted_attributes": .array(request.granted.map { .string($0) }),
        "message": request.message.map { .string($0) } ?? nil,
        "message_language": request.messageLanguage.map { .string($0.tag) } ?? nil,
        "policy_version": .integer(Int64(activity.policyVersion)),
        "valid_months": activity.validMonths.map { .integer(Int64($0)) } ?? nil,
        "reads_per_day_max": activity.readsPerDayMax.map { .integer(Int64($0)) } ?? nil,
        "state": .string(request.state.rawValue),
        "requested_at": .string(RFC3339.text(request.requestedAt)),
        "expires_at": .string(RFC3339.text(request.expiresAt)),
    ]
}

/// A request as the organisation that made it sees it.
func askedItem(_ request: AskedRequest) -> JSONValue {
    [
        "id": .string(request.id.description),
        "subject": .string(request.subject.uuidString.lowercased()),
        "purpose": .string(request.purpose),
        "attributes": .array(request.attributes.map { .string($0) }),
        "state": .string(request.state),
        "granted_attributes": .array(request.granted.map { .string($0) }),
        "requested_at": .string(RFC3339.text(request.requestedAt)),
        "expires_at": .string(RFC3339.text(request.expiresAt)),
        "answered_at": request.answeredAt.map { .string(RFC3339.text($0)) } ?? nil,
    ]
}

extension Ask.Row {
    /// Why nothing was asked.
    func problem(for body: AskBody) -> Problem {
        switch outcome {
        case .inForce:
            Problem(
                "consent-in-force", status: .conflict, title: "Consent in force",
                detail: "The resident shares data for this purpose already. What is shared is what the resident chose; read it through the exchange.")
        case .alreadyRequested:
            Problem(
                "request-open", status: .conflict, title: "Request open",
                detail: "A request for this purpose waits for the resident's answer. Ask for its state, or take it back.")
        case .refusedRecently:
            Problem(
                "refused-recently", status: .conflict, title: "Refused recently",
                detail: "The resident refused or stopped this, or you took a request back. Nobody is asked the same again for 90 days; not_before says until when.",
                members: notBefore.map { [("not_before", .string(RFC3339.text($0)))] } ?? [])
        case .attributesUnknown: .attributesNotOffered(body.attributes, offered: offered)
        case .notConsent:
            Problem(
                "consent-not-needed", status: .conflict, title: "Consent not needed",
                detail: "A law allows this purpose, so there is nothing to agree to. Read through the exchange.")
        case .purposeUnknown:
            Problem(
                "purpose-unknown", status: .forbidden, title: "Purpose unknown",
                detail: "Your organisation has no purpose of this name. Use one that is registered for it, or have it registered with the city.")
        // The same for a pseudonym that nobody has and for one of another organisation.
        case .subjectUnknown:
            Problem(
                "subject-unknown", status: .notFound, title: "Subject unknown",
                detail: "Your organisation knows nobody by this subject. Use the pseudonym that it was given for the resident.")
        case .keyReused: .idempotencyKeyReused
        case .scopeMissing: .insufficientScope("exchange.read")
        // A request that was recorded is answered with itself.
        case .recorded, .credentialInvalid: BearerContext.invalidToken
        }
    }
}

extension AnswerOutcome {
    /// What an app is told; nil when it is done.
    func problem(_ answer: RequestAnswer, to request: ConsentRequest) -> Problem? {
        switch self {
        case .recorded, .unchanged: nil
        case .policyChanged: .policyChanged(current: request.activity.policyVersion)
        case .attributesUnknown: .attributesNotOffered(answer.attributes ?? [], offered: request.offered)
        case .noRequest: .requestClosed
        case .notConsent: .noSwitch(law: request.activity.law)
        case .requestUnknown: .notFound
        case .credentialInvalid: .tokenEnded
        case .guardiansDecide: .guardiansDecide
        case .inForce: .stopFirst
        }
    }
}

extension Problem {
    static let requestClosed = Problem(
        "request-closed", status: .conflict, title: "Request closed",
        detail: "This request was answered, taken back, or is over. Ask for its state to see which.")
}
