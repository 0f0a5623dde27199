// What is asked of the ledger and what it answers, in the words of migrations/0009.
public import Foundation
public import Primitives

/// What `LedgerAccountID` names: an account of the ledger, not one to sign in with.
public enum LedgerAccountTag {}
public typealias LedgerAccountID = ID<LedgerAccountTag>

/// What `TransferID` names.
public enum TransferTag {}
public typealias TransferID = ID<TransferTag>

/// What a transfer does.
public enum TransferKind: String, Sendable, Hashable, CaseIterable {
    /// Moves the amount at once.
    case post
}

/// Moves an amount from a debit account to a credit account.
public struct Transfer: Sendable, Hashable {
    /// Made by the caller, who may send the same transfer again under it without a second effect.
    public let id: TransferID
    public let kind: TransferKind
    public let debitAccount: LedgerAccountID
    public let creditAccount: LedgerAccountID
    /// More than zero.
    public let amount: Money
    /// What people find it by; at most ``referenceCharactersMax``.
    public let reference: String
    /// The moment from which it counts, where that is not the moment of posting (nil).
    public let effectiveAt: Date?

    /// ISO 20022 Max140Text: what a bank statement carries.
    public static let referenceCharactersMax = 140
    /// 2⁵³ − 1, the largest whole number that every JSON reader keeps exact (RFC 8259 §6).
    public static let minorUnitsMax: Int64 = 9_007_199_254_740_991

    public init(
        id: TransferID, kind: TransferKind = .post, debit debitAccount: LedgerAccountID, credit creditAccount: LedgerAccountID, amount: Money,
        reference: String, effectiveAt: Date? = nil
    ) {
        self.id = id
        self.kind = kind
        self.debitAccount = debitAccount
        self.creditAccount = creditAccount
        self.amount = amount
        self.reference = reference
        self.effectiveAt = effectiveAt
    }

    /// The first field that no ledger would take, so that a bad transfer never travels with good ones.
    var malformedField: String? {
        if creditAccount == debitAccount { return "credit_account" }
        if !(1...Self.minorUnitsMax).contains(amount.minorUnits) { return "amount" }
        // PostgreSQL counts code points, and text there holds no NUL.
        if reference.unicodeScalars.count > Self.referenceCharactersMax || reference.utf8.contains(0) { return "reference" }
        return nil
    }
}

/// What became of a transfer.
public enum TransferOutcome: Sendable, Hashable {
    /// Posted now.
    case created
    /// The same transfer was posted before: nothing happened now.
    case exists
    /// Another transfer has this id; it differs in this field first.
    case idConflict(field: String)
    /// The account has not enough. It stays so for this id, whatever comes in later.
    case insufficientFunds
    /// A balance would pass ±(2⁵³ − 1). It stays so for this id.
    case balanceOverflow
    /// One of the accounts is closed. It stays so for this id.
    case accountClosed
    /// There is no such account, or none that the caller may move money from or to.
    case accountUnknown(field: String)
    /// The amount's currency is not that of both accounts.
    case currencyMismatch
    /// Malformed; the id stays free.
    case invalid(field: String)
    /// Of an atomic batch, another transfer was refused, so nothing was posted; the id stays free.
    case batchRefused
    /// The credential does not stand.
    case credentialInvalid
    /// The token lacks the scope `ledger.post`.
    case scopeMissing

    /// - Returns: nil for a word that this version does not know.
    init?(_ word: String, field: String?) {
        switch (word, field) {
        case ("created", _): self = .created
        case ("exists", _): self = .exists
        case ("id_conflict", let field?): self = .idConflict(field: field)
        case ("insufficient_funds", _): self = .insufficientFunds
        case ("balance_overflow", _): self = .balanceOverflow
        case ("account_closed", _): self = .accountClosed
        case ("account_unknown", let field?): self = .accountUnknown(field: field)
        case ("currency_mismatch", _): self = .currencyMismatch
        case ("invalid", let field?): self = .invalid(field: field)
        case ("batch_refused", _): self = .batchRefused
        case ("credential_invalid", _): self = .credentialInvalid
        case ("scope_missing", _): self = .scopeMissing
        default: return nil
        }
    }
}
