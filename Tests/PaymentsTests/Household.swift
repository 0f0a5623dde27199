// Two residents with wallets and bills, and the site's pages and interface for them.
import Benefits
import City
import Foundation
import HTTPTypes
import HummingbirdTesting
import Ledger
import NIOCore
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

struct Household: Sendable {
    let city: CityFixture
    let ada: FixtureResident
    let eve: FixtureResident
    let funding = LedgerAccountID.new()
    let revenue = LedgerAccountID.new()

    /// - Parameter wallet: what Ada has; Eve has never had any money.
    init(wallet: Int64 = 10_000) async throws {
        city = try await CityFixture.make()
        ada = try await city.resident()
        eve = try await city.resident()
        let ledger = LedgerAdministration(owner: city.owner)
        try await ledger.open(funding, kind: .funding, currency: .eur)
        try await ledger.open(revenue, kind: .revenue, currency: .eur)
        let account = try await ledger.openWallet(of: ada.id, in: .eur)
        try await pay(in: wallet, to: account)
    }

    func pay(in minorUnits: Int64, to wallet: LedgerAccountID) async throws {
        guard minorUnits > 0 else { return }
        let amount = Money(minorUnits: minorUnits, currency: .eur)
        try await LedgerAdministration(owner: city.owner).post(
            [Transfer(id: .new(), debit: funding, credit: wallet, amount: amount, reference: "Counter 3")], occasion: "test")
    }

    /// A bill with a reduction, due in ten days unless said otherwise.
    func bill(
        _ resident: FixtureResident, _ reference: String, _ minorUnits: Int64 = 4_250, dueInDays days: Int = 10
    ) async throws -> BillID {
        let id = BillID.new()
        let day = { (offset: Int) in try #require(PaymentsRules.day(of: Date(timeIntervalSinceNow: Double(offset) * 86_400), in: .gmt)) }
        try await BillIssuing(owner: city.owner).issue(
            NewBill(
                id: id, residentID: resident.id, kind: .fee, reference: reference,
                title: LocalisedText([.english: "Waste <b>collection</b>", .french: "Collecte des déchets", .arabic: "جمع النفايات"]),
                issuedOn: try day(min(days, 0) - 20), dueOn: try day(days), paysInto: revenue,
                lines: [
                    (LocalisedText([.english: "Two bins"]), Money(minorUnits: minorUnits + 500, currency: .eur)),
                    (LocalisedText([.english: "Compost reduction"]), Money(minorUnits: -500, currency: .eur)),
                ]))
        return id
    }

    func serve(_ body: @Sendable (Household, any TestClientProtocol) async throws -> Void) async throws {
        let ledger = Ledger(database: city.app)
        try await city.serve({ PaymentsRoutes(database: city.app, ledger: ledger, zone: .gmt).add(to: $0) }) { try await body(self, $0) }
    }

    func balance(_ resident: FixtureResident) async throws -> Int64 {
        try await Ledger(database: city.app).wallets(of: resident.session.hash).first?.balance.minorUnits ?? 0
    }

    func paymentCount() async throws -> Int {
        Int(try await city.owner.one(OneValue("SELECT count(*) FROM payments.payment", of: Int64.self)))
    }

    func messageCount(_ resident: FixtureResident) async throws -> Int {
        Int(try await city.owner.one(
            OneValue("SELECT count(*) FROM messages.message WHERE resident_id = \(resident.id) AND kind = 'bill_paid'", of: Int64.self)))
    }
}

/// A resident's app that sends keys.
struct PayingApp: Sendable {
    let client: any TestClientProtocol
    let token: FixtureCredential?

    func pay(_ bill: BillID, key: String?, body: String = "{}", contentType: String = "application/json") async throws -> (status: Int, text: String) {
        var headers: HTTPFields = [.contentType: contentType]
        if let token { headers[.authorization] = "Bearer \(token.token)" }
        if let key, let name = HTTPField.Name("Idempotency-Key") { headers[name] = key }
        let response = try await client.executeRequest(
            uri: "/api/v1/bills/\(bill)/payments", method: .post, headers: headers, body: ByteBuffer(string: body))
        return (response.status.code, String(buffer: response.body))
    }
}

func inParallel<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for index in 0..<count { group.addTask { try await body(index) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
