// Amounts, from a form field to a ledger entry and onto a page, without a floating-point number on the way.

/// What arithmetic on money refuses.
public enum MoneyError: Error, Hashable, Sendable {
    /// The result does not fit 64 bits of minor units.
    case overflow
    /// Two currencies in one sum. Exchange is a transfer at a rate, not an addition.
    case currencyMismatch
    /// A split needs weights that are not negative and not all zero.
    case invalidWeights
}

/// Why a typed amount was not understood.
public enum MoneyParsingError: Error, Hashable, Sendable {
    case empty
    /// Not digits with at most one decimal separator and thousands in groups of three.
    case notANumber
    /// `1,234` or `1.234` in a currency with two decimals: a thousand, or a slip? Ask instead of guessing.
    case ambiguousSeparator
    /// More decimals than the currency has.
    case tooManyDecimals
    case outOfRange
}

/// An amount in whole minor units (cents, millimes) of a currency. Signed: a ledger needs both directions.
public struct Money: Hashable, Sendable, CustomStringConvertible {
    public let minorUnits: Int64
    public let currency: Currency

    public init(minorUnits: Int64, currency: Currency) {
        self.minorUnits = minorUnits
        self.currency = currency
    }

    public static func zero(_ currency: Currency) -> Money { Money(minorUnits: 0, currency: currency) }

    public var isPositive: Bool { minorUnits > 0 }
    public var isNegative: Bool { minorUnits < 0 }

    public func adding(_ other: Money) throws(MoneyError) -> Money {
        guard currency == other.currency else { throw .currencyMismatch }
        let (sum, overflow) = minorUnits.addingReportingOverflow(other.minorUnits)
        guard !overflow else { throw .overflow }
        return Money(minorUnits: sum, currency: currency)
    }

    public func subtracting(_ other: Money) throws(MoneyError) -> Money {
        guard currency == other.currency else { throw .currencyMismatch }
        let (difference, overflow) = minorUnits.subtractingReportingOverflow(other.minorUnits)
        guard !overflow else { throw .overflow }
        return Money(minorUnits: difference, currency: currency)
    }

    public func negated() throws(MoneyError) -> Money {
        try Money.zero(currency).subtracting(self)
    }

    /// Divides the amount in proportion to weights so that the parts sum to it exactly (method of the largest remainder).
    ///
    /// Every part is first rounded towards zero; the minor units left over go one each to the parts with the largest remainders, the
    /// earlier one first where they are equal.
    /// - Throws: `MoneyError.invalidWeights` for a negative weight or when all are zero or there is none.
    public func split(into weights: [Int]) throws(MoneyError) -> [Money] {
        guard weights.allSatisfy({ $0 >= 0 }) else { throw .invalidWeights }
        let total = weights.reduce(Int128(0)) { $0 + Int128($1) }
        guard total > 0 else { throw .invalidWeights }

        // 128 bits: a 64-bit amount times a 64-bit weight always fits.
        let sign: Int128 = minorUnits < 0 ? -1 : 1
        let shares = weights.map { (sign * Int128(minorUnits) * Int128($0)).quotientAndRemainder(dividingBy: total) }
        var parts = shares.map(\.quotient)
        let leftOver = Int(sign * Int128(minorUnits) - parts.reduce(0, +))
        let byRemainder = shares.indices.sorted {
            shares[$0].remainder != shares[$1].remainder ? shares[$0].remainder > shares[$1].remainder : $0 < $1
        }
        for index in byRemainder.prefix(leftOver) { parts[index] += 1 }
        return parts.map { Money(minorUnits: Int64(sign * $0), currency: currency) }
    }

    /// `12.50 EUR`: for logs and machine-readable texts. Pages use `formatted`.
    public var description: String { "\(decimal) \(currency.code)" }

    /// The amount as plain decimal text with a point and without groups, `-1234.50`: what JSON and CSV exports carry.
    public var decimal: String {
        (isNegative ? "-" : "") + digits(groupSeparator: "", decimalSeparator: ".")
    }

    /// Reads what `decimal` writes, and what ISO 20022 writes (xsd:decimal without a sign, at most 18 digits): digits with at most one point.
    /// Zeros beyond the currency's decimals change nothing; nil for other digits there, and for any other text.
    public init?(decimal: String, currency: Currency) {
        let parts = decimal.utf8.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
        var digits = Array(parts[0])
        var fraction = parts.count == 2 ? Array(parts[1]) : []
        guard (1...Self.decimalDigitsMax).contains(digits.count + fraction.count),
            (digits + fraction).allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        while fraction.count > currency.minorUnits, fraction.last == UInt8(ascii: "0") { fraction.removeLast() }
        guard fraction.count <= currency.minorUnits else { return nil }
        digits += fraction + Array(repeating: UInt8(ascii: "0"), count: currency.minorUnits - fraction.count)
        guard let minorUnits = Int64(String(decoding: digits, as: UTF8.self)) else { return nil }
        self.init(minorUnits: minorUnits, currency: currency)
    }

    /// totalDigits of the amounts of ISO 20022.
    private static let decimalDigitsMax = 18

    /// The digits without a sign, in groups of three.
    func digits(groupSeparator: String, decimalSeparator: String) -> String {
        let (major, minor) = minorUnits.magnitude.quotientAndRemainder(dividingBy: UInt64(currency.minorUnitsPerMajor))
        var grouped = ""
        let majorDigits = String(major)
        for (position, digit) in majorDigits.enumerated() {
            if position > 0 && (majorDigits.count - position) % 3 == 0 { grouped += groupSeparator }
            grouped.append(digit)
        }
        guard currency.minorUnits > 0 else { return grouped }
        let minorDigits = String(minor)
        return grouped + decimalSeparator + String(repeating: "0", count: currency.minorUnits - minorDigits.count) + minorDigits
    }
}
