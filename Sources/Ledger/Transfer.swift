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
    /// Reserves the amount on the debit account until it is posted, voided or expired.
    case hold
    /// Moves all or part of what a hold reserves, and releases the rest.
    case postHold = "post_hold"
    /// Releases what a hold reserves.
    case voidHold = "void_hold"
    /// Moves back what a `post` or `post_hold` moved: all of it, once.
    case reversal
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
    /// Of a hold: from when it reserves nothing; nil for one that somebody has to end.
    public let expiresAt: Date?
    /// The hold that a `post_hold` or `void_hold` ends.
    public let holdID: TransferID?
    /// What a reversal moves back.
    public let reversalOf: TransferID?

    /// ISO 20022 Max140Text: what a bank statement carries.
    public static let referenceCharactersMax = 140
    /// 2⁵³ − 1, the largest whole number that every JSON reader keeps exact (RFC 8259 §6).
    public static let minorUnitsMax: Int64 = 9_007_199_254_740_991

    public init(
        id: TransferID, kind: TransferKind = .post, debit debitAccount: LedgerAccountID, credit creditAccount: LedgerAccountID, amount: Money,
        reference: String, effectiveAt: Date? = nil, expiresAt: Date? = nil, holdID: TransferID? = nil, reversalOf: TransferID? = nil
    ) {
        self.id = id
        self.kind = kind
        self.debitAccount = debitAccount
        self.creditAccount = creditAccount
        self.amount = amount
        self.reference = reference
        self.effectiveAt = effectiveAt
        self.expiresAt = expiresAt
        self.holdID = holdID
        self.reversalOf = reversalOf
    }

    /// The first field that no ledger would take, so that a bad transfer never travels with good ones.
    var malformedField: String? {
        if creditAccount == debitAccount { return "credit_account" }
        if !(1...Self.minorUnitsMax).contains(amount.minorUnits) { return "amount" }
        // PostgreSQL counts code points, and text there holds no NUL.
        if reference.unicodeScalars.count > Self.referenceCharactersMax || reference.utf8.contains(0) { return "reference" }
        return misplacedField
    }

    /// The first field that belongs to transfers of another kind, or that this kind lacks.
    private var misplacedField: String? {
        if (holdID != nil) != (kind == .postHold || kind == .voidHold) { return "hold_id" }
        if (reversalOf != nil) != (kind == .reversal) { return "reversal_of" }
        if effectiveAt != nil, kind == .hold || kind == .voidHold { return "effective_at" }
        return expiresAt != nil && kind != .hold ? "expires_at" : nil
    }
}

/// Which transfers of a batch are done all or none. The last of a chain is not linked to the next.
public enum TransferLinks: Sendable, Hashable {
    case none
    case all
    /// Of each transfer, whether it stands or falls with the one after it.
    case toNext([Bool])

    /// A number for each transfer, the same for those that are linked; nil for one that stands alone.
    func groups(count: Int) -> [Int32?] {
        switch self {
        case .none: return Array(repeating: nil, count: count)
        case .all: return Array(repeating: 1, count: count)
        case .toNext(let isLinked):
            var group: Int32 = 1
            return (0..<count).map { position in
                let continues = position > 0 && isLinked[position - 1]
                if !continues { group += 1 }
                return continues || isLinked[position] ? group : nil
            }
        }
    }
}

/// What became of a transfer.
public enum TransferOutcome: Sendable, Hashable {
    /// Done now.
    case created
    /// The same transfer was done before: nothing happened now.
    case exists
    /// Another transfer has this id; it differs in this field first.
    case idConflict(field: String)
    /// The account has not enough. It stays so for this id, whatever comes in later.
    case insufficientFunds
    /// A balance would pass ±(2⁵³ − 1). It stays so for this id.
    case balanceOverflow
    /// A balance would pass the limit that the account was given. It stays so for this id.
    case limitExceeded
    /// One of the accounts is closed. It stays so for this id.
    case accountClosed
    /// There is no such account, or none that the caller may move money from or to.
    case accountUnknown(field: String)
    /// The amount's currency is not that of both accounts.
    case currencyMismatch
    /// What is bought is not what is sold at the rate.
    case rateMismatch
    /// The transfer would count from a moment of a closed period.
    case periodClosed
    /// There is no such hold, or it was refused when it came.
    case holdUnknown
    /// The hold is between other accounts, or of less (for a void: of another amount).
    case holdMismatch(field: String)
    /// The hold was posted before, by another transfer.
    case holdPosted
    case holdVoided
    /// The hold has expired (`hold_id`), or was past its `expires_at` when it came.
    case holdExpired(field: String)
    /// What is to be reversed is not there, or never moved money.
    case originalUnknown
    /// The reversal is not the opposite of the original.
    case reversalMismatch(field: String)
    /// Another transfer reversed the original before.
    case alreadyReversed
    /// Malformed; the id stays free.
    case invalid(field: String)
    /// A transfer that stands or falls with this one was refused, so nothing was done; the id stays free.
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
        case ("limit_exceeded", _): self = .limitExceeded
        case ("account_closed", _): self = .accountClosed
        case ("account_unknown", let field?): self = .accountUnknown(field: field)
        case ("currency_mismatch", _): self = .currencyMismatch
        case ("rate_mismatch", _): self = .rateMismatch
        case ("period_closed", _): self = .periodClosed
        case ("hold_unknown", _): self = .holdUnknown
        case ("hold_mismatch", let field?): self = .holdMismatch(field: field)
        case ("hold_posted", _): self = .holdPosted
        case ("hold_voided", _): self = .holdVoided
        case ("hold_expired", let field?): self = .holdExpired(field: field)
        case ("original_unknown", _): self = .originalUnknown
        case ("reversal_mismatch", let field?): self = .reversalMismatch(field: field)
        case ("already_reversed", _): self = .alreadyReversed
        case ("invalid", let field?): self = .invalid(field: field)
        case ("batch_refused", _): self = .batchRefused
        case ("credential_invalid", _): self = .credentialInvalid
        case ("scope_missing", _): self = .scopeMissing
        default: return nil
        }
    }
}
