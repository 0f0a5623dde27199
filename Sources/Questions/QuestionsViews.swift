// Questions as JSON and as pages.
import AccessLog
import Foundation
import Primitives
import Web

/// `GET` and `PUT /api/v1/access-entries/{id}/question`.
struct QuestionBody: Encodable, Sendable {
    let reference: String
    let words: String
    let askedAt: Date
    let dueAt: Date
    let state: String
    let finding: String?
    let answer: String?
    let answeredAt: Date?
    /// Who made the entry, where an auditor decided to tell, and why.
    let releasedName: String?
    let releaseReason: String?

    enum CodingKeys: String, CodingKey {
        case reference, words, askedAt, dueAt, state, finding, answer, answeredAt, releasedName, releaseReason
    }

    init(_ question: Question) {
        reference = question.reference
        words = question.words
        askedAt = question.askedAt
        dueAt = question.dueAt
        state = question.answer == nil ? "open" : "answered"
        finding = question.answer?.finding.rawValue
        answer = question.answer?.words
        answeredAt = question.answer?.at
        releasedName = question.answer?.releasedName?.shown
        releaseReason = question.answer?.releasedName?.reason
    }

    /// Every member is always there, null where there is nothing to say.
    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(reference, forKey: .reference)
        try container.encode(words, forKey: .words)
        try container.encode(askedAt, forKey: .askedAt)
        try container.encode(dueAt, forKey: .dueAt)
        try container.encode(state, forKey: .state)
        try container.encode(finding, forKey: .finding)
        try container.encode(answer, forKey: .answer)
        try container.encode(answeredAt, forKey: .answeredAt)
        try container.encode(releasedName, forKey: .releasedName)
        try container.encode(releaseReason, forKey: .releaseReason)
    }
}

extension Question.ReleasedName {
    fileprivate var shown: String { "\(name) (\(username))" }
}

/// The form under `/access-log/{entry}/question`.
struct AskPage: PageModel {
    static let template = "questions/ask"

    var errors: ErrorSummary?
    var entry: EntryView
    var action: Link
    var back: Link
    /// The form sent twice is one question.
    var id: String
    var words: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "entry": .model(\.entry), "action": .link(\.action), "back": .link(\.back), "id": .text(\.id),
        "words": .model(\.words),
    ]

    init(_ entry: AccessEntry, _ form: FormView, _ context: ResidentContext) {
        errors = form.errors
        self.entry = EntryView(entry, context: context)
        action = Link("/access-log/\(entry.id)/question")
        back = Link("/access-log/\(entry.id)")
        id = QuestionID.new().description
        words = form.area("words", label: "questions.ask.words", hint: "questions.ask.words_hint")
    }
}

/// What was asked, and the answer, under the same address.
struct OwnQuestionPage: PageModel {
    static let template = "questions/own"

    var entry: EntryView
    var back: Link
    var reference: String
    var words: String
    var askedAt: String
    var due: String?
    var answer: AnswerView?

    static let fields: Fields<Self> = [
        "entry": .model(\.entry), "back": .link(\.back), "reference": .text(\.reference), "words": .text(\.words), "asked_at": .text(\.askedAt),
        "due": .optionalText(\.due), "answer": .optional(\.answer),
    ]

    init(_ question: Question, _ entry: AccessEntry, _ context: ResidentContext) {
        self.entry = EntryView(entry, context: context)
        back = Link("/access-log/\(entry.id)")
        reference = question.reference
        words = question.words
        askedAt = context.format.dateTime(question.askedAt)
        answer = question.answer.map { AnswerView($0, context) }
        due = answer == nil ? context.text("questions.own.due", ["date": context.format.day(question.dueAt)]) : nil
    }
}

struct AnswerView: ViewModel {
    var finding: String
    var words: String
    var at: String
    var released: ReleasedNameView?

    static let fields: Fields<Self> = [
        "finding": .text(\.finding), "words": .text(\.words), "at": .text(\.at), "released": .optional(\.released),
    ]

    init(_ answer: Question.Answer, _ context: some PageContext) {
        finding = context.text("questions.finding.\(answer.finding.rawValue)")
        words = answer.words
        at = context.format.dateTime(answer.at)
        released = answer.releasedName.map { ReleasedNameView(name: $0.shown, reason: $0.reason) }
    }
}

/// Who acted, and why that is told.
struct ReleasedNameView: ViewModel {
    var name: String
    var reason: String

    static let fields: Fields<Self> = ["name": .text(\.name), "reason": .text(\.reason)]
}

/// `/staff/questions`.
struct QueuePage: PageModel {
    static let template = "questions/queue"

    var questions: [WaitingView]
    var isEmpty: Bool

    static let fields: Fields<Self> = ["questions": .list(\.questions), "is_empty": .flag(\.isEmpty)]

    init(_ waiting: [WaitingQuestion], _ context: StaffContext) {
        questions = waiting.map { WaitingView($0, context) }
        isEmpty = waiting.isEmpty
    }
}

struct WaitingView: ViewModel {
    var reference: String
    var page: Link
    var askedAt: String
    var due: String
    var isOverdue: Bool

    static let fields: Fields<Self> = [
        "reference": .text(\.reference), "page": .link(\.page), "asked_at": .text(\.askedAt), "due": .text(\.due), "is_overdue": .flag(\.isOverdue),
    ]

    init(_ question: WaitingQuestion, _ context: some PageContext) {
        reference = question.reference
        page = Link("/staff/questions/\(question.reference)")
        askedAt = context.format.day(question.askedAt)
        due = context.format.day(question.dueAt)
        isOverdue = question.isOverdue
    }
}

/// `/staff/questions/{reference}`.
struct AnswerPage: PageModel {
    static let template = "questions/answer"

    var errors: ErrorSummary?
    var reference: String
    var words: String
    var askedAt: String
    var due: String
    var entry: EntryView?
    /// Who made the entry; nil where it was no member of staff.
    var release: ReleaseFields?
    var action: Link
    var finding: ChoiceField
    var answer: TextField

    static let fields: Fields<Self> = [
        "errors": .optional(\.errors), "reference": .text(\.reference), "words": .text(\.words), "asked_at": .text(\.askedAt), "due": .text(\.due),
        "entry": .optional(\.entry), "release": .optional(\.release), "action": .link(\.action), "finding": .model(\.finding),
        "answer": .model(\.answer),
    ]

    init(_ atHand: QuestionAtHand, _ form: FormView, _ context: StaffContext) {
        let question = atHand.question
        reference = question.reference
        words = question.words
        askedAt = context.format.dateTime(question.askedAt)
        due = context.format.day(question.dueAt)
        entry = atHand.entry.map { EntryView($0, context: context) }
        action = Link("/staff/questions/\(question.reference)")
        finding = form.choices(
            "finding", label: "questions.answer.finding",
            options: Finding.allCases.map { ($0.rawValue, context.text("questions.finding.\($0.rawValue)")) })
        answer = form.area("words", label: "questions.answer.words", hint: "questions.answer.words_hint")
        release = atHand.actor.map { ReleaseFields($0, form) }
        errors = form.errors
    }
}

/// Who acted, and the decision whether the resident is told.
struct ReleaseFields: ViewModel {
    var who: String
    var release: TickField
    var reason: TextField

    static let fields: Fields<Self> = ["who": .text(\.who), "release": .model(\.release), "reason": .model(\.reason)]

    init(_ actor: QuestionedActor, _ form: FormView) {
        who = "\(actor.name) (\(actor.username))"
        release = form.tick("release", label: "questions.release.tick")
        reason = form.area("release_reason", label: "questions.release.reason", hint: "questions.release.reason_hint")
    }
}
