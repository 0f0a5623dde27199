// The form that gives a bank account: from what was typed to an account, or back to the page with a sentence beside each field.
import Primitives
import Web

struct AccountForm {
    private(set) var fields: FormReader
    /// The account's id travels in the form, so that a form sent twice gives one account.
    let id: PayoutAccountID

    init(_ form: Form) {
        fields = FormReader(form)
        id = fields.optionalText("id", charactersMax: 36).flatMap { PayoutAccountID($0) } ?? .new()
    }

    /// Longest typed IBAN: 34 characters in groups of four, and some more spaces.
    private static let ibanCharactersMax = 50

    /// Nil with errors noted.
    mutating func account() -> BankAccount? {
        let holder = plain("holder", charactersMax: BankAccount.holderCharactersMax)
        let typedIBAN = fields.text("iban", charactersMax: Self.ibanCharactersMax)
        let iban = IBAN(typedIBAN)
        if !typedIBAN.isEmpty, iban == nil { fields.reject("iban", "payouts.account.iban_wrong") }
        let street = optionalPlain("street", charactersMax: BankAccount.streetCharactersMax)
        let postcode = optionalPlain("postcode", charactersMax: BankAccount.postcodeCharactersMax)
        let town = plain("town", charactersMax: BankAccount.townCharactersMax)
        let typedCountry = fields.optionalText("country", charactersMax: 2)?.uppercased()
        guard fields.isValid, let holder, let iban, let town else { return nil }
        guard let account = BankAccount(holder: holder, iban: iban, street: street, postcode: postcode, town: town, country: typedCountry ?? iban.country) else {
            fields.reject("country", "payouts.account.country_wrong")
            return nil
        }
        return account
    }

    private mutating func plain(_ name: String, charactersMax: Int) -> SEPAText? {
        let typed = fields.text(name, charactersMax: charactersMax)
        return typed.isEmpty ? nil : written(typed, name, charactersMax: charactersMax)
    }

    private mutating func optionalPlain(_ name: String, charactersMax: Int) -> SEPAText? {
        fields.optionalText(name, charactersMax: charactersMax).flatMap { written($0, name, charactersMax: charactersMax) }
    }

    private mutating func written(_ typed: String, _ name: String, charactersMax: Int) -> SEPAText? {
        guard let text = SEPAText(typed, charactersMax: charactersMax) else {
            fields.reject(name, "payouts.account.characters")
            return nil
        }
        return text
    }
}
