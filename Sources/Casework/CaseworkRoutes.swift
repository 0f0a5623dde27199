// The counter: find a resident for a stated reason, open the record, prove an identity, key a paper form, print its letter, answer a
// correction.
public import AccessLog
import Consent
import Foundation
import HTTPTypes
import Hummingbird
import Messages
public import Postgres
import Primitives
public import Register
public import Web

/// URL table of the slice. Every page about a resident is logged before it is shown, under the reason of its opening.
public struct CaseworkRoutes: Sendable {
    let database: Database
    let door: Door
    let vault: ResidentVault
    let lookup: LookupKey
    let corrections: Corrections
    let register: ConsentRegister
    let glass: BreakGlass

    public init(database: Database, door: Door, vault: ResidentVault, lookup: LookupKey, corrections: Corrections) {
        self.database = database
        self.door = door
        self.vault = vault
        self.lookup = lookup
        self.corrections = corrections
        register = ConsentRegister(database: database)
        glass = BreakGlass(database: database, door: door, vault: vault)
    }

    public func add(to site: Site) {
        site.declare(pages: [
            StaffHomePage.self, SearchPage.self, BreakGlassPage.self, RecordPage.self, CorrectionAnswerPage.self, PaperConsentPage.self, LetterPage.self,
            BlankFormPage.self,
        ])
        site.addNavigation(.staff, path: "/staff", textKey: "casework.navigation")
        site.addNavigation(.staff, path: "/staff/search", textKey: "casework.search.navigation", roles: [.caseworker])
        let caseworker = site.staff([.caseworker])
        site.staff.get("/staff", use: home)
        caseworker.get("/staff/search", use: showSearch)
        caseworker.post("/staff/search", use: search)
        caseworker.post("/staff/emergency", use: breakGlass)
        caseworker.post("/staff/corrections/{reference}", use: openCorrection)
        caseworker.get("/staff/records/{opening}", use: showRecord)
        caseworker.get("/staff/records/{opening}/corrections/{correction}", use: showCorrection)
        caseworker.post("/staff/records/{opening}/corrections/{correction}", use: answerCorrection)
        caseworker.post("/staff/records/{opening}/proof", use: proveIdentity)
        caseworker.get("/staff/records/{opening}/paper-consent", use: showPaperConsent)
        caseworker.post("/staff/records/{opening}/paper-consent", use: keyPaperConsent)
        caseworker.get("/staff/records/{opening}/letters/{submission}", use: showLetter)
        caseworker.post("/staff/forms", use: registerBlankForm)
        caseworker.get("/staff/forms/{reference}", use: showBlankForm)
    }

    @Sendable func home(_ request: Request, _ context: StaffContext) async throws -> Response {
        let isCaseworker = context.staff.roles.contains(.caseworker)
        let waiting = isCaseworker ? try await corrections.waiting(for: context.staff.credential) : []
        let offers = isCaseworker ? try await offers() : []
        return try context.page(StaffHomePage(try await context.tasks(of: context.staff), waiting, offers, context), title: "casework.title")
    }

    @Sendable func showSearch(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(SearchPage(context.formView(), context), title: "casework.search.title")
    }

    /// The search itself is what gets logged, also when it finds nobody.
    @Sendable func search(_ request: Request, _ context: StaffContext) async throws -> Response {
        var form = SearchForm(context, lookup: lookup)
        guard form.fields.isValid, let subject = form.subject, let reason = form.reason else { return try searchAgain(form, context) }
        do {
            let opening = try await open(subject, for: reason, caseReference: form.caseReference, context)
            return context.redirect(to: "/staff/records/\(opening)")
        } catch let refused as RefusedAccess where refused.refusal == .subjectUnknown || refused.refusal == .subjectAmbiguous {
            form.fields.reject("kind", "casework.search.\(refused.refusal.rawValue)")
            return try searchAgain(form, context)
        } catch let refused as RefusedAccess where refused.refusal == .subjectProtected {
            return try glassPage(Self.carried(context), .blank, context)
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    /// Opens a protected record: the search again, with a reason why it cannot wait.
    @Sendable func breakGlass(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let (subject, reason, caseReference) = try await searched(context) else { return context.redirect(to: "/staff/search") }
        var fields = FormReader(context.form)
        let words = fields.reason("emergency")
        let opening = fields.optionalText("opening", charactersMax: 36).flatMap { OpeningID($0) } ?? .new()
        guard fields.isValid else { return try glassPage(Self.carried(context), fields.state, context) }
        do {
            let opened = try await glass.open(
                subject, for: reason, caseReference: caseReference, because: words, opening: opening, session: context.staff.credential)
            return context.redirect(to: "/staff/records/\(opened)")
        } catch let refused as RefusedAccess where refused.refusal == .subjectNotProtected {
            context.notice("glass.break.not_needed")
            return context.redirect(to: "/staff/search")
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    /// Opens the record that a waiting correction is about: the look-up is logged under the correction's own reference.
    @Sendable func openCorrection(_ request: Request, _ context: StaffContext) async throws -> Response {
        let reference: String = try context.parameter("reference")
        guard let waiting = try await corrections.waiting(for: context.staff.credential).first(where: { $0.reference == reference }) else {
            context.notice("casework.correction.already_answered")
            return context.redirect(to: "/staff")
        }
        do {
            let opening = try await open(.resident(waiting.residentID), for: .correction, caseReference: reference, context)
            return context.redirect(to: "/staff/records/\(opening)")
        } catch let refused as RefusedAccess where refused.refusal == .subjectProtected {
            return try glassPage([("correction", reference)], .blank, context)
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    @Sendable func showRecord(_ request: Request, _ context: StaffContext) async throws -> Response {
        try await record(context, proof: .blank)
    }

    @Sendable func proveIdentity(_ request: Request, _ context: StaffContext) async throws -> Response {
        let opening = try await opening(context)
        var form = ProofForm(context)
        guard form.fields.isValid, let code = form.accountCode, let evidence = form.evidence else {
            return try await record(context, proof: form.fields.state, status: .unprocessableContent)
        }
        let statement = ProveIdentityStatement(
            credential: context.staff.credential, openingID: opening.id, evidenceID: form.evidenceID, accountCode: code, evidence: evidence,
            language: context.language)
        let outcome = try await Counter.prove(statement, of: opening.residentID, publicCode: opening.publicCode, on: database)
        guard outcome == "linked" || outcome == "already_linked" else {
            form.fields.reject("account_code", "casework.proof.\(outcome)")
            return try await record(context, proof: form.fields.state, status: .unprocessableContent)
        }
        context.notice("casework.proof.done")
        return context.redirect(to: "/staff/records/\(opening.id)")
    }

    @Sendable func showCorrection(_ request: Request, _ context: StaffContext) async throws -> Response {
        let opening = try await opening(context)
        let released = try await release(opening, Attribute.all, context)
        guard let correction = try await correction(under: released, context) else { throw Problem.notFound }
        return try answerPage(correction, opening, try vault.open(released), .blank, context)
    }

    @Sendable func answerCorrection(_ request: Request, _ context: StaffContext) async throws -> Response {
        let opening = try await opening(context)
        let released = try await release(opening, Attribute.all, context)
        let place = "/staff/records/\(opening.id)"
        guard opening.reason == OpeningReason.correction.rawValue else { throw Problem.notFound }
        guard let correction = try await correction(under: released, context) else {
            context.notice("casework.correction.already_answered")
            return context.redirect(to: place)
        }
        let form = CorrectionForm(context, correction)
        guard let answer = form.answer else {
            return try answerPage(correction, opening, try vault.open(released), form.fields.state, context, status: .unprocessableContent)
        }
        switch try await corrections.answer(correction, with: answer, opening: opening.id.uuid, released: released, session: context.staff.credential) {
        case "answered": context.notice("casework.correction.done")
        case "already_answered": context.notice("casework.correction.already_answered")
        default: throw Problem.forbidden
        }
        return context.redirect(to: place)
    }

    @Sendable func showPaperConsent(_ request: Request, _ context: StaffContext) async throws -> Response {
        let opening = try await opening(context)
        let state = FormState.filled(["helper_name": context.staff.name])
        return try context.page(
            PaperConsentPage(opening, try await offers(), context.formView(state), context), title: "casework.paper.title")
    }

    @Sendable func keyPaperConsent(_ request: Request, _ context: StaffContext) async throws -> Response {
        let opening = try await opening(context)
        let offers = try await offers()
        var form = PaperConsentForm(context, offers: offers)
        if let submission = form.submission {
            switch try await key(submission, opening, context) {
            case "recorded", "unchanged":
                context.notice("casework.paper.done")
                return context.redirect(to: "/staff/records/\(opening.id)")
            case let refusal: form.reject(refusal)
            }
        }
        return try context.page(
            PaperConsentPage(opening, offers, context.formView(form.fields.state), context), title: "casework.paper.title",
            status: .unprocessableContent)
    }

    /// The letter that tells the resident what was entered for them, by whom, and what to do when it is wrong.
    @Sendable func showLetter(_ request: Request, _ context: StaffContext) async throws -> Response {
        let opening = try await opening(context)
        let id: ID<PaperSubmission> = try context.parameter("submission")
        let submissions = try await database.query(PaperSubmissions(credential: context.staff.credential, openingID: opening.id))
        guard let submission = submissions.first(where: { $0.id == id.uuid }) else { throw Problem.notFound }
        let offers = try await offers()
        let addressee = try await view(
            opening, [.givenNames, .familyName, .street, .postcode, .locality], context)
        let offer = offers.first { $0.id == submission.activityID }
        return try context.page(LetterPage(addressee, submission, offer, context), title: "casework.letter.title")
    }

    /// Gives a new form its reference, under which alone it can be keyed.
    @Sendable func registerBlankForm(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let activity = try context.form.value("activity").flatMap({ ActivityID($0) }) else { throw Problem.notFound }
        let reference = PublicCode.random()
        let form = PrintForm(credential: context.staff.credential, reference: reference, activity: activity, language: context.language)
        guard try await database.one(form) else { throw Problem.notFound }
        return context.redirect(to: "/staff/forms/\(reference)")
    }

    /// An empty form to print, with its reference and nobody's data. It shows only as it was registered: with the same text in the same
    /// language.
    @Sendable func showBlankForm(_ request: Request, _ context: StaffContext) async throws -> Response {
        let reference: PublicCode = try context.parameter("reference")
        guard let form = try await database.optional(FindPrintedForm(credential: context.staff.credential, reference: reference)) else {
            throw Problem.notFound
        }
        guard form.language == context.language.tag,
            let offer = try await offers().first(where: { $0.id == form.activityID && $0.policyVersion == form.policyVersion })
        else {
            context.notice("casework.form.print_anew")
            return context.redirect(to: "/staff")
        }
        return try context.page(BlankFormPage(offer, reference, context), title: "casework.form.title")
    }
}

// What several handlers share.
extension CaseworkRoutes {
    private func searchAgain(_ form: SearchForm, _ context: StaffContext) throws -> Response {
        try context.page(SearchPage(context.formView(form.fields.state), context), title: "casework.search.title", status: .unprocessableContent)
    }

    /// Whom a protected record is about, why and for which case it is opened, from what the form carries: a waiting correction, or a search.
    private func searched(_ context: StaffContext) async throws -> (SubjectReference, OpeningReason, String)? {
        if let reference = try context.form.value("correction") {
            let waiting = try await corrections.waiting(for: context.staff.credential).first { $0.reference == reference }
            return waiting.map { (.resident($0.residentID), .correction, reference) }
        }
        let form = SearchForm(context, lookup: lookup)
        guard form.fields.isValid, let subject = form.subject, let reason = form.reason else { return nil }
        return (subject, reason, form.caseReference)
    }

    private static func carried(_ context: StaffContext) -> [(name: String, value: String)] {
        (["correction"] + SearchForm.fieldNames).flatMap { name in context.form.values(name).prefix(1).map { (name, $0) } }
    }

    private func glassPage(_ carried: [(name: String, value: String)], _ state: FormState, _ context: StaffContext) throws -> Response {
        try context.page(BreakGlassPage(carried, context.formView(state)), title: "glass.break.title", status: .unprocessableContent)
    }

    /// The opening that the address names: 404 when it is another's, has run out or never was.
    private func opening(_ context: StaffContext) async throws -> Opening {
        let id: OpeningID = try context.parameter("opening")
        guard let opening = try await database.optional(FindOpening(credential: context.staff.credential, id: id)) else { throw Problem.notFound }
        return opening
    }

    /// What may come on a paper form: the sharings that need consent.
    private func offers() async throws -> [ProcessingActivity] {
        try await register.activities().filter { $0.legalBasis == .consent }
    }

    /// Looks a resident up and keeps the reason for the pages about them. The look-up is in the log before anything opens.
    /// - Throws: `RefusedAccess`.
    private func open(_ subject: SubjectReference, for reason: OpeningReason, caseReference: String, _ context: StaffContext) async throws -> OpeningID {
        let found = try await door.read(
            AccessRequest(
                credential: context.staff.credential, operation: .search, subject: subject, attributes: [], purpose: reason.rawValue,
                caseReference: caseReference))
        let opening = try await database.one(OpenRecord(credential: context.staff.credential, openingID: .new(), searchEntryID: found.entryID))
        guard let opening else { throw Problem.forbidden }
        return opening
    }

    /// The waiting correction that the address names, of the record that was just released; nil when it is answered or somebody else's.
    private func correction(under released: ReleasedRecord, _ context: StaffContext) async throws -> CorrectionRequest? {
        let id: CorrectionRequestID = try context.parameter("correction")
        return try await corrections.waiting(under: released.entryID, for: context.staff.credential).first { $0.id == id }
    }

    private func answerPage(
        _ correction: CorrectionRequest, _ opening: Opening, _ record: OpenedRecord, _ state: FormState, _ context: StaffContext,
        status: HTTPResponse.Status = .ok
    ) throws -> Response {
        try context.page(
            CorrectionAnswerPage(correction, opening, record, context.formView(state), context), title: "casework.correction.title", status: status)
    }

    private func record(_ context: StaffContext, proof: FormState, status: HTTPResponse.Status = .ok) async throws -> Response {
        let opening = try await opening(context)
        let record = try await view(opening, Attribute.all, context)
        let submissions = try await database.query(PaperSubmissions(credential: context.staff.credential, openingID: opening.id))
        // Only a record that was opened for a correction says what the resident wrote.
        let waiting = try await corrections.waiting(under: record.entryID, for: context.staff.credential)
        return try context.page(
            RecordPage(opening, record, submissions, waiting, context.formView(proof), context), title: "casework.record.title", status: status)
    }

    private func view(_ opening: Opening, _ attributes: [Attribute], _ context: StaffContext) async throws -> OpenedRecord {
        try vault.open(try await release(opening, attributes, context))
    }

    private func release(_ opening: Opening, _ attributes: [Attribute], _ context: StaffContext) async throws -> ReleasedRecord {
        do {
            return try await door.read(
                AccessRequest(
                    credential: context.staff.credential, operation: .view, subject: .resident(opening.residentID),
                    attributes: attributes.map(\.rawValue), purpose: opening.reason, caseReference: opening.caseReference))
        } catch let refused as RefusedAccess where refused.refusal == .subjectProtected {
            // Protected since it was opened. Found anew, it asks for a reason.
            context.notice("glass.break.needed")
            throw Redirection(to: "/staff/search")
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
    }

    /// Enters the form. The entry in the resident's log comes first, and the form is keyed under it: a form that is then refused leaves an
    /// entry which says that nothing was changed.
    private func key(_ submission: PaperConsent, _ opening: Opening, _ context: StaffContext) async throws -> String {
        let logged: ReleasedRecord
        do {
            logged = try await door.read(
                AccessRequest(
                    credential: context.staff.credential, operation: .paperEntry, subject: .resident(opening.residentID), attributes: [],
                    purpose: OpeningReason.assistance.rawValue, caseReference: submission.formReference.description))
        } catch let refused as RefusedAccess {
            throw refused.problem()
        }
        let statement = KeyPaperConsentStatement(
            credential: context.staff.credential, openingID: opening.id, entryID: logged.entryID, submission: submission)
        do {
            return try await database.transaction { transaction in
                let outcome = try await transaction.one(statement)
                if outcome == "recorded" {
                    try await Messages.send(
                        .consentOnPaper, to: opening.residentID, ["reference": submission.formReference.description], on: transaction)
                }
                return outcome
            }
        } catch let error as DatabaseError where error.sqlState == "23514" {
            return error.constraint ?? "not_possible"
        }
    }
}
