// What a bank says about an account: a statement (camt.053), whose balances prove it whole, or a notification (camt.054), which comes
// sooner and proves nothing. Only what the city needs of the many fields; names beside the fields are those of ISO 20022.
public import Primitives

/// A file of the bank.
public struct BankFile: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        /// BankToCustomerStatement, camt.053.
        case statement
        /// BankToCustomerDebitCreditNotification, camt.054.
        case notification
    }

    public let kind: Kind
    /// Such as `camt.053.001.08`.
    public let message: String
    /// GrpHdr/MsgId
    public let messageID: String
    public let reports: [BankReport]
}

/// One account for one period: Stmt or Ntfctn.
public struct BankReport: Sendable, Hashable {
    /// Where it begins in the file.
    public var line: Int
    /// Id
    public var id: String
    /// Acct/Id: an IBAN without spaces, or what the bank calls the account.
    public var account: String
    /// ElctrncSeqNb
    public var sequenceNumber: Int64?
    /// FrToDt
    public var period: BankPeriod?
    /// OPBD, or PRCD where there is none.
    public var opening: BankBalance?
    /// CLBD
    public var closing: BankBalance?
    public var entries: [BankEntry]
}

/// RFC 3339 with an offset: from, and up to.
public struct BankPeriod: Sendable, Hashable {
    public var from: String
    public var to: String
}

public struct BankBalance: Sendable, Hashable {
    /// Negative where the account is overdrawn (DBIT).
    public var amount: Money
    /// `YYYY-MM-DD`
    public var on: String
}

public enum BankDirection: String, Sendable, Hashable {
    /// CRDT: money came in.
    case credit
    /// DBIT: money left.
    case debit
}

/// One movement as this file tells it: Ntry.
public struct BankEntry: Sendable, Hashable {
    public var line: Int
    /// Not negative; the direction is told apart.
    public var amount: Money
    public var direction: BankDirection
    /// RvslInd: it undoes an earlier one.
    public var isReversal: Bool
    /// `BOOK`, `PDNG`, `INFO`, `FUTR` or the bank's own word. Only what is booked has happened.
    public var status: String
    /// `YYYY-MM-DD`, in the bank's own calendar.
    public var bookedOn: String?
    public var valueOn: String?
    /// AcctSvcrRef of the entry, or of its only transaction. Banks change or omit it between files.
    public var bankReference: String?
    /// Btch/PmtInfId: what the payer called the order of which this is the sum.
    public var batchReference: String?
    public var transactions: [BankTransaction]
}

/// What is behind an entry: NtryDtls/TxDtls.
public struct BankTransaction: Sendable, Hashable {
    public var amount: Money?
    public var direction: BankDirection?
    public var bankReference: String?
    /// Nil for the bank's ways of saying that there is none (NOTPROVIDED).
    public var endToEndID: String?
    /// PmtInfId: what the payer called the order that it was part of.
    public var batchReference: String?
    /// RtrInf: a payment that came back, and why (Rsn/Cd of ExternalReturnReason1Code, or Prtry).
    public var isReturn = false
    public var returnReason: String?
    /// UETR, TxId or InstrId, the first that is there.
    public var transactionID: String?
    /// RmtInf/Strd/CdtrRefInf/Ref, in their order.
    public var creditorReferences: [String] = []
    /// RmtInf/Ustrd, in their order.
    public var texts: [String] = []
    /// Who is on the other side: of a credit the debtor, of a debit the creditor.
    public var debtor = BankParty()
    public var creditor = BankParty()
}

public struct BankParty: Sendable, Hashable {
    public var name: String?
    /// IBAN, or the other bank's own number.
    public var account: String?
}
