// What the staff forms mean. Each reads its fields once; errors stand beside the field that they concern.
import AccessLog
import Consent
import Foundation
import Postgres
import Primitives
import Register
import Web

/// The search form: whom, why, and for which case.
struct SearchForm {
    var fields: FormReader
    let subject: SubjectReference?
    let reason: OpeningReason?
    let caseReference: String

    init(_ context: StaffContext, lookup: LookupKey) {
        var fields = FormReader(context.form)
        reason = fields.choice("reason", of: OpeningReason.self)
        caseReference = fields.caseReference()
        let kind = fields.choice("kind", of: SearchKind.self)
        switch kind {
        case .publicCode: subject = Self.publicCode(&fields)
        case .nationalNumber: subject = fields.nationalNumber(lookup).map { .nationalNumber($0) }
        case .nameAndBirthDate: subject = Self.nameAndBirthDate(&fields, lookup)
        case nil: subject = nil
        }
        self.fields = fields
    }

    /// What a page that asks for more carries along.
    static let fieldNames = [
        "reason", "case_reference", "kind", "public_code", "national_number", "given_names", "family_name", "birth-day", "birth-month", "birth-year",
    ]

    private static func publicCode(_ fields: inout FormReader) -> SubjectReference? {
        let typed = fields.text("public_code", charactersMax: 40)
        guard !typed.isEmpty else { return nil }
        guard let code = try? PublicCode.parse(typed) else {
            fields.reject("public_code", "casework.search.code_malformed")
            return nil
        }
        return .publicCode(code)
    }

    private static func nameAndBirthDate(_ fields: inout FormReader, _ lookup: LookupKey) -> SubjectReference? {
        let given = fields.optionalText("given_names", charactersMax: CaseworkLimits.searchNameCharactersMax)
        let family = fields.optionalText("family_name", charactersMax: CaseworkLimits.searchNameCharactersMax)
        let born = fields.date("birth")
        if given == nil, family == nil, fields.errors.allSatisfy({ !["given_names", "family_name"].contains($0.field) }) {
            fields.reject("given_names", "casework.search.name_missing")
        }
        guard let born, let first = given ?? family else { return nil }
        // Somebody with one name has it as given names in the register, whichever field it was typed into.
        return .nameAndBirthDate(lookup.nameAndBirthDate(givenNames: first, familyName: given == nil ? "" : family ?? "", born: born))
    }
}

/// The form that links the account of who stands at the counter.
struct ProofForm {
    var fields: FormReader
    let accountCode: PublicCode?
    let evidence: EvidenceKind?
    /// Made with the page: the form sent twice is one proof.
    let evidenceID: UUID

    init(_ context: StaffContext) {
        var fields = FormReader(context.form)
        let typed = fields.text("account_code", charactersMax: 40)
        accountCode = try? PublicCode.parse(typed)
        if accountCode == nil, !typed.isEmpty { fields.reject("account_code", "casework.search.code_malformed") }
        evidence = fields.choice("evidence", of: EvidenceKind.self)
        evidenceID = fields.optionalText("proof", charactersMax: 36).flatMap { UUID(uuidString: $0) } ?? UUID()
        self.fields = fields
    }
}

/// The paper consent form.
struct PaperConsentForm {
    var fields: FormReader
    let submission: PaperConsent?

    init(_ context: StaffContext, offers: [ProcessingActivity]) {
        var fields = FormReader(context.form)
        let typed = fields.text("form_reference", charactersMax: 40)
        let reference = try? PublicCode.parse(typed)
        if reference == nil, !typed.isEmpty { fields.reject("form_reference", "casework.paper.reference_malformed") }
        let chosen = fields.choice("activity", from: offers.map(\.id.description))
        let activity = offers.first { $0.id.description == chosen }
        let decision = fields.choice("decision", of: PaperDecision.self)
        let attributes = Self.attributes(&fields, activity, decision)
        let helper = fields.text("helper_name", charactersMax: CaseworkLimits.nameCharactersMax)
        let method = fields.choice("signature_method", of: SignatureMethod.self)
        let witness = fields.optionalText("witness_name", charactersMax: CaseworkLimits.nameCharactersMax)
        if method == .witness, witness == nil { fields.reject("witness_name", "casework.paper.witness_missing") }
        let signedOn = fields.date("signed")
        let readBack = fields.flag("read_back")
        if !readBack { fields.reject("read_back", "casework.paper.read_back_missing") }
        let id = fields.optionalText("submission", charactersMax: 36).flatMap { UUID(uuidString: $0) } ?? UUID()
        if fields.isValid, let reference, let activity, let decision, let method, let signedOn {
            submission = PaperConsent(
                id: id, formReference: reference, activityID: activity.id, decision: decision, attributes: attributes, helperName: helper,
                signatureMethod: method, witnessName: method == .witness ? witness : nil, wasReadBack: readBack, signedOn: signedOn)
        } else {
            submission = nil
        }
        self.fields = fields
    }

    /// Says why the database did not take the form, beside the field that it concerns.
    mutating func reject(_ refusal: String) {
        let field = ["form_unknown": "form_reference", "form_used": "form_reference", "policy_changed": "form_reference",
            "form_of_other_sharing": "activity", "signed_before_printing": "signed", "signed_in_future": "signed"][refusal]
        fields.reject(field ?? "activity", "casework.paper.\(field == nil ? "not_possible" : refusal)")
    }

    /// What is ticked on the paper, of the chosen sharing. Boxes of another sharing are a slip that must not pass unseen; a withdrawal ends
    /// everything, and ticks beside it say something else.
    private static func attributes(_ fields: inout FormReader, _ activity: ProcessingActivity?, _ decision: PaperDecision?) -> [String]? {
        guard let activity, let decision else { return nil }
        let name = fieldName(activity)
        let ticked = fields.list(name, from: activity.attributes)
        let others = fields.state.typed.keys.contains { $0.hasPrefix(fieldPrefix) && $0 != name }
        switch decision {
        case .given:
            if others { fields.reject(name, "casework.paper.ticked_elsewhere") }
            if ticked.isEmpty { fields.reject(name, "casework.paper.nothing_ticked") }
            return ticked
        case .withdrawn:
            if others || !ticked.isEmpty { fields.reject("decision", "casework.paper.ticked_and_withdrawn") }
            return nil
        }
    }

    /// The boxes of each sharing have a name of their own, so that a page without scripts can show them all.
    static func fieldName(_ activity: ProcessingActivity) -> String { fieldPrefix + activity.id.description }
    private static let fieldPrefix = "attributes-"
}

/// The answer to a correction.
struct CorrectionForm {
    private(set) var fields: FormReader
    let answer: CorrectionAnswer?

    init(_ context: StaffContext, _ correction: CorrectionRequest) {
        var fields = FormReader(context.form)
        let decision = fields.choice("decision", of: CorrectionDecision.self)
        let words = fields.optionalLongText("answer", charactersMax: Corrections.wordsCharactersMax)
        let value = Self.value(&fields, correction.attribute)
        switch decision {
        case .accepted:
            if !Corrections.changes(correction.attribute) {
                fields.reject("decision", "casework.correction.not_changed_here")
            } else if let value, !Corrections.accepts(value, as: correction.attribute) {
                fields.reject("value", "casework.correction.value_refused")
            } else if value == nil, fields.isValid {
                fields.reject("value", "casework.correction.value_missing")
            }
        case .declined:
            if words == nil, fields.isValid { fields.reject("answer", "casework.correction.reason_missing") }
        case nil: break
        }
        answer = fields.isValid ? decision.map { CorrectionAnswer(decision: $0, words: words, value: value) } : nil
        self.fields = fields
    }

    private static func value(_ fields: inout FormReader, _ attribute: Attribute) -> String? {
        attribute == .dateOfBirth
            ? fields.optionalDate("value")?.description : fields.optionalText("value", charactersMax: CaseworkLimits.valueCharactersMax)
    }
}

extension FormReader {
    /// The field `national_number`, as the key under which the register finds it; nil when it is bad, which is noted.
    mutating func nationalNumber(_ lookup: LookupKey) -> [UInt8]? {
        let typed = text("national_number", charactersMax: 40)
        guard !typed.isEmpty else { return nil }
        let digits = typed.filter { ("0"..."9").contains($0) }
        guard digits.count == 12, typed.allSatisfy({ ("0"..."9").contains($0) || " -./".contains($0) }) else {
            reject("national_number", "casework.search.number_malformed")
            return nil
        }
        return lookup.nationalNumber(digits)
    }
}
