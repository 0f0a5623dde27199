// "Question this": a resident asks about one entry of their log, an auditor looks into it and answers within the legal time (migrations/0015).
// What both write is sealed on the way in and opened on the way out, under the resident's key.
// Decided in `questions.ask` and `questions.answer_question` (0015_questions.sql).
public import AccessLog
public import Foundation
import Messages
public import Postgres
public import Primitives
public import Register
public import Web

/// What `QuestionID` names.
public enum QuestionTag {}
public typealias QuestionID = ID<QuestionTag>

/// What an auditor finds.
public enum Finding: String, Sendable, CaseIterable {
    case lawful
    case unlawful
}

/// A question with its answer, if there is one.
public struct Question: Sendable {
    public let id: QuestionID
    public let reference: String
    public let words: String
    public let askedAt: Date
    /// One month after it was asked (GDPR Art. 12(3)).
    public let dueAt: Date
    public let answer: Answer?
    /// What the words lie under, and the answer will.
    let key: SealingKey

    public struct Answer: Sendable {
        public let finding: Finding
        public let words: String
        public let at: Date
        /// Who made the entry, and why that is told; nil where it stays the role.
        public let releasedName: ReleasedName?
    }

    public struct ReleasedName: Sendable {
        public let name: String
        public let username: String
        public let reason: String
    }
}

/// A question that waits, without what it says.
public struct WaitingQuestion: Sendable {
    public let reference: String
    public let askedAt: Date
    public let dueAt: Date
    public let isOverdue: Bool
    /// Whom the door looks up. Nothing else about the resident is known before.
    let residentID: ResidentID
}

/// A question as an auditor sees it.
struct QuestionAtHand: Sendable {
    let question: Question
    /// What is asked about; nil when its content was erased.
    let entry: AccessEntry?
    /// The member of staff who made it; nil where it was none, or the entry was erased.
    let actor: QuestionedActor?
}

/// Whom a question is about. Auditors see it; the resident sees the role alone, unless an auditor decides otherwise.
struct QuestionedActor: Sendable {
    let name: String
    let username: String
}

/// What came of asking.
public enum AskOutcome: String, Sendable {
    case asked
    case alreadyAsked = "already_asked"
    /// There is no such entry about this resident, or it is a view of their own.
    case entryUnknown = "entry_unknown"
    /// Twenty questions of this resident wait already.
    case tooMany = "too_many"
}

/// What came of answering.
enum AnswerOutcome: String, Sendable {
    case answered
    case alreadyAnswered = "already_answered"
    case ownAction = "own_action"
    case notAllowed = "not_allowed"
}

/// Asks, shows and answers.
public struct Questions: Sendable {
    private let database: Database
    private let door: Door
    private let vault: ResidentVault
    let entries: AccessEntries

    public init(database: Database, door: Door, vault: ResidentVault, entries: AccessEntries) {
        self.database = database
        self.door = door
        self.vault = vault
        self.entries = entries
    }

    /// Longest question and answer, in characters: a letter of half a page. Their UTF-8 bytes stay below what the columns take.
    public static let wordsCharactersMax = 1000

    /// Asks about an entry, once, and acknowledges it with the day of the answer.
    /// - Parameter id: made with the form; the same again is the same question.
    public func ask(_ words: String, about entry: AccessEntryID, id: QuestionID, of credential: CredentialHash) async throws -> AskOutcome {
        let record = try await entries.logView(of: credential)
        let sealed = try vault.seal(words, as: .question(id), under: record.key)
        let statement = Ask(credential: credential, id: id, reference: .random(), entry: entry, sealedQuestion: sealed)
        return try await database.transaction { transaction in
            let asked = try await transaction.one(statement)
            if let resident = asked.resident {
                try await Messages.send(.questionReceived, to: resident, ["reference": statement.reference.description], on: transaction)
            }
            return asked.outcome
        }
    }

    /// The resident's own question about an entry; nil when none was asked, or it is not theirs to see.
    public func own(about entry: AccessEntryID, of credential: CredentialHash) async throws -> Question? {
        try await entries.logView(of: credential)
        return try await database.optional(OwnQuestion(credential: credential, entry: entry)).map(open)
    }

    /// All that the resident asked, newest first, each with the entry it is about.
    /// - Parameter count: at most 200.
    func own(_ count: Int, before cursor: MomentCursor?, of credential: CredentialHash) async throws -> [(question: Question, entry: AccessEntryID)] {
        try await entries.logView(of: credential)
        return try await database.query(OwnQuestions(credential: credential, before: cursor, count: count)).map { (try open($0.question), $0.entry) }
    }

    /// The hundred most urgent that wait for this auditor; none for anybody else.
    func waiting(for session: CredentialHash) async throws -> [WaitingQuestion] {
        try await database.query(WaitingQuestions(credential: session))
    }

    /// Opens a waiting question, after that look is in the resident's log.
    /// - Returns: nil when no such question waits.
    func look(into reference: String, for session: CredentialHash) async throws -> QuestionAtHand? {
        guard let waiting = try await database.optional(WaitingQuestions(credential: session, reference: reference)) else { return nil }
        let view = try await door.look(intoLogOf: waiting.residentID, for: "question", caseReference: reference, session: session)
        guard let sealed = try await database.optional(QuestionUnder(credential: session, viewEntry: view)) else { return nil }
        let entry = try await database.optional(QuestionedEntry(credential: session, viewEntry: view))
        let actor = try await database.optional(ActorUnder(credential: session, viewEntry: view))
        return QuestionAtHand(question: try open(sealed), entry: entry, actor: actor)
    }

    /// Answers once and tells the resident, in one transaction.
    /// - Parameter releaseReason: why the resident is told who acted; nil: the role is all they are told.
    func answer(
        _ question: Question, _ finding: Finding, words: String, releaseReason: String? = nil, session: CredentialHash
    ) async throws -> AnswerOutcome {
        let sealed = try vault.seal(words, as: .answer(question.id), under: question.key)
        let release = try releaseReason.map { try vault.seal($0, as: .release(question.id), under: question.key) }
        let statement = AnswerQuestion(credential: session, id: question.id, finding: finding, sealedAnswer: sealed, sealedRelease: release)
        return try await database.transaction { transaction in
            let answered = try await transaction.one(statement)
            if let resident = answered.resident {
                try await Messages.send(.questionAnswered, to: resident, ["reference": question.reference], on: transaction)
            }
            return answered.outcome
        }
    }

    private func open(_ row: SealedQuestion) throws -> Question {
        Question(
            id: row.id, reference: row.reference, words: try vault.open(row.sealedQuestion, as: .question(row.id), under: row.key),
            askedAt: row.askedAt, dueAt: row.dueAt,
            answer: try row.answer.map { answer in
                Question.Answer(
                    finding: answer.finding, words: try vault.open(answer.sealed, as: .answer(row.id), under: row.key), at: answer.at,
                    releasedName: try answer.released.map {
                        .init(name: $0.name, username: $0.username, reason: try vault.open($0.sealedReason, as: .release(row.id), under: row.key))
                    })
            },
            key: row.key)
    }
}

extension Attribute {
    // What a sealed text is bound to, as values are to their attribute: none of them can take another's place.
    fileprivate static func question(_ id: QuestionID) -> Attribute { Attribute(rawValue: "question/\(id)") }
    fileprivate static func release(_ id: QuestionID) -> Attribute { Attribute(rawValue: "question_name_release/\(id)") }
    fileprivate static func answer(_ id: QuestionID) -> Attribute { Attribute(rawValue: "question_answer/\(id)") }
}
