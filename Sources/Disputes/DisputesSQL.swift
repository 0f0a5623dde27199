// Every statement of the slice. Who complains, who handles and who approves is derived from the credential by the functions of
// migrations/0036_disputes.sql.
import AccessLog
import Foundation
import Ledger
import Postgres
import Primitives
import Register
import Web

private let disputeColumns: SQL = """
    id, reference, about_kind, about_id, about_reference, title, currency, amount, category, law, opened_at, due_at, is_late, state, closed_at, refunded
    """

extension Dispute {
    fileprivate init(_ row: inout RowReader) throws {
        id = DisputeID(try row.next(UUID.self))
        reference = try row.next()
        let kind = try row.next(word: DisputedKind.self)
        let aboutID = try row.next(UUID.self)
        let aboutReference = try row.next(String.self)
        let title = try LocalisedText(row.next())
        let currency = try Currency(column: row.next())
        about = DisputedThing(
            kind: kind, id: aboutID, reference: aboutReference, title: title, amount: Money(minorUnits: try row.next(), currency: currency))
        category = try row.next()
        law = try row.next()
        openedAt = try row.next()
        dueAt = try row.next()
        isLate = try row.next()
        state = try row.next(word: DisputeState.self)
        closedAt = try row.next()
        refunded = try row.next(Int64?.self).map { Money(minorUnits: $0, currency: currency) }
    }
}

/// The categories that fit a kind of thing, in the order to choose from.
struct DisputeCategories: Query {
    let kind: DisputedKind

    struct Row: Sendable {
        let id: String
        let daysMax: Int
    }

    var sql: SQL { "SELECT id, days_max FROM disputes.category WHERE \(kind.rawValue) = ANY (about) ORDER BY position" }

    func decode(_ row: inout RowReader) throws -> Row { Row(id: try row.next(), daysMax: Int(try row.next(Int32.self))) }
}

/// `disputes.own_thing`: nothing for what is somebody else's.
struct OwnThing: Query {
    let credential: CredentialHash
    let kind: DisputedKind
    let id: UUID

    var sql: SQL { "SELECT reference, title, currency, amount FROM disputes.own_thing(\(credential.bytes), \(kind.rawValue), \(id))" }

    func decode(_ row: inout RowReader) throws -> DisputedThing {
        let reference = try row.next(String.self)
        let title = try LocalisedText(row.next())
        let currency = try Currency(column: row.next())
        return DisputedThing(kind: kind, id: id, reference: reference, title: title, amount: Money(minorUnits: try row.next(), currency: currency))
    }
}

/// `disputes.open`.
struct OpenDispute: Query {
    let credential: CredentialHash
    let new: NewDispute
    let reference: PublicCode
    let message: DisputeMessageID
    let sealedWords: [UInt8]

    struct Row: Sendable {
        let outcome: OpenDisputeOutcome
        let dispute: DisputeID?
        /// Whom to tell; nil where nothing happened.
        let resident: ResidentID?
    }

    var sql: SQL {
        """
        SELECT outcome, dispute, resident FROM disputes.open(
            \(credential.bytes), \(new.id), \(reference.description), \(new.kind.rawValue), \(new.aboutID), \(new.category), \(message), \(sealedWords))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(
            outcome: try row.next(word: OpenDisputeOutcome.self), dispute: try row.next(UUID?.self).map { DisputeID($0) },
            resident: try row.next(UUID?.self).map { ResidentID($0) })
    }
}

/// `disputes.own`, newest first.
struct OwnDisputes: Query {
    let credential: CredentialHash
    var wanted: DisputeID?
    let before: MomentCursor?
    let count: Int

    var sql: SQL {
        """
        SELECT \(disputeColumns) FROM disputes.own(
            \(credential.bytes), \(wanted as DisputeID?), \(before?.at as Date?), \(before?.id as UUID?), \(Int32(clamping: count)))
        """
    }

    func decode(_ row: inout RowReader) throws -> Dispute { try Dispute(&row) }
}

/// What was written, as it is stored.
struct SealedWords: Sendable {
    let id: UUID
    let isDecision: Bool
    let isFromCity: Bool
    let sealed: [UInt8]
    let at: Date
    let key: SealingKey

    fileprivate init(_ row: inout RowReader) throws {
        id = try row.next()
        isDecision = try row.next()
        isFromCity = try row.next(String.self) == "city"
        sealed = try row.next()
        at = try row.next()
        key = try SealingKey(&row)
    }
}

private let wordColumns: SQL = "id, is_decision, author, sealed_words, at, holder_id, key_id, wrapped_key"

/// `disputes.own_words`: nothing before the view is logged.
struct OwnWords: Query {
    let credential: CredentialHash
    let dispute: DisputeID

    var sql: SQL { "SELECT \(wordColumns) FROM disputes.own_words(\(credential.bytes), \(dispute))" }
    func decode(_ row: inout RowReader) throws -> SealedWords { try SealedWords(&row) }
}

/// `disputes.write`.
struct WriteWords: Query {
    let credential: CredentialHash
    let dispute: DisputeID
    let message: DisputeMessageID
    let sealedWords: [UInt8]

    var sql: SQL { "SELECT disputes.write(\(credential.bytes), \(dispute), \(message), \(sealedWords))" }
    func decode(_ row: inout RowReader) throws -> WriteOutcome { try row.next(word: WriteOutcome.self) }
}

/// A dispute that waits for a caseworker, without what it says.
struct WaitingDispute: Sendable {
    let reference: String
    let category: String
    let kind: DisputedKind
    let openedAt: Date
    let dueAt: Date
    let isLate: Bool
    /// The city wrote last.
    let waitsForResident: Bool
    /// Whom the door looks up. Nothing else about the resident is known before.
    let residentID: ResidentID
}

/// `disputes.waiting`, the most urgent first.
struct WaitingDisputes: Query {
    let credential: CredentialHash
    var reference: String?

    var sql: SQL {
        """
        SELECT reference, category, about_kind, opened_at, due_at, is_late, waits_for_resident, resident_id
        FROM disputes.waiting(\(credential.bytes), \(reference as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> WaitingDispute {
        WaitingDispute(
            reference: try row.next(), category: try row.next(), kind: try row.next(word: DisputedKind.self), openedAt: try row.next(),
            dueAt: try row.next(), isLate: try row.next(), waitsForResident: try row.next(), residentID: ResidentID(try row.next(UUID.self)))
    }
}

/// `disputes.under`: under the caller's own view, just committed.
struct DisputeUnder: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    var sql: SQL { "SELECT \(disputeColumns) FROM disputes.under(\(credential.bytes), \(viewEntry))" }
    func decode(_ row: inout RowReader) throws -> Dispute { try Dispute(&row) }
}

/// `disputes.words_under`.
struct WordsUnder: Query {
    let credential: CredentialHash
    let viewEntry: AccessEntryID

    var sql: SQL { "SELECT \(wordColumns) FROM disputes.words_under(\(credential.bytes), \(viewEntry))" }
    func decode(_ row: inout RowReader) throws -> SealedWords { try SealedWords(&row) }
}

/// `disputes.reply`.
struct Reply: Query {
    let credential: CredentialHash
    let dispute: DisputeID
    let message: DisputeMessageID
    let sealedWords: [UInt8]

    struct Row: Sendable {
        let outcome: WriteOutcome
        let resident: ResidentID?
    }

    var sql: SQL { "SELECT outcome, resident FROM disputes.reply(\(credential.bytes), \(dispute), \(message), \(sealedWords))" }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(outcome: try row.next(word: WriteOutcome.self), resident: try row.next(UUID?.self).map { ResidentID($0) })
    }
}

/// `disputes.decide`.
struct DecideDispute: Query {
    let credential: CredentialHash
    let dispute: DisputeID
    let new: NewDecision
    let sealedWords: [UInt8]

    struct Row: Sendable {
        let outcome: DecideOutcome
        let resident: ResidentID?
    }

    var sql: SQL {
        """
        SELECT outcome, resident FROM disputes.decide(
            \(credential.bytes), \(dispute), \(new.id), \(new.finding.rawValue), \(new.refund as Int64?), \(sealedWords), \(new.grounds as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(outcome: try row.next(word: DecideOutcome.self), resident: try row.next(UUID?.self).map { ResidentID($0) })
    }
}

/// A refund that waits for its approval.
struct WaitingRefund: Sendable {
    let decision: DisputeDecisionID
    let reference: String
    let category: String
    let receiptCode: String
    let paid: Money
    let refund: Money
    let finding: DisputeFinding
    let grounds: String
    let decidedBy: String
    let decidedByViewer: Bool
    let decidedAt: Date
}

/// `disputes.refunds_waiting`, the oldest first.
struct WaitingRefunds: Query {
    let credential: CredentialHash
    var reference: String?

    var sql: SQL {
        """
        SELECT decision_id, reference, category, about_reference, currency, paid, refund, finding, grounds, decided_by_name, decided_by_me, decided_at
        FROM disputes.refunds_waiting(\(credential.bytes), \(reference as String?))
        """
    }

    func decode(_ row: inout RowReader) throws -> WaitingRefund {
        let decision = DisputeDecisionID(try row.next(UUID.self))
        let (reference, category, receiptCode) = (try row.next(String.self), try row.next(String.self), try row.next(String.self))
        let currency = try Currency(column: row.next())
        return WaitingRefund(
            decision: decision, reference: reference, category: category, receiptCode: receiptCode,
            paid: Money(minorUnits: try row.next(), currency: currency), refund: Money(minorUnits: try row.next(), currency: currency),
            finding: try row.next(word: DisputeFinding.self), grounds: try row.next(), decidedBy: try row.next(), decidedByViewer: try row.next(),
            decidedAt: try row.next())
    }
}

/// `disputes.approve_refund`. May wait for the city's account, so it runs in a transaction.
struct ApproveRefund: Query {
    let credential: CredentialHash
    let decision: DisputeDecisionID
    let transfer: TransferID

    struct Row: Sendable {
        let outcome: ApprovalOutcome
        let paid: Paid?
    }

    struct Paid: Sendable {
        let resident: ResidentID
        let amount: Money
        let reference: String
        /// Of the resident's account; English where there is none.
        let language: Language
    }

    var sql: SQL {
        "SELECT outcome, resident, amount, currency, reference, language FROM disputes.approve_refund(\(credential.bytes), \(decision), \(transfer))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        let outcome = try row.next(word: ApprovalOutcome.self)
        let (resident, amount, currency) = (try row.next(UUID?.self), try row.next(Int64?.self), try row.next(String?.self))
        let (reference, language) = (try row.next(String?.self), try row.next(String?.self).flatMap { Language(rawValue: $0) } ?? .english)
        guard let resident, let amount, let currency, let reference else { return Row(outcome: outcome, paid: nil) }
        let money = Money(minorUnits: amount, currency: try Currency(column: currency))
        return Row(outcome: outcome, paid: Paid(resident: ResidentID(resident), amount: money, reference: reference, language: language))
    }
}

/// `disputes.refuse_refund`.
struct RefuseRefund: Query {
    let credential: CredentialHash
    let decision: DisputeDecisionID
    let reason: String

    var sql: SQL { "SELECT disputes.refuse_refund(\(credential.bytes), \(decision), \(reason))" }
    func decode(_ row: inout RowReader) throws -> ApprovalOutcome { try row.next(word: ApprovalOutcome.self) }
}

/// A refund that somebody else did not approve.
struct RefusedRefund: Sendable {
    let amount: Money
    let reason: String
    let at: Date
}

/// `disputes.refused_refunds`.
struct RefusedRefunds: Query {
    let credential: CredentialHash
    let dispute: DisputeID

    var sql: SQL { "SELECT currency, refund, reason, refused_at FROM disputes.refused_refunds(\(credential.bytes), \(dispute))" }

    func decode(_ row: inout RowReader) throws -> RefusedRefund {
        let currency = try Currency(column: row.next())
        return RefusedRefund(amount: Money(minorUnits: try row.next(), currency: currency), reason: try row.next(), at: try row.next())
    }
}

/// `disputes.escalate`.
struct Escalate: Query {
    let disputesMax: Int32

    var sql: SQL { "SELECT disputes.escalate(\(disputesMax))" }
    func decode(_ row: inout RowReader) throws -> Int32 { try row.next() }
}

/// A dispute whose time is over, as auditors see it.
struct LateDispute: Sendable {
    let reference: String
    let category: String
    let dueAt: Date
    let state: DisputeState
}

/// `disputes.escalated`.
struct LateDisputes: Query {
    let credential: CredentialHash

    var sql: SQL { "SELECT reference, category, due_at, state FROM disputes.escalated(\(credential.bytes))" }

    func decode(_ row: inout RowReader) throws -> LateDispute {
        LateDispute(reference: try row.next(), category: try row.next(), dueAt: try row.next(), state: try row.next(word: DisputeState.self))
    }
}

/// The public figures of one category; without counts where there were too few to tell.
struct DisputeFigures: Sendable {
    let category: String
    let daysMax: Int
    let counts: Counts?

    struct Counts: Sendable {
        let opened: Int
        let waiting: Int
        let late: Int
        /// Nil where none is decided.
        let medianDays: Double?
        let upheld: Int
        let partlyUpheld: Int
        let rejected: Int
    }
}

/// `disputes.figures`, of the last twelve months.
struct PublicFigures: Query {
    var sql: SQL {
        "SELECT category, days_max, opened, waiting, late, median_days::text, upheld, partly_upheld, rejected FROM disputes.figures()"
    }

    func decode(_ row: inout RowReader) throws -> DisputeFigures {
        let (category, days) = (try row.next(String.self), Int(try row.next(Int32.self)))
        let (opened, waiting, late) = (try row.next(Int64?.self), try row.next(Int64?.self), try row.next(Int64?.self))
        let median = try row.next(String?.self).flatMap { Double($0) }
        let (upheld, partly, rejected) = (try row.next(Int64?.self), try row.next(Int64?.self), try row.next(Int64?.self))
        guard let opened, let waiting, let late, let upheld, let partly, let rejected else {
            return DisputeFigures(category: category, daysMax: days, counts: nil)
        }
        return DisputeFigures(
            category: category, daysMax: days,
            counts: .init(
                opened: Int(opened), waiting: Int(waiting), late: Int(late), medianDays: median, upheld: Int(upheld), partlyUpheld: Int(partly),
                rejected: Int(rejected)))
    }
}
