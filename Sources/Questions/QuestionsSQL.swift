// Every statement of the slice. Who asks and who answers is derived from the credential by the functions of migrations/0015_questions.sql.
import AccessLog
import Foundation
import Postgres
import Primitives
import Register
import Web

/// `questions.ask`.
struct Ask: Query {
    let credential: CredentialHash
    let id: QuestionID
    let reference: PublicCode
    let entry: AccessEntryID
    let sealedQuestion: [UInt8]

    struct Row: Sendable {
        let outcome: AskOutcome
        /// Whom to tell; nil where nothing happened.
        let resident: ResidentID?
    }

    var sql: SQL {
        "SELECT outcome, resident FROM questions.ask(\(credential.bytes), \(id.uuid), \(reference.description), \(entry.uuid), \(sealedQuestion))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(outcome: try row.next(word: AskOutcome.self), resident: try row.next(UUID?.self).map(ResidentID.init))
    }
}

/// A question as it is stored.
struct SealedQuestion: Sendable {
    let id: QuestionID
    let reference: String
    let sealedQuestion: [UInt8]
    let askedAt: Date
    let dueAt: Date
    let key: SealingKey
    var answer: Answer?

    struct Answer: Sendable {
        let finding: Finding
        let sealed: [UInt8]
        let at: Date
        let released: (name: String, username: String, sealedReason: [UInt8])?
    }

    /// The columns `id` to `wrapped_key`, which every function gives in this order.
    init(_ row: inout RowReader) throws {
        id = QuestionID(try row.next(UUID.self))
        reference = try row.next()
        sealedQuestion = try row.next()
        askedAt = try row.next()
        dueAt = try row.next()
        key = try SealingKey(&row)
    }
}

/// `questions.own_question`.
struct OwnQuestion: Query {
    let credential: CredentialHash
    let entry: AccessEntryID

    var sql: SQL {
        """
        SELECT id, reference, sealed_question, asked_at, due_at, holder_id, key_id, wrapped_key, finding, sealed_answer, answered_at,
            released_name, released_username, sealed_release
        FROM questions.own_question(\(credential.bytes), \(entry.uuid))
        """
    }

    func decode(_ row: inout RowReader) throws -> SealedQuestion { try SealedQuestion(withAnswer: &row) }
}

/// `questions.own_questions`.
struct OwnQuestions: Query {
    let credential: CredentialHash
    let before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT id, reference, sealed_question, asked_at, due_at, holder_id, key_id, wrapped_key, finding, sealed_answer, answered_at,
            released_name, released_username, sealed_release, entry_id
        FROM questions.own_questions(\(credential.bytes), \(before?.at as Date?), \(before?.id as UUID?), \(count)::integer)
        """
    }

    func decode(_ row: inout RowReader) throws -> (question: SealedQuestion, entry: AccessEntryID) {
        (try SealedQuestion(withAnswer: &row), AccessEntryID(try row.next(UUID.self)))
    }
}

extension SealedQuestion {
    /// The columns `id` to `sealed_release`.
    fileprivate init(withAnswer row: inout RowReader) throws {
        self = try SealedQuestion(&row)
        let finding = try row.next(word: Finding?.self)
        let sealed = try row.next([UInt8]?.self)
        let at = try row.next(Date?.self)
        let (name, username, reason) = (try row.next(String?.self), try row.next(String?.self), try row.next([UInt8]?.self))
        var released: (name: String, username: String, sealedReason: [UInt8])?
        if let name, let username, let reason { released = (name, username, reason) }
        if let finding, let sealed, let at {
            answer = .init(finding: finding, sealed: sealed, at: at, released: released)
        }
    }
}

/// `questions.waiting`.
struct WaitingQuestions: Query {
    let credential: CredentialHash
    var reference: String?

    var sql: SQL {
        "SELECT reference, asked_at, due_at, is_overdue, resident_id FROM questions.waiting(\(credential.bytes), \(reference as String?))"
    }

    func decode(_ row: inout RowReader) throws -> WaitingQuestion {
        WaitingQuestion(
            reference: try row.next(), askedAt: try row.next(), dueAt: try row.next(), isOverdue: try row.next(),
            residentID: ResidentID(try row.next(UUID.self)))
    }
}

/// `questions.question_under`.
struct QuestionUnder: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    var sql: SQL {
        """
        SELECT id, reference, sealed_question, asked_at, due_at, holder_id, key_id, wrapped_key
        FROM questions.question_under(\(credential.bytes), \(viewEntry.uuid))
        """
    }

    func decode(_ row: inout RowReader) throws -> SealedQuestion { try SealedQuestion(&row) }
}

/// `questions.actor_under`.
struct ActorUnder: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    var sql: SQL { "SELECT display_name, username FROM questions.actor_under(\(credential.bytes), \(viewEntry.uuid))" }
    func decode(_ row: inout RowReader) throws -> QuestionedActor { QuestionedActor(name: try row.next(), username: try row.next()) }
}

/// `questions.answer_question`.
struct AnswerQuestion: Query {
    let credential: CredentialHash
    let id: QuestionID
    let finding: Finding
    let sealedAnswer: [UInt8]
    let sealedRelease: [UInt8]?

    struct Row: Sendable {
        let outcome: AnswerOutcome
        let resident: ResidentID?
    }

    var sql: SQL {
        """
        SELECT outcome, resident FROM questions.answer_question(
            \(credential.bytes), \(id.uuid), \(finding.rawValue), \(sealedAnswer), \(sealedRelease as [UInt8]?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(outcome: try row.next(word: AnswerOutcome.self), resident: try row.next(UUID?.self).map(ResidentID.init))
    }
}
