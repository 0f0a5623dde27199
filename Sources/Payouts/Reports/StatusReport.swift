// What the bank says of a batch, in the city's words: from the codes and decimals of a pain.002 to states and minor units.
import ISO20022
import Primitives

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

    /// - Parameter currency: of the batch.
    /// - Throws: ``BankFileFault`` for a status that is none of ISO 20022, a payment named twice, or an amount that is none.
    init(_ file: PaymentStatusFile, in currency: Currency) throws(BankFileFault) {
        var named: [NamedPayment] = []
        var seen: Set<String> = []
        for payment in file.payments {
            guard seen.insert(payment.endToEndID).inserted else { throw BankFileFault(line: payment.line, .repeated("OrgnlEndToEndId \(payment.endToEndID)")) }
            var minorUnits: Int64?
            if let amount = payment.amount {
                guard payment.currency == currency.code, let money = Money(decimal: amount, currency: currency) else {
                    throw BankFileFault(line: payment.line, .amount("\(amount) \(payment.currency ?? "")"))
                }
                minorUnits = money.minorUnits
            }
            guard let outcome = try Self.outcome(payment.status, payment.reason, line: payment.line) else { continue }
            named.append(NamedPayment(endToEndID: payment.endToEndID, outcome: outcome, minorUnits: minorUnits))
        }
        var sum: Int64?
        if let text = file.controlSum {
            guard let money = Money(decimal: text, currency: currency) else { throw BankFileFault(line: 1, .amount(text)) }
            sum = money.minorUnits
        }
        messageID = file.messageID
        batchReference = file.orderID
        count = file.count
        controlSum = sum
        group = if let status = file.groupStatus { try Self.outcome(status, file.groupReason, line: 1) } else { nil }
        payments = named
    }

    /// ExternalPaymentTransactionStatus1Code and ExternalPaymentGroupStatus1Code; nil for those after which more is to come.
    private static func outcome(_ status: String, _ reason: String?, line: Int) throws(BankFileFault) -> Outcome? {
        switch status {
        case "ACSC", "ACCC": return Outcome(state: .settled, reason: nil)
        case "RJCT", "CANC": return Outcome(state: .rejected, reason: reason)
        case "RCVD", "PDNG", "ACTC", "PATC", "ACCP", "ACSP", "ACWC", "ACWP", "ACFC", "PART": return nil
        default: throw BankFileFault(line: line, .unexpected("TxSts \(status)"))
        }
    }
}
