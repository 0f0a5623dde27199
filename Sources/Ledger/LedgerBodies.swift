// What organisations send to the ledger and what they receive. Amounts are whole minor units beside their currency.
import Foundation
import Primitives
import Web

/// A reference of 140 characters, each written as two escapes of six bytes, and ten short fields; a smaller body is a cheaper one to refuse.
let transferBytesMax = 3 * 1024

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
    /// A code of ISO 4217. Nil when it is bad, which is noted.
    fileprivate mutating func currency(_ name: String = "currency") -> Currency? {
        let code = string(name, charactersMax: 3)
        let currency = Currency(code: code)
        if currency == nil, !code.isEmpty { reject(name, code: "unknown_value", detail: "Send a code of ISO 4217 in capitals, such as EUR.") }
        return currency
    }
}

extension Transfer {
    /// `POST /api/v1/ledger/transfers`
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
        let hold = body.uuid("hold_id", of: [.postHold, .voidHold], kind)
        let original = body.uuid("reversal_of", of: [.reversal], kind)
        let expiresAt = body.optionalMoment("expires_at")
        if expiresAt != nil, kind != .hold { body.rejectMisplaced("expires_at", [.hold]) }
        let effectiveAt = body.optionalMoment("effective_at")
        if effectiveAt != nil, kind == .hold || kind == .voidHold { body.rejectMisplaced("effective_at", [.post, .postHold, .reversal]) }
        if debit == credit, body.errors.isEmpty {
            body.reject("credit_account", code: "same_account", detail: "Money moves between two accounts; name another one.")
        }
        guard body.errors.isEmpty, let kind, let currency else { return nil }
        self.init(
            id: TransferID(id), kind: kind, debit: LedgerAccountID(debit), credit: LedgerAccountID(credit),
            amount: Money(minorUnits: amount, currency: currency), reference: reference, effectiveAt: effectiveAt,
            expiresAt: expiresAt, holdID: hold.map { TransferID($0) }, reversalOf: original.map { TransferID($0) })
    }

    /// The transfer with what became of it.
    func body(_ outcome: TransferOutcome) -> JSONValue {
        var members = [
            JSONMember("id", .string(id.description)), JSONMember("result", .string(outcome.word)), JSONMember("kind", .string(kind.rawValue)),
            JSONMember("debit_account", .string(debitAccount.description)), JSONMember("credit_account", .string(creditAccount.description)),
            JSONMember("amount", .integer(amount.minorUnits)), JSONMember("currency", .string(amount.currency.code)),
            JSONMember("reference", .string(reference)),
        ]
        if let effectiveAt { members.append(JSONMember("effective_at", .string(RFC3339.text(effectiveAt)))) }
        if let expiresAt { members.append(JSONMember("expires_at", .string(RFC3339.text(expiresAt)))) }
        if let holdID { members.append(JSONMember("hold_id", .string(holdID.description))) }
        if let reversalOf { members.append(JSONMember("reversal_of", .string(reversalOf.description))) }
        return .object(members)
    }

    /// One item of the answer to a batch: which, what became of it, and the field that says why.
    func result(_ outcome: TransferOutcome) -> JSONValue {
        var members = [JSONMember("id", .string(id.description)), JSONMember("result", .string(outcome.word))]
        if let field = outcome.field { members.append(JSONMember("field", .string(field))) }
        return .object(members)
    }
}

extension JSONReader {
    /// A field that transfers of some kinds must have and the others must not.
    fileprivate mutating func uuid(_ name: String, of kinds: [TransferKind], _ kind: TransferKind?) -> UUID? {
        if let kind, kinds.contains(kind) { return uuid(name) }
        if value(name) != nil, kind != nil { rejectMisplaced(name, kinds) }
        return nil
    }

    fileprivate mutating func rejectMisplaced(_ name: String, _ kinds: [TransferKind]) {
        reject(name, code: "misplaced", detail: "This field belongs to \(kinds.map(\.rawValue).joined(separator: " and ")); remove it.")
    }
}

extension Conversion {
    /// `POST /api/v1/ledger/conversions`
    /// - Throws: one `Problem` 400 that names every bad field; nothing is remembered for the ids then.
    init(body reader: consuming JSONReader) throws {
        var body = reader
        let (id, boughtID) = (body.uuid("id"), body.uuid("bought_id"))
        let (debit, credit) = (body.uuid("debit_account"), body.uuid("credit_account"))
        let (sold, currency) = (body.integer("amount", in: 1...Transfer.minorUnitsMax), body.currency())
        let (bought, boughtCurrency) = (body.integer("bought_amount", in: 1...Transfer.minorUnitsMax), body.currency("bought_currency"))
        let rateText = body.string("rate", charactersMax: 22)
        let rate = ConversionRate(rateText)
        if rate == nil, !rateText.isEmpty {
            body.reject("rate", code: "malformed", detail: "Send a decimal number above zero as a text, such as \"1.0842\", with at most 9 digits before the point and 12 behind it.")
        }
        let reference = body.string("reference", charactersMax: Transfer.referenceCharactersMax)
        if id == boughtID, body.errors.isEmpty { body.reject("bought_id", code: "same_id", detail: "A conversion is two transfers; name the second one differently.") }
        if currency == boughtCurrency, body.errors.isEmpty {
            body.reject("bought_currency", code: "same_currency", detail: "Within one currency money moves by a transfer.")
        }
        try body.finish()
        guard let currency, let boughtCurrency, let rate else { throw Problem.internalError }
        self.init(
            id: TransferID(id), boughtID: TransferID(boughtID), from: LedgerAccountID(debit), to: LedgerAccountID(credit),
            sold: Money(minorUnits: sold, currency: currency), bought: Money(minorUnits: bought, currency: boughtCurrency), rate: rate, reference: reference)
    }

    /// The conversion with what became of it.
    func body(_ outcome: TransferOutcome) -> JSONValue {
        .object([
            JSONMember("id", .string(id.description)), JSONMember("bought_id", .string(boughtID.description)), JSONMember("result", .string(outcome.word)),
            JSONMember("debit_account", .string(debitAccount.description)), JSONMember("credit_account", .string(creditAccount.description)),
            JSONMember("amount", .integer(sold.minorUnits)), JSONMember("currency", .string(sold.currency.code)),
            JSONMember("bought_amount", .integer(bought.minorUnits)), JSONMember("bought_currency", .string(bought.currency.code)),
            JSONMember("rate", .string(rate.description)), JSONMember("reference", .string(reference)),
        ])
    }
}

/// `POST /api/v1/ledger/transfer-batches`
struct TransferBatchBody: Sendable {
    let transfers: [Transfer]
    let links: TransferLinks

    static let bytesMax = Ledger.transfersPerCallMax * 1024
    /// More than this many faults tell whoever programs the client nothing new.
    private static let faultsMax = 20

    /// - Throws: one `Problem` 400 that names the bad fields, as `transfers[3].amount`.
    init(_ reader: consuming JSONReader) throws {
        var body = reader
        let isAtomic = body.optionalBool("atomic") ?? false
        let values = body.values("transfers", countMax: Ledger.transfersPerCallMax)
        var transfers: [Transfer] = []
        var linkedToNext: [Bool] = []
        for (position, value) in values.enumerated() {
            do {
                var item = try JSONReader(value)
                let isLinked = item.optionalBool("linked") ?? false
                if isLinked, position == values.count - 1 {
                    item.reject("linked", code: "open_chain", detail: "The last transfer has no next one to be linked with.")
                }
                transfers.append(try Transfer(body: item))
                linkedToNext.append(isLinked)
            } catch let problem as Problem {
                let faults = problem.errors.isEmpty ? [FieldProblem(field: "", code: "wrong_type", detail: "Send a JSON object.")] : problem.errors
                for fault in faults where body.errors.count < Self.faultsMax {
                    body.reject("transfers[\(position)]" + (fault.field.isEmpty ? "" : "." + fault.field), code: fault.code, detail: fault.detail)
                }
            }
        }
        self.transfers = transfers
        links = isAtomic ? .all : .toNext(linkedToNext)
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
    /// What unexpired outgoing holds reserve.
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
        held = account.held.minorUnits
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

/// `GET /api/v1/ledger/accounts/{id}/statement`
struct StatementBody: Encodable, Sendable {
    let account: String
    let currency: String
    let from: Date
    let to: Date
    /// Minor units, in the account's normal direction: what it held just before the two moments.
    let opening: Int64
    let closing: Int64
    let items: [Item]
    let nextCursor: String?

    struct Item: Encodable, Sendable {
        let number: Int64
        let transfer: String
        let kind: String
        let side: String
        let amount: Int64
        let otherAccount: String?
        let reference: String
        let effectiveAt: Date
        let recordedAt: Date
    }

    private enum CodingKeys: CodingKey { case account, currency, from, to, opening, closing, items, nextCursor }

    init(_ statement: Statement, of id: LedgerAccountID, from start: Date, to end: Date, entriesMax: Int) {
        let shown = statement.entries.prefix(entriesMax)
        account = id.description
        currency = statement.opening.currency.code
        (from, to) = (start, end)
        (opening, closing) = (statement.opening.minorUnits, statement.closing.minorUnits)
        items = shown.map {
            Item(
                number: $0.number, transfer: $0.transferID.description, kind: $0.kind.rawValue, side: $0.side, amount: $0.amount,
                otherAccount: $0.otherAccount?.description, reference: $0.reference, effectiveAt: $0.effectiveAt, recordedAt: $0.recordedAt)
        }
        nextCursor = statement.entries.count > shown.count ? shown.last?.place.cursor : nil
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(account, forKey: .account)
        try container.encode(currency, forKey: .currency)
        try container.encode(from, forKey: .from)
        try container.encode(to, forKey: .to)
        try container.encode(opening, forKey: .opening)
        try container.encode(closing, forKey: .closing)
        try container.encode(items, forKey: .items)
        // Null at the end, as in every list.
        try container.encode(nextCursor, forKey: .nextCursor)
    }
}

/// `GET /api/v1/ledger/accounts/{id}/balance`
struct BalanceBody: Encodable, Sendable {
    let account: String
    let currency: String
    let before: Date
    /// Minor units, in the account's normal direction.
    let posted: Int64
}
