// From what a bank's file says to what `payments.take_bank_file` keeps of it: each entry with its parts, and a hash of what is told about it.
import Crypto
import Foundation
import ISO20022
import Postgres
import Primitives
import Web

/// A file as the database takes it in.
struct BankDocument: Sendable {
    /// Of the file's bytes: the same file again is known by it.
    let sha256: [UInt8]
    let json: JSONText

    /// - Throws: ``BankFileFault``
    init(reading bytes: [UInt8]) throws(BankFileFault) {
        let file = try BankFile(reading: bytes)
        sha256 = Array(SHA256.hash(data: bytes))
        let value: JSONValue = [
            "kind": .string(file.kind.rawValue), "message": .string(file.message), "message_id": .string(file.messageID),
            "reports": .array(file.reports.map(\.document)),
        ]
        json = JSONText(String(decoding: value.serialised(), as: UTF8.self))
    }
}

extension BankReport {
    fileprivate var document: JSONValue {
        [
            "id": .string(id), "account": .string(account), "line": .integer(Int64(line)), "sequence_number": sequenceNumber.map { .integer($0) } ?? .null,
            "period_from": .text(period?.from), "period_to": .text(period?.to), "opening": opening?.document ?? .null, "closing": closing?.document ?? .null,
            "entries": .array(entries.map(\.document)),
        ]
    }
}

extension BankBalance {
    fileprivate var document: JSONValue {
        ["amount": .integer(amount.minorUnits), "currency": .string(amount.currency.code), "on": .string(on)]
    }
}

extension BankEntry {
    fileprivate var document: JSONValue {
        [
            "line": .integer(Int64(line)), "amount": .integer(amount.minorUnits), "currency": .string(amount.currency.code), "direction": .string(direction.rawValue),
            "is_reversal": .bool(isReversal), "status": .string(status), "booked_on": .text(bookedOn ?? valueOn), "bank_reference": .text(bankReference),
            "content": .text(contentHash), "parts": .array(parts.map { $0.document(of: self) }),
        ]
    }

    /// Hexadecimal SHA-256 over what is told about the movement apart from the bank's own references and from names, which banks cut at different
    /// lengths; nil when nothing is.
    private var contentHash: String? {
        let told = transactions.map { transaction in
            [
                transaction.endToEndID ?? "", transaction.creditorReferences.joined(separator: " "), transaction.texts.joined(separator: " "),
                counterparty(of: transaction).account ?? "", transaction.amount?.description ?? "",
            ].map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        }
        guard told.contains(where: { $0.dropLast().contains { !$0.isEmpty } }) else { return nil }
        // Sorted: the order inside an entry means nothing. No text of the messages holds the two separators.
        let lines = told.map { $0.joined(separator: "\u{1F}") }.sorted()
        return SHA256.hash(data: Data(lines.joined(separator: "\u{1E}").utf8)).map { String(format: "%02x", $0) }.joined()
    }

    /// The payments behind the entry where they make it up exactly; otherwise the entry itself, with what its only transaction tells.
    private var parts: [Part] {
        let own = transactions.filter { ($0.direction ?? direction) == direction }
        let amounts = own.compactMap(\.amount)
        let sum = amounts.reduce(Money?.some(.zero(amount.currency))) { sum, next in sum.flatMap { try? $0.adding(next) } }
        if own.count == transactions.count, amounts.count == own.count, !amounts.isEmpty, amounts.allSatisfy(\.isPositive), sum == amount {
            return own.map { Part(amount: $0.amount ?? amount, transaction: $0) }
        }
        return [Part(amount: amount, transaction: own.count == 1 && transactions.count == 1 ? own[0] : nil)]
    }

    /// The city's order that this is the sum of, where all that is told of it names one.
    fileprivate var orderReference: String? {
        let named = Set(transactions.map(\.batchReference))
        return batchReference ?? (named.count == 1 ? named.first ?? nil : nil)
    }

    /// Who is on the other side.
    fileprivate func counterparty(of transaction: BankTransaction) -> BankParty {
        (direction == .credit) == !isReversal ? transaction.debtor : transaction.creditor
    }
}

/// One payment behind an entry.
private struct Part {
    let amount: Money
    let transaction: BankTransaction?

    /// What a finance officer can read at one glance.
    private static let textCharactersMax = 500

    func document(of entry: BankEntry) -> JSONValue {
        let party = transaction.map(entry.counterparty)
        let text = transaction?.texts.joined(separator: " ") ?? ""
        return [
            "amount": .integer(amount.minorUnits), "creditor_reference": .text(creditorReference?.description),
            // Drawn now, so that the payment that it may become has one.
            "receipt_code": .string(PublicCode.random().description),
            "end_to_end_id": .text(endToEndID), "batch_reference": .text(entry.orderReference), "is_return": .bool(transaction?.isReturn ?? false),
            "return_reason": .text(transaction?.returnReason),
            "payer_name": .text(party?.name), "payer_account": .text(party?.account),
            "text": .text(text.isEmpty ? nil : String(text.prefix(Self.textCharactersMax))),
        ]
    }

    /// As the bank passed it on, or, where it left its place empty, the one of a payout (`payouts.instruction`) in the words, where payouts carry it too.
    private var endToEndID: String? {
        guard let transaction else { return nil }
        let written = Set(transaction.texts.flatMap { $0.matches(of: /\bP[0-9A-F]{16}\b/).map { String($0.output) } })
        return transaction.endToEndID ?? (written.count == 1 ? written.first : nil)
    }

    /// The one that the payer's bank passed on in its place; else one in the payer's own words. Two different ones are none.
    private var creditorReference: CreditorReference? {
        guard let transaction else { return nil }
        let structured = Set((transaction.creditorReferences + [transaction.endToEndID].compactMap { $0 }).compactMap { CreditorReference($0) })
        let written = structured.isEmpty ? Set(CreditorReference.found(in: transaction.texts.joined(separator: " "))) : structured
        return written.count == 1 ? written.first : nil
    }
}

extension JSONValue {
    fileprivate static func text(_ text: String?) -> JSONValue { text.map { .string($0) } ?? .null }
}
