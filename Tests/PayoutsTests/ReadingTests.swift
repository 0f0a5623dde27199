// What is read from outside, without a database: account numbers, names, and the bank's reports.
import City
import Foundation
import ISO20022
import Primitives
import Testing

@testable import Payouts

@Suite("Account numbers, names and reports")
struct ReadingTests {
    @Test("An IBAN is accepted as people write it, and no other text is", arguments: [
        ("DE89 3704 0044 0532 0130 00", true), ("gb82west12345698765432", true), ("FR1420041010050500013M02606", true), ("NO9386011117947", true),
        ("DE89370400440532013001", false), ("DE8937040044053201300", false), ("DE98370400440532013000", false), ("XX89370400440532013000", false),
        ("", false), ("DE", false), ("DE89370400440532013000' OR 1", false), ("DE٨٩370400440532013000", false), (String(repeating: "A", count: 5000), false),
    ])
    func iban(typed: String, isOne: Bool) {
        #expect((IBAN(typed) != nil) == isOne, "\(typed.prefix(40))")
    }

    @Test("Every single wrong digit and every two that changed places are found")
    func checkDigits() throws {
        let digits = Array("DE89370400440532013000")
        for position in 4..<digits.count {
            for other in "0123456789" where other != digits[position] {
                var wrong = digits
                wrong[position] = other
                #expect(IBAN(String(wrong)) == nil)
            }
            guard position + 1 < digits.count, digits[position] != digits[position + 1] else { continue }
            var swapped = digits
            swapped.swapAt(position, position + 1)
            #expect(IBAN(String(swapped)) == nil)
        }
    }

    @Test("Names are written as banks take them, and other scripts are not guessed", arguments: [
        ("  Zoë   Núñez ", "Zoe Nunez"), ("Ærøskøbing & Søn", "AEroskobing + Son"), ("Łukasz Żółć", "Lukasz Zolc"), ("Straße 5", "Strasse 5"), ("D’Arcy–Ng", "D'Arcy-Ng"),
        ("ليلى", nil), ("Ελένη", nil), ("Анна", nil), ("<Ada>", nil), ("", nil), ("---", nil), ("名前", nil), ("Ada\u{0}", nil),
    ] as [(String, String?)])
    func names(typed: String, written: String?) {
        #expect(SEPAText(typed, charactersMax: 70)?.text == written)
    }

    @Test("A text that is longer than its field when it is written out is refused")
    func tooLong() {
        #expect(SEPAText(String(repeating: "ß", count: 35), charactersMax: 70) != nil)
        #expect(SEPAText(String(repeating: "ß", count: 36), charactersMax: 70) == nil)
    }

    private func fault(_ xml: String) -> BankFileFault? {
        do {
            _ = try StatusReport(PaymentStatusFile(reading: Array(xml.utf8)), in: .eur)
            return nil
        } catch {
            return error as? BankFileFault
        }
    }

    @Test("What is no outcome, named twice, or of another currency refuses a report, with its line")
    func refusals() {
        let named = { (payments: String) in
            """
            <Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt><GrpHdr><MsgId>B1</MsgId></GrpHdr>
            <OrgnlGrpInfAndSts><OrgnlMsgId>PAYOUT-1</OrgnlMsgId></OrgnlGrpInfAndSts><OrgnlPmtInfAndSts>\(payments)</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>
            """
        }
        let one = { (status: String, amount: String) in
            "\n<TxInfAndSts><OrgnlEndToEndId>P1</OrgnlEndToEndId><TxSts>\(status)</TxSts><OrgnlTxRef><Amt>\(amount)</Amt></OrgnlTxRef></TxInfAndSts>"
        }
        let euros = "<InstdAmt Ccy=\"EUR\">1.00</InstdAmt>"
        #expect(fault(named(one("RJCT", euros))) == nil)
        #expect(fault(named(one("XXXX", euros))) == BankFileFault(line: 3, .unexpected("TxSts XXXX")))
        #expect(fault(named(one("RJCT", euros) + one("ACSC", euros))) == BankFileFault(line: 4, .repeated("OrgnlEndToEndId P1")))
        #expect(fault(named(one("RJCT", "<InstdAmt Ccy=\"USD\">1.00</InstdAmt>"))) == BankFileFault(line: 3, .amount("1.00 USD")))
        #expect(fault(named(one("RJCT", "<InstdAmt Ccy=\"EUR\">1.001</InstdAmt>"))) == BankFileFault(line: 3, .amount("1.001 EUR")))
    }

    @Test("Steps on the way are no news, and a group's word counts for whom it does not name")
    func statuses() throws {
        let report = { (status: String, group: String) in
            try StatusReport(
                PaymentStatusFile(
                    reading: Array(
                        """
                        <Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt><GrpHdr><MsgId>B1</MsgId></GrpHdr>
                        <OrgnlGrpInfAndSts><OrgnlMsgId>PAYOUT-1</OrgnlMsgId>\(group)</OrgnlGrpInfAndSts>
                        <OrgnlPmtInfAndSts><TxInfAndSts><OrgnlEndToEndId>P1</OrgnlEndToEndId><TxSts>\(status)</TxSts></TxInfAndSts></OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>
                        """.utf8)), in: .eur)
        }
        let pending = try report("ACSP", "")
        #expect(pending.payments.isEmpty && pending.group == nil)
        let group = try report("RJCT", "<GrpSts>RJCT</GrpSts><StsRsnInf><Rsn><Cd>AM05</Cd></Rsn></StsRsnInf>")
        #expect(group.group == StatusReport.Outcome(state: .rejected, reason: "AM05"))
    }
}
