// The statements of the slice besides the door's (AccessLog/DoorSQL.swift) and the import's.
import AccessLog
import Foundation
import Postgres
import Primitives
import Web

/// Files a correction for the resident whom the session names: `register.request_correction`.
struct RequestCorrection: Query {
    let credential: CredentialHash
    let id: CorrectionRequestID
    let reference: PublicCode
    let attribute: Attribute
    let sealedStatement: [UInt8]

    var sql: SQL {
        """
        SELECT register.request_correction(
            \(credential.bytes), \(id.uuid), \(reference.description), \(attribute.rawValue), \(sealedStatement))
        """
    }

    /// Whether a request was filed now.
    func decode(_ row: inout RowReader) throws -> Bool { try row.next() }
}

struct WaitingCorrections: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT reference, attribute, requested_at, resident_id FROM register.open_corrections(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> WaitingCorrection {
        WaitingCorrection(
            reference: try row.next(), attribute: Attribute(rawValue: try row.next()), requestedAt: try row.next(),
            residentID: ResidentID(try row.next(UUID.self)))
    }
}

/// A request as it lies in the register, with the key that opens it.
struct SealedCorrection: Sendable {
    let id: CorrectionRequestID
    let reference: String
    let attribute: Attribute
    let sealedStatement: [UInt8]
    let requestedAt: Date
    let key: SealingKey

    static let columns: SQL = "id, reference, attribute, sealed_statement, requested_at, holder_id, key_id, wrapped_key"

    init(_ row: inout RowReader) throws {
        id = CorrectionRequestID(try row.next(UUID.self))
        reference = try row.next()
        attribute = Attribute(rawValue: try row.next())
        sealedStatement = try row.next()
        requestedAt = try row.next()
        key = try SealingKey(&row)
    }
}

/// What the record of one committed view has waiting: `register.corrections_about`.
struct CorrectionsAbout: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    var sql: SQL { "SELECT \(SealedCorrection.columns) FROM register.corrections_about(\(credential.bytes), \(viewEntry.uuid))" }
    func decode(_ row: inout RowReader) throws -> SealedCorrection { try SealedCorrection(&row) }
}

struct AnswerCorrection: Query {
    let credential: CredentialHash
    let opening: UUID
    let request: CorrectionRequestID
    let decision: CorrectionDecision
    let sealedAnswer: [UInt8]?
    let sealedValue: [UInt8]?
    let nameHMAC: [UInt8]?

    var sql: SQL {
        """
        SELECT outcome, resident, reference FROM register.answer_correction(
            \(credential.bytes), \(opening), \(request.uuid), \(decision.rawValue), 
            \(sealedAnswer as [UInt8]?), \(sealedValue as [UInt8]?), \(nameHMAC as [UInt8]?))
        """
    }

    func decode(_ row: inout RowReader) throws -> (outcome: String, resident: ResidentID?, reference: String?) {
        (try row.next(), try row.next(UUID?.self).map(ResidentID.init), try row.next())
    }
}

/// The requests of the resident whom the session names, with their answers: `register.own_corrections`.
struct OwnCorrections: Query {
    struct Row: Sendable {
        let request: SealedCorrection
        let answer: (decision: CorrectionDecision, sealed: [UInt8]?, at: Date)?
    }

    let credential: CredentialHash
    let before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT \(SealedCorrection.columns), decision, sealed_answer, answered_at
        FROM register.own_corrections(\(credential.bytes), \(before?.at as Date?), \(before?.id as UUID?), \(count)::integer)
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let request = try SealedCorrection(&row)
        let decision = try row.next(word: CorrectionDecision?.self)
        let sealed = try row.next([UInt8]?.self)
        let at = try row.next(Date?.self)
        guard let decision, let at else { return Row(request: request, answer: nil) }
        return Row(request: request, answer: (decision, sealed, at))
    }
}
