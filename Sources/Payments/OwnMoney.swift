// A resident's money as they take it with them: bills with what was paid for them, every movement of the wallet, and benefits.
import Benefits
import Foundation
import Ledger
import Postgres
import Primitives
import Web

/// Reads the three parts page by page, newest first.
struct OwnMoney: Sendable {
    let database: Database
    let ledger: Ledger
    let zone: TimeZone

    @Sendable func bills(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let count = OwnDataPart.itemsPerRead
        let bills = try await database.query(BillsOf(credential: reader.credential, before: cursor.flatMap(MomentCursor.init), count: count + 1))
        let shown = bills.prefix(count)
        return OwnDataPage(
            try shown.map { try JSONValue(encoding: BillBody($0, lines: nil, zone: zone, reader.language)) },
            next: bills.count > count ? shown.last.map { MomentCursor(at: $0.createdAt, id: $0.id.uuid).description } : nil)
    }

    /// All of one wallet, then of the next: the cursor is its currency and the number of its last entry.
    @Sendable func walletEntries(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let wallets = try await ledger.wallets(of: reader.credential).map(\.balance.currency)
        let parts = cursor?.split(separator: " ").map(String.init) ?? []
        guard let currency = wallets.first(where: { $0.code == parts.first }) ?? (cursor == nil ? wallets.first : nil) else { return OwnDataPage([]) }
        let before = parts.count > 1 ? Int64(parts[1]) : nil
        let count = OwnDataPart.itemsPerRead
        let entries = try await ledger.entries(of: reader.credential, in: currency, before: before, count: count + 1)
        let shown = entries.prefix(count)
        let following = wallets.drop { $0 != currency }.dropFirst().first.map(\.code)
        return OwnDataPage(
            shown.map(\.exported), next: entries.count > count ? shown.last.map { "\(currency.code) \($0.number)" } : following)
    }

    @Sendable func benefits(_ reader: OwnDataReader, _ cursor: String?) async throws -> OwnDataPage {
        let count = OwnDataPart.itemsPerRead
        let received = try await ReceivedBenefits(database: database)
            .newest(count + 1, before: cursor.flatMap(MomentCursor.init), of: reader.credential)
        return OwnDataPage(received, count: count, cursor: { MomentCursor(at: $0.paidAt, id: $0.id.uuid) }) { $0.exported(reader.language) }
    }
}

extension WalletEntry {
    fileprivate var exported: JSONValue {
        [
            "number": .integer(number), "at": .string(RFC3339.text(at)), "currency": .string(amount.currency.code), "amount": .integer(amount.minorUnits),
            "balance_after": .integer(balanceAfter.minorUnits), "reference": .string(reference), "transfer": .string(transferID.description),
        ]
    }
}

extension ReceivedBenefit {
    fileprivate func exported(_ language: Language) -> JSONValue {
        [
            "id": .string(id.description), "programme": .string(programme.text(language)), "law": .string(law), "currency": .string(amount.currency.code),
            "amount": .integer(amount.minorUnits), "reason": .string(reason), "case_reference": .string(caseReference), "paid_at": .string(RFC3339.text(paidAt)),
        ]
    }
}
