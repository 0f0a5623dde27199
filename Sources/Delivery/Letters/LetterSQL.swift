// Every statement of the letters: the functions of migrations/0033_delivery.sql, which derive the caseworker from the session.
import AccessLog
import Foundation
import Postgres
import Primitives
import Web

/// A letter that waits to be printed or posted.
struct WaitingLetter: Sendable {
    let id: OutgoingID
    /// What the resident's log names as the case.
    let reference: String
    let residentID: ResidentID
    let template: String
    let language: String
    let madeAt: Date
    let printed: (at: Date, by: String)?
}

/// `delivery.waiting_letters`: all, or one. No row for anybody but a caseworker.
struct WaitingLetters: Query {
    let credential: CredentialHash
    var letter: OutgoingID?

    var sql: SQL {
        """
        SELECT id, reference, resident_id, template, language, made_at, printed_at, printed_by
        FROM delivery.waiting_letters(\(credential.bytes), \((letter?.uuid) as UUID?))
        """
    }

    func decode(_ row: inout RowReader) throws -> WaitingLetter {
        let id = OutgoingID(try row.next(UUID.self))
        let reference = try row.next(String.self)
        let resident = ResidentID(try row.next(UUID.self))
        let (template, language) = (try row.next(String.self), try row.next(String.self))
        let madeAt = try row.next(Date.self)
        let (at, by) = (try row.next(Date?.self), try row.next(String?.self))
        return WaitingLetter(
            id: id, reference: reference, residentID: resident, template: template, language: language, madeAt: madeAt,
            printed: at.flatMap { at in by.map { (at, $0) } })
    }
}

/// `delivery.print_letter`: what fills the letter's placeholders, for the entry that released name and address. No row for any other entry.
struct PrintLetter: Query {
    let credential: CredentialHash
    let letter: OutgoingID
    let entry: AccessEntryID

    struct Row: Sendable {
        let sealedParameters: [UInt8]?
        let key: SealingKey
    }

    var sql: SQL {
        "SELECT sealed_parameters, holder_id, key_id, wrapped_key FROM delivery.print_letter(\(credential.bytes), \(letter.uuid), \(entry.uuid))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            sealedParameters: try row.next(), key: try SealingKey(&row))
    }
}

/// What delivery.post_letter answers.
enum PostLetterOutcome: String, Sendable {
    case posted
    case alreadyPosted = "already_posted"
    case notPrinted = "not_printed"
    case letterUnknown = "letter_unknown"
}

/// `delivery.post_letter`. It waits for whoever posts the same letter, so it belongs on an exclusive connection.
struct PostLetter: Query {
    let credential: CredentialHash
    let letter: OutgoingID

    var sql: SQL { "SELECT delivery.post_letter(\(credential.bytes), \(letter.uuid))" }

    func decode(_ row: inout RowReader) throws -> PostLetterOutcome {
        try row.next(word: PostLetterOutcome.self)
    }
}
