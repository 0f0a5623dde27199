// From a refusal of the door to what the organisation reads: what is missing and what to do about it. Each refusal carries the
// id of the access entry that it made, under which the resident sees the attempt.
import AccessLog
import HTTPTypes
import Primitives
import Web

extension RefusedAccess {
    /// What stands against every subject of a list alike, whoever they are; nil where each has an answer of its own.
    static func ofWholeCall(_ answers: [Result<ReleasedRecord, any Error>]) -> RefusedAccess? {
        guard case .failure(let error)? = answers.first, let refused = error as? RefusedAccess else { return nil }
        return [.credentialInvalid, .scopeMissing, .volumeExceeded, .purposeUnknown].contains(refused.refusal) ? refused : nil
    }

    /// The problem of a refused read, without its entry. What is refused for its volume has one of its own (ExchangeVolume.swift).
    func problem(for question: ExchangeQuestion) -> Problem {
        switch refusal {
        case .credentialInvalid:
            return BearerContext.invalidToken
        case .scopeMissing:
            return .insufficientScope("exchange.read")
        case .subjectUnknown, .subjectAmbiguous:
            return Self.subjectUnknown
        case .purposeUnknown:
            return Problem(
                "purpose-unknown", status: .forbidden, title: "Purpose unknown",
                detail: "Your organisation has no purpose of this name. Use one that is registered for it, or have it registered with the city.")
        case .attributesNotInPurpose:
            return refused(
                "attributes-not-in-purpose", "Attributes not in purpose",
                "The purpose \(question.purpose) does not cover the attributes under missing. Ask without them, or under a purpose that covers them.")
        case .consentMissing:
            return refused(
                "consent-missing", "Consent missing",
                "The resident has not agreed to share the attributes under missing for the purpose \(question.purpose). "
                    + "Ask the resident to switch the sharing on, or ask without them.")
        case .frequencyExceeded:
            return Problem(
                "frequency-exceeded", status: .forbidden, title: "Read too often",
                detail: "The purpose \(question.purpose) says how many times in 24 hours your organisation reads about one resident at most. Keep what you were given, "
                    + "or ask again when the day that began with the first read is over.")
        case .caseReferenceMissing:
            return Self.invalid("case_reference", "Name the case that the data is for.")
        case .attributesMissing:
            return Self.invalid("attributes", "Name at least one attribute.")
        case .roleMissing, .reasonUnknown, .operationUnknown, .volumeExceeded, .subjectProtected, .subjectNotProtected:
            // Words that the door has for other askers: whatever they mean here, the answer is no.
            return .forbidden
        }
    }

    private func refused(_ slug: String, _ title: String, _ detail: String) -> Problem {
        Problem(slug, status: .forbidden, title: title, detail: detail, members: [("missing", .array(missing.map { .string($0) }))])
    }

    private static func invalid(_ field: String, _ detail: String) -> Problem {
        Problem(
            "invalid-body", status: .badRequest, title: "Invalid body", detail: detail,
            errors: [FieldProblem(field: field, code: "missing", detail: detail)])
    }

    /// The same for a pseudonym that nobody has and for one of another organisation.
    private static let subjectUnknown = Problem(
        "subject-unknown", status: .notFound, title: "Subject unknown",
        detail: "Your organisation knows nobody by this subject. Use the pseudonym that it was given for the resident.")
}

extension Problem {
    /// With the id of the entry that the attempt made; nobody is behind a token that does not stand, so there is none.
    func about(_ entry: AccessEntryID) -> Problem {
        guard status != .unauthorized else { return self }
        var problem = self
        problem.members.append(("access_entry", .string(entry.description)))
        return problem
    }
}
