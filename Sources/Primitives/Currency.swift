// The currencies of ISO 4217 that a ledger account may be kept in.

/// A currency in circulation: its ISO 4217 code and how many decimal digits its minor unit has.
public struct Currency: Hashable, Sendable, Codable, CustomStringConvertible {
    /// Three capital letters.
    public let code: String
    /// Decimal digits after the point: 0 (XOF, JPY), 2 (EUR) or 3 (TND, KWD).
    public let minorUnits: Int

    public static let eur = Currency(known: "EUR", minorUnits: 2)
    public static let usd = Currency(known: "USD", minorUnits: 2)

    /// Looks the code up, in capital letters as the standard writes it; nil for one that is not in the table.
    public init?(code: String) {
        guard let minorUnits = Self.minorUnitsByCode[code] else { return nil }
        self.init(known: code, minorUnits: minorUnits)
    }

    private init(known code: String, minorUnits: Int) {
        self.code = code
        self.minorUnits = minorUnits
    }

    public var description: String { code }

    /// How many minor units make one major unit: 1, 100 or 1000.
    public var minorUnitsPerMajor: Int64 {
        switch minorUnits {
        case 0: 1
        case 2: 100
        default: 1000
        }
    }

    /// The sign that people know, where it cannot be mistaken for another currency's; else the code.
    public var symbol: String { Self.symbolByCode[code] ?? code }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let currency = Currency(code: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a known ISO 4217 currency code")
        }
        self = currency
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(code)
    }

    private static let symbolByCode = ["EUR": "€", "USD": "$", "GBP": "£", "INR": "₹", "NGN": "₦", "UAH": "₴", "GHS": "GH₵"]

    /// ISO 4217 list one without funds, metals and test codes, and without the two units of account that have four digits.
    private static let minorUnitsByCode: [String: Int] = {
        let codesByDigits: [(digits: Int, codes: String)] = [
            (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"),
            (3, "BHD IQD JOD KWD LYD OMR TND"),
            (
                2,
                """
                AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK \
                DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD \
                KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP \
                PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH \
                USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG
                """
            ),
        ]
        var table: [String: Int] = [:]
        for (digits, codes) in codesByDigits {
            for code in codes.split(separator: " ") { table[String(code)] = digits }
        }
        return table
    }()
}
