// Where residents ask about an entry of their log and read the answer, and where auditors find and answer what waits.
import AccessLog
import HTTPTypes
import Hummingbird
import Primitives
public import Web

/// URL table of the slice.
public struct QuestionsRoutes: Sendable {
    private let questions: Questions

    public init(questions: Questions) {
        self.questions = questions
    }

    public func add(to site: Site) {
        site.declare(pages: [AskPage.self, OwnQuestionPage.self, QueuePage.self, AnswerPage.self])
        site.addOwnData(OwnDataPart(name: "questions", textKey: "questions.own_data", scope: "access_log", read: readOwn))
        site.resident.get("/access-log/{entry}/question", use: show)
        site.resident.post("/access-log/{entry}/question", use: ask)
        site.residentAPI.get("/api/v1/access-entries/{id}/question", use: getQuestion)
        site.residentAPI.put("/api/v1/access-entries/{id}/question", use: putQuestion)
        site.addNavigation(.staff, path: "/staff/questions", textKey: "questions.navigation", roles: [.auditor])
        site.addStaffTasks(tasks)
        let auditor = site.staff([.auditor])
        auditor.get("/staff/questions", use: queue)
        auditor.get("/staff/questions/{reference}", use: look)
        auditor.post("/staff/questions/{reference}", use: answer)
    }

    // MARK: Residents

    @Sendable func show(_ request: Request, _ context: ResidentContext) async throws -> Response {
        try await page(context, .blank)
    }

    @Sendable func ask(_ request: Request, _ context: ResidentContext) async throws -> Response {
        let entry: AccessEntryID = try context.parameter("entry")
        var fields = FormReader(context.form)
        let words = fields.longText("words", charactersMax: Questions.wordsCharactersMax)
        let id = fields.optionalText("question", charactersMax: 36).flatMap { QuestionID($0) } ?? .new()
        guard fields.isValid else { return try await page(context, fields.state, status: .unprocessableContent) }
        switch try await questions.ask(words, about: entry, id: id, of: context.resident.credential) {
        case .asked: context.notice("questions.asked")
        case .alreadyAsked: context.notice("questions.already_asked")
        case .entryUnknown: throw Problem.notFound
        case .tooMany:
            fields.reject("words", "questions.too_many")
            return try await page(context, fields.state, status: .unprocessableContent)
        }
        return context.redirect(to: "/access-log/\(entry)/question")
    }

    @Sendable func getQuestion(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        let question = try await questions.own(about: try context.parameter("id"), of: context.resident.credential)
        guard let question else { throw Problem.notFound }
        return try .json(QuestionBody(question))
    }

    @Sendable func putQuestion(_ request: Request, _ context: ResidentAPIContext) async throws -> Response {
        try context.require(scope: "access_log")
        let entry: AccessEntryID = try context.parameter("id")
        var body = try await context.json(request)
        let words = body.string("words", charactersMax: Questions.wordsCharactersMax)
        if !words.isEmpty, !words.isVisibleText {
            body.reject("words", code: "malformed", detail: "Send visible text, without characters that control or turn it.")
        }
        try body.finish()
        let outcome = try await questions.ask(words, about: entry, id: .new(), of: context.resident.credential)
        guard outcome != .tooMany else { throw Problem.tooManyQuestions }
        guard outcome != .entryUnknown, let question = try await questions.own(about: entry, of: context.resident.credential) else { throw Problem.notFound }
        // The same question again is the same question; another one would have to take its place, and what was asked stays asked.
        guard question.words == words else { throw Problem.questionStands }
        return try .json(QuestionBody(question), status: outcome == .asked ? .created : .ok)
    }

    @Sendable private func readOwn(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let count = OwnDataPart.itemsPerRead
        let asked = try await questions.own(count + 1, before: cursor.flatMap(MomentCursor.init), of: reader.credential)
        return try OwnDataPage(asked, count: count, cursor: { MomentCursor(at: $0.question.askedAt, id: $0.question.id.uuid) }) { asked in
            guard case .object(let members) = try JSONValue(encoding: QuestionBody(asked.question)) else { return nil }
            return .object([JSONMember("access_entry", .string(asked.entry.description))] + members)
        }
    }

    // MARK: Auditors

    /// One task for all that wait, with the first day on which an answer is due.
    @Sendable func tasks(of staff: StaffCaller, _ context: WebContext) async throws -> [HomeTask] {
        guard staff.roles.contains(.auditor) else { return [] }
        let waiting = try await questions.waiting(for: staff.credential)
        guard let first = waiting.first else { return [] }
        let detail = context.text(
            "questions.task.detail", ["count": context.format.number(waiting.count), "date": context.format.day(first.dueAt)])
        return [HomeTask(title: context.text("questions.task.title"), detail: detail, path: "/staff/questions")]
    }

    @Sendable func queue(_ request: Request, _ context: StaffContext) async throws -> Response {
        try context.page(QueuePage(try await questions.waiting(for: context.staff.credential), context), title: "questions.queue.title")
    }

    @Sendable func look(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        return try context.page(AnswerPage(atHand, context.formView(), context), title: "questions.answer.title")
    }

    @Sendable func answer(_ request: Request, _ context: StaffContext) async throws -> Response {
        guard let atHand = try await atHand(context) else { return noLonger(context) }
        var fields = FormReader(context.form)
        let finding = fields.choice("finding", of: Finding.self)
        let words = fields.longText("words", charactersMax: Questions.wordsCharactersMax)
        let releaseReason = fields.flag("release") && atHand.actor != nil ? fields.longText("release_reason", charactersMax: Questions.wordsCharactersMax) : nil
        // A reason without the tick: was the name to be told or not? It could not be mended afterwards.
        if atHand.actor != nil, releaseReason == nil, !fields.flag("release"), fields.optionalLongText("release_reason", charactersMax: Questions.wordsCharactersMax) != nil {
            fields.reject("release", "questions.release.unticked")
        }
        guard fields.isValid, let finding else {
            return try context.page(
                AnswerPage(atHand, context.formView(fields.state), context), title: "questions.answer.title", status: .unprocessableContent)
        }
        switch try await questions.answer(
            atHand.question, finding, words: words, releaseReason: releaseReason, session: context.staff.credential)
        {
        case .answered: context.notice("questions.answer.done")
        case .alreadyAnswered: return noLonger(context)
        case .ownAction, .notAllowed: throw Problem.forbidden
        }
        return context.redirect(to: "/staff/questions")
    }
}

extension QuestionsRoutes {
    /// The form to ask with, or what was asked; 404 for an entry that cannot be asked about.
    private func page(_ context: ResidentContext, _ state: FormState, status: HTTPResponse.Status = .ok) async throws -> Response {
        let id: AccessEntryID = try context.parameter("entry")
        guard let entry = try await questions.entries.one(id, of: context.resident.credential), !entry.isOwnView else { throw Problem.notFound }
        if let question = try await questions.own(about: id, of: context.resident.credential) {
            return try context.page(OwnQuestionPage(question, entry, context), title: "questions.title")
        }
        return try context.page(AskPage(entry, context.formView(state), context), title: "questions.ask.title", status: status)
    }

    private func atHand(_ context: StaffContext) async throws -> QuestionAtHand? {
        try await questions.look(into: try context.parameter("reference"), for: context.staff.credential)
    }

    /// Somebody else was faster, or there never was such a question.
    private func noLonger(_ context: StaffContext) -> Response {
        context.notice("questions.answer.no_longer")
        return context.redirect(to: "/staff/questions")
    }
}

extension Problem {
    /// 409: they wait for their answers first.
    static let tooManyQuestions = Problem(
        "too-many-questions", status: .conflict, title: "Too many questions",
        detail: "Twenty of your questions wait for an answer. Ask this one when some of them are answered.")

    /// 409: an entry has one question, and it is another one.
    static let questionStands = Problem(
        "question-stands", status: .conflict, title: "Question stands",
        detail: "You have already asked something else about this entry. Read that question with GET, and wait for its answer.")
}
