// Money changes its currency: two linked transfers through the organisation's position accounts, with the rate kept beside them.
// Decided in `ledger.convert` (0048_conversions.sql).
public import Postgres
public import Primitives
public import Web

/// How many major units of one currency are one of another: a decimal number, never a binary one.
public struct ConversionRate: Sendable, Hashable, CustomStringConvertible {
    /// Digits, and perhaps a point and more digits.
    public let description: String

    /// Nine digits before the point and twelve behind it: the limits of `ledger.conversion`.
    private static let wholeDigitsMax = 9
    private static let decimalsMax = 12

    /// - Returns: nil for anything but a decimal number above zero within the limits: no sign, no exponent.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(digits.contains) }), parts[0].count <= Self.wholeDigitsMax,
            parts.count == 1 || parts[1].count <= Self.decimalsMax, text.utf8.contains(where: { $0 > UInt8(ascii: "0") })
        else { return nil }
        description = text
    }
}

/// Sells an amount of one currency for an amount of another.
public struct Conversion: Sendable, Hashable {
    /// That of the transfer that sells; made by the caller, as the other.
    public let id: TransferID
    /// That of the transfer that buys.
    public let boughtID: TransferID
    public let debitAccount: LedgerAccountID
    public let creditAccount: LedgerAccountID
    public let sold: Money
    /// What is sold at the rate, half a minor unit rounded up.
    public let bought: Money
    public let rate: ConversionRate
    public let reference: String

    /// - Parameters:
    ///   - rate: major units of what is bought for one of what is sold.
    ///   - reference: of both transfers.
    public init(
        id: TransferID, boughtID: TransferID, from debitAccount: LedgerAccountID, to creditAccount: LedgerAccountID, sold: Money, bought: Money,
        rate: ConversionRate, reference: String
    ) {
        self.id = id
        self.boughtID = boughtID
        self.debitAccount = debitAccount
        self.creditAccount = creditAccount
        self.sold = sold
        self.bought = bought
        self.rate = rate
        self.reference = reference
    }
}

extension Ledger {
    /// Converts money between two accounts of the organisation whose access token (scope `ledger.post`) the credential is the hash of. The same again has no
    /// second effect.
    /// - Throws: `DatabaseError`
    public func convert(_ conversion: Conversion, by credential: CredentialHash) async throws -> TransferOutcome {
        try await database.exclusive { try await $0.one(Convert(conversion: conversion, credential: credential)) }.outcome
    }
}

/// `ledger.convert`
private struct Convert: Query {
    let conversion: Conversion
    let credential: CredentialHash

    var sql: SQL {
        """
        SELECT item, outcome, field FROM ledger.convert(
            \(credential.bytes), \(conversion.id), \(conversion.boughtID), \(conversion.debitAccount), \(conversion.creditAccount),
            \(conversion.sold.minorUnits), \(conversion.sold.currency.code), \(conversion.bought.minorUnits), \(conversion.bought.currency.code),
            (\(conversion.rate.description)::text)::numeric, \(conversion.reference))
        """
    }

    func decode(_ row: inout RowReader) throws -> ItemOutcome { try ItemOutcome(&row) }
}
