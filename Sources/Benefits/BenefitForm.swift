// The form that prepares a payment: from what was typed to a draft, or back to the page with a sentence beside each field.
import AccessLog
import Postgres
import Primitives
import Web

struct BenefitForm {
    private(set) var fields: FormReader
    /// The payment's id travels in the form.
    private(set) var id: DisbursementID

    static let reasonCharactersMin = 3
    static let reasonCharactersMax = 500
    static let caseReferenceCharactersMax = 64
    private static let amountCharactersMax = 48

    init(_ form: Form) {
        fields = FormReader(form)
        let typed = fields.optionalText("id", charactersMax: 36)
        // A form without a sound id is a new one.
        id = typed.flatMap { DisbursementID($0) } ?? .new()
    }

    /// Nil with errors noted when something is missing or not understood.
    mutating func draft(_ programmes: [Programme], _ context: some PageContext) -> BenefitDraft? {
        let typedCode = fields.text("public_code", charactersMax: 40)
        let code = PublicCode(typedCode)
        if !typedCode.isEmpty, code == nil { fields.reject("public_code", "benefits.prepare.code_malformed") }
        let caseReference = fields.text("case_reference", charactersMax: Self.caseReferenceCharactersMax)
        let chosen = fields.choice("programme", from: programmes.map(\.id))
        let programme = programmes.first { $0.id == chosen }
        let amount = readAmount(programme, context)
        let reason = fields.longText("reason", charactersMax: Self.reasonCharactersMax)
        if !reason.isEmpty, reason.unicodeScalars.count < Self.reasonCharactersMin { fields.reject("reason", "benefits.reason_short") }
        guard fields.isValid, let code, let programme, let amount else { return nil }
        return BenefitDraft(id: id, publicCode: code, caseReference: caseReference, programme: programme, amount: amount, reason: reason)
    }

    private mutating func readAmount(_ programme: Programme?, _ context: some PageContext) -> Money? {
        let typed = fields.text("amount", charactersMax: Self.amountCharactersMax)
        guard !typed.isEmpty, let programme else { return nil }
        guard let amount = try? Money.parse(typed, programme.paymentMax.currency), amount.isPositive else {
            fields.reject("amount", "benefits.prepare.amount_malformed")
            return nil
        }
        guard amount.minorUnits <= programme.paymentMax.minorUnits else {
            fields.reject("amount", "benefits.prepare.over_limit", ["max": programme.paymentMax.formatted(locale: context.language.tag)])
            return nil
        }
        return amount
    }

    /// Puts a refusal beside the field that can mend it.
    /// - Throws: `Problem.forbidden` where no field can.
    mutating func reject(_ refusal: PrepareRefusal, _ draft: BenefitDraft, _ context: some PageContext) throws {
        switch refusal {
        case .lookup(.subjectUnknown), .lookup(.subjectAmbiguous): fields.reject("public_code", "benefits.prepare.nobody")
        case .lookup(.subjectProtected): fields.reject("public_code", "benefits.prepare.protected")
        case .lookup(.caseReferenceMissing): fields.reject("case_reference", "web.field.required")
        case .lookup, .roleMissing: throw Problem.forbidden
        case .programmeUnknown: fields.reject("programme", "benefits.prepare.programme_closed")
        case .amountOverLimit:
            fields.reject("amount", "benefits.prepare.over_limit", ["max": draft.programme.paymentMax.formatted(locale: context.language.tag)])
        case .idConflict:
            // The payment that has the id is there and unchanged; what was typed becomes a new one when it is sent again.
            id = .new()
            fields.reject("amount", "benefits.prepare.changed")
        case .lookupMissing: fields.reject("public_code", "benefits.prepare.try_again")
        }
    }
}
