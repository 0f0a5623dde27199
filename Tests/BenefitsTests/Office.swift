// A benefits office: a treasury, a programme, staff of each kind, and a resident.
import AccessLog
import City
import Foundation
import HummingbirdTesting
import Ledger
import Payments
import Postgres
import Primitives
import Web

@testable import Benefits

struct Office: Sendable {
    let city: CityFixture
    let ada: FixtureResident
    let caseworker: FixtureStaff
    let approver: FixtureStaff
    let funding = LedgerAccountID.new()
    let treasury = LedgerAccountID.new()

    init(treasury minorUnits: Int64 = 100_000) async throws {
        city = try await CityFixture.make()
        ada = try await city.resident()
        caseworker = try await city.staff(roles: [.caseworker])
        approver = try await city.staff(roles: [.approver])
        let ledger = LedgerAdministration(owner: city.owner)
        try await ledger.open(funding, kind: .funding, currency: .eur)
        try await ledger.open(treasury, kind: .treasury, currency: .eur)
        try await fund(minorUnits)
        try await BenefitsAdministration(owner: city.owner).add(
            NewProgramme(
                id: "heating", name: LocalisedText([.english: "Heating allowance", .french: "Aide au chauffage", .arabic: "إعانة التدفئة"]),
                law: "Social Services Act § 31", paidFrom: treasury, paymentMax: Money(minorUnits: 50_000, currency: .eur)))
    }

    func fund(_ minorUnits: Int64) async throws {
        let amount = Money(minorUnits: minorUnits, currency: .eur)
        try await LedgerAdministration(owner: city.owner).post(
            [Transfer(id: .new(), debit: funding, credit: treasury, amount: amount, reference: "Budget")], occasion: "test")
    }

    /// A payment that waits for approval.
    func prepared(_ minorUnits: Int64 = 12_000, by staff: FixtureStaff? = nil) async throws -> DisbursementID {
        let id = DisbursementID.new()
        try await BenefitsAdministration(owner: city.owner).prepare(
            NewDisbursement(
                id: id, programmeID: "heating", residentID: ada.id, caseReference: "H-77", amount: Money(minorUnits: minorUnits, currency: .eur),
                reason: "Winter <b>allowance</b>", preparedBy: (staff ?? caseworker).id))
        return id
    }

    func serve(_ body: @Sendable (Office, any TestClientProtocol) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        let ledger = Ledger(database: city.app)
        try await city.serve({ site in
            BenefitsRoutes(database: city.app, door: door).add(to: site)
            PaymentsRoutes(database: city.app, ledger: ledger, zone: .gmt).add(to: site)
        }) { try await body(self, $0) }
    }

    func wallet() async throws -> Int64 {
        try await Ledger(database: city.app).wallets(of: ada.session.hash).first?.balance.minorUnits ?? 0
    }

    func count(_ table: SQL) async throws -> Int {
        Int(try await city.owner.one(OneValue("SELECT count(*) FROM \(table)", of: Int64.self)))
    }

    /// The outcome's word of one of the definer functions, called as the server calls it.
    func word(_ sql: SQL) async throws -> String {
        try await city.app.exclusive { try await $0.one(OneValue(sql)) }
    }
}

func inParallel<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for index in 0..<count { group.addTask { try await body(index) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
