// What the staff forms mean. Each reads its fields once; errors stand beside the field that they concern.
import AccessLog
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
        caseReference = fields.text("case_reference", charactersMax: CaseworkLimits.caseReferenceCharactersMax)
        let kind = fields.choice("kind", of: SearchKind.self)
        switch kind {
        case .publicCode: subject = Self.publicCode(&fields)
        case .nationalNumber: subject = Self.nationalNumber(&fields, lookup)
        case .nameAndBirthDate: subject = Self.nameAndBirthDate(&fields, lookup)
        case nil: subject = nil
        }
        self.fields = fields
    }

    private static func publicCode(_ fields: inout FormReader) -> SubjectReference? {
        let typed = fields.text("public_code", charactersMax: 40)
        guard !typed.isEmpty else { return nil }
        guard let code = try? PublicCode.parse(typed) else {
            fields.reject("public_code", "casework.search.code_malformed")
            return nil
        }
        return .publicCode(code)
    }

    private static func nationalNumber(_ fields: inout FormReader, _ lookup: LookupKey) -> SubjectReference? {
        let typed = fields.text("national_number", charactersMax: 40)
        guard !typed.isEmpty else { return nil }
        let digits = typed.filter { ("0"..."9").contains($0) }
        guard digits.count == 12, typed.allSatisfy({ ("0"..."9").contains($0) || " -./".contains($0) }) else {
            fields.reject("national_number", "casework.search.number_malformed")
            return nil
        }
        return .nationalNumber(lookup.nationalNumber(digits))
    }

    private static func nameAndBirthDate(_ fields: inout FormReader, _ lookup: LookupKey) -> SubjectReference? {
        let given = fields.text("given_names", charactersMax: CaseworkLimits.searchNameCharactersMax)
        let family = fields.text("family_name", charactersMax: CaseworkLimits.searchNameCharactersMax)
        guard let born = fields.date("birth"), !given.isEmpty, !family.isEmpty else { return nil }
        return .nameAndBirthDate(lookup.nameAndBirthDate(givenNames: given, familyName: family, born: born))
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

    init(_ context: StaffContext, offers: [ConsentOffer]) {
        var fields = FormReader(context.form)
        let typed = fields.text("form_reference", charactersMax: 40)
        let reference = try? PublicCode.parse(typed)
        if reference == nil, !typed.isEmpty { fields.reject("form_reference", "casework.paper.reference_malformed") }
        let activity = UUID(uuidString: fields.choice("activity", from: offers.map { $0.activityID.uuidString.lowercased() }))
        let decision = fields.choice("decision", of: PaperDecision.self)
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
                id: id, formReference: reference, activityID: activity, decision: decision, attributes: nil, helperName: helper,
                signatureMethod: method, witnessName: method == .witness ? witness : nil, wasReadBack: readBack, signedOn: signedOn)
        } else {
            submission = nil
        }
        self.fields = fields
    }
}
