// The bank's answer to an order, value by value, and what refuses it.
import Testing

@testable import ISO20022

@Suite("Status reports of banks")
struct StatusReaderTests {
    private let sound = """
        <Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>
        <GrpHdr><MsgId>B1</MsgId></GrpHdr>
        <OrgnlGrpInfAndSts><OrgnlMsgId>PAYOUT-1</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId><OrgnlNbOfTxs>2</OrgnlNbOfTxs></OrgnlGrpInfAndSts>
        <OrgnlPmtInfAndSts><OrgnlPmtInfId>PAYOUT-1</OrgnlPmtInfId><OrgnlCtrlSum>2.50</OrgnlCtrlSum>
        <TxInfAndSts><OrgnlEndToEndId>P1</OrgnlEndToEndId><TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf>
        <OrgnlTxRef><Amt><InstdAmt Ccy="EUR">1.25</InstdAmt></Amt></OrgnlTxRef></TxInfAndSts>
        </OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>
        """

    private func read(_ text: String) throws(BankFileFault) -> PaymentStatusFile { try PaymentStatusFile(reading: Array(text.utf8)) }

    @Test("What it is about, what it says of the whole, and of one payment why")
    func whole() throws {
        let file = try read(sound)
        #expect(file.messageID == "B1" && file.orderID == "PAYOUT-1" && file.count == 2 && file.controlSum == "2.50" && file.groupStatus == nil)
        #expect(file.payments == [.init(line: 5, endToEndID: "P1", status: "RJCT", reason: "AC04", amount: "1.25", currency: "EUR")])
    }

    @Test("Cut off anywhere, it is refused whole")
    func truncated() {
        for length in 0..<sound.utf8.count { #expect(throws: BankFileFault.self, "\(length)") { try read(String(sound.prefix(length))) } }
    }

    @Test("What is not a report, or one that contradicts itself, is refused with line and reason")
    func refusals() {
        let cases: [(String, Int, BankFileFault.Reason)] = [
            ("<!DOCTYPE Document [<!ENTITY a \"b\">]>" + sound, 1, .documentType),
            (sound.replacing("P1<", with: "&xxe;<"), 5, .malformed("& that begins no known character")),
            (sound + sound, 7, .malformed("a second document element")),
            (sound.replacing("</OrgnlPmtInfAndSts>", with: "</OrgnlPmtInf>"), 7, .malformed("/OrgnlPmtInf where /OrgnlPmtInfAndSts is due")),
            (sound.replacing("pain.002.001.10", with: "pain.002.001.03"), 1, .otherMessage("urn:iso:std:iso:20022:tech:xsd:pain.002.001.03")),
            (sound.replacing("pain.001.001.09", with: "pain.008.001.08"), 3, .unexpected("OrgnlMsgNmId pain.008.001.08")),
            (sound.replacing("<OrgnlPmtInfId>PAYOUT-1", with: "<OrgnlPmtInfId>PAYOUT-2"), 4, .unexpected("OrgnlPmtInfId PAYOUT-2")),
            (sound.replacing("<TxSts>RJCT</TxSts>", with: ""), 5, .missing("TxSts")),
            (sound.replacing("<TxSts>RJCT</TxSts>", with: "<TxSts>RJCT</TxSts><TxSts>ACSC</TxSts>"), 5, .repeated("TxSts")),
            (sound.replacing("<GrpHdr><MsgId>B1</MsgId></GrpHdr>", with: ""), 7, .missing("GrpHdr/MsgId")),
            (sound.replacing("<MsgId>B1", with: "<MsgId>" + String(repeating: "B", count: 36)), 2, .unexpected("MsgId " + String(repeating: "B", count: 36))),
            (sound.replacing("B1", with: "<x xmlns=\"urn:other\">B1</x>"), 2, .unexpected("x")),
            (sound.replacing("<OrgnlCtrlSum>2.50</OrgnlCtrlSum>", with: "<OrgnlNbOfTxs>3</OrgnlNbOfTxs>"), 4, .unexpected("OrgnlNbOfTxs 3")),
            (sound.replacing("<OrgnlCtrlSum>2.50</OrgnlCtrlSum>", with: "<OrgnlNbOfTxs>-3</OrgnlNbOfTxs>"), 4, .unexpected("OrgnlNbOfTxs -3")),
            (sound.replacing("<OrgnlCtrlSum>", with: String(repeating: "<Deep>", count: 40) + "<OrgnlCtrlSum>"), 4, .tooDeep(XMLScanner.depthMax)),
        ]
        for (text, line, reason) in cases { #expect(throws: BankFileFault(line: line, reason)) { try read(text) } }
    }
}
