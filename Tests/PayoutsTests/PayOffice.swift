// A pay office: the city's bank account, residents with wallets and bank accounts, and finance officers.
import AccessLog
import City
import Foundation
import HummingbirdTesting
import Ledger
import struct Payments.BankAdministration
import struct Payments.NewBankAccount
import Postgres
import Primitives
import Register
import TestSupport
import Web

@testable import Payouts

struct PayOffice: Sendable {
    let city: CityFixture
    let preparer: FixtureStaff
    let approver: FixtureStaff
    let funding = LedgerAccountID.new()
    let folder: URL

    static let cityIBAN = "FR1420041010050500013M02606"

    /// - Parameter withStatements: whether statements of the account that the city pays from are imported.
    init(withStatements: Bool = false) async throws {
        city = try await CityFixture.make()
        preparer = try await city.staff(roles: [.financeOfficer])
        approver = try await city.staff(roles: [.financeOfficer])
        folder = try TemporaryFolder.make()
        try await LedgerAdministration(owner: city.owner).open(funding, kind: .funding, currency: .eur)
        try await PayoutsAdministration(owner: city.owner).set(
            PayoutChannel(currency: .eur, debtor: try Self.account("City of Porto", Self.cityIBAN), bic: nil, bank: funding))
        guard withStatements else { return }
        try await BankAdministration(owner: city.owner).open(
            NewBankAccount(identification: Self.cityIBAN, holder: "City of Porto", currency: .eur, collects: false))
    }

    static func account(_ holder: String, _ iban: String = "DE89370400440532013000", street: String? = "Rua Nova 7") throws -> BankAccount {
        guard let holder = SEPAText(holder, charactersMax: 70), let iban = IBAN(iban), let town = SEPAText("Porto", charactersMax: 35),
            let account = BankAccount(
                holder: holder, iban: iban, street: street.flatMap { SEPAText($0, charactersMax: 70) }, postcode: SEPAText("4000-001", charactersMax: 16),
                town: town, country: "PT")
        else { throw CancellationError() }
        return account
    }

    /// A resident with money in the wallet and, unless told otherwise, a bank account that has waited its time.
    func resident(wallet minorUnits: Int64 = 10_000, account: BankAccount? = nil, withAccount: Bool = true) async throws -> FixtureResident {
        let resident = try await city.resident()
        let ledger = LedgerAdministration(owner: city.owner)
        let wallet = try await ledger.openWallet(of: resident.id, in: .eur)
        try await ledger.post(
            [Transfer(id: .new(), debit: funding, credit: wallet, amount: Money(minorUnits: minorUnits, currency: .eur), reference: "Counter 3")], occasion: "test")
        if withAccount {
            try await PayoutsAdministration(owner: city.owner).addAccount(
                try account ?? Self.account("Ada Byron"), .new(), of: resident.id, vault: city.vault)
        }
        return resident
    }

    /// The outcome's word of one of the definer functions, called as the server calls it.
    func word(_ sql: SQL) async throws -> String {
        try await city.app.exclusive { try await $0.one(OneValue(sql)) }
    }

    @discardableResult
    func takeOut(_ minorUnits: Int64, _ resident: FixtureResident, id: PayoutID = .new()) async throws -> PayoutID {
        let outcome = try await word("SELECT payouts.take_out(\(resident.session.hash.bytes), \(id), 'EUR', \(minorUnits))")
        guard outcome == "instructed" else { throw UnexpectedWord(outcome) }
        return id
    }

    /// So many payments of 1, 2, 3 … minor units to one resident, set aside as one transfer.
    func owe(_ count: Int, to resident: FixtureResident) async throws {
        try await city.owner.exclusive { connection in
            try await connection.execute(
                """
                SELECT ledger.post_transfers(ARRAY[gen_random_uuid()], '{post}', ARRAY[c.bank], ARRAY[c.set_aside], ARRAY[\(count * (count + 1) / 2)], '{EUR}', '{Owed}',
                                             '{NULL}', '{system}', '{test}')
                FROM payouts.channel AS c
                """)
            try await connection.execute(
                """
                INSERT INTO payouts.instruction (id, kind, pays, issue, resident_id, source, currency, amount, end_to_end_id)
                SELECT x.id, 'refund', x.id, 1, \(resident.id), \(funding), 'EUR', x.n, 'P' || lpad(upper(to_hex(x.n)), 16, '0')
                FROM (SELECT gen_random_uuid() AS id, n FROM generate_series(1, \(Int32(count))) AS n) AS x
                """)
            try await connection.execute("INSERT INTO payouts.event (instruction_id, number, state) SELECT id, 1, 'waiting' FROM payouts.instruction")
        }
    }

    func prepare(by staff: FixtureStaff? = nil, id: PayoutBatchID = .new()) async throws -> PayoutBatchID {
        let outcome = try await word(
            "SELECT outcome FROM payouts.prepare(\((staff ?? preparer).session.hash.bytes), \(id), 'EUR', (public.stoa_now())::date)")
        guard outcome == "prepared" else { throw UnexpectedWord(outcome) }
        return id
    }

    func approve(_ batch: PayoutBatchID, by staff: FixtureStaff? = nil) async throws -> String {
        try await word("SELECT payouts.approve(\((staff ?? approver).session.hash.bytes), \(batch))")
    }

    /// A batch of what waits, approved.
    func approvedBatch() async throws -> PayoutBatch {
        let id = try await prepare()
        guard try await approve(id) == "approved" else { throw UnexpectedWord("not approved") }
        return try await batch(id)
    }

    func batch(_ id: PayoutBatchID) async throws -> PayoutBatch {
        try await city.app.one(Batches(credential: preparer.session.hash, id: id, count: 1))
    }

    func files(_ name: String = "payouts") -> PaymentFiles {
        PaymentFiles(database: city.app, vault: city.vault, folder: folder.path + "/" + name)
    }

    func endToEndID(_ payout: PayoutID) async throws -> String {
        try await city.owner.one(OneValue("SELECT end_to_end_id FROM payouts.instruction WHERE id = \(payout)"))
    }

    func state(_ payout: PayoutID) async throws -> String {
        try await city.owner.one(OneValue("SELECT state FROM payouts.state WHERE instruction_id = \(payout)"))
    }

    func wallet(_ resident: FixtureResident) async throws -> Int64 {
        try await Ledger(database: city.app).wallets(of: resident.session.hash).first?.balance.minorUnits ?? 0
    }

    func count(_ table: SQL) async throws -> Int {
        Int(try await city.owner.one(OneValue("SELECT count(*) FROM \(table)", of: Int64.self)))
    }

    /// What is set aside, in transit, and has left the bank, in minor units.
    func money() async throws -> [Int64] {
        try await city.owner.query(
            OneValue(
                """
                SELECT a.posted FROM payouts.channel AS c CROSS JOIN LATERAL unnest(ARRAY[c.set_aside, c.in_transit]) WITH ORDINALITY AS w (id, position)
                JOIN ledger.account AS a ON a.id = w.id ORDER BY w.position
                """, of: Int64.self))
    }

    /// Every account equals its entries, and what is set aside and in transit equals the payments in these states.
    func addsUp() async throws -> Bool {
        let findings = try await count("ledger.findings(10)")
        let differences = try await count(
            """
            payouts.channel AS c CROSS JOIN LATERAL (
                SELECT coalesce(sum(i.amount) FILTER (WHERE s.state IN ('waiting', 'in_batch')), 0) AS aside, coalesce(sum(i.amount) FILTER (WHERE s.state = 'sent'), 0) AS transit
                FROM payouts.instruction AS i JOIN payouts.state AS s ON s.instruction_id = i.id WHERE i.currency = c.currency) AS held
            WHERE held.aside <> (SELECT a.posted FROM ledger.account AS a WHERE a.id = c.set_aside)
               OR held.transit <> (SELECT a.posted FROM ledger.account AS a WHERE a.id = c.in_transit)
            """)
        return findings == 0 && differences == 0
    }

    func report(_ xml: String, by staff: FixtureStaff? = nil) async throws -> TakenReport {
        try await TakeStatusReport(database: city.app).perform(Array(xml.utf8), by: (staff ?? preparer).session.hash)
    }

    func serve(_ body: @Sendable (PayOffice, any TestClientProtocol) async throws -> Void) async throws {
        let door = Door(database: try city.appPool(sharedConnections: 1))
        let accounts = PayoutAccounts(database: city.app, door: door, vault: city.vault)
        try await city.serve({ site in
            MoneyOutRoutes(database: city.app, ledger: Ledger(database: city.app), accounts: accounts).add(to: site)
            PayoutBatchRoutes(database: city.app, files: files(), zone: .gmt).add(to: site)
        }) { try await body(self, $0) }
    }
}

struct UnexpectedWord: Error {
    let word: String
    init(_ word: String) { self.word = word }
}

/// A pain.002 as a bank writes it.
/// - Parameter payments: end-to-end id, status, reason and amount.
func statusReport(
    _ batch: PayoutBatch, message: String = "BANK-1", group: String? = nil, count: Int? = nil, sum: String? = nil,
    payments: [(id: String, status: String, reason: String?, amount: String?)] = []
) -> String {
    let named = payments.map { payment in
        let reason = payment.reason.map { "<StsRsnInf><Rsn><Cd>\($0)</Cd></Rsn></StsRsnInf>" } ?? ""
        let amount = payment.amount.map { "<OrgnlTxRef><Amt><InstdAmt Ccy=\"EUR\">\($0)</InstdAmt></Amt></OrgnlTxRef>" } ?? ""
        return "<TxInfAndSts><OrgnlEndToEndId>\(payment.id)</OrgnlEndToEndId><TxSts>\(payment.status)</TxSts>\(reason)\(amount)</TxInfAndSts>\n"
    }
    let block = payments.isEmpty ? "" : "<OrgnlPmtInfAndSts><OrgnlPmtInfId>\(batch.reference)</OrgnlPmtInfId>\n\(named.joined())</OrgnlPmtInfAndSts>"
    return """
        <?xml version="1.0" encoding="UTF-8"?>
        <Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>
        <GrpHdr><MsgId>\(message)</MsgId><CreDtTm>2026-11-21T10:00:00Z</CreDtTm></GrpHdr>
        <OrgnlGrpInfAndSts><OrgnlMsgId>\(batch.reference)</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>
        <OrgnlNbOfTxs>\(count ?? batch.count)</OrgnlNbOfTxs><OrgnlCtrlSum>\(sum ?? batch.controlSum.decimal)</OrgnlCtrlSum>\(group.map { "<GrpSts>\($0)</GrpSts>" } ?? "")</OrgnlGrpInfAndSts>
        \(block)</CstmrPmtStsRpt></Document>
        """
}

func inParallel<Value: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value) async throws -> [Value] {
    try await withThrowingTaskGroup(of: Value.self) { group in
        for index in 0..<count { group.addTask { try await body(index) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}
