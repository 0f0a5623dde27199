// The accounts that an organisation keeps through the interface, in the words of migrations/0009.
public import Foundation
public import Primitives

/// What became of opening an account.
public enum AccountOpening: String, Sendable, Hashable {
    case created
    /// The same account was opened before.
    case exists
    /// The id names another account: of another currency, or somebody else's.
    case idConflict = "id_conflict"
    case credentialInvalid = "credential_invalid"
    case scopeMissing = "scope_missing"
}

/// Why an account is not shown.
public enum AccountRefusal: String, Error, Sendable, Hashable {
    /// There is none of this id, or it is somebody else's.
    case accountUnknown = "account_unknown"
    case credentialInvalid = "credential_invalid"
    case scopeMissing = "scope_missing"
}

/// An account with its balances, in its normal direction.
public struct OrganisationAccount: Sendable, Hashable {
    public let id: LedgerAccountID
    /// `general`, or what the city opened for the organisation, such as `funding`.
    public let kind: String
    /// The sum of the entries.
    public let posted: Money
    /// What unexpired holds reserve of it.
    public let held: Money
    public let entryCount: Int64
    public let createdAt: Date
    public let closedAt: Date?
}

/// One side of a transfer, as the account's statement shows it.
public struct AccountEntry: Sendable, Hashable {
    /// Position in the account, from 1, without a hole.
    public let number: Int64
    public let transferID: TransferID
    /// `debit` or `credit`.
    public let side: String
    /// Minor units, more than zero.
    public let amount: Int64
    /// Minor units, in the account's normal direction.
    public let balanceAfter: Int64
    /// The account on the other side.
    public let otherAccount: LedgerAccountID
    public let reference: String
    /// When it counts.
    public let effectiveAt: Date
    /// When it was posted.
    public let recordedAt: Date
}
