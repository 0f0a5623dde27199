// What is read from outside, without a database: account numbers, names, and the bank's reports.
import City
import Foundation
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

    @Test("Amounts are read without floating point, by the currency's decimals")
    func amounts() throws {
        let read = { (text: String, code: String) in Currency(code: code).flatMap { UnresolvedReport.minorUnits(text, $0) } }
        #expect(read("12.5", "EUR") == 1250 && read("12", "EUR") == 1200 && read("12.50000", "EUR") == 1250)
        #expect(read("0.001", "TND") == 1 && read("7", "JPY") == 7 && read("7.0", "JPY") == 7)
        for wrong in ["12.345", "-1", "1e3", "1,5", ".5", "", "1.2.3", "99999999999999999999", "１２"] { #expect(read(wrong, "EUR") == nil, "\(wrong)") }
        #expect(read("0.5", "JPY") == nil)
    }

    private func fault(_ xml: String) -> StatusReportFault? {
        do {
            _ = try UnresolvedReport(Array(xml.utf8)).resolved(.eur)
            return nil
        } catch {
            return error as? StatusReportFault
        }
    }

    private let sound = """
        <Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>
        <GrpHdr><MsgId>B1</MsgId></GrpHdr>
        <OrgnlGrpInfAndSts><OrgnlMsgId>PAYOUT-1</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId></OrgnlGrpInfAndSts>
        <OrgnlPmtInfAndSts><OrgnlPmtInfId>PAYOUT-1</OrgnlPmtInfId>
        <TxInfAndSts><OrgnlEndToEndId>P1</OrgnlEndToEndId><TxSts>RJCT</TxSts></TxInfAndSts>
        </OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>
        """

    @Test("A report that is cut off anywhere is refused whole")
    func truncated() {
        #expect(fault(sound) == nil)
        for length in stride(from: 0, to: sound.utf8.count, by: 7) { #expect(fault(String(sound.prefix(length))) != nil, "\(length)") }
    }

    @Test("What is not a report, or one that contradicts itself, is refused with line and reason")
    func refusals() {
        let cases: [(String, String, Int)] = [
            ("<!DOCTYPE Document [<!ENTITY a \"b\">]>" + sound, "document type", 1),
            (sound.replacing("P1<", with: "&xxe;<"), "entity", 5), (sound + sound, "well-formed", 6), (sound.replacing("</OrgnlPmtInfAndSts>", with: "</OrgnlPmtInf>"), "well-formed", 6),
            (sound.replacing("pain.002.001.10", with: "pain.002.001.03"), "no pain.002.001.10", 1),
            (sound.replacing("pain.001.001.09", with: "pain.008.001.08"), "not about a pain.001", 3),
            (sound.replacing("<OrgnlPmtInfId>PAYOUT-1", with: "<OrgnlPmtInfId>PAYOUT-2"), "not of the message", 4),
            (sound.replacing("RJCT", with: "XXXX"), "not known", 5),
            (sound.replacing("<TxSts>RJCT</TxSts>", with: ""), "no TxSts", 5),
            (sound.replacing("<TxSts>RJCT</TxSts>", with: "<TxSts>RJCT</TxSts><TxSts>ACSC</TxSts>"), "twice", 5),
            (sound.replacing("<GrpHdr><MsgId>B1</MsgId></GrpHdr>", with: ""), "missing", 6),
            (sound.replacing("</TxInfAndSts>", with: "</TxInfAndSts>\n<TxInfAndSts><OrgnlEndToEndId>P1</OrgnlEndToEndId><TxSts>ACSC</TxSts></TxInfAndSts>"), "named twice", 6),
            (sound.replacing("<MsgId>B1", with: "<MsgId>" + String(repeating: "B", count: 36)), "longer than 35", 2),
            (sound.replacing("B1", with: "<x xmlns=\"urn:other\">B1</x>"), "another kind", 2),
            (sound.replacing("B1", with: String(repeating: "<MsgId>", count: 20)), "too deep", 2),
        ]
        for (xml, words, line) in cases {
            let found = fault(xml)
            #expect(found?.reason.contains(words) == true && found?.line == line, "\(words): \(String(describing: found))")
        }
        #expect((try? UnresolvedReport([0xFF, 0xFE, 0x3C, 0x00])) == nil)
    }

    @Test("Steps on the way are no news, and a group's word counts for whom it does not name")
    func statuses() throws {
        let pending = try UnresolvedReport(Array(sound.replacing("RJCT", with: "ACSP").utf8)).resolved(.eur)
        #expect(pending.payments.isEmpty && pending.group == nil)
        let group = try UnresolvedReport(
            Array(sound.replacing("</OrgnlMsgNmId>", with: "</OrgnlMsgNmId><GrpSts>RJCT</GrpSts><StsRsnInf><Rsn><Cd>AM05</Cd></Rsn></StsRsnInf>").utf8)
        ).resolved(.eur)
        #expect(group.group == StatusReport.Outcome(state: .rejected, reason: "AM05"))
    }
}
