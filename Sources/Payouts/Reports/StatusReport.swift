// What the bank says of a batch: CustomerPaymentStatusReportV10 (ISO 20022 pain.002.001.10), read strictly and in one pass. A report that is not
// understood is refused whole, with the line and the reason.
import Foundation
import Primitives

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// A report about one batch.
struct StatusReport: Sendable, Hashable {
    struct Outcome: Sendable, Hashable {
        let state: PayoutState
        /// ExternalStatusReason1Code, or the bank's own word.
        let reason: String?
    }

    struct NamedPayment: Sendable, Hashable {
        let endToEndID: String
        let outcome: Outcome
        /// As the report repeats the order's; nil where it does not.
        let minorUnits: Int64?
    }

    let messageID: String
    let batchReference: String
    let count: Int?
    let controlSum: Int64?
    /// Of every payment that is not named; nil where the report says nothing final of them.
    let group: Outcome?
    let payments: [NamedPayment]
}

/// Why a report was refused.
struct StatusReportFault: Error, Sendable, Hashable, CustomStringConvertible {
    let line: Int
    /// What is wrong, for the person who imports it.
    let reason: String

    var description: String { "line \(line): \(reason)" }
}

/// A report as it is written: sums are decimals until the batch's currency is known.
struct UnresolvedReport: Sendable, Hashable {
    struct NamedPayment: Sendable, Hashable {
        var endToEndID: String?
        var status: String?
        var reason: String?
        var amount: String?
        var currency: String?
        var line = 0
    }

    static let namespace = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"
    /// A report that names each of 100,000 payments with a reason takes some 50 MB.
    static let bytesMax = 64 * 1024 * 1024
    /// The deepest element of the message lies under ten others.
    static let depthMax = 16
    /// Max35Text, Max105Text and Max140Text are the longest texts; addresses of parties are not read.
    static let textBytesMax = 4096

    private(set) var messageID = ""
    private(set) var batchReference = ""
    private(set) var count: Int?
    private(set) var controlSum: String?
    private(set) var groupStatus: String?
    private(set) var groupReason: String?
    private(set) var payments: [NamedPayment] = []

    /// - Throws: ``StatusReportFault``
    init(_ bytes: [UInt8]) throws(StatusReportFault) {
        guard bytes.count <= Self.bytesMax else { throw StatusReportFault(line: 1, reason: "the file has more than \(Self.bytesMax / 1024 / 1024) MB") }
        guard String(validating: bytes, as: UTF8.self) != nil, !bytes.contains(0) else { throw StatusReportFault(line: 1, reason: "the file is not UTF-8") }
        // A document type could declare entities, and no message of ISO 20022 has one.
        if let place = bytes.firstRange(of: Array("<!DOCTYPE".utf8))?.lowerBound ?? bytes.firstRange(of: Array("<!ENTITY".utf8))?.lowerBound {
            throw StatusReportFault(line: 1 + bytes[..<place].count(where: { $0 == 10 }), reason: "a document type is not allowed")
        }
        if let place = Self.foreignReference(in: bytes) {
            throw StatusReportFault(line: 1 + bytes[..<place].count(where: { $0 == 10 }), reason: "an entity is not allowed")
        }
        let reader = ReportReader()
        let parser = XMLParser(data: Data(bytes))
        parser.shouldProcessNamespaces = true
        parser.shouldResolveExternalEntities = false
        parser.delegate = reader
        let isWhole = parser.parse()
        if let fault = reader.fault { throw fault }
        // The parser takes a document that ends too early for a whole one, so the end is looked for.
        guard isWhole, reader.isComplete else { throw StatusReportFault(line: max(1, parser.lineNumber), reason: "the file is not well-formed XML or ends too early") }
        guard let messageID = reader.messageID, let batchReference = reader.batchReference else {
            throw StatusReportFault(line: max(1, parser.lineNumber), reason: "GrpHdr/MsgId or OrgnlGrpInfAndSts/OrgnlMsgId is missing")
        }
        self.messageID = messageID
        self.batchReference = batchReference
        count = reader.count
        controlSum = reader.controlSum
        groupStatus = reader.groupStatus
        groupReason = reader.groupReason
        payments = reader.payments
    }

    /// The first `&` that begins neither one of XML's own five entities nor the number of a character: the parser passes over others without a word.
    private static func foreignReference(in bytes: [UInt8]) -> Int? {
        var start = bytes.startIndex
        while let place = bytes[start...].firstIndex(of: UInt8(ascii: "&")) {
            let name = bytes[(place + 1)...].prefix(10).prefix { $0 != UInt8(ascii: ";") }
            let isOwn = ["amp", "lt", "gt", "quot", "apos"].contains { name.elementsEqual($0.utf8) }
            guard isOwn || name.first == UInt8(ascii: "#") else { return place }
            start = place + 1
        }
        return nil
    }

    /// What the report says in the currency of its batch.
    /// - Throws: ``StatusReportFault`` for a status that is none of ISO 20022, a payment named twice, or an amount that is none.
    func resolved(_ currency: Currency) throws(StatusReportFault) -> StatusReport {
        var named: [StatusReport.NamedPayment] = []
        var seen: Set<String> = []
        for payment in payments {
            guard let id = payment.endToEndID, let status = payment.status else {
                throw StatusReportFault(line: payment.line, reason: "a TxInfAndSts has no OrgnlEndToEndId or no TxSts")
            }
            guard seen.insert(id).inserted else { throw StatusReportFault(line: payment.line, reason: "the payment \(id) is named twice") }
            var minorUnits: Int64?
            if let amount = payment.amount {
                guard payment.currency == currency.code, let units = Self.minorUnits(amount, currency) else {
                    throw StatusReportFault(line: payment.line, reason: "the amount of \(id) is no amount in \(currency.code)")
                }
                minorUnits = units
            }
            guard let outcome = try Self.outcome(status, payment.reason, line: payment.line) else { continue }
            named.append(StatusReport.NamedPayment(endToEndID: id, outcome: outcome, minorUnits: minorUnits))
        }
        var sum: Int64?
        if let controlSum {
            guard let units = Self.minorUnits(controlSum, currency) else { throw StatusReportFault(line: 1, reason: "OrgnlCtrlSum is no amount in \(currency.code)") }
            sum = units
        }
        var group: StatusReport.Outcome?
        if let groupStatus { group = try Self.outcome(groupStatus, groupReason, line: 1) }
        return StatusReport(messageID: messageID, batchReference: batchReference, count: count, controlSum: sum, group: group, payments: named)
    }

    /// ExternalPaymentTransactionStatus1Code and ExternalPaymentGroupStatus1Code; nil for those after which more is to come.
    private static func outcome(_ status: String, _ reason: String?, line: Int) throws(StatusReportFault) -> StatusReport.Outcome? {
        switch status {
        case "ACSC", "ACCC": return StatusReport.Outcome(state: .settled, reason: nil)
        case "RJCT", "CANC": return StatusReport.Outcome(state: .rejected, reason: reason)
        case "RCVD", "PDNG", "ACTC", "PATC", "ACCP", "ACSP", "ACWC", "ACWP", "ACFC", "PART": return nil
        default: throw StatusReportFault(line: line, reason: "the status \(status.prefix(8)) is not known")
        }
    }

    /// Digits with at most one point, without exponent or sign; nil for more decimals than the currency has, unless they are zeros.
    static func minorUnits(_ decimal: String, _ currency: Currency) -> Int64? {
        let parts = decimal.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), !parts[0].isEmpty, parts.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } }) else { return nil }
        let fraction = parts.count == 2 ? parts[1] : ""
        guard fraction.dropFirst(currency.minorUnits).allSatisfy({ $0 == "0" }) else { return nil }
        let kept = fraction.prefix(currency.minorUnits)
        return Int64(parts[0] + kept + String(repeating: "0", count: currency.minorUnits - kept.count))
    }
}

/// The pass over the document: only elements at their places count, and none counts twice.
private final class ReportReader: NSObject, XMLParserDelegate {
    private(set) var fault: StatusReportFault?
    private(set) var messageID: String?
    private(set) var batchReference: String?
    private(set) var count: Int?
    private(set) var controlSum: String?
    private(set) var groupStatus: String?
    private(set) var groupReason: String?
    private(set) var payments: [UnresolvedReport.NamedPayment] = []

    /// Whether the document came to its end.
    private(set) var isComplete = false

    private var path: [String] = []
    private var text = ""
    private var currency: String?
    private var payment = UnresolvedReport.NamedPayment()

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]
    ) {
        guard fault == nil else { return }
        if isComplete { return refuse(parser, "something follows the end of the document") }
        if namespaceURI != UnresolvedReport.namespace { return refuse(parser, "the file is no pain.002.001.10, or holds something of another kind (\(name.prefix(20)))") }
        path.append(name)
        if path.count > UnresolvedReport.depthMax { return refuse(parser, "elements lie too deep in one another") }
        if path.count == 1, name != "Document" { return refuse(parser, "the file does not begin with Document") }
        if path.count == 2, name != "CstmrPmtStsRpt" { return refuse(parser, "the document is no CstmrPmtStsRpt") }
        text = ""
        currency = attributes["Ccy"]
        if place == "OrgnlPmtInfAndSts/TxInfAndSts" {
            payment = UnresolvedReport.NamedPayment()
            payment.line = parser.lineNumber
        }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        guard fault == nil else { return }
        text += string
        if text.utf8.count > UnresolvedReport.textBytesMax { refuse(parser, "a text is too long") }
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        guard fault == nil else { return }
        guard path.last == name else { return refuse(parser, "the elements do not close one another") }
        take(parser)
        path.removeLast()
        text = ""
        isComplete = path.isEmpty
    }

    func parser(_ parser: XMLParser, parseErrorOccurred parseError: any Error) {
        if fault == nil { fault = StatusReportFault(line: max(1, parser.lineNumber), reason: "the file is not well-formed XML or ends too early") }
    }

    /// Where the parser is, below the message.
    private var place: String { path.dropFirst(2).joined(separator: "/") }

    private func take(_ parser: XMLParser) {
        let value = text.trimmingCharacters(in: .whitespacesAndNewlines)
        switch place {
        case "GrpHdr/MsgId": once(&messageID, value, parser)
        case "OrgnlGrpInfAndSts/OrgnlMsgId": once(&batchReference, value, parser)
        case "OrgnlGrpInfAndSts/OrgnlMsgNmId":
            if !value.hasPrefix("pain.001.001.") { refuse(parser, "the report is about a \(value.prefix(20)), not about a pain.001") }
        case "OrgnlPmtInfAndSts/OrgnlPmtInfId":
            if value != batchReference { refuse(parser, "the payment information \(value.prefix(35)) is not of the message that the report is about") }
        case "OrgnlGrpInfAndSts/OrgnlNbOfTxs", "OrgnlPmtInfAndSts/OrgnlNbOfTxs":
            guard let number = Int(value), number > 0, value.count <= 15 else { return refuse(parser, "OrgnlNbOfTxs is no number") }
            if let count, count != number { return refuse(parser, "OrgnlNbOfTxs differs within the report") }
            count = number
        case "OrgnlGrpInfAndSts/OrgnlCtrlSum", "OrgnlPmtInfAndSts/OrgnlCtrlSum":
            if let controlSum, controlSum != value { return refuse(parser, "OrgnlCtrlSum differs within the report") }
            controlSum = value
        case "OrgnlGrpInfAndSts/GrpSts": once(&groupStatus, value, parser)
        // Of the one block that a batch has; it says the same as the group, or more.
        case "OrgnlPmtInfAndSts/PmtInfSts": groupStatus = value
        case "OrgnlGrpInfAndSts/StsRsnInf/Rsn/Cd", "OrgnlGrpInfAndSts/StsRsnInf/Rsn/Prtry", "OrgnlPmtInfAndSts/StsRsnInf/Rsn/Cd",
            "OrgnlPmtInfAndSts/StsRsnInf/Rsn/Prtry":
            groupReason = groupReason ?? String(value.prefix(35))
        case "OrgnlPmtInfAndSts/TxInfAndSts/OrgnlEndToEndId": once(&payment.endToEndID, value, parser)
        case "OrgnlPmtInfAndSts/TxInfAndSts/TxSts": once(&payment.status, value, parser)
        case "OrgnlPmtInfAndSts/TxInfAndSts/StsRsnInf/Rsn/Cd", "OrgnlPmtInfAndSts/TxInfAndSts/StsRsnInf/Rsn/Prtry":
            payment.reason = payment.reason ?? String(value.prefix(35))
        case "OrgnlPmtInfAndSts/TxInfAndSts/OrgnlTxRef/Amt/InstdAmt":
            once(&payment.amount, value, parser)
            payment.currency = currency
        case "OrgnlPmtInfAndSts/TxInfAndSts":
            if payments.count == PaymentsPerBatch.max { return refuse(parser, "the report names more payments than a batch holds") }
            payments.append(payment)
        default: break
        }
    }

    private func once(_ field: inout String?, _ value: String, _ parser: XMLParser) {
        if field != nil { return refuse(parser, "\(path.last ?? "") stands twice") }
        guard (1...35).contains(value.unicodeScalars.count) else { return refuse(parser, "\(path.last ?? "") is empty or longer than 35 characters") }
        field = value
    }

    private func refuse(_ parser: XMLParser, _ reason: String) {
        fault = StatusReportFault(line: max(1, parser.lineNumber), reason: reason)
        parser.abortParsing()
    }
}

/// `payouts.batch_max()`.
enum PaymentsPerBatch {
    static let max = 100_000
}
