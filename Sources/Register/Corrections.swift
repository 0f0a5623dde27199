// A resident's requests for correction and the city's answers (migrations/0014): sealed on the way in, opened on the way out. "My details"
// files and shows them; the counter (Casework) reads and answers them through this face.
// Decided in `register.request_correction` and `register.answer_correction` (0014_corrections.sql).
public import AccessLog
public import Foundation
import Messages
public import Postgres
public import Primitives
public import Web

/// What `CorrectionRequestID` names.
public enum CorrectionRequestTag {}
public typealias CorrectionRequestID = ID<CorrectionRequestTag>

/// A request that waits for its answer, without what it says.
public struct WaitingCorrection: Sendable {
    /// The form of a public code, drawn apart.
    public let reference: String
    public let attribute: Attribute
    public let requestedAt: Date
    /// Whom to look up through the door. Nothing else about the resident is known before.
    public let residentID: ResidentID
}

/// What a resident says is wrong.
public struct CorrectionRequest: Sendable {
    public let id: CorrectionRequestID
    public let reference: String
    public let attribute: Attribute
    public let statement: String
    public let requestedAt: Date
    /// What the statement lies under, and its answer will.
    let key: SealingKey
}

/// How a request was decided.
public enum CorrectionDecision: String, Sendable, CaseIterable {
    case accepted
    case declined
}

/// A resident's own request with its answer, if there is one.
struct OwnCorrection: Sendable {
    let request: CorrectionRequest
    let answer: Answer?

    struct Answer: Sendable {
        let decision: CorrectionDecision
        let words: String?
        let at: Date
    }
}

/// What a caseworker answers.
public struct CorrectionAnswer: Sendable {
    public var decision: CorrectionDecision
    /// To the resident. A request is declined with a reason.
    public var words: String?
    /// What stands in the register from now on; for an accepted request alone.
    public var value: String?

    public init(decision: CorrectionDecision, words: String?, value: String?) {
        self.decision = decision
        self.words = words
        self.value = value
    }
}

/// The requests, for the slices that show and answer them.
public struct Corrections: Sendable {
    private let database: Database
    private let vault: ResidentVault
    private let lookup: LookupKey

    public init(database: Database, vault: ResidentVault, lookup: LookupKey) {
        self.database = database
        self.vault = vault
        self.lookup = lookup
    }

    /// Longest statement and answer, in characters: a letter of half a page. Their UTF-8 bytes stay below what the columns take.
    public static let wordsCharactersMax = 1000

    /// Whether the counter changes such a value. The import knows records by their national number, and an account signs in with the others.
    public static func changes(_ attribute: Attribute) -> Bool {
        ![.nationalNumber, .username, .contactEmail, .contactPhone].contains(attribute)
    }

    /// Whether the register would take such a value, by the rules of the import.
    public static func accepts(_ value: String, as attribute: Attribute) -> Bool {
        // The day in UTC: whoever was born today east of it can be corrected tomorrow.
        guard let today = CalendarDay(Date().formatted(Date.ISO8601FormatStyle().year().month().day())) else { return false }
        return ResidentRecordRules(today: today).accepts(value, as: attribute)
    }

    /// The oldest hundred that wait; none for anybody but a caseworker.
    public func waiting(for session: CredentialHash) async throws -> [WaitingCorrection] {
        try await database.query(WaitingCorrections(credential: session))
    }

    /// What the resident of a record asked for and nobody has answered.
    /// - Parameter viewEntry: the caller's own view of that record for the reason `correction`, just committed. Nothing comes back without.
    public func waiting(under viewEntry: AccessEntryID, for session: CredentialHash) async throws -> [CorrectionRequest] {
        try await database.query(CorrectionsAbout(credential: session, viewEntry: viewEntry)).map(open)
    }

    /// Answers once, writes an accepted value into the register, and tells the resident, in one transaction.
    /// - Parameters:
    ///   - opening: the record that the caseworker has open for this reason.
    ///   - released: that record with the names and the day of birth, by which it is found.
    /// - Returns: the outcome's word (`register.answer_correction`): `answered`, or why not.
    public func answer(
        _ request: CorrectionRequest, with answer: CorrectionAnswer, opening: UUID, released: ReleasedRecord, session: CredentialHash
    ) async throws -> String {
        let value = answer.decision == .accepted ? answer.value : nil
        let statement = AnswerCorrection(
            credential: session, opening: opening, request: request.id, decision: answer.decision,
            sealedAnswer: try answer.words.map { try vault.seal($0, as: .correctionAnswer(request.id), under: request.key) },
            sealedValue: try value.map { try vault.seal($0, as: request.attribute, under: released.key) },
            nameHMAC: try value.flatMap { try nameHMAC(of: try vault.open(released), with: $0, for: request.attribute) })
        return try await database.transaction { transaction in
            let answered = try await transaction.one(statement)
            if let resident = answered.resident, let reference = answered.reference {
                let kind: MessageKind = answer.decision == .accepted ? .correctionAccepted : .correctionDeclined
                try await Messages.send(kind, to: resident, ["reference": reference], on: transaction)
            }
            return answered.outcome
        }
    }

    /// Files a request for the resident whom the session names, under the key of their own record, and acknowledges it.
    /// - Parameter id: made with the form; the same again is one request.
    func request(
        _ statement: String, about attribute: Attribute, id: CorrectionRequestID, of record: ReleasedRecord, session: CredentialHash
    ) async throws {
        let sealed = try vault.seal(statement, as: .correctionStatement(id), under: record.key)
        let request = RequestCorrection(credential: session, id: id, reference: .random(), attribute: attribute, sealedStatement: sealed)
        try await database.transaction { transaction in
            guard try await transaction.one(request) else { return }
            try await Messages.send(.correctionReceived, to: record.residentID, ["reference": request.reference.description], on: transaction)
        }
    }

    /// The resident's own requests, newest first, once the view of their details is logged.
    /// - Parameter count: at most 200.
    func own(_ count: Int, before cursor: MomentCursor?, of credential: CredentialHash) async throws -> [OwnCorrection] {
        try await database.query(OwnCorrections(credential: credential, before: cursor, count: count)).map { row in
            let request = try open(row.request)
            let answer = try row.answer.map { answer in
                OwnCorrection.Answer(
                    decision: answer.decision,
                    words: try answer.sealed.map { try vault.open($0, as: .correctionAnswer(request.id), under: request.key) },
                    at: answer.at)
            }
            return OwnCorrection(request: request, answer: answer)
        }
    }

    private func open(_ row: SealedCorrection) throws -> CorrectionRequest {
        CorrectionRequest(
            id: row.id, reference: row.reference, attribute: row.attribute,
            statement: try vault.open(row.sealedStatement, as: .correctionStatement(row.id), under: row.key),
            requestedAt: row.requestedAt, key: row.key)
    }

    /// The look-up by name and day of birth as it is with the new value; nil where the value is no part of it, or the record holds too little.
    private func nameHMAC(of record: OpenedRecord, with value: String, for attribute: Attribute) throws -> [UInt8]? {
        guard [.givenNames, .familyName, .dateOfBirth].contains(attribute) else { return nil }
        func known(_ part: Attribute) -> String? { part == attribute ? value : record.value(part) }
        guard let given = known(.givenNames), let born = known(.dateOfBirth).flatMap({ CalendarDay($0) }) else { return nil }
        return lookup.nameAndBirthDate(givenNames: given, familyName: known(.familyName) ?? "", born: born)
    }
}

extension Attribute {
    // What a sealed text is bound to, as values are to their attribute: none of them can take another's place.
    fileprivate static func correctionStatement(_ id: CorrectionRequestID) -> Attribute { Attribute(rawValue: "correction_statement/\(id)") }
    fileprivate static func correctionAnswer(_ id: CorrectionRequestID) -> Attribute { Attribute(rawValue: "correction_answer/\(id)") }
}
