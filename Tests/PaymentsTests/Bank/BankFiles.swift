// A household whose city has a bank account, and files of its bank as a test writes them.
import City
import Foundation
import Ledger
import Postgres
import Primitives
import Testing
import Web

@testable import Payments

/// One movement in a file.
struct Told: Sendable {
    var amount: String = "42.50"
    var direction = "CRDT"
    var day = "2026-11-20"
    var reference: String?
    /// A structured creditor reference.
    var creditorReference: String?
    var text: String?
    var payer = "NL56AGDH9619008421"
    var hasDetails = true
    var status = "BOOK"
    var isReversal = false

    var xml: String {
        let remittance = [text.map { "<Ustrd>\($0)</Ustrd>" }, creditorReference.map { "<Strd><CdtrRefInf><Ref>\($0)</Ref></CdtrRefInf></Strd>" }].compactMap { $0 }.joined()
        let details = """
            <NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>Payer</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>\(payer)</IBAN></Id></DbtrAcct></RltdPties>
            \(remittance.isEmpty ? "" : "<RmtInf>\(remittance)</RmtInf>")</TxDtls></NtryDtls>
            """
        return """
            <Ntry><Amt Ccy="EUR">\(amount)</Amt><CdtDbtInd>\(direction)</CdtDbtInd>\(isReversal ? "<RvslInd>true</RvslInd>" : "")<Sts><Cd>\(status)</Cd></Sts>
            <BookgDt><Dt>\(day)</Dt></BookgDt>\(reference.map { "<AcctSvcrRef>\($0)</AcctSvcrRef>" } ?? "")\(hasDetails ? details : "")</Ntry>
            """
    }

    var cents: Int {
        let cents = Int(amount.filter { $0 != "." }) ?? 0
        return status == "BOOK" ? (direction == "CRDT" ? cents : -cents) : 0
    }
}

extension Household {
    static let iban = "GB82WEST12345698765432"

    /// A household whose city has a bank account that bills are paid into.
    static func withBank(wallet: Int64 = 0) async throws -> Household {
        let home = try await Household(wallet: wallet)
        try await BankAdministration(owner: home.city.owner).open(NewBankAccount(identification: iban, holder: "City", currency: .eur, collects: true))
        return home
    }

    /// A statement. The closing balance follows from the opening one, unless it is given.
    static func statement(
        _ told: [Told], id: String = "S1", opening: Int = 100_000, closing: Int? = nil, period: (String, String)? = nil, sequence: Int? = nil, from: String = "2026-11-20",
        to: String = "2026-11-20", account: String = iban
    ) -> String {
        let balance = { (kind: String, cents: Int, day: String) in
            """
            <Bal><Tp><CdOrPrtry><Cd>\(kind)</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">\(abs(cents) / 100).\(String(abs(cents) % 100 + 100).dropFirst())</Amt>
            <CdtDbtInd>\(cents < 0 ? "DBIT" : "CRDT")</CdtDbtInd><Dt><Dt>\(day)</Dt></Dt></Bal>
            """
        }
        let sum = told.map(\.cents).reduce(0, +)
        return """
            <Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>\(id)</MsgId></GrpHdr><Stmt><Id>\(id)</Id>
            \(sequence.map { "<ElctrncSeqNb>\($0)</ElctrncSeqNb>" } ?? "")
            \(period.map { "<FrToDt><FrDtTm>\($0.0)</FrDtTm><ToDtTm>\($0.1)</ToDtTm></FrToDt>" } ?? "")
            <Acct><Id><IBAN>\(account)</IBAN></Id></Acct>\(balance("OPBD", opening, from))\(balance("CLBD", closing ?? opening + sum, to))
            \(told.map(\.xml).joined(separator: "\n"))</Stmt></BkToCstmrStmt></Document>
            """
    }

    static func notification(_ told: [Told], id: String = "N1") -> String {
        """
        <Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>\(id)</MsgId></GrpHdr><Ntfctn><Id>\(id)</Id>
        <Acct><Id><IBAN>\(iban)</IBAN></Id></Acct>\(told.map(\.xml).joined(separator: "\n"))</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>
        """
    }

    /// Imports on the command line.
    @discardableResult
    func take(_ file: String) async throws -> BankImport {
        try await BankAdministration(owner: city.owner).importFile(Array(file.utf8))
    }

    /// What the first report of a file did.
    func counts(_ file: String) async throws -> (booked: Int, known: Int, matched: Int) {
        guard case .imported(let reports) = try await take(file), let report = reports.first else { return (-1, -1, -1) }
        return (report.booked, report.known, report.matched)
    }

    func count(_ table: String) async throws -> Int {
        Int(try await city.owner.one(OneValue("SELECT count(*) FROM \(unsafeRaw: table)", of: Int64.self)))
    }

    /// Of the bank's accounts in the ledger: the money, and what of it waits in suspense.
    func ledgerBalances() async throws -> (bank: Int64, suspense: Int64) {
        let balance = { (column: String) in
            try await city.owner.one(
                OneValue("SELECT a.posted FROM payments.bank_account AS b JOIN ledger.account AS a ON a.id = b.\(unsafeRaw: column)", of: Int64.self))
        }
        return (try await balance("ledger_account"), try await balance("suspense_account"))
    }

    func creditorReference(of bill: BillID) async throws -> String {
        try await city.owner.one(OneValue("SELECT creditor_reference FROM payments.bill WHERE id = \(bill)"))
    }

    func outstanding(of bill: BillID) async throws -> Int64 {
        try await city.owner.one(OneValue("SELECT payments.outstanding(\(bill))"))
    }

    /// What holds whatever happened: the ledger is sound, and suspense holds what waits, no more and no less.
    func expectSound(_ location: SourceLocation = #_sourceLocation) async throws {
        let findings = try await city.owner.one(OneValue("SELECT count(*) FROM ledger.findings(10)", of: Int64.self))
        #expect(findings == 0, sourceLocation: location)
        let waiting = try await city.owner.one(
            OneValue(
                """
                SELECT coalesce(sum(CASE m.direction WHEN 'credit' THEN i.amount ELSE -i.amount END), 0)::bigint
                    - (SELECT coalesce(sum(a.amount), 0)::bigint FROM payments.bank_allocation AS a)
                FROM payments.bank_item AS i JOIN payments.bank_movement AS m ON m.id = i.movement_id
                """, of: Int64.self))
        #expect(try await ledgerBalances().suspense == waiting, sourceLocation: location)
    }
}
