// A small bank on a migrated database: one organisation that may post, its accounts, and money to begin with.
import City
import Foundation
import Logging
import Postgres
import Primitives
import TestSupport
import Web

@testable import Ledger

struct Bank: Sendable {
    let city: CityFixture
    let ledger: Ledger
    let client: FixtureOrganisation
    let funding: LedgerAccountID

    init() async throws {
        city = try await CityFixture.make()
        ledger = Ledger(database: city.app)
        client = try await city.organisation("bank", scope: ["ledger.post"])
        funding = .new()
        try await administration.open(funding, kind: .funding, currency: .eur, organisationID: "bank")
    }

    var administration: LedgerAdministration { LedgerAdministration(owner: city.owner) }

    /// An account that never goes negative, with some money in it.
    func account(_ minorUnits: Int64 = 0, kind: LedgerAccountKind = .general, _ currency: Currency = .eur) async throws -> LedgerAccountID {
        let id = LedgerAccountID.new()
        try await administration.open(id, kind: kind, currency: currency, organisationID: "bank")
        if minorUnits > 0 {
            try await administration.post([transfer(funding, id, minorUnits)], occasion: "test")
        }
        return id
    }

    func accounts(_ count: Int, each minorUnits: Int64) async throws -> [LedgerAccountID] {
        var accounts: [LedgerAccountID] = []
        for _ in 0..<count { accounts.append(try await account(minorUnits)) }
        return accounts
    }

    func transfer(
        _ debit: LedgerAccountID, _ credit: LedgerAccountID, _ minorUnits: Int64, id: TransferID = .new(), currency: Currency = .eur,
        reference: String = "test"
    ) -> Transfer {
        Transfer(id: id, debit: debit, credit: credit, amount: Money(minorUnits: minorUnits, currency: currency), reference: reference)
    }

    func hold(
        _ debit: LedgerAccountID, _ credit: LedgerAccountID, _ minorUnits: Int64, id: TransferID = .new(), expiresAt: Date? = nil
    ) -> Transfer {
        Transfer(
            id: id, kind: .hold, debit: debit, credit: credit, amount: Money(minorUnits: minorUnits, currency: .eur), reference: "hold",
            expiresAt: expiresAt)
    }

    /// Posts a hold, or a part of it.
    func posting(_ hold: Transfer, _ minorUnits: Int64? = nil, id: TransferID = .new()) -> Transfer {
        ending(hold, .postHold, minorUnits ?? hold.amount.minorUnits, id)
    }

    func voiding(_ hold: Transfer, id: TransferID = .new()) -> Transfer {
        ending(hold, .voidHold, hold.amount.minorUnits, id)
    }

    private func ending(_ hold: Transfer, _ kind: TransferKind, _ minorUnits: Int64, _ id: TransferID) -> Transfer {
        Transfer(
            id: id, kind: kind, debit: hold.debitAccount, credit: hold.creditAccount, amount: Money(minorUnits: minorUnits, currency: .eur),
            reference: "end", holdID: hold.id)
    }

    func reversal(of original: Transfer, id: TransferID = .new()) -> Transfer {
        Transfer(
            id: id, kind: .reversal, debit: original.creditAccount, credit: original.debitAccount, amount: original.amount, reference: "back",
            reversalOf: original.id)
    }

    func post(_ transfer: Transfer) async throws -> TransferOutcome {
        try await ledger.post(transfer, by: client.credential.hash)
    }

    func post(_ transfers: [Transfer], links: TransferLinks = .none) async throws -> [TransferOutcome] {
        try await ledger.post(transfers, links: links, by: client.credential.hash)
    }

    func balance(_ account: LedgerAccountID) async throws -> Int64 {
        try await city.owner.one(OneValue("SELECT posted FROM ledger.account WHERE id = \(account)"))
    }

    /// What unexpired holds reserve, as the organisation is told.
    func held(_ account: LedgerAccountID) async throws -> Int64 {
        try await ledger.account(account, by: client.credential.hash).held.minorUnits
    }

    func count(_ table: SQL) async throws -> Int {
        Int(try await city.owner.one(OneValue("SELECT count(*) FROM \(table)", of: Int64.self)))
    }

    /// What the auditor's verification says.
    func verify() async throws -> LedgerReport {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let auditor = try Database(configuration: Database.Configuration(url: city.test.auditorURL), logger: logger)
        let report = try await LedgerVerification(auditor: auditor).run()
        await auditor.shutdown()
        return report
    }
}

extension [TransferOutcome] {
    func count(of outcome: TransferOutcome) -> Int { filter { $0 == outcome }.count }
}

/// Runs many at once and gathers what each returned.
func inParallel<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for index in 0..<count { group.addTask { try await body(index) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
