// The square that a bank's app reads: EPC069-12, "Quick Response Code: Guidelines to enable data capture for the initiation of a SEPA credit
// transfer", version 002. Its text is made here, its modules by libqrencode; beside it stands everything that it says.
import CQrencode
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

    /// The modules as an SVG path: strokes of one unit's width along the middle of each row, within a frame of four units.
    /// - Returns: nil when libqrencode makes none, which it does only for want of memory.
    func drawing() -> TransferDrawing? {
        guard let code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M) else { return nil }
        defer { QRcode_free(code) }
        let width = Int(code.pointee.width)
        let modules = UnsafeBufferPointer(start: code.pointee.data, count: width * width)
        var path = ""
        for row in 0..<width {
            var column = 0
            var end = 0
            var hasBegun = false
            while column < width {
                // The lowest bit says whether a module is dark.
                guard modules[row * width + column] & 1 == 1 else {
                    column += 1
                    continue
                }
                var run = 1
                while column + run < width, modules[row * width + column + run] & 1 == 1 { run += 1 }
                path += hasBegun ? "m\(column - end) 0h\(run)" : "M\(column + Self.quietUnits) \(row + Self.quietUnits).5h\(run)"
                hasBegun = true
                column += run
                end = column
            }
        }
        return TransferDrawing(size: String(width + 2 * Self.quietUnits), path: path)
    }

    /// ISO/IEC 18004 wants four light modules around.
    private static let quietUnits = 4
}

/// An SVG of a code.
struct TransferDrawing: ViewModel {
    /// Of a side, in modules.
    var size: String
    var path: String

    static let fields: Fields<Self> = ["size": .text(\.size), "path": .text(\.path)]
}
