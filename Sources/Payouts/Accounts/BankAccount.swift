// Where money goes: holder, account number and structured address, as they stand in the bank's file and, sealed, in payouts.destination.

/// A bank account that money can be sent to or comes from.
public struct BankAccount: Hashable, Sendable {
    public let holder: SEPAText
    public let iban: IBAN
    /// With the number of the house; nil where it has none or it was not given.
    public let street: SEPAText?
    public let postcode: SEPAText?
    /// From 15 November 2026 on a postal address has at least town and country of its own (EPC153-22).
    public let town: SEPAText
    /// ISO 3166-1 alpha-2.
    public let country: String

    /// Lengths in characters, of PostalAddress24 in pain.001.001.09; of the name by EPC132-08.
    static let holderCharactersMax = 70
    static let streetCharactersMax = 70
    static let postcodeCharactersMax = 16
    static let townCharactersMax = 35

    /// Nil when the country is no code of two capital letters.
    public init?(holder: SEPAText, iban: IBAN, street: SEPAText? = nil, postcode: SEPAText? = nil, town: SEPAText, country: String) {
        guard country.utf8.count == 2, country.utf8.allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) else { return nil }
        self.holder = holder
        self.iban = iban
        self.street = street
        self.postcode = postcode
        self.town = town
        self.country = country
    }

    // MARK: As sealed

    private static let version = "1"

    /// A line for each part; none of them can hold a line's end.
    var lines: String {
        [Self.version, holder.text, iban.text, street?.text ?? "", postcode?.text ?? "", town.text, country].joined(separator: "\n")
    }

    /// Reads ``lines``; nil for anything else.
    init?(lines: String) {
        let parts = lines.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 7, parts[0] == Self.version, let holder = SEPAText(parts[1], charactersMax: Self.holderCharactersMax), let iban = IBAN(parts[2]),
            let town = SEPAText(parts[5], charactersMax: Self.townCharactersMax)
        else { return nil }
        self.init(
            holder: holder, iban: iban, street: SEPAText(parts[3], charactersMax: Self.streetCharactersMax),
            postcode: SEPAText(parts[4], charactersMax: Self.postcodeCharactersMax), town: town, country: parts[6])
    }
}
