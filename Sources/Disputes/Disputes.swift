// "Something is wrong": a resident disputes a bill, a payment or a benefit; a caseworker looks into it and decides; a refund leaves when
// somebody else approves it. Decided in `disputes.open`, `disputes.decide` and `disputes.approve_refund` (0036_disputes.sql). Routes call this face. What people write is sealed on the way in and opened on the way out,
// under the resident's key.
public import AccessLog
import Foundation
import Messages
public import Postgres
import Primitives
public import Register
import Web

/// What can be disputed.
enum DisputedKind: String, Sendable, CaseIterable {
    case bill
    case payment
    case benefit
}

/// What a dispute is about, as its resident knows it.
struct DisputedThing: Sendable {
    let kind: DisputedKind
    let id: UUID
    /// The bill's reference, the receipt's code, or the benefit's case.
    let reference: String
    let title: LocalisedText
    let amount: Money
}

enum DisputeTag {}
typealias DisputeID = ID<DisputeTag>
enum DisputeMessageTag {}
typealias DisputeMessageID = ID<DisputeMessageTag>
enum DisputeDecisionTag {}
typealias DisputeDecisionID = ID<DisputeDecisionTag>

/// How far a dispute has come.
enum DisputeState: String, Sendable {
    case open
    /// Decided, with a refund that nobody has approved yet. Residents see it as open.
    case approval
    case upheld
    case partlyUpheld = "partly_upheld"
    case rejected
}

/// What a caseworker finds.
enum DisputeFinding: String, Sendable, CaseIterable {
    case upheld
    case partlyUpheld = "partly_upheld"
    case rejected
}

/// A dispute without what was written in it.
struct Dispute: Sendable {
    let id: DisputeID
    let reference: String
    let about: DisputedThing
    let category: String
    let law: String
    let openedAt: Date
    let dueAt: Date
    /// The time is over and nothing is decided.
    let isLate: Bool
    let state: DisputeState
    let closedAt: Date?
    let refunded: Money?
}

/// What one side wrote, or the decision.
struct DisputeWords: Sendable {
    let isDecision: Bool
    let isFromCity: Bool
    let text: String
    let at: Date
}

/// What a resident says to open a dispute.
struct NewDispute: Sendable {
    /// Made with the form: the same again is the same dispute.
    var id: DisputeID
    var kind: DisputedKind
    var aboutID: UUID
    var category: String
    var words: String
}

/// What a caseworker decides.
struct NewDecision: Sendable {
    var id: DisputeDecisionID
    var finding: DisputeFinding
    /// Minor units of the payment's currency.
    var refund: Int64?
    /// To the resident.
    var words: String
    /// To whoever approves the refund.
    var grounds: String?
}

enum OpenDisputeOutcome: String, Sendable {
    case opened
    case alreadyOpen = "already_open"
    case thingUnknown = "thing_unknown"
    case categoryUnknown = "category_unknown"
    case tooMany = "too_many"
    case credentialInvalid = "credential_invalid"
}

enum WriteOutcome: String, Sendable {
    case written
    case closed
    case tooMany = "too_many"
    case disputeUnknown = "dispute_unknown"
    case notAllowed = "not_allowed"
}

enum DecideOutcome: String, Sendable {
    case decided
    case approvalNeeded = "approval_needed"
    case alreadyDecided = "already_decided"
    case refundTooHigh = "refund_too_high"
    case notAllowed = "not_allowed"
}

enum ApprovalOutcome: String, Sendable {
    case approved
    case refused
    case alreadyDecided = "already_decided"
    case selfApproval = "self_approval"
    case insufficientFunds = "insufficient_funds"
    case roleMissing = "role_missing"
}

/// A dispute as a caseworker has it open.
struct DisputeAtHand: Sendable {
    let dispute: Dispute
    let words: [DisputeWords]
    /// Refunds that were refused, with the reason.
    let refused: [RefusedRefund]
    let key: SealingKey
}

/// Opens, shows, answers and decides disputes.
public struct Disputes: Sendable {
    let database: Database
    private let door: Door
    private let vault: ResidentVault

    public init(database: Database, door: Door, vault: ResidentVault) {
        self.database = database
        self.door = door
        self.vault = vault
    }

    /// Longest message, in characters: a letter of half a page. Its UTF-8 bytes stay below what the columns take.
    static let wordsCharactersMax = 1000
    /// The own view under which residents write and read what is written here; also the scope that an app needs.
    static let scope = "payments"

    // MARK: Residents

    /// - Returns: what came of it, and the dispute that is open now.
    func open(_ new: NewDispute, by credential: CredentialHash) async throws -> (outcome: OpenDisputeOutcome, dispute: DisputeID?) {
        let record = try await logView(of: credential)
        guard let sealing = record.key else { throw VaultError.unknownKey(keyID: "none") }
        let message = DisputeMessageID.new()
        let sealed = try vault.seal(new.words, as: .words(message.uuid), of: record.residentID, under: try vault.unwrap(sealing))
        let statement = OpenDispute(credential: credential, new: new, reference: .random(), message: message, sealedWords: sealed)
        return try await database.transaction { transaction in
            let opened = try await transaction.one(statement)
            if let resident = opened.resident {
                try await Messages.send(.disputeReceived, to: resident, ["reference": statement.reference.description], on: transaction)
            }
            return (opened.outcome, opened.dispute)
        }
    }

    /// The resident's own dispute with its words; nil where there is none of this id.
    func own(_ id: DisputeID, of credential: CredentialHash) async throws -> (dispute: Dispute, words: [DisputeWords])? {
        guard let dispute = try await database.optional(OwnDisputes(credential: credential, wanted: id, before: nil, count: 1)) else { return nil }
        try await logView(of: credential)
        return (dispute, try openWords(try await database.query(OwnWords(credential: credential, dispute: id))))
    }

    /// Adds the resident's words. The same id again is the same message.
    func write(_ words: String, as message: DisputeMessageID, in id: DisputeID, by credential: CredentialHash) async throws -> WriteOutcome {
        try await logView(of: credential)
        guard let key = try await database.query(OwnWords(credential: credential, dispute: id)).first?.key else { return .disputeUnknown }
        let sealed = try vault.seal(words, as: .words(message.uuid), of: key.holderID, under: try vault.unwrap(key))
        return try await database.transaction {
            try await $0.one(WriteWords(credential: credential, dispute: id, message: message, sealedWords: sealed))
        }
    }

    // MARK: Caseworkers

    /// Opens a waiting dispute, after that look is in the resident's log.
    /// - Returns: nil when no such dispute waits.
    /// - Throws: ``RefusedAccess``, for a protected record.
    func look(into reference: String, for session: CredentialHash) async throws -> DisputeAtHand? {
        guard let waiting = try await database.optional(WaitingDisputes(credential: session, reference: reference)) else { return nil }
        let view = try await door.read(
            AccessRequest(
                credential: session, operation: .view, subject: .resident(waiting.residentID), attributes: [], purpose: "complaint",
                caseReference: reference))
        guard let dispute = try await database.optional(DisputeUnder(credential: session, viewEntry: view.entryID)) else { return nil }
        let sealed = try await database.query(WordsUnder(credential: session, viewEntry: view.entryID))
        guard let key = sealed.first?.key else { return nil }
        return DisputeAtHand(
            dispute: dispute, words: try openWords(sealed),
            refused: try await database.query(RefusedRefunds(credential: session, dispute: dispute.id)), key: key)
    }

    /// Writes to the resident, and tells them so.
    func reply(_ words: String, as message: DisputeMessageID, to atHand: DisputeAtHand, session: CredentialHash) async throws -> WriteOutcome {
        let sealed = try vault.seal(words, as: .words(message.uuid), of: atHand.key.holderID, under: try vault.unwrap(atHand.key))
        let statement = Reply(credential: session, dispute: atHand.dispute.id, message: message, sealedWords: sealed)
        return try await database.transaction { transaction in
            let written = try await transaction.one(statement)
            if let resident = written.resident {
                try await Messages.send(.disputeReply, to: resident, ["reference": atHand.dispute.reference], on: transaction)
            }
            return written.outcome
        }
    }

    /// Decides; without a refund that closes the dispute and tells the resident.
    func decide(_ new: NewDecision, about atHand: DisputeAtHand, session: CredentialHash) async throws -> DecideOutcome {
        let sealed = try vault.seal(new.words, as: .words(new.id.uuid), of: atHand.key.holderID, under: try vault.unwrap(atHand.key))
        let statement = DecideDispute(credential: session, dispute: atHand.dispute.id, new: new, sealedWords: sealed)
        return try await database.transaction { transaction in
            let decided = try await transaction.one(statement)
            if let resident = decided.resident {
                try await Messages.send(.disputeDecided, to: resident, ["reference": atHand.dispute.reference], on: transaction)
            }
            return decided.outcome
        }
    }

    // MARK: Finance officers

    /// Approves a refund: it is in the wallet, the dispute is closed, and the resident is told, all in one transaction.
    func approve(_ id: DisputeDecisionID, session: CredentialHash) async throws -> ApprovalOutcome {
        let statement = ApproveRefund(credential: session, decision: id, transfer: .new())
        return try await database.transaction { transaction in
            let approved = try await transaction.one(statement)
            if let paid = approved.paid {
                try await Messages.send(
                    .disputeRefunded, to: paid.resident,
                    ["amount": paid.amount.formatted(locale: paid.language.tag), "reference": paid.reference], on: transaction)
            }
            return approved.outcome
        }
    }

    func refuse(_ id: DisputeDecisionID, reason: String, session: CredentialHash) async throws -> ApprovalOutcome {
        try await database.transaction { try await $0.one(RefuseRefund(credential: session, decision: id, reason: reason)) }
    }

    // MARK: -

    @discardableResult
    private func logView(of credential: CredentialHash) async throws -> ReleasedRecord {
        try await door.ownView(Self.scope, of: credential)
    }

    private func openWords(_ rows: [SealedWords]) throws -> [DisputeWords] {
        guard let sealing = rows.first?.key else { return [] }
        let key = try vault.unwrap(sealing)
        return try rows.map { row in
            DisputeWords(
                isDecision: row.isDecision, isFromCity: row.isFromCity,
                text: try vault.open(row.sealed, as: .words(row.id), of: sealing.holderID, under: key), at: row.at)
        }
    }
}

extension Attribute {
    // What a sealed text is bound to, as values are to their attribute: none can take another's place.
    fileprivate static func words(_ id: UUID) -> Attribute { Attribute(rawValue: "dispute_words/\(id.uuidString.lowercased())") }
}

/// Beside the requests: what is overdue is told to the resident and to auditors.
public enum DisputeEscalation {
    /// In one transaction: a moment's work.
    static let disputesPerRunMax: Int32 = 200

    /// - Returns: how many disputes were escalated.
    @discardableResult
    public static func run(in database: Database) async throws -> Int {
        try await database.exclusive { Int(try await $0.one(Escalate(disputesMax: disputesPerRunMax))) }
    }
}
