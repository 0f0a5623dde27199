// The staff pages, as what they show.
import Consent
import Foundation
import Postgres
import Primitives
import Register
import Web

/// `/staff`.
struct StaffHomePage: PageModel {
    static let template = "casework/home"

    var name: String
    var roles: String
    var isCaseworker: Bool
    /// What each role of theirs does here, a sentence each.
    var duties: [String]
    /// What waits for them in other slices.
    var tasks: [HomeTaskView]
    var seesBenefits: Bool
    var corrections: [CorrectionView]
    var hasNoCorrections: Bool
    var forms: [OfferView]

    static let fields: Fields<Self> = [
        "name": .text(\.name), "roles": .text(\.roles), "is_caseworker": .flag(\.isCaseworker),
        "duties": .texts(\.duties), "tasks": .list(\.tasks), "has_tasks": .flag { !$0.tasks.isEmpty }, "sees_benefits": .flag(\.seesBenefits), "corrections": .list(\.corrections),
        "has_no_corrections": .flag(\.hasNoCorrections), "forms": .list(\.forms),
    ]

    init(_ tasks: [HomeTask], _ corrections: [WaitingCorrection], _ offers: [ProcessingActivity], _ context: StaffContext) {
        self.tasks = tasks.map(HomeTaskView.init)
        name = context.staff.name
        roles = context.format.list(context.staff.roles.map(\.rawValue).sorted().map { context.text("access_log.role.\($0)") })
        isCaseworker = context.staff.roles.contains(.caseworker)
        duties = context.staff.roles.map(\.rawValue).sorted().map { context.text("casework.duty.\($0)") }
        seesBenefits = !context.staff.roles.isDisjoint(with: [.approver, .financeOfficer, .auditor])
        self.corrections = corrections.map { CorrectionView($0, context) }
        hasNoCorrections = corrections.isEmpty
        forms = offers.map { OfferView($0, context) }
    }
}

/// A correction that waits: what it is about and since when, with the button that opens the record.
struct CorrectionView: ViewModel {
    var reference: String
    var attribute: String
    var since: String
    var open: Link

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "attribute": .text(\.attribute), "since": .text(\.since), "open": .link(\.open),
    ]

    init(_ correction: WaitingCorrection, _ context: some PageContext) {
        reference = correction.reference
        attribute = context.text("attributes.\(correction.attribute.rawValue)")
        since = context.format.dateTime(correction.requestedAt)
        open = Link("/staff/corrections/\(correction.reference)")
    }
}

/// A correction of the record that is open, with what the resident wrote.
struct AskedCorrectionView: ViewModel {
    var reference: String
    var attribute: String
    var since: String
    var statement: String
    var answer: Link

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "attribute": .text(\.attribute), "since": .text(\.since), "statement": .text(\.statement),
        "answer": .link(\.answer),
    ]

    init(_ correction: CorrectionRequest, _ opening: Opening, _ context: some PageContext) {
        reference = correction.reference
        attribute = context.text("attributes.\(correction.attribute.rawValue)")
        since = context.format.dateTime(correction.requestedAt)
        statement = correction.statement
        answer = Link("/staff/records/\(opening.id)/corrections/\(correction.id)")
    }
}

/// `/staff/records/{opening}/corrections/{correction}`.
struct CorrectionAnswerPage: PageModel {
    static let template = "casework/correction"

    var errors: ErrorSummary?
    var correction: AskedCorrectionView
    var held: String?
    var action: Link
    var back: Link
    /// Whether the counter changes such a value at all.
    var isChanged: Bool
    var decision: ChoiceField
    var value: TextField?
    var day: DateField?
    var answer: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "correction": .model(\.correction), "held": .optionalText(\.held), "action": .link(\.action),
        "back": .link(\.back),
        "is_changed": .flag(\.isChanged), "decision": .model(\.decision), "value": .optional(\.value), "day": .optional(\.day),
        "answer": .model(\.answer),
    ]

    init(_ asked: CorrectionRequest, _ opening: Opening, _ record: OpenedRecord, _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        correction = AskedCorrectionView(asked, opening, context)
        held = record.attributes.first { $0.attribute == asked.attribute }?.shown(context)
        action = correction.answer
        back = Link("/staff/records/\(opening.id)")
        isChanged = Corrections.changes(asked.attribute)
        let offered = isChanged ? CorrectionDecision.allCases : [.declined]
        decision = form.choices(
            "decision", label: "casework.correction.decision",
            options: offered.map { ($0.rawValue, context.text("casework.correction.decide.\($0.rawValue)")) })
        let hint = "casework.correction.value_hint"
        if isChanged, asked.attribute == .dateOfBirth { day = form.date("value", label: "casework.correction.value", hint: hint) }
        if isChanged, asked.attribute != .dateOfBirth { value = form.text("value", label: "casework.correction.value", hint: hint) }
        answer = form.area("answer", label: "casework.correction.answer", hint: "casework.correction.answer_hint")
    }
}

/// A sharing that a form can be printed for.
struct OfferView: ViewModel {
    var title: String
    var activity: String

    static let fields: Fields<Self> = ["title": .text(\.title), "activity": .text(\.activity)]

    init(_ offer: ProcessingActivity, _ context: some PageContext) {
        title = offer.name(context.language)
        activity = offer.id.description
    }
}

extension ProcessingActivity {
    /// Organisation and purpose in one line.
    func name(_ language: Language) -> String { organisationName.text(language) + ": " + title.text(language) }
}

/// `/staff/search`.
struct SearchPage: PageModel {
    static let template = "casework/search"

    var errors: ErrorSummary?
    var reason: ChoiceField
    var caseReference: TextField
    var kind: ChoiceField
    var publicCode: TextField
    var nationalNumber: TextField
    var givenNames: TextField
    var familyName: TextField
    var birth: DateField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "reason": .model(\.reason), "case_reference": .model(\.caseReference), "kind": .model(\.kind),
        "public_code": .model(\.publicCode), "national_number": .model(\.nationalNumber), "given_names": .model(\.givenNames),
        "family_name": .model(\.familyName), "birth": .model(\.birth),
    ]

    init(_ form: FormView, _ context: some PageContext) {
        errors = form.errors
        reason = form.choices(
            "reason", label: "casework.search.reason", hint: "casework.search.reason_hint",
            options: OpeningReason.allCases.map { ($0.rawValue, context.text("access_log.reason.\($0.rawValue)")) })
        caseReference = form.text("case_reference", label: "casework.search.case_reference")
        kind = form.choices(
            "kind", label: "casework.search.kind",
            options: SearchKind.allCases.map { ($0.rawValue, context.text("casework.search.by_\($0.rawValue)")) })
        publicCode = form.text("public_code", label: "casework.search.by_public_code")
        nationalNumber = form.text("national_number", label: "casework.search.by_national_number", inputMode: "numeric")
        givenNames = form.text("given_names", label: "attributes.given_names")
        familyName = form.text("family_name", label: "attributes.family_name", hint: "casework.search.one_name_hint")
        birth = form.date("birth", label: "attributes.date_of_birth")
    }
}

/// `/staff/records/{opening}`.
struct RecordPage: PageModel {
    static let template = "casework/record"

    var errors: ErrorSummary?
    var publicCode: String
    var reason: String
    var caseReference: String
    var openUntil: String
    var details: [RecordDetailView]
    var hasAccount: Bool
    var isProven: Bool
    var proofAction: Link
    var proofID: String
    var accountCode: TextField
    var evidence: ChoiceField
    var paper: Link
    var submissions: [SubmissionView]
    var corrections: [AskedCorrectionView]

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "public_code": .text(\.publicCode), "reason": .text(\.reason), "case_reference": .text(\.caseReference),
        "open_until": .text(\.openUntil), "details": .list(\.details), "has_account": .flag(\.hasAccount), "is_proven": .flag(\.isProven),
        "proof_action": .link(\.proofAction), "proof_id": .text(\.proofID), "account_code": .model(\.accountCode), "evidence": .model(\.evidence),
        "paper": .link(\.paper), "submissions": .list(\.submissions), "corrections": .list(\.corrections),
        "has_corrections": .flag { !$0.corrections.isEmpty },
    ]

    init(
        _ opening: Opening, _ record: OpenedRecord, _ submissions: [PaperSubmission], _ waiting: [CorrectionRequest], _ form: FormView,
        _ context: some PageContext
    ) {
        errors = form.errors
        publicCode = record.publicCode
        reason = context.text("access_log.reason.\(opening.reason)")
        caseReference = opening.caseReference
        openUntil = context.format.dateTime(opening.expiresAt)
        details = record.attributes.map { RecordDetailView($0, context) }
        hasAccount = opening.hasAccount
        isProven = record.identityAssurance > 0
        proofAction = Link("/staff/records/\(opening.id)/proof")
        proofID = UUID().uuidString.lowercased()
        accountCode = form.text("account_code", label: "casework.proof.account_code", hint: "casework.proof.account_code_hint")
        evidence = form.choices(
            "evidence", label: "casework.proof.evidence",
            options: EvidenceKind.allCases.map { ($0.rawValue, context.text("casework.proof.kind.\($0.rawValue)")) })
        paper = Link("/staff/records/\(opening.id)/paper-consent")
        self.submissions = submissions.map { SubmissionView($0, opening, context) }
        corrections = waiting.map { AskedCorrectionView($0, opening, context) }
    }
}

/// One value of a record.
struct RecordDetailView: ViewModel {
    var name: String
    var value: String
    var source: String

    static let fields: Fields<Self> = ["name": .text(\.name), "value": .text(\.value), "source": .text(\.source)]

    init(_ detail: OpenedAttribute, _ context: some PageContext) {
        name = context.text("attributes.\(detail.attribute.rawValue)")
        value = detail.shown(context)
        source = context.text("casework.source.\(detail.source)", ["date": context.format.day(detail.recordedAt)])
    }
}

/// A keyed paper form with the way to its letter.
struct SubmissionView: ViewModel {
    var reference: String
    var keyedAt: String
    var helper: String
    var letter: Link

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "keyed_at": .text(\.keyedAt), "helper": .text(\.helper), "letter": .link(\.letter),
    ]

    init(_ submission: PaperSubmission, _ opening: Opening, _ context: some PageContext) {
        reference = submission.formReference
        keyedAt = context.format.dateTime(submission.keyedAt)
        helper = submission.helperName
        letter = Link("/staff/records/\(opening.id)/letters/\(submission.id.uuidString.lowercased())")
    }
}

/// `/staff/records/{opening}/paper-consent`.
struct PaperConsentPage: PageModel {
    static let template = "casework/paper-consent"

    var errors: ErrorSummary?
    var action: Link
    var back: Link
    var submissionID: String
    var formReference: TextField
    var activity: ChoiceField
    var parts: [PaperPartView]
    var decision: ChoiceField
    var helperName: TextField
    var signatureMethod: ChoiceField
    var witnessName: TextField
    var signed: DateField
    var readBack: TickField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "action": .link(\.action), "back": .link(\.back), "submission_id": .text(\.submissionID),
        "form_reference": .model(\.formReference), "activity": .model(\.activity), "parts": .list(\.parts), "decision": .model(\.decision),
        "helper_name": .model(\.helperName), "signature_method": .model(\.signatureMethod), "witness_name": .model(\.witnessName),
        "signed": .model(\.signed), "read_back": .model(\.readBack),
    ]

    init(_ opening: Opening, _ offers: [ProcessingActivity], _ form: FormView, _ context: some PageContext) {
        errors = form.errors
        action = Link("/staff/records/\(opening.id)/paper-consent")
        back = Link("/staff/records/\(opening.id)")
        submissionID = UUID().uuidString.lowercased()
        formReference = form.text("form_reference", label: "casework.paper.reference", hint: "casework.paper.reference_hint")
        activity = form.choices(
            "activity", label: "casework.paper.activity",
            options: offers.map { ($0.id.description, $0.name(context.language)) })
        parts = offers.map { PaperPartView($0, form, context) }
        decision = form.choices(
            "decision", label: "casework.paper.decision",
            options: PaperDecision.allCases.map { ($0.rawValue, context.text("casework.paper.says.\($0.rawValue)")) })
        helperName = form.text("helper_name", label: "casework.paper.helper", hint: "casework.paper.helper_hint")
        signatureMethod = form.choices(
            "signature_method", label: "casework.paper.signature",
            options: SignatureMethod.allCases.map { ($0.rawValue, context.text("casework.paper.signed_by.\($0.rawValue)")) })
        witnessName = form.text("witness_name", label: "casework.paper.witness", hint: "casework.paper.witness_hint")
        signed = form.date("signed", label: "casework.paper.signed_on")
        readBack = form.tick("read_back", label: "casework.paper.read_back")
    }
}

/// The boxes of one sharing, as they stand on its paper form.
struct PaperPartView: ViewModel {
    var sharing: String
    var boxes: ChoiceField

    static let fields: Fields<Self> = ["sharing": .text(\.sharing), "boxes": .model(\.boxes)]

    init(_ offer: ProcessingActivity, _ form: FormView, _ context: some PageContext) {
        sharing = offer.name(context.language)
        boxes = form.choices(
            PaperConsentForm.fieldName(offer), label: "casework.paper.ticked",
            options: offer.attributes.map { ($0, context.text("attributes.\($0)")) })
    }
}

/// `/staff/records/{opening}/letters/{submission}`: to print and send.
struct LetterPage: PageModel {
    static let template = "casework/letter"

    var address: [String]
    var date: String
    var reference: String
    var sharing: String
    /// What the form says, as the resident ticked it.
    var decision: String
    var attributes: String?
    var signedOn: String
    var helper: String
    var keyedBy: String
    var signature: String
    var witness: String?

    static let fields: Fields<Self> = [
        "address": .texts(\.address), "date": .text(\.date), "reference": .text(\.reference), "sharing": .text(\.sharing),
        "decision": .text(\.decision), "attributes": .optionalText(\.attributes), "signed_on": .text(\.signedOn), "helper": .text(\.helper), "keyed_by": .text(\.keyedBy), "signature": .text(\.signature), "witness": .optionalText(\.witness),
    ]

    init(_ addressee: OpenedRecord, _ submission: PaperSubmission, _ offer: ProcessingActivity?, _ context: some PageContext) {
        let town = [addressee.value(.postcode), addressee.value(.locality)].compactMap(\.self).joined(separator: " ")
        address = [addressee.name, addressee.value(.street), town].compactMap(\.self).filter { !$0.isEmpty }
        date = context.format.day(submission.keyedAt)
        reference = submission.formReference
        sharing = offer?.name(context.language) ?? ""
        decision = context.text("casework.paper.says.\(submission.decision)")
        attributes = submission.attributes.isEmpty ? nil : context.format.list(submission.attributes.map { context.text("attributes.\($0)") })
        signedOn = context.format.date(submission.signedOn)
        helper = submission.helperName
        keyedBy = submission.keyedBy
        signature = context.text("casework.paper.signed_by.\(submission.signatureMethod)")
        witness = submission.witnessName
    }
}

/// `/staff/forms/{reference}`: an empty form with its printed reference.
struct BlankFormPage: PageModel {
    static let template = "casework/blank-form"

    var reference: String
    var sharing: String
    var explanation: String
    /// For how long an agreement lasts, where it ends by itself.
    var duration: String?
    var attributes: [String]

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "sharing": .text(\.sharing), "explanation": .text(\.explanation), "duration": .optionalText(\.duration),
        "attributes": .texts(\.attributes),
    ]

    init(_ offer: ProcessingActivity, _ reference: PublicCode, _ context: some PageContext) {
        self.reference = reference.description
        sharing = offer.name(context.language)
        explanation = offer.explanation.text(context.language)
        duration = context.terms(of: offer)
        attributes = offer.attributes.map { context.text("attributes.\($0)") }
    }
}
