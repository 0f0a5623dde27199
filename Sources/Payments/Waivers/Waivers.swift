// What the city forgoes of a bill: one proposes, another decides, the resident is told. Decided in `payments.propose_waiver`
// and `payments.decide_waiver` (0010_payments.sql).
import Foundation
import Ledger
import Messages
import Postgres
import Primitives
import Web

enum WaiverTag {}
typealias WaiverID = ID<WaiverTag>

/// Why nothing was done, in the words of migrations/0010.
struct WaiverRefusal: Error, Sendable, Hashable {
    let outcome: String
}

enum WaiverDecision: String, Sendable, CaseIterable {
    case approved
    case refused
}

struct DecideWaivers: Sendable {
    let database: Database

    /// - Throws: ``WaiverRefusal``; `DatabaseError`
    func propose(_ id: WaiverID, of bill: BillID, _ amount: Money, reason: String, by credential: CredentialHash) async throws {
        let query = WaiverOutcome(sql: "SELECT payments.propose_waiver(\(credential.bytes), \(id), \(bill), \(amount.minorUnits), \(reason))")
        let outcome = try await database.transaction { try await $0.one(query) }
        guard outcome == "proposed" || outcome == "exists" else { throw WaiverRefusal(outcome: outcome) }
    }

    /// Decides, and tells the resident what was forgone.
    func decide(_ id: WaiverID, _ decision: WaiverDecision, by credential: CredentialHash) async throws {
        try await database.transaction { transaction in
            let answer = try await transaction.one(DecideWaiver(credential: credential, id: id, decision: decision))
            guard answer.outcome == decision.rawValue else { throw WaiverRefusal(outcome: answer.outcome) }
            guard let forgone = answer.forgone else { return }
            try await Messages.send(
                .billWaived, to: forgone.resident, ["amount": forgone.amount.formatted(locale: forgone.language.tag), "reference": forgone.reference], on: transaction)
        }
    }
}

private struct WaiverOutcome: Query {
    let sql: SQL

    func decode(_ row: inout RowReader) throws -> String { try row.next() }
}

/// `payments.decide_waiver`
private struct DecideWaiver: Query {
    let credential: CredentialHash
    let id: WaiverID
    let decision: WaiverDecision

    struct Row: Sendable {
        let outcome: String
        /// Of whom what was forgone, when it was approved now.
        let forgone: BillNotice?
    }

    var sql: SQL {
        "SELECT outcome, resident, reference, currency, amount, language FROM payments.decide_waiver(\(credential.bytes), \(id), \(decision.rawValue))"
    }

    func decode(_ row: inout RowReader) throws -> Row {
        Row(outcome: try row.next(), forgone: try BillNotice(&row))
    }
}

/// An amount of a bill that its resident is told about.
struct BillNotice: Sendable {
    let resident: ResidentID
    let reference: String
    let amount: Money
    /// Of the resident's account; English where there is none.
    let language: Language

    /// Nil when there is nobody to tell: then the columns are NULL.
    init?(_ row: inout RowReader) throws {
        let resident = try row.next(UUID?.self)
        let reference = try row.next(String?.self)
        let currency = try row.next(String?.self)
        let amount = try row.next(Int64?.self)
        language = try row.next(String?.self).flatMap { Language(rawValue: $0) } ?? .english
        guard let resident, let reference, let currency, let amount else { return nil }
        self.resident = ResidentID(resident)
        self.reference = reference
        self.amount = Money(minorUnits: amount, currency: try Currency(column: currency))
    }
}

/// A bill as finance officers see it, who are not told whose it is.
struct BillForStaff: Sendable {
    let id: BillID
    let kind: String
    let reference: String
    let title: LocalisedText
    let amount: Money
    let outstanding: Money
    let issuedOn: CalendarDay
    let dueOn: CalendarDay
}

struct BillFor: Query {
    let credential: CredentialHash
    let reference: String

    var sql: SQL {
        "SELECT id, kind, reference, title, currency, amount, outstanding, issued_on, due_on FROM payments.bill_for(\(credential.bytes), \(reference))"
    }

    func decode(_ row: inout RowReader) throws -> BillForStaff {
        let id = BillID(try row.next(UUID.self))
        let (kind, reference) = (try row.next(String.self), try row.next(String.self))
        let title = try LocalisedText(row.next())
        let currency = try Currency(column: row.next())
        return BillForStaff(
            id: id, kind: kind, reference: reference, title: title, amount: Money(minorUnits: try row.next(), currency: currency),
            outstanding: Money(minorUnits: try row.next(), currency: currency), issuedOn: try row.next(), dueOn: try row.next())
    }
}

/// A proposal to forgo, and what became of it.
struct Waiver: Sendable {
    let id: WaiverID
    let billReference: String
    let amount: Money
    let reason: String
    let proposedBy: String
    let isMine: Bool
    let proposedAt: Date
    let decision: String?
    let decidedBy: String?
    let decidedAt: Date?
}

/// Of one bill, or those that wait for a decision; oldest first.
struct WaiversFor: Query {
    let credential: CredentialHash
    var bill: BillID?

    /// More than wait at any time; a bill has a few.
    private static let countMax: Int32 = 200

    var sql: SQL {
        """
        SELECT id, bill_reference, currency, amount, reason, proposed_by, is_mine, proposed_at, decision, decided_by, decided_at
        FROM payments.waivers_for(\(credential.bytes), \(bill?.uuid as UUID?), \(Self.countMax))
        """
    }

    func decode(_ row: inout RowReader) throws -> Waiver {
        let id = WaiverID(try row.next(UUID.self))
        let reference = try row.next(String.self)
        let currency = try Currency(column: row.next())
        return Waiver(
            id: id, billReference: reference, amount: Money(minorUnits: try row.next(), currency: currency), reason: try row.next(), proposedBy: try row.next(),
            isMine: try row.next(), proposedAt: try row.next(), decision: try row.next(), decidedBy: try row.next(), decidedAt: try row.next())
    }
}

/// What was forgone of one's own bill, and why.
struct ForgoneOf: Query {
    let credential: CredentialHash
    let bill: BillID

    struct Row: Sendable {
        let amount: Money
        let reason: String
    }

    var sql: SQL { "SELECT currency, amount, reason FROM payments.waivers_of(\(credential.bytes), \(bill)) ORDER BY decided_at" }

    func decode(_ row: inout RowReader) throws -> Row {
        let currency = try Currency(column: row.next())
        return Row(amount: Money(minorUnits: try row.next(), currency: currency), reason: try row.next())
    }
}
