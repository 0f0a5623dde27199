// The money of the demo city: the accounts, what residents have in their wallets, bills to pay, and a benefit that waits for approval.
import Benefits
import Consent
import Foundation
import Ledger
import Payments
import Payouts
import Postgres
import Primitives
import Register
import Web

/// The organisation that keeps accounts of its own in the ledger, as demo.json tells it.
struct DemoLedgerClient: Sendable {
    let clientID: String
    let privateKeyPath: String
    let currency: Currency
    /// May go negative: money comes in from outside as its debit.
    let fundingAccount: LedgerAccountID
}

extension DemoLoader {
    private static let treasury = LedgerAccountID(demoUUID("account/treasury"))
    private static let revenue = LedgerAccountID(demoUUID("account/revenue"))
    private static let funding = LedgerAccountID(demoUUID("account/funding"))
    /// The example of the IBAN registry: it is sound and belongs to nobody.
    private static let cityIBAN = "GB82WEST12345698765432"

    func loadMoney(residents: [DemoPerson], staff: [DemoPerson]) async throws {
        guard let euro = Currency(code: "EUR") else { throw SetupError("The demo city needs the currency EUR.") }
        let ledger = LedgerAdministration(owner: owner)
        try await ledger.open(Self.funding, kind: .funding, currency: euro)
        try await ledger.open(Self.treasury, kind: .treasury, currency: euro)
        try await ledger.open(Self.revenue, kind: .revenue, currency: euro)
        // The one account that bills are paid into and payouts leave, so that its statements tell of both.
        try await BankAdministration(owner: owner).open(
            NewBankAccount(identification: Self.cityIBAN, holder: "City of Marisport", currency: euro, collects: true))
        var transfers = [transfer("opening/treasury", to: Self.treasury, Money(minorUnits: 50_000_000, currency: euro), "OPENING BALANCE")]
        for (position, resident) in residents.enumerated() where position < 3 {
            let id = try await owner.one(AccountFacts(nameHMAC: keys.lookup.signInName(resident.username))).id
            let wallet = try await ledger.openWallet(of: id, in: euro)
            transfers.append(transfer("wallet/\(resident.username)", to: wallet, Money(minorUnits: 25_000, currency: euro), "DEMO TOP-UP"))
            try await issueBills(to: id, resident.username, number: position + 1, euro)
        }
        try await ledger.post(transfers, occasion: "demo city")
        try await prepareBenefit(for: residents[0], euro)
        try await openPayouts(for: residents, euro)
    }

    /// The city's bank, and a bank account of each of the first two residents that has waited its time.
    private func openPayouts(for residents: [DemoPerson], _ currency: Currency) async throws {
        // The example account numbers of the IBAN registry: they fit their checks and belong to nobody.
        guard let cityIBAN = IBAN(Self.cityIBAN), let town = SEPAText(DemoScript.locality, charactersMax: 35),
            let city = SEPAText("City of Marisport", charactersMax: 70),
            let debtor = BankAccount(holder: city, iban: cityIBAN, town: town, country: "GB")
        else { throw SetupError("The demo city has no bank account.") }
        let administration = PayoutsAdministration(owner: owner)
        try await administration.set(PayoutChannel(currency: currency, debtor: debtor, bic: nil, bank: Self.funding))
        for (resident, number) in zip(residents, ["DE89370400440532013000", "BE68539007547034"]) {
            guard let iban = IBAN(number), let holder = SEPAText(resident.name, charactersMax: 70),
                let account = BankAccount(holder: holder, iban: iban, town: town, country: "FR")
            else { throw SetupError("\(resident.username) has no bank account.") }
            let id = try await owner.one(AccountFacts(nameHMAC: keys.lookup.signInName(resident.username))).id
            try await administration.addAccount(account, PayoutAccountID(demoUUID("payout-account/\(resident.username)")), of: id, vault: keys.vault)
        }
    }

    /// The trams keep their tickets' money in accounts of their own.
    func loadLedgerClient() async throws -> DemoLedgerClient {
        guard let euro = Currency(code: "EUR") else { throw SetupError("The demo city needs the currency EUR.") }
        let id = "city-trams"
        let name = LocalisedText([.english: "City Trams", .french: "Tramways de la ville", .arabic: "ترام المدينة"])
        _ = try await ConsentAdministration.addOrganisation(id: id, name: name, kind: "other", with: owner)
        let path = try await loadClient(id, name, scope: ["ledger.post"])
        let funding = LedgerAccountID(demoUUID("account/city-trams/funding"))
        try await LedgerAdministration(owner: owner).open(funding, kind: .funding, currency: euro, organisationID: id)
        return DemoLedgerClient(clientID: id, privateKeyPath: path, currency: euro, fundingAccount: funding)
    }

    private func transfer(_ name: String, to account: LedgerAccountID, _ amount: Money, _ reference: String) -> Transfer {
        Transfer(id: TransferID(demoUUID("transfer/\(name)")), debit: Self.funding, credit: account, amount: amount, reference: reference)
    }

    private func issueBills(to resident: ResidentID, _ username: String, number: Int, _ currency: Currency) async throws {
        let today = try installation.configuration.today
        let issuing = BillIssuing(owner: owner)
        let bills: [(key: String, kind: BillKind, reference: String, due: Int, title: LocalisedText, lines: [(LocalisedText, Int64)])] = [
            (
                "waste", .fee, "WASTE-2026-\(1000 + number)", 30,
                LocalisedText([.english: "Waste collection, this year", .french: "Enlèvement des ordures, cette année", .arabic: "جمع النفايات، هذا العام"]),
                [
                    (LocalisedText([.english: "Household bin", .french: "Poubelle du ménage", .arabic: "حاوية منزلية"]), 8_640),
                    (LocalisedText([.english: "Reduction for composting", .french: "Réduction pour compostage", .arabic: "تخفيض للتسميد"]), -1_200),
                ]
            ),
            (
                "parking", .permit, "PARK-2026-\(1000 + number)", 14,
                LocalisedText([.english: "Residents’ parking permit", .french: "Carte de stationnement", .arabic: "تصريح وقوف للسكان"]),
                [(LocalisedText([.english: "Permit, 12 months", .french: "Carte, 12 mois", .arabic: "تصريح لمدة 12 شهرًا"]), 4_500)]
            ),
            (
                "property", .tax, "TAX-2026-\(1000 + number)", 60,
                LocalisedText([.english: "Property tax", .french: "Taxe foncière", .arabic: "ضريبة العقار"]),
                [(LocalisedText([.english: "Second instalment", .french: "Deuxième acompte", .arabic: "القسط الثاني"]), 41_250)]
            ),
        ]
        for bill in bills {
            try await issuing.issue(
                NewBill(
                    id: BillID(demoUUID("bill/\(username)/\(bill.key)")), residentID: resident, kind: bill.kind, reference: bill.reference,
                    title: bill.title, issuedOn: today, dueOn: try today.adding(days: bill.due), paysInto: Self.revenue,
                    lines: bill.lines.map { ($0.0, Money(minorUnits: $0.1, currency: currency)) }))
        }
    }

    private func prepareBenefit(for resident: DemoPerson, _ currency: Currency) async throws {
        let administration = BenefitsAdministration(owner: owner)
        try await administration.add(
            NewProgramme(
                id: "heating-allowance",
                name: LocalisedText([.english: "Heating allowance", .french: "Aide au chauffage", .arabic: "إعانة التدفئة"]),
                law: "Social Services Act § 31", paidFrom: Self.treasury, paymentMax: Money(minorUnits: 50_000, currency: currency)))
        let id = try await owner.one(AccountFacts(nameHMAC: keys.lookup.signInName(resident.username))).id
        let clerk = try await owner.one(StaffNamed(username: DemoScript.staff[0].username))
        try await administration.prepare(
            NewDisbursement(
                id: DisbursementID(demoUUID("disbursement/heating/\(resident.username)")), programmeID: "heating-allowance", residentID: id,
                caseReference: "DEMO-2", amount: Money(minorUnits: 12_000, currency: currency), reason: "Winter allowance for your household",
                preparedBy: clerk))
    }
}

private struct StaffNamed: Query {
    let username: String
    var sql: SQL { "SELECT id FROM identity.staff WHERE username = \(username)" }
    func decode(_ row: inout RowReader) throws -> StaffID { StaffID(try row.next(UUID.self)) }
}

extension CalendarDay {
    /// The day so many days later.
    fileprivate func adding(days: Int) throws -> CalendarDay {
        let style = Date.ISO8601FormatStyle(timeZone: .gmt).year().month().day()
        guard let start = try? Date(description, strategy: style),
            let day = CalendarDay(start.addingTimeInterval(TimeInterval(days) * 86_400).formatted(style))
        else { throw SetupError("There is no day \(days) days after \(self).") }
        return day
    }
}
