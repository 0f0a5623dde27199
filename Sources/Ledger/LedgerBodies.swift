// What organisations send to the ledger and what they receive. Amounts are whole minor units beside their currency.
import Foundation
import Primitives
import Web

/// A reference of 140 characters in four bytes each, and seven short fields; a smaller body is a cheaper one to refuse.
let transferBytesMax = 2 * 1024

/// `POST /api/v1/ledger/accounts`
struct NewAccountBody: Sendable {
    let id: LedgerAccountID
    let currency: Currency

    static let bytesMax = 1024

    /// Accounts that organisations open themselves.
    private enum Kind: String, CaseIterable { case general }

    /// - Throws: one `Problem` 400 that names every bad field.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        id = LedgerAccountID(body.uuid("id"))
        _ = body.choice("kind", of: Kind.self)
        let currency = body.currency()
        try body.finish()
        guard let currency else { throw Problem.internalError }
        self.currency = currency
    }
}

extension JSONReader {
    /// The field `currency`: a code of ISO 4217. Nil when it is bad, which is noted.
    fileprivate mutating func currency() -> Currency? {
        let code = string("currency", charactersMax: 3)
        let currency = Currency(code: code)
        if currency == nil, !code.isEmpty { reject("currency", code: "unknown_value", detail: "Send a code of ISO 4217 in capitals, such as EUR.") }
        return currency
    }
}

extension Transfer {
    /// - Throws: one `Problem` 400 that names every bad field; nothing is remembered for the id then.
    init(body reader: consuming JSONReader) throws {
        var body = reader
        let transfer = Transfer(reading: &body)
        try body.finish()
        guard let transfer else { throw Problem.internalError }
        self = transfer
    }

    /// Nil when something is bad, which is noted.
    init?(reading body: inout JSONReader) {
        let id = body.uuid("id")
        let kind = body.choice("kind", of: TransferKind.self)
        let debit = body.uuid("debit_account")
        let credit = body.uuid("credit_account")
        let amount = body.integer("amount", in: 1...Transfer.minorUnitsMax)
        let currency = body.currency()
        let reference = body.string("reference", charactersMax: Transfer.referenceCharactersMax)
        if debit == credit, body.errors.isEmpty {
            body.reject("credit_account", code: "same_account", detail: "Money moves between two accounts; name another one.")
        }
        guard body.errors.isEmpty, let kind, let currency else { return nil }
        self.init(
            id: TransferID(id), kind: kind, debit: LedgerAccountID(debit), credit: LedgerAccountID(credit),
            amount: Money(minorUnits: amount, currency: currency), reference: reference)
    }

    /// The transfer with what became of it.
    func body(_ outcome: TransferOutcome) -> JSONValue {
        [
            "id": .string(id.description), "result": .string(outcome.word), "kind": .string(kind.rawValue),
            "debit_account": .string(debitAccount.description), "credit_account": .string(creditAccount.description),
            "amount": .integer(amount.minorUnits), "currency": .string(amount.currency.code), "reference": .string(reference),
        ]
    }

    /// One item of the answer to a batch: which, what became of it, and the field that says why.
    func result(_ outcome: TransferOutcome) -> JSONValue {
        var members = [JSONMember("id", .string(id.description)), JSONMember("result", .string(outcome.word))]
        if let field = outcome.field { members.append(JSONMember("field", .string(field))) }
        return .object(members)
    }
}

/// `POST /api/v1/ledger/transfer-batches`
struct TransferBatchBody: Sendable {
    let transfers: [Transfer]
    let isAtomic: Bool

    static let bytesMax = Ledger.transfersPerCallMax * 1024
    /// More than this many faults tell whoever programs the client nothing new.
    private static let faultsMax = 20

    /// - Throws: one `Problem` 400 that names the bad fields, as `transfers[3].amount`.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        isAtomic = body.optionalBool("atomic") ?? false
        var transfers: [Transfer] = []
        for (position, value) in body.values("transfers", countMax: Ledger.transfersPerCallMax).enumerated() {
            do {
                transfers.append(try Transfer(body: JSONReader(value)))
            } catch let problem as Problem {
                let faults = problem.errors.isEmpty ? [FieldProblem(field: "", code: "wrong_type", detail: "Send a JSON object.")] : problem.errors
                for fault in faults where body.errors.count < Self.faultsMax {
                    body.reject("transfers[\(position)]" + (fault.field.isEmpty ? "" : "." + fault.field), code: fault.code, detail: fault.detail)
                }
            }
        }
        self.transfers = transfers
        try body.finish()
    }
}

/// An account with its balances.
struct AccountBody: Encodable, Sendable {
    let id: String
    let kind: String
    let currency: String
    /// In the account's normal direction.
    let posted: Int64
    /// Unexpired holds that go out; the ledger has no holds yet, so none.
    let held: Int64
    let available: Int64
    let entryCount: Int64
    let createdAt: Date
    let closedAt: Date?

    init(_ account: OrganisationAccount) {
        id = account.id.description
        kind = account.kind
        currency = account.posted.currency.code
        posted = account.posted.minorUnits
        held = 0
        available = posted - held
        entryCount = account.entryCount
        createdAt = account.createdAt
        closedAt = account.closedAt
    }
}

struct AccountEntryBody: Encodable, Sendable {
    let number: Int64
    let transfer: String
    let side: String
    let amount: Int64
    let balanceAfter: Int64
    let otherAccount: String
    let reference: String
    let effectiveAt: Date
    let recordedAt: Date

    init(_ entry: AccountEntry) {
        number = entry.number
        transfer = entry.transferID.description
        side = entry.side
        amount = entry.amount
        balanceAfter = entry.balanceAfter
        otherAccount = entry.otherAccount.description
        reference = entry.reference
        effectiveAt = entry.effectiveAt
        recordedAt = entry.recordedAt
    }
}
