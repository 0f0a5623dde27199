// Two residents, their mandates, and the site's pages that helpers can use.
import AccessLog
import City
import Foundation
import HummingbirdTesting
import Identity
import Ledger
import Messages
import Payments
import Postgres
import Primitives
import TestSupport
import Testing
import TransparencyLog
import Web

@testable import Mandates

struct Family: Sendable {
    let city: CityFixture
    /// For whom, and who acts.
    let ada: FixtureResident
    let eve: FixtureResident
    let mandates: Mandates

    init(sharedConnections: Int = 2) async throws {
        city = try await CityFixture.make()
        ada = try await city.resident()
        eve = try await city.resident(["given_names": "Eve", "family_name": "Moneypenny", "date_of_birth": "1980-02-01"])
        let door = Door(database: try city.appPool(sharedConnections: 1))
        mandates = Mandates(database: try city.appPool(sharedConnections: sharedConnections), door: door, vault: city.vault)
    }

    func grant(
        _ themes: [MandateTheme] = MandateTheme.allCases, from resident: FixtureResident? = nil, to code: PublicCode? = nil, days: Int = 31,
        session: FixtureCredential? = nil
    ) async throws -> GrantMandateOutcome {
        try await mandates.grant(
            NewMandate(helper: code ?? eve.publicCode, helperName: "Eve, my niece", themes: themes, days: days), session: (session ?? (resident ?? ada).session).hash)
    }

    /// The newest mandate that Eve holds.
    func held() async throws -> Mandate { try #require(try await mandates.all(of: eve.session.hash).first) }

    func decide(_ decision: MandateDecision, _ resident: FixtureResident, _ id: MandateID? = nil) async throws -> DecideMandateOutcome {
        let newest = id == nil ? try await held().id : nil
        return try await mandates.decide(decision, try #require(id ?? newest), session: resident.session.hash)
    }

    /// A mandate in force.
    @discardableResult
    func settled(_ themes: [MandateTheme] = MandateTheme.allCases, days: Int = 31) async throws -> Mandate {
        #expect(try await grant(themes, days: days) == .granted)
        #expect(try await decide(.accepted, eve) == .done)
        return try await held()
    }

    /// Eve's credential while she acts.
    func acting(_ mandate: Mandate) async throws -> CredentialHash {
        CredentialHash(token: try #require(try await mandates.act(under: mandate.id, session: eve.session.hash)))
    }

    /// The kinds of a resident's messages, in the order of the alphabet.
    func messages(_ resident: FixtureResident) async throws -> [String] {
        try await city.owner.query(OneValue("SELECT kind FROM messages.message WHERE resident_id = \(resident.id) ORDER BY kind", of: String.self))
    }

    /// What the log says that helpers did, oldest first.
    func help() async throws -> [String] {
        try await city.owner.query(
            OneValue(
                """
                SELECT operation || ' ' || purpose || ' ' || coalesce(refusal, outcome) FROM access_log.entry
                WHERE subject_id = \(ada.id) AND actor_id = \(eve.accountID.description) AND actor_role = 'helper' ORDER BY at, id
                """, of: String.self))
    }

    /// A bill of a resident, and what is in Ada's wallet.
    func bill(of resident: FixtureResident, wallet: Int64 = 10_000) async throws -> BillID {
        let (funding, revenue) = (LedgerAccountID.new(), LedgerAccountID.new())
        let ledger = LedgerAdministration(owner: city.owner)
        try await ledger.open(funding, kind: .funding, currency: .eur)
        try await ledger.open(revenue, kind: .revenue, currency: .eur)
        if wallet > 0 {
            let account = try await ledger.openWallet(of: ada.id, in: .eur)
            try await ledger.post(
                [Transfer(id: .new(), debit: funding, credit: account, amount: Money(minorUnits: wallet, currency: .eur), reference: "Counter 3")], occasion: "test")
        }
        let id = BillID.new()
        let day = try #require(CalendarDay("2026-11-01"))
        try await BillIssuing(owner: city.owner).issue(
            NewBill(
                id: id, residentID: resident.id, kind: .fee, reference: "FEE-\(resident.publicCode.compact)", title: LocalisedText([.english: "Waste"]), issuedOn: day,
                dueOn: day, paysInto: revenue, lines: [(LocalisedText([.english: "Bins"]), Money(minorUnits: 4_250, currency: .eur))]))
        return id
    }

    func serve(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
        let ledger = Ledger(database: city.app)
        let door = Door(database: try city.appPool(sharedConnections: 1))
        let identity = IdentityService(
            database: city.app, passwords: try PasswordHasher(cost: PasswordCost(memoryKibibytes: 64, passes: 1, lanes: 1)), vault: city.vault, lookup: city.lookup,
            settings: IdentitySettings(baseURL: try BaseURL("http://localhost:8080")))
        let rules = try PasswordRules(rootDirectory: TestCluster.projectRoot.path)
        let heads = LogHeads(database: city.app, verifier: try Ed25519NoteSigner.generate(name: "city.example/log").verifier)
        try await city.serve {
            IdentityRoutes(identity: identity, passwordRules: rules, database: city.app).add(to: $0)
            MandateRoutes(database: city.app, door: door, vault: city.vault).add(to: $0)
            MessagesRoutes(database: city.app).add(to: $0)
            AccessLogRoutes(database: city.app, entries: AccessEntries(database: city.app, door: door), heads: heads).add(to: $0)
            PaymentsRoutes(database: city.app, ledger: ledger, zone: .gmt).add(to: $0)
        } _: { client in
            try await body(client)
        }
    }
}
