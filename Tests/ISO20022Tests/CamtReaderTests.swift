// What is read of the samples and of small files, value by value, and what refuses a file.
import Primitives
import Testing

@testable import ISO20022

@Suite("Statements and notifications of banks")
struct CamtReaderTests {
    private let euros = { (minorUnits: Int64) in Money(minorUnits: minorUnits, currency: .eur) }

    @Test("A statement of version 02: account, period, balances of which the kinds count, one credit with who paid and why")
    func statement02() throws {
        let file = try BankFile(reading: Sample.bytes("camt053.v2.minimal"))
        #expect(file.kind == .statement && file.message == "camt.053.001.02" && file.messageID == "CAMT053RIB000000000001")
        let report = try #require(file.reports.first)
        #expect(file.reports.count == 1 && report.id == "253EURNL26VAYB8060476890" && report.account == "NL26VAYB8060476890" && report.sequenceNumber == 12312)
        #expect(report.period == BankPeriod(from: "2007-10-18T08:00:00+01:00", to: "2007-10-18T12:30:00+01:00"))
        #expect(report.opening == BankBalance(amount: euros(1815), on: "2014-12-30"))
        #expect(report.closing?.amount == Money(minorUnits: -2700, currency: try #require(Currency(code: "SEK"))))
        let entry = try #require(report.entries.first)
        #expect(report.entries.count == 1 && entry.amount == euros(885) && entry.direction == .credit && !entry.isReversal && entry.status == "BOOK")
        #expect(entry.bookedOn == "2014-12-31" && entry.valueOn == "2015-01-02" && entry.bankReference == nil)
        let transaction = try #require(entry.transactions.first)
        #expect(transaction.creditorReferences == ["4654654654654654"] && transaction.endToEndID == nil && transaction.amount == nil)
        #expect(transaction.debtor == BankParty(name: "NAME NAME", account: "NL56AGDH9619008421"))
        #expect(transaction.creditor.name == "Company Name")
    }

    @Test("Without balances that count, and without a payer")
    func statementWithoutOpening() throws {
        let report = try #require(try BankFile(reading: Sample.bytes("camt053.v2.with-account-name")).reports.first)
        #expect(report.opening == nil && report.closing == nil && report.period == nil && report.account == "CH2801234000123456789")
        #expect(report.entries.first?.transactions.first?.debtor == BankParty())
    }

    @Test("Versions 04 and 08: an account that is no IBAN, a status in an element of its own, a moment of booking, parties one level deeper")
    func laterVersions() throws {
        let four = try #require(try BankFile(reading: Sample.bytes("camt053.v4")).reports.first)
        #expect(four.account == "NL26VAYB8060476890" && four.entries.first?.bankReference == "AAAASESS-FP-CN_98765/01")
        #expect(four.entries.first?.transactions.first?.amount == Money(minorUnits: 0, currency: try #require(Currency(code: "SEK"))))
        let eight = try #require(try BankFile(reading: Sample.bytes("camt053.v8")).reports.first?.entries.first)
        #expect(eight.status == "BOOK" && eight.bookedOn == "2014-12-31" && eight.transactions.first?.debtor.name == "NAME NAME")
        #expect(eight.transactions.first?.endToEndID == "MUELL/FINP/RA12345")
    }

    @Test("A notification: one entry, three payments behind it, with their own amounts, references and texts")
    func notification() throws {
        let file = try BankFile(reading: Sample.bytes("camt054.v4"))
        #expect(file.kind == .notification)
        let entry = try #require(file.reports.first?.entries.first)
        #expect(entry.direction == .debit && entry.amount.minorUnits == 20_000_000 && entry.bankReference == "ACSR160617103200001")
        #expect(entry.transactions.map { $0.amount?.minorUnits } == [310, 320, 320])
        #expect(entry.transactions.map(\.direction) == [.credit, .credit, .credit])
        #expect(entry.transactions.map(\.endToEndID) == ["UXC06170000006PI00001EE00001", "UXC06170000006PI00001EE00002", "UXC06170000006PI00001EE00002"])
        #expect(entry.transactions[2].texts.count == 2 && entry.transactions[2].creditorReferences == ["Ref number V3 block 1", "Ref number V3 block 2"])
        #expect(entry.transactions[0].creditor.account == "CH4112345003131313131")
    }

    @Test("Every version says the same", arguments: ["053.001.02", "053.001.04", "053.001.08"])
    func versions(version: String) throws {
        let report = try #require(try read(Sample.statement(version: version, entries: Sample.entry(status: version.hasSuffix("08") ? "<Cd>BOOK</Cd>" : "BOOK"))).reports.first)
        #expect(report.account == "GB82WEST12345698765432" && report.entries.first?.amount == euros(885) && report.entries.first?.status == "BOOK")
    }

    @Test("A prefix stands for the namespace", arguments: ["ns2:"])
    func prefix(prefix: String) throws {
        var text = Sample.statement().replacing("xmlns=", with: "xmlns:ns2=")
        text = text.replacing(/<(\/?)([A-Z])/) { "<\($0.1)\(prefix)\($0.2)" }
        #expect(try read(text).reports.first?.entries.count == 1)
        // One element of another namespace, or of none, is none of the message's.
        #expect(fault(text.replacing("<ns2:Sts>", with: "<Sts>").replacing("</ns2:Sts>", with: "</Sts>"))?.reason == .unexpected("Sts"))
    }

    @Test("Amounts are exact in currencies of 0, 2 and 3 decimals; trailing zeros change nothing, other digits do", arguments: [
        ("EUR", "8.85", 885), ("EUR", "8", 800), ("EUR", "8.5", 850), ("EUR", "0.01", 1), ("EUR", "8.85000", 885), ("EUR", ".5", 50), ("EUR", "5.", 500),
        ("JPY", "2700", 2700), ("JPY", "2700.00", 2700), ("TND", "1.005", 1005), ("TND", "1.5", 1500), ("EUR", "90071992547409.91", 9_007_199_254_740_991),
        ("EUR", "0", 0),
    ])
    func amounts(currency: String, text: String, minorUnits: Int64) throws {
        let entry = try read(Sample.statement(entries: Sample.entry(amount: #"<Amt Ccy="\#(currency)">\#(text)</Amt>"#))).reports.first?.entries.first
        #expect(entry?.amount.minorUnits == minorUnits && entry?.amount.currency.code == currency)
    }

    @Test("What is no amount refuses the file, with its line", arguments: [
        ("EUR", "8.855"), ("EUR", "-8.85"), ("EUR", "+8.85"), ("EUR", "8,85"), ("EUR", "1e2"), ("EUR", ""), ("EUR", "."), ("EUR", "8.8 5"), ("EUR", "1.2.3"),
        ("EUR", "1234567890123456789"), ("JPY", "2700.5"), ("TND", "1.0005"), ("EUR", "٨٫٨٥"), ("EUR", "NaN"),
    ])
    func noAmounts(currency: String, text: String) {
        let fault = fault(Sample.statement(entries: Sample.entry(amount: #"<Amt Ccy="\#(currency)">\#(text)</Amt>"#)))
        #expect(fault == BankFileFault(line: 6, .amount(text)))
    }

    @Test("What is missing, twice, or wrong refuses the file", arguments: [
        (Sample.entry(amount: ""), BankFileFault.Reason.missing("Ntry/Amt")), (Sample.entry(amount: "<Amt>8.85</Amt>"), .missing("Ccy")),
        (Sample.entry(amount: #"<Amt Ccy="XXX">8.85</Amt>"#), .currency("XXX")), (Sample.entry(amount: #"<Amt Ccy="EUR">1</Amt><Amt Ccy="EUR">2</Amt>"#), .repeated("Ntry/Amt")),
        (Sample.entry(direction: "CREDIT"), .direction("CREDIT")), (Sample.entry(status: ""), .missing("Ntry/Sts")),
        (Sample.entry(more: "<ValDt><Dt>2026-02-30</Dt></ValDt>"), .date("2026-02-30")), (Sample.entry(more: "<ValDt><DtTm>2026-02-03T25:00:00</DtTm></ValDt>"), .date("2026-02-03T25:00:00")),
        (Sample.entry(more: "<RvslInd>maybe</RvslInd>"), .unexpected("RvslInd maybe")), (Sample.entry(more: "text"), .unexpected("\"text\"")),
        (Sample.entry(more: "<AcctSvcrRef><A/></AcctSvcrRef>"), .unexpected("A")),
    ])
    func refusals(entry: String, reason: BankFileFault.Reason) {
        #expect(fault(Sample.statement(entries: entry)) == BankFileFault(line: 6, reason))
    }

    @Test("Two opening balances refuse the file; one that was carried over serves where there is no other")
    func balances() throws {
        #expect(fault(Sample.statement(balances: Sample.balance("OPBD", "1") + Sample.balance("OPBD", "2")))?.reason == .repeated("Bal OPBD"))
        let carried = try read(Sample.statement(balances: Sample.balance("PRCD", "1.00", "DBIT") + Sample.balance("CLBD", "7.85"))).reports.first
        #expect(carried?.opening?.amount == euros(-100))
    }

    @Test("Another message, another version and another language of XML are told apart")
    func otherMessages() {
        #expect(fault(Sample.statement(version: "052.001.08"))?.reason == .otherMessage("camt.052.001.08"))
        #expect(fault(Sample.statement(version: "053.001.99"))?.reason == .otherVersion("camt.053.001.99"))
        #expect(fault("<html/>")?.reason == .otherMessage("html"))
        #expect(fault("<Document/>")?.reason == .otherMessage("Document without a namespace"))
        #expect(fault(#"<Document xmlns="urn:other"/>"#)?.reason == .otherMessage("urn:other"))
        #expect(fault(Sample.statement().replacing("BkToCstmrStmt", with: "BkToCstmrDbtCdtNtfctn"))?.reason == .otherMessage("BkToCstmrDbtCdtNtfctn"))
    }

    @Test("A bank's words for no reference are no reference", arguments: ["NOTPROVIDED", "NotProvided", "NONREF"])
    func noReference(word: String) throws {
        let details = "<AcctSvcrRef>\(word)</AcctSvcrRef><NtryDtls><TxDtls><Refs><EndToEndId>\(word)</EndToEndId></Refs></TxDtls></NtryDtls>"
        let entry = try read(Sample.statement(entries: Sample.entry(more: details))).reports.first?.entries.first
        #expect(entry?.bankReference == nil && entry?.transactions.first?.endToEndID == nil)
    }

    @Test("Cut anywhere, a file is refused whole", arguments: ["camt053.v2.minimal", "camt054.v4"])
    func truncated(name: String) throws {
        let whole = try Sample.bytes(name)
        var end = whole.count
        while let last = whole[..<end].last, last == UInt8(ascii: "\n") || last == UInt8(ascii: " ") { end -= 1 }
        for length in stride(from: 0, to: end, by: 17) {
            #expect(throws: BankFileFault.self, "\(length) bytes") { try BankFile(reading: Array(whole[..<length])) }
        }
        #expect(throws: BankFileFault.self) { try BankFile(reading: Array(whole[..<(end - 1)])) }
    }

    @Test("Any byte changed at random: refused or read, never more entries than stand there, and never a crash")
    func changedBytes() throws {
        let whole = try Sample.bytes("camt053.v8")
        var generator = SplitMix(state: 7)
        for _ in 0..<300 {
            var bytes = whole
            bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: .min ... .max, using: &generator)
            if let file = try? BankFile(reading: bytes) { #expect(file.reports.flatMap(\.entries).count <= 1) }
        }
    }
}

/// The same numbers in each run.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
