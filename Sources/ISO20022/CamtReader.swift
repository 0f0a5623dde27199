// From a bank's file to what it says: camt.053 (BankToCustomerStatement) and camt.054 (BankToCustomerDebitCreditNotification), ISO 20022
// message definitions of the versions 001.02, 001.04 and 001.08. Elements that the city does not need are passed over, so that a bank may
// say more; those that money depends on are read strictly, and the first that is wrong refuses the file as a whole.
public import Primitives

extension BankFile {
    /// More in one file than a city of a million pays in a day.
    public static let entriesMax = 20_000
    /// The files of more bytes are not read.
    public static let bytesMax = XMLScanner.documentBytesMax

    /// - Parameter bytes: the file, UTF-8 XML.
    /// - Throws: ``BankFileFault``: the line and reason of the first thing that is wrong.
    public init(reading bytes: [UInt8]) throws(BankFileFault) {
        var reader = try CamtReader(bytes)
        self = try reader.file()
    }
}

/// Reads one file. Each function begins after the start tag of its element and ends after the end tag.
private struct CamtReader {
    private var elements: ElementReader
    private let kind: BankFile.Kind
    private let message: String
    private var entryCount = 0

    private static let versions: Set<String> = ["001.02", "001.04", "001.08"]

    init(_ bytes: [UInt8]) throws(BankFileFault) {
        elements = try ElementReader(bytes)
        let scheme = "urn:iso:std:iso:20022:tech:xsd:"
        guard elements.namespace.hasPrefix(scheme) else { throw elements.fault(.otherMessage(elements.namespace)) }
        message = String(elements.namespace.dropFirst(scheme.count))
        switch message.prefix(9) {
        case "camt.053.": kind = .statement
        case "camt.054.": kind = .notification
        default: throw elements.fault(.otherMessage(message))
        }
        guard Self.versions.contains(String(message.dropFirst(9))) else { throw elements.fault(.otherVersion(message)) }
    }

    mutating func file() throws(BankFileFault) -> BankFile {
        let (root, reportName) = kind == .statement ? ("BkToCstmrStmt", "Stmt") : ("BkToCstmrDbtCdtNtfctn", "Ntfctn")
        guard let first = try elements.child() else { throw elements.fault(.missing(root)) }
        guard first.name == root else { throw elements.fault(.otherMessage(first.name)) }
        var messageID: String?
        var reports: [BankReport] = []
        while let element = try elements.child() {
            switch element.name {
            case "GrpHdr": messageID = try elements.once(messageID, "GrpHdr", messageHeader())
            case reportName: reports.append(try report())
            default: try elements.skip()
            }
        }
        guard let messageID else { throw elements.fault(.missing("GrpHdr/MsgId")) }
        guard !reports.isEmpty else { throw elements.fault(.missing(reportName)) }
        if let second = try elements.child() { throw elements.fault(.unexpected(second.name)) }
        try elements.finish()
        return BankFile(kind: kind, message: message, messageID: messageID, reports: reports)
    }

    private mutating func messageHeader() throws(BankFileFault) -> String? {
        var id: String?
        while let element = try elements.child() {
            if element.name == "MsgId" { id = try elements.once(id, "MsgId", elements.text()) } else { try elements.skip() }
        }
        return id
    }

    // MARK: Reports

    private mutating func report() throws(BankFileFault) -> BankReport {
        let line = elements.line
        var id, account: String?
        var sequenceNumber: Int64?
        var period: BankPeriod?
        var balances: [(kind: String, balance: BankBalance)] = []
        var entries: [BankEntry] = []
        while let element = try elements.child() {
            switch element.name {
            case "Id": id = try elements.once(id, "Id", elements.text())
            case "ElctrncSeqNb": sequenceNumber = try elements.text().flatMap { Int64($0) }
            case "FrToDt": period = try self.period()
            case "Acct": account = try elements.once(account, "Acct", self.account())
            case "Bal": if let balance = try balance() { balances.append(balance) }
            case "Ntry":
                entryCount += 1
                guard entryCount <= BankFile.entriesMax else { throw elements.fault(.tooManyEntries(BankFile.entriesMax)) }
                entries.append(try entry())
            default: try elements.skip()
            }
        }
        guard let id else { throw elements.fault(.missing("Id")) }
        guard let account else { throw elements.fault(.missing("Acct/Id")) }
        let (booked, carried) = (try only("OPBD", of: balances), try only("PRCD", of: balances))
        return BankReport(
            line: line, id: id, account: account, sequenceNumber: sequenceNumber, period: period, opening: booked ?? carried,
            closing: try only("CLBD", of: balances), entries: entries)
    }

    private mutating func only(_ kind: String, of balances: [(kind: String, balance: BankBalance)]) throws(BankFileFault) -> BankBalance? {
        let found = balances.filter { $0.kind == kind }
        guard found.count < 2 else { throw elements.fault(.repeated("Bal \(kind)")) }
        return found.first?.balance
    }

    private mutating func period() throws(BankFileFault) -> BankPeriod? {
        var from, to: String?
        while let element = try elements.child() {
            switch element.name {
            case "FrDtTm": from = try moment()
            case "ToDtTm": to = try moment()
            default: try elements.skip()
            }
        }
        guard let from, let to else { return nil }
        return BankPeriod(from: from, to: to)
    }

    /// Acct or the like: Id/IBAN, or Id/Othr/Id.
    private mutating func account() throws(BankFileFault) -> String? {
        try elements.first(of: ["Id/IBAN", "Id/Othr/Id"]).map { String($0.filter { $0 != " " }) }
    }

    /// Nil for kinds of balance that play no part: available, forward and interim ones.
    private mutating func balance() throws(BankFileFault) -> (kind: String, balance: BankBalance)? {
        var kind, day: String?
        var amount: Money?
        var direction: BankDirection?
        while let element = try elements.child() {
            switch element.name {
            case "Tp": kind = try elements.first(of: ["CdOrPrtry/Cd", "CdOrPrtry/Prtry"])
            case "Amt": amount = try elements.once(amount, "Bal/Amt", self.amount(element.attributes))
            case "CdtDbtInd": direction = try elements.once(direction, "Bal/CdtDbtInd", self.direction())
            case "Dt": day = try dateOrMoment()
            default: try elements.skip()
            }
        }
        guard let kind else { throw elements.fault(.missing("Bal/Tp")) }
        guard let amount else { throw elements.fault(.missing("Bal/Amt")) }
        guard let direction else { throw elements.fault(.missing("Bal/CdtDbtInd")) }
        guard let day else { throw elements.fault(.missing("Bal/Dt")) }
        let signed = direction == .credit ? amount.minorUnits : -amount.minorUnits
        return (kind, BankBalance(amount: Money(minorUnits: signed, currency: amount.currency), on: day))
    }

    // MARK: Entries

    private mutating func entry() throws(BankFileFault) -> BankEntry {
        let line = elements.line
        var amount: Money?
        var direction: BankDirection?
        var isReversal = false
        var status, bookedOn, valueOn, bankReference, batchReference: String?
        var transactions: [BankTransaction] = []
        while let element = try elements.child() {
            switch element.name {
            case "Amt": amount = try elements.once(amount, "Ntry/Amt", self.amount(element.attributes))
            case "CdtDbtInd": direction = try elements.once(direction, "Ntry/CdtDbtInd", self.direction())
            case "RvslInd": isReversal = try flag("RvslInd")
            case "Sts": status = try elements.once(status, "Ntry/Sts", self.status())
            case "BookgDt": bookedOn = try dateOrMoment()
            case "ValDt": valueOn = try dateOrMoment()
            case "AcctSvcrRef": bankReference = try known(elements.text())
            case "NtryDtls": transactions += try details(&batchReference)
            default: try elements.skip()
            }
        }
        guard let amount else { throw elements.fault(.missing("Ntry/Amt")) }
        guard let direction else { throw elements.fault(.missing("Ntry/CdtDbtInd")) }
        guard let status else { throw elements.fault(.missing("Ntry/Sts")) }
        if bankReference == nil, transactions.count == 1 { bankReference = transactions[0].bankReference }
        return BankEntry(
            line: line, amount: amount, direction: direction, isReversal: isReversal, status: status, bookedOn: bookedOn, valueOn: valueOn,
            bankReference: bankReference, batchReference: batchReference, transactions: transactions)
    }

    /// A code until version 04, Cd or Prtry in an element of their own since.
    private mutating func status() throws(BankFileFault) -> String? {
        try elements.textOrChild(["Cd", "Prtry"])
    }

    private mutating func details(_ batchReference: inout String?) throws(BankFileFault) -> [BankTransaction] {
        var transactions: [BankTransaction] = []
        while let element = try elements.child() {
            switch element.name {
            case "TxDtls": transactions.append(try transaction())
            case "Btch": batchReference = try known(elements.first(of: ["PmtInfId"])) ?? batchReference
            default: try elements.skip()
            }
        }
        return transactions
    }

    private mutating func transaction() throws(BankFileFault) -> BankTransaction {
        var transaction = BankTransaction()
        var instructed: Money?
        while let element = try elements.child() {
            switch element.name {
            case "Refs": try references(into: &transaction)
            case "Amt": transaction.amount = try elements.once(transaction.amount, "TxDtls/Amt", amount(element.attributes))
            case "CdtDbtInd": transaction.direction = try direction()
            case "AmtDtls": instructed = try transactionAmount()
            case "RltdPties": try parties(into: &transaction)
            case "RmtInf": try remittance(into: &transaction)
            case "RtrInf":
                transaction.isReturn = true
                transaction.returnReason = try elements.first(of: ["Rsn/Cd", "Rsn/Prtry"])
            default: try elements.skip()
            }
        }
        // Until version 02 the amount of one of several stands here.
        transaction.amount = transaction.amount ?? instructed
        return transaction
    }

    private mutating func references(into transaction: inout BankTransaction) throws(BankFileFault) {
        var universal, transactionID, instruction: String?
        while let element = try elements.child() {
            switch element.name {
            case "AcctSvcrRef": transaction.bankReference = try known(elements.text())
            case "EndToEndId": transaction.endToEndID = try known(elements.text())
            case "PmtInfId": transaction.batchReference = try known(elements.text())
            case "UETR": universal = try known(elements.text())
            case "TxId": transactionID = try known(elements.text())
            case "InstrId": instruction = try known(elements.text())
            default: try elements.skip()
            }
        }
        transaction.transactionID = universal ?? transactionID ?? instruction
    }

    /// AmtDtls/TxAmt/Amt
    private mutating func transactionAmount() throws(BankFileFault) -> Money? {
        var amount: Money?
        while let element = try elements.child() {
            guard element.name == "TxAmt" else {
                try elements.skip()
                continue
            }
            while let inner = try elements.child() {
                if inner.name == "Amt" { amount = try self.amount(inner.attributes) } else { try elements.skip() }
            }
        }
        return amount
    }

    private mutating func parties(into transaction: inout BankTransaction) throws(BankFileFault) {
        while let element = try elements.child() {
            switch element.name {
            case "Dbtr": transaction.debtor.name = try elements.first(of: ["Nm", "Pty/Nm"])
            case "Cdtr": transaction.creditor.name = try elements.first(of: ["Nm", "Pty/Nm"])
            case "DbtrAcct": transaction.debtor.account = try account()
            case "CdtrAcct": transaction.creditor.account = try account()
            default: try elements.skip()
            }
        }
    }

    private mutating func remittance(into transaction: inout BankTransaction) throws(BankFileFault) {
        while let element = try elements.child() {
            switch element.name {
            case "Ustrd": if let text = try elements.text() { transaction.texts.append(text) }
            case "Strd": if let reference = try elements.first(of: ["CdtrRefInf/Ref"]) { transaction.creditorReferences.append(reference) }
            default: try elements.skip()
            }
        }
    }

    // MARK: Values

    /// xsd:decimal of at most 18 digits with an attribute Ccy. Trailing zeros beyond the currency's decimals change nothing; other digits do.
    private mutating func amount(_ attributes: [XMLAttribute]) throws(BankFileFault) -> Money {
        guard let code = attributes.first(where: { $0.name == "Ccy" })?.value else { throw elements.fault(.missing("Ccy")) }
        guard let currency = Currency(code: code) else { throw elements.fault(.currency(code)) }
        guard let text = try elements.text() else { throw elements.fault(.amount("")) }
        guard let amount = Money(decimal: text, currency: currency) else { throw elements.fault(.amount(String(text.prefix(40)))) }
        return amount
    }

    private mutating func direction() throws(BankFileFault) -> BankDirection {
        let text = try elements.text() ?? ""
        switch text {
        case "CRDT": return .credit
        case "DBIT": return .debit
        default: throw elements.fault(.direction(String(text.prefix(40))))
        }
    }

    private mutating func flag(_ name: String) throws(BankFileFault) -> Bool {
        switch try elements.text() {
        case "true", "1": return true
        case "false", "0": return false
        case let other: throw elements.fault(.unexpected("\(name) \(other ?? "")"))
        }
    }

    /// Dt (a day) or DtTm, of which the day in the bank's own time counts.
    private mutating func dateOrMoment() throws(BankFileFault) -> String? {
        guard let text = try elements.textOrChild(["Dt", "DtTm"]) else { return nil }
        let day = String(text.prefix(10))
        guard ISODate.isDay(day), text.count == 10 || ISODate.moment(text) != nil else { throw elements.fault(.date(String(text.prefix(40)))) }
        return day
    }

    private mutating func moment() throws(BankFileFault) -> String {
        let text = try elements.text() ?? ""
        guard let moment = ISODate.moment(text) else { throw elements.fault(.date(String(text.prefix(40)))) }
        return moment
    }

    /// Nil for the words by which banks say that there is no reference.
    private func known(_ reference: String?) -> String? {
        guard let reference, !["NOTPROVIDED", "NONREF", "NOREF"].contains(reference.uppercased()) else { return nil }
        return reference
    }
}

/// Days and moments as XML Schema writes them (xsd:date, xsd:dateTime), without a calendar library: only whether they exist.
enum ISODate {
    static func isDay(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [4, 2, 2], let year = number(parts[0]), let month = number(parts[1]), let day = number(parts[2]), year >= 1900,
            (1...12).contains(month)
        else { return false }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let days = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        return (1...days[month - 1]).contains(day)
    }

    /// `2026-11-20T08:00:00`, with or without parts of a second and an offset, as RFC 3339 text; without an offset it counts as UTC.
    static func moment(_ text: String) -> String? {
        guard text.utf8.count <= 40, let match = text.wholeMatch(of: /(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?/.asciiOnlyDigits()),
            isDay(String(match.1)), let hour = number(match.2), let minute = number(match.3), let second = number(match.4), hour < 24, minute < 60,
            second < 60
        else { return nil }
        let offset = match.6.map(String.init) ?? "Z"
        if offset != "Z" {
            let parts = offset.dropFirst().split(separator: ":")
            guard let hours = number(parts[0]), let minutes = number(parts[1]), hours <= 14, minutes < 60 else { return nil }
        }
        return match.6 == nil ? text + "Z" : text
    }

    private static func number(_ text: Substring) -> Int? {
        text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") } ? Int(text) : nil
    }
}
