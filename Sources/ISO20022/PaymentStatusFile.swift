// From the bank's answer to an order to what it says: CustomerPaymentStatusReportV10 (ISO 20022 pain.002.001.10). As with statements, elements that the
// city does not need are passed over, those that money depends on are read strictly, and the first that is wrong refuses the file as a whole.

/// A report about one order (pain.001), as it is written: amounts are decimals, because only the order knows their currency.
public struct PaymentStatusFile: Sendable, Hashable {
    /// TxInfAndSts
    public struct Payment: Sendable, Hashable {
        public let line: Int
        /// OrgnlEndToEndId
        public let endToEndID: String
        /// TxSts: ExternalPaymentTransactionStatus1Code.
        public let status: String
        /// StsRsnInf/Rsn: ExternalStatusReason1Code, or the bank's own word.
        public let reason: String?
        /// OrgnlTxRef/Amt/InstdAmt and its Ccy, where the report repeats them.
        public let amount: String?
        public let currency: String?
    }

    /// A report that names each of 100,000 payments with a reason takes some 50 MB.
    public static let bytesMax = 64 * 1024 * 1024
    /// What an order holds at most (`payouts.batch_max()`).
    public static let paymentsMax = 100_000
    static let namespace = "urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"

    /// GrpHdr/MsgId
    public let messageID: String
    /// OrgnlGrpInfAndSts/OrgnlMsgId: which order.
    public let orderID: String
    /// OrgnlNbOfTxs and OrgnlCtrlSum, where the report repeats them.
    public let count: Int?
    public let controlSum: String?
    /// GrpSts, or what PmtInfSts says of the one block that an order has; and why.
    public let groupStatus: String?
    public let groupReason: String?
    public let payments: [Payment]
}

extension PaymentStatusFile {
    /// - Parameter bytes: the file, UTF-8 XML.
    /// - Throws: ``BankFileFault``: the line and reason of the first thing that is wrong.
    public init(reading bytes: [UInt8]) throws(BankFileFault) {
        var reader = try StatusReader(bytes)
        self = try reader.file()
    }
}

/// Reads one file. Each function begins after the start tag of its element and ends after the end tag.
private struct StatusReader {
    private var elements: ElementReader
    private var orderID, controlSum, groupStatus, blockStatus, reason: String?
    private var count: Int?
    private var payments: [PaymentStatusFile.Payment] = []

    /// Max35Text, and the status words are shorter.
    private static let idCharactersMax = 35

    init(_ bytes: [UInt8]) throws(BankFileFault) {
        elements = try ElementReader(bytes, bytesMax: PaymentStatusFile.bytesMax)
        guard elements.namespace == PaymentStatusFile.namespace else { throw elements.fault(.otherMessage(elements.namespace)) }
    }

    mutating func file() throws(BankFileFault) -> PaymentStatusFile {
        guard let root = try elements.child() else { throw elements.fault(.missing("CstmrPmtStsRpt")) }
        guard root.name == "CstmrPmtStsRpt" else { throw elements.fault(.otherMessage(root.name)) }
        var messageID: String?
        while let element = try elements.child() {
            switch element.name {
            case "GrpHdr": messageID = try elements.once(messageID, "GrpHdr", header())
            case "OrgnlGrpInfAndSts": try order()
            case "OrgnlPmtInfAndSts": try block()
            default: try elements.skip()
            }
        }
        guard let messageID else { throw elements.fault(.missing("GrpHdr/MsgId")) }
        guard let orderID else { throw elements.fault(.missing("OrgnlGrpInfAndSts/OrgnlMsgId")) }
        if let second = try elements.child() { throw elements.fault(.unexpected(second.name)) }
        try elements.finish()
        return PaymentStatusFile(
            messageID: messageID, orderID: orderID, count: count, controlSum: controlSum, groupStatus: blockStatus ?? groupStatus, groupReason: reason, payments: payments)
    }

    private mutating func header() throws(BankFileFault) -> String? {
        var id: String?
        while let element = try elements.child() {
            if element.name == "MsgId" { id = try elements.once(id, "MsgId", self.id("MsgId")) } else { try elements.skip() }
        }
        return id
    }

    private mutating func order() throws(BankFileFault) {
        while let element = try elements.child() {
            switch element.name {
            case "OrgnlMsgId": orderID = try elements.once(orderID, "OrgnlMsgId", id("OrgnlMsgId"))
            case "OrgnlMsgNmId":
                let message = try elements.text() ?? ""
                guard message.hasPrefix("pain.001.001.") else { throw elements.fault(.unexpected("OrgnlMsgNmId \(message.prefix(40))")) }
            case "GrpSts": groupStatus = try elements.once(groupStatus, "GrpSts", id("GrpSts"))
            default: try total(element.name)
            }
        }
    }

    private mutating func block() throws(BankFileFault) {
        while let element = try elements.child() {
            switch element.name {
            case "OrgnlPmtInfId":
                let block = try id("OrgnlPmtInfId")
                // Orders of the city have one block, of their own name.
                guard block == orderID else { throw elements.fault(.unexpected("OrgnlPmtInfId \(block)")) }
            case "PmtInfSts": blockStatus = try elements.once(blockStatus, "PmtInfSts", id("PmtInfSts"))
            case "TxInfAndSts": try payment()
            default: try total(element.name)
            }
        }
    }

    /// What group and block tell alike: totals must agree, and the first reason counts.
    private mutating func total(_ name: String) throws(BankFileFault) {
        switch name {
        case "OrgnlNbOfTxs":
            let text = try id(name)
            guard let number = Int(text), number > 0, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else {
                throw elements.fault(.unexpected("\(name) \(text)"))
            }
            guard count == nil || count == number else { throw elements.fault(.unexpected("\(name) \(text)")) }
            count = number
        case "OrgnlCtrlSum":
            let text = try id(name)
            guard controlSum == nil || controlSum == text else { throw elements.fault(.unexpected("\(name) \(text)")) }
            controlSum = text
        case "StsRsnInf":
            let found = try elements.first(of: ["Rsn/Cd", "Rsn/Prtry"])
            reason = reason ?? found.map { String($0.prefix(Self.idCharactersMax)) }
        default: try elements.skip()
        }
    }

    private mutating func payment() throws(BankFileFault) {
        let line = elements.line
        var endToEndID, status, reason, amount, currency: String?
        while let element = try elements.child() {
            switch element.name {
            case "OrgnlEndToEndId": endToEndID = try elements.once(endToEndID, "OrgnlEndToEndId", id("OrgnlEndToEndId"))
            case "TxSts": status = try elements.once(status, "TxSts", id("TxSts"))
            case "StsRsnInf":
                let found = try elements.first(of: ["Rsn/Cd", "Rsn/Prtry"])
                reason = reason ?? found.map { String($0.prefix(Self.idCharactersMax)) }
            case "OrgnlTxRef":
                guard let found = try originalAmount() else { continue }
                amount = try elements.once(amount, "InstdAmt", found.amount)
                currency = found.currency
            default: try elements.skip()
            }
        }
        guard let endToEndID else { throw BankFileFault(line: line, .missing("OrgnlEndToEndId")) }
        guard let status else { throw BankFileFault(line: line, .missing("TxSts")) }
        guard payments.count < PaymentStatusFile.paymentsMax else { throw elements.fault(.tooManyEntries(PaymentStatusFile.paymentsMax)) }
        payments.append(PaymentStatusFile.Payment(line: line, endToEndID: endToEndID, status: status, reason: reason, amount: amount, currency: currency))
    }

    /// Amt/InstdAmt
    private mutating func originalAmount() throws(BankFileFault) -> (amount: String, currency: String?)? {
        var found: (amount: String, currency: String?)?
        while let element = try elements.child() {
            guard element.name == "Amt" else {
                try elements.skip()
                continue
            }
            while let inner = try elements.child() {
                guard inner.name == "InstdAmt" else {
                    try elements.skip()
                    continue
                }
                found = try elements.once(found, "InstdAmt", (id("InstdAmt"), inner.attributes.first { $0.name == "Ccy" }?.value))
            }
        }
        return found
    }

    /// A text that must be there, of at most 35 characters.
    private mutating func id(_ name: String) throws(BankFileFault) -> String {
        guard let text = try elements.text() else { throw elements.fault(.missing(name)) }
        guard text.unicodeScalars.count <= Self.idCharactersMax else { throw elements.fault(.unexpected("\(name) \(text.prefix(40))")) }
        return text
    }
}
