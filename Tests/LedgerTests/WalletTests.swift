// A resident's wallet: who sees it, and that it follows its resident.
import City
import Foundation
import Postgres
import Primitives
import Testing
import Web

@testable import Ledger

@Suite("Wallets")
struct WalletTests {
    @Test("Residents see their own wallet and its movements; an app needs the scope, and nobody else sees anything")
    func ownOnly() async throws {
        let bank = try await Bank()
        let ada = try await bank.city.resident()
        let eve = try await bank.city.resident()
        let wallet = try await bank.administration.openWallet(of: ada.id, in: .eur)
        #expect(try await bank.administration.openWallet(of: ada.id, in: .eur) == wallet)
        try await bank.administration.post(
            [bank.transfer(bank.funding, wallet, 700, reference: "first"), bank.transfer(wallet, bank.funding, 200, reference: "second")],
            occasion: "test")

        let euros = { (minorUnits: Int64) in Money(minorUnits: minorUnits, currency: .eur) }
        #expect(try await bank.ledger.wallets(of: ada.session.hash) == [Wallet(id: wallet, balance: euros(500))])
        let entries = try await bank.ledger.entries(of: ada.session.hash, in: .eur, count: 10)
        #expect(entries.map(\.reference) == ["second", "first"])
        #expect(entries.map(\.amount) == [euros(-200), euros(700)])
        #expect(entries.map(\.balanceAfter) == [euros(500), euros(700)])
        #expect(try await bank.ledger.entries(of: ada.session.hash, in: .eur, before: 2, count: 10).map(\.reference) == ["first"])

        let may = try await bank.city.appToken(of: ada, scope: ["payments"])
        let mayNot = try await bank.city.appToken(of: ada, scope: ["profile", "bills"])
        let clerk = try await bank.city.staff(roles: [.caseworker, .financeOfficer, .approver, .auditor])
        #expect(try await bank.ledger.wallets(of: may.hash).map(\.id) == [wallet])
        for other in [mayNot, eve.session, clerk.session, bank.client.credential] {
            #expect(try await bank.ledger.wallets(of: other.hash).isEmpty)
            #expect(try await bank.ledger.entries(of: other.hash, in: .eur, count: 10).isEmpty)
        }
    }

    @Test("When a register record takes the place of another, its wallet follows, or empties itself into the one that is there")
    func followsTheResident() async throws {
        let bank = try await Bank()
        let record = try await bank.city.resident()
        let first = try await bank.city.resident()
        let second = try await bank.city.resident()
        for (resident, amount) in [(first, 300), (second, 45)] as [(FixtureResident, Int64)] {
            let wallet = try await bank.administration.openWallet(of: resident.id, in: .eur)
            try await bank.administration.post([bank.transfer(bank.funding, wallet, amount)], occasion: "test")
        }
        for resident in [first, second] {
            try await bank.city.owner.execute("UPDATE register.resident SET superseded_by = \(record.id) WHERE id = \(resident.id)")
        }
        #expect(try await bank.ledger.wallets(of: record.session.hash).map(\.balance.minorUnits) == [345])
        #expect(try await bank.ledger.wallets(of: second.session.hash).isEmpty)
        #expect(try await bank.verify().isSound)
    }
}
