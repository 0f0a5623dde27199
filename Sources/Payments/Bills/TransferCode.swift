// The square that a bank's app reads: EPC069-12, "Quick Response Code: Guidelines to enable data capture for the initiation of a SEPA credit
// transfer", version 002. Its text is made here, its drawing by Web; beside it stands everything that it says.
import Foundation
import Primitives
import Web

/// What the code says, line by line.
struct TransferCode: Sendable, Hashable {
    let text: String

    /// Euros are what it can carry, up to this many cents (AT-04).
    private static let centsMax: Int64 = 99_999_999_999
    /// AT-21
    private static let holderCharactersMax = 70
    /// The guidelines end at version 13 with error correction level M, which is 331 bytes.
    private static let bytesMax = 331

    /// - Returns: nil where the guidelines have no room for it: another currency, an amount that is too large, an account that is no IBAN.
    init?(holder: String, account: String, amount: Money, reference: CreditorReference) {
        guard amount.currency == .eur, (1...Self.centsMax).contains(amount.minorUnits), account.wholeMatch(of: /[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}/) != nil,
            (1...Self.holderCharactersMax).contains(holder.unicodeScalars.count), !holder.contains(where: \.isNewline)
        else { return nil }
        // Service tag, version, UTF-8, identification, no BIC (version 002 needs none), name, IBAN, amount, no purpose, reference.
        text = ["BCD", "002", "1", "SCT", "", holder, account, "EUR\(amount.decimal)", "", reference.description].joined(separator: "\n")
        guard text.utf8.count <= Self.bytesMax else { return nil }
    }

    /// - Returns: nil when libqrencode makes none, which it does only for want of memory.
    func drawing() -> QRCode? { QRCode(text) }
}
